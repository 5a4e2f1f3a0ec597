"""Photographs and rendered views of a scene with the truth of its objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.config import option
from fast_inerf_ros.datasets.images import resize_by_area
from fast_inerf_ros.datasets.pose_set_writer import InstanceTruth, LabelledImage, bounding_box
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.datasets.synthetic.photographs import Randomisation, expose_randomised
from fast_inerf_ros.datasets.synthetic.render import Rendered
from fast_inerf_ros.datasets.synthetic.sensor import inverse_tone_curve
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.io.scene import SceneObject
from fast_inerf_ros.scene_building.label_occluders import Occluder, arm_before
from fast_inerf_ros.scene_building.novel_views import ViewSampler
from fast_inerf_ros.scene_building.object_masks import HALF, ObjectLabeller
from fast_inerf_ros.training.views import View

Floats = npt.NDArray[np.float32]
Seen = tuple[tuple[SceneObject, InstanceTruth], ...]

WHITEST = 0.995
"""Image values are brought below this before the tone curve is undone: white has no light."""

SMALLEST_TARGET_PX = 30


@dataclass(frozen=True)
class SensorOptions:
    """What happens to rendered views before they are photographs."""

    exposure_ev: float = option(
        0.7, doc="Greatest change of exposure either way.", unit="stops", minimum=0.0, maximum=3.0
    )
    noise_sigma: float = option(
        0.02, doc="Greatest noise, in the image's [0, 1].", minimum=0.0, maximum=0.5
    )
    blur_px: float = option(5.0, doc="Greatest motion blur.", unit="px", minimum=0.0, maximum=40.0)
    softness_px: float = option(
        0.6, doc="Greatest blur of lens and sensor.", unit="px", minimum=0.0, maximum=10.0
    )
    occluders: float = option(
        0.3, doc="How often an arm or a pole is in front.", minimum=0.0, maximum=1.0
    )


def without_distortion(camera: Camera, width: int) -> Camera:
    """The camera of an image of at most this width whose lens does not distort."""
    if camera.width > width:
        camera = camera.resize(width, max(1, round(camera.height * width / camera.width)))
    return camera.undistorted()


def labelled_photographs(
    labeller: ObjectLabeller, posed: PosedImages, indices: Sequence[int], width: int
) -> Iterator[LabelledImage]:
    """Yield photographs without lens distortion, at most so wide, with their truth."""
    for index in indices:
        source, pose = posed.cameras[index], posed.T_world_camera[index]
        target = without_distortion(source, width)
        pixels = np.rint(posed.colors(index) * 255).astype(np.uint8)
        pixels = resize_by_area(pixels, target.width, target.height)
        lens = source.resize(target.width, target.height)
        image = pixels if lens == target else np.asarray(lens.undistort(pixels), dtype=np.uint8)
        depth = _depth(labeller.placed.view(target, pose))
        seen = labeller.labels(target, pose)
        yield LabelledImage(image, target, pose, depth, _numbered(seen), {"novel": 0.0})


def labelled_views(
    labeller: ObjectLabeller,
    sampler: ViewSampler,
    sensor: SensorOptions,
    n_views: int,
    seed: int,
) -> Iterator[LabelledImage]:
    """Yield rendered views with their truth; each follows from the seed and its number."""
    for number in range(n_views):
        yield _labelled_view(labeller, sampler, sensor, np.random.default_rng([seed, number]))


def _labelled_view(
    labeller: ObjectLabeller,
    sampler: ViewSampler,
    sensor: SensorOptions,
    generator: np.random.Generator,
) -> LabelledImage:
    camera, pose = sampler.draw(generator)
    view = labeller.placed.view(camera, pose)
    seen = labeller.labels(camera, pose)
    light, depth = inverse_tone_curve(np.minimum(view.color, WHITEST)), _depth(view)
    if generator.random() < sensor.occluders:
        light, depth, seen = _with_arm(light, depth, seen, generator)
    rendered = Rendered(light, depth, np.zeros(depth.shape, np.int32))
    taken = expose_randomised(rendered, camera, pose, _randomisation(sensor), generator)
    notes = {
        "exposure_ev": taken.sensor.exposure_ev,
        "noise_sigma": taken.sensor.noise_sigma,
        "blur_px": taken.blur_px,
        "novel": 1.0,
    }
    return LabelledImage(taken.image, camera, pose, depth, _numbered(seen), notes)


def _randomisation(sensor: SensorOptions) -> Randomisation:
    return Randomisation(
        exposure_ev=(-sensor.exposure_ev, sensor.exposure_ev),
        noise_sigma=(0.0, sensor.noise_sigma),
        blur_px=(0.0, sensor.blur_px),
        softness_px=(0.0, sensor.softness_px),
    )


def _with_arm(
    light: Floats, depth: Floats, seen: Seen, generator: np.random.Generator
) -> tuple[Floats, Floats, Seen]:
    """The same with something before one of the objects that are seen, if any is."""
    targets = [truth for _, truth in seen if truth.visible.sum() >= SMALLEST_TARGET_PX]
    if not targets:
        return light, depth, seen
    target = targets[int(generator.integers(len(targets)))]
    distance = float(target.T_camera_object.translation[2])
    arm = arm_before(target.visible, distance, generator)
    light = np.where(arm.mask[..., None], arm.light, light)
    depth = np.where(arm.mask, np.float32(arm.depth), depth)
    return light, depth, tuple((item, _hidden(truth, arm)) for item, truth in seen)


def _hidden(truth: InstanceTruth, arm: Occluder) -> InstanceTruth:
    if float(truth.T_camera_object.translation[2]) <= arm.depth:
        return truth
    visible = truth.visible & ~arm.mask
    return replace(truth, visible=visible, box_visible=bounding_box(visible))


def _numbered(seen: Seen) -> tuple[tuple[int, InstanceTruth], ...]:
    return tuple((item.class_id, truth) for item, truth in seen)


def _depth(view: View) -> Floats:
    """Depth (H, W) in metres, 0 where less than half of the light is absorbed."""
    known = np.isfinite(view.depth) & (view.opacity >= HALF)
    return np.asarray(np.where(known, view.depth, 0.0), dtype=np.float32)
