"""Writes pose data sets in BOP's layout, or in that of the PROPS data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fast_inerf_ros.datasets.synthetic.layout import make_layout
from fast_inerf_ros.datasets.synthetic.model_files import model_info, write_model
from fast_inerf_ros.datasets.synthetic.objects import ObjectModel
from fast_inerf_ros.datasets.synthetic.output import PictureWriter, progress, write_json
from fast_inerf_ros.datasets.synthetic.photographs import (
    InstanceTruth,
    Photograph,
    Randomisation,
    expose_randomised,
    instance_truths,
    pipelined,
    with_occluder,
)
from fast_inerf_ros.datasets.synthetic.render import Rendered, Renderer
from fast_inerf_ros.datasets.synthetic.trajectories import ViewRange, random_view
from fast_inerf_ros.datasets.synthetic.world import PreparedWorld
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.conventions import pose_to_bop, pose_to_props
from fast_inerf_ros.geometry.se3 import SE3

DEPTH_SCALE = 0.1
"""Millimetres a unit of the depth pictures: 16 bits reach 6.5 m."""

Style = Literal["bop", "props"]
Item = tuple[Photograph, list[InstanceTruth]]


@dataclass(frozen=True)
class PoseSetPlan:
    """What a pose data set shows: every image has its own layout, table, room, light and view."""

    first_seed: int
    n_images: int
    randomisation: Randomisation
    views: ViewRange = field(default_factory=ViewRange)
    max_clutter: int = 5


@dataclass(frozen=True, eq=False)
class _Setup:
    """A layout looked at, before the sensor: what the first stage hands to the second."""

    world: PreparedWorld
    T_world_camera: SE3
    rendered: Rendered
    generator: np.random.Generator


def pose_photographs(
    renderer: Renderer, camera: Camera, models: Sequence[ObjectModel], plan: PoseSetPlan
) -> Iterator[Item]:
    """Yield the photographs of a plan and the truth of their objects, one layout each.

    Everything in a photograph follows from its layout's seed.
    """

    def look(seed: int) -> _Setup:
        return _look(renderer, camera, models, plan, seed)

    def record(seed: int, setup: _Setup) -> Item:
        photograph = expose_randomised(
            setup.rendered, camera, setup.T_world_camera, plan.randomisation, setup.generator
        )
        return photograph, instance_truths(renderer, setup.world, photograph)

    yield from pipelined(look, record, range(plan.first_seed, plan.first_seed + plan.n_images))


def _look(
    renderer: Renderer,
    camera: Camera,
    models: Sequence[ObjectModel],
    plan: PoseSetPlan,
    seed: int,
) -> _Setup:
    generator = np.random.default_rng([seed, 0xB0B])
    n_clutter = int(generator.integers(0, plan.max_clutter + 1))
    layout = make_layout(seed, models, n_clutter, crowding=float(generator.uniform(0.2, 1.0)))
    T_world_camera = random_view(generator, plan.views)
    if generator.random() < plan.randomisation.occluder_probability:
        layout = with_occluder(layout, T_world_camera, generator)
    world = renderer.prepare(layout)
    rendered = renderer.render(world, camera, T_world_camera)
    return _Setup(world, T_world_camera, rendered, generator)


def write_pose_set(
    folder: Path,
    style: Style,
    renderer: Renderer,
    camera: Camera,
    models: Sequence[ObjectModel],
    splits: dict[str, PoseSetPlan],
) -> None:
    """Write all splits, the models and the camera into a folder.

    Raises InputError for a lens that distorts: the layouts have no place for it.
    """
    if camera.distortion_model != "none":
        raise InputError("BOP files cannot describe lens distortion: use distortion_model none")
    write_json(folder / "camera.json", _camera_entry(camera))
    _write_models(folder / "models", models)
    for split, plan in splits.items():
        photographs = pose_photographs(renderer, camera, models, plan)
        bar = progress(photographs, plan.n_images, split)
        write_split(folder, split, style, bar, models)


def write_split(
    folder: Path, split: str, style: Style, items: Iterable[Item], models: Sequence[ObjectModel]
) -> None:
    """Write photographs and truth as one split of a data set."""
    root = folder / split / "000000" if style == "bop" else folder / split
    prefix = "scene" if style == "bop" else split
    for name in ("rgb", "depth", "mask", "mask_visib"):
        (root / name).mkdir(parents=True)
    cameras: dict[str, Any] = {}
    truths: dict[str, Any] = {}
    infos: dict[str, Any] = {}
    with PictureWriter() as writer:
        for number, (photograph, instances) in enumerate(items):
            _write_pictures(writer, root, number, photograph, instances)
            cameras[str(number)] = _scene_camera(photograph)
            truths[str(number)] = [
                _truth(instance, model, style)
                for instance, model in zip(instances, models, strict=True)
            ]
            infos[str(number)] = [_truth_info(i, photograph.rendered.depth) for i in instances]
    write_json(root / f"{prefix}_camera.json", cameras)
    write_json(root / f"{prefix}_gt.json", truths)
    write_json(root / f"{prefix}_gt_info.json", infos)


def depth_picture(depth: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """16-bit depth (H, W) in units of DEPTH_SCALE millimetres; 0 where it is out of reach."""
    units = np.round(depth * (1000 / DEPTH_SCALE))
    return np.where(units <= 65535, units, 0).astype(np.uint16)


def _write_pictures(
    writer: PictureWriter,
    root: Path,
    number: int,
    photograph: Photograph,
    instances: list[InstanceTruth],
) -> None:
    writer.write(root / "rgb" / f"{number:06d}.png", photograph.image)
    writer.write(root / "depth" / f"{number:06d}.png", depth_picture(photograph.rendered.depth))
    for index, instance in enumerate(instances):
        name = f"{number:06d}_{index:06d}.png"
        writer.write(root / "mask" / name, instance.mask)
        writer.write(root / "mask_visib" / name, instance.visible)


def _write_models(folder: Path, models: Sequence[ObjectModel]) -> None:
    folder.mkdir()
    for model in models:
        write_model(folder / f"obj_{model.class_id:06d}.ply", model, scale=1000.0)
    write_json(
        folder / "models_info.json", {str(model.class_id): model_info(model) for model in models}
    )
    write_json(folder / "labels.json", {str(model.class_id): model.label for model in models})


def _camera_entry(camera: Camera) -> dict[str, float]:
    return {
        "cx": camera.cx,
        "cy": camera.cy,
        "depth_scale": DEPTH_SCALE,
        "fx": camera.fx,
        "fy": camera.fy,
        "height": camera.height,
        "width": camera.width,
    }


def _scene_camera(photograph: Photograph) -> dict[str, Any]:
    T_camera_world = photograph.T_world_camera.inverse()
    rotation, translation = pose_to_bop(T_camera_world)
    sensor = photograph.sensor
    return {
        "cam_K": [float(value) for value in np.asarray(photograph.camera.matrix()).ravel()],
        "depth_scale": DEPTH_SCALE,
        "cam_R_w2c": rotation,
        "cam_t_w2c": translation,
        "exposure_ev": sensor.exposure_ev,
        "noise_sigma": sensor.noise_sigma,
        "blur_px": photograph.blur_px,
    }


def _truth(instance: InstanceTruth, model: ObjectModel, style: Style) -> dict[str, Any]:
    write_pose = pose_to_bop if style == "bop" else pose_to_props
    pose: SE3 = instance.T_camera_object
    rotation, translation = write_pose(pose)
    return {"cam_R_m2c": rotation, "cam_t_m2c": translation, "obj_id": model.class_id}


def _truth_info(instance: InstanceTruth, depth: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {
        "bbox_obj": list(instance.box_all),
        "bbox_visib": list(instance.box_visible),
        "px_count_all": instance.n_all,
        "px_count_valid": int((instance.mask & (depth > 0)).sum()),
        "px_count_visib": int(instance.visible.sum()),
        "visib_fract": instance.visible_fraction,
    }
