"""Takes the pictures: a camera at a pose, its sensor and its motion, with all truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.pose_set_writer import (
    EMPTY,
    InstanceTruth,
    bounding_box,
    placed_mask,
)
from fast_inerf_ros.datasets.synthetic.clutter import occluder
from fast_inerf_ros.datasets.synthetic.layout import OCCLUDER_POOL, Layout, Placement, texture_seed
from fast_inerf_ros.datasets.synthetic.render import TABLE, Rendered, Renderer
from fast_inerf_ros.datasets.synthetic.sensor import (
    Motion,
    Sensor,
    develop,
    motion_blur,
    motion_for_blur,
)
from fast_inerf_ros.datasets.synthetic.world import PreparedWorld
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3

Mask = npt.NDArray[np.bool_]
Item = TypeVar("Item")
Between = TypeVar("Between")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Photograph:
    """An image (H, W, 3) uint8 RGB and the truth behind it, at mid-exposure.

    blur_px: median length of the motion blur.
    """

    image: npt.NDArray[np.uint8]
    camera: Camera
    T_world_camera: SE3
    rendered: Rendered
    sensor: Sensor
    blur_px: float

    def visible_mask(self, index: int) -> Mask:
        """(H, W): where placement `index` of the layout is seen."""
        return np.asarray(self.rendered.surface == index)

    def tabletop_mask(self) -> Mask:
        """(H, W): the table and everything on it, not the room."""
        surface = self.rendered.surface
        return np.asarray((surface >= 0) | (surface == TABLE))


@dataclass(frozen=True)
class Randomisation:
    """Ranges that each image's camera draws from, uniformly. Stops, [0, 1], pixels."""

    exposure_ev: tuple[float, float] = (0.0, 0.0)
    noise_sigma: tuple[float, float] = (0.0, 0.0)
    blur_px: tuple[float, float] = (0.0, 0.0)
    softness_px: tuple[float, float] = (0.45, 0.45)
    occluder_probability: float = 0.0

    def draw_sensor(self, generator: np.random.Generator) -> Sensor:
        """The sensor of one image."""
        return Sensor(
            exposure_ev=float(generator.uniform(*self.exposure_ev)),
            noise_sigma=float(generator.uniform(*self.noise_sigma)),
            softness_px=float(generator.uniform(*self.softness_px)),
        )


def pipelined(
    first: Callable[[Item], Between],
    second: Callable[[Item, Between], Result],
    items: Iterable[Item],
) -> Iterator[Result]:
    """Yield `second(item, first(item))` in order, the next `first` running meanwhile.

    For rendering (kernels on all threads) and what follows it (array code on one).
    """
    with ThreadPoolExecutor(1) as pool:
        waiting: tuple[Item, Future[Between]] | None = None
        for item in items:
            ready = waiting
            waiting = (item, pool.submit(first, item))
            if ready is not None:
                yield second(ready[0], ready[1].result())
        if waiting is not None:
            yield second(waiting[0], waiting[1].result())


def expose(
    rendered: Rendered,
    camera: Camera,
    T_world_camera: SE3,
    sensor: Sensor,
    generator: np.random.Generator,
    motion: Motion | None = None,
) -> Photograph:
    """Make a photograph of what was rendered; `motion`: the camera's during the exposure."""
    light, blur = rendered.colour, 0.0
    if motion is not None:
        light, blur = motion_blur(rendered, camera, motion)
    image = develop(light, sensor, generator)
    return Photograph(image, camera, T_world_camera, rendered, sensor, blur)


def expose_randomised(
    rendered: Rendered,
    camera: Camera,
    T_world_camera: SE3,
    randomisation: Randomisation,
    generator: np.random.Generator,
) -> Photograph:
    """Make a photograph with random sensor settings and motion blur of a random length."""
    sensor = randomisation.draw_sensor(generator)
    length = float(generator.uniform(*randomisation.blur_px))
    twist = np.concatenate([generator.normal(0, 0.3, 3), generator.normal(0, 0.6, 3)])
    motion = motion_for_blur(rendered, camera, twist, length) if length > 0 else None
    return expose(rendered, camera, T_world_camera, sensor, generator, motion)


def with_occluder(layout: Layout, T_world_camera: SE3, generator: np.random.Generator) -> Layout:
    """The layout with a hand or a pole between the camera and one of the objects."""
    seed = texture_seed(layout.seed, OCCLUDER_POOL, generator)
    target = layout.objects[int(generator.integers(len(layout.objects)))]
    T_world_thing = _before(target, T_world_camera, generator)
    return replace(layout, occluders=(*layout.occluders, Placement(occluder(seed), T_world_thing)))


def _before(target: Placement, T_world_camera: SE3, generator: np.random.Generator) -> SE3:
    """Where an occluder hides a part of the target: it comes in from below, left or right."""
    eye = np.asarray(T_world_camera.translation, dtype=np.float64)
    axes = np.asarray(T_world_camera.rotation.matrix, dtype=np.float64)
    point = np.asarray(target.T_world_object @ target.model.box_centre, dtype=np.float64)
    to_target = point - eye
    share = generator.uniform(0.5, 0.75)
    angle = generator.uniform(np.radians(10), np.radians(170))
    outward = np.cos(angle) * axes[:, 0] + np.sin(angle) * axes[:, 1]
    outward = outward - 0.5 * to_target / np.linalg.norm(to_target)
    outward /= np.linalg.norm(outward)
    side = np.cross(outward, to_target)
    side /= np.linalg.norm(side)
    size = float(np.min(target.model.extent)) * share
    tip = eye + share * to_target + (0.6 * size - 0.06) * outward * 0.5
    tip = tip + side * generator.uniform(-0.5, 0.5) * size
    rotation = np.stack([side, np.cross(-outward, side), -outward], axis=1)
    return SE3(SO3.nearest(rotation), tip)


def instance_truths(
    renderer: Renderer, world: PreparedWorld, photograph: Photograph
) -> list[InstanceTruth]:
    """The truth of every known object, in the order of the layout.

    Silhouettes are counted on a canvas that reaches half an image beyond each border, as BOP
    does on its own, so that an object cut off by the border is not fully visible.
    """
    return [
        _instance_truth(renderer, world, photograph, index)
        for index in range(len(world.layout.objects))
    ]


def _instance_truth(
    renderer: Renderer, world: PreparedWorld, photograph: Photograph, index: int
) -> InstanceTruth:
    camera = photograph.camera
    margin = (camera.width // 2, camera.height // 2)
    canvas = camera.crop(
        -margin[0], -margin[1], camera.width + 2 * margin[0], camera.height + 2 * margin[1]
    )
    placement = world.layout.objects[index]
    T_camera_object = photograph.T_world_camera.inverse() @ placement.T_world_object
    x0, y0, x1, y1 = _bounding_rectangle(canvas, T_camera_object, placement)
    visible = photograph.visible_mask(index)
    if x1 <= x0 or y1 <= y0:
        return InstanceTruth(T_camera_object, np.zeros_like(visible), visible, 0, EMPTY, EMPTY)
    grid = np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), axis=-1)
    bearings = np.asarray(canvas.bearings(grid.astype(np.float64)))
    inside = renderer.silhouette(world, index, photograph.T_world_camera, bearings)
    left, top = x0 - margin[0], y0 - margin[1]
    mask = placed_mask(inside, left, top, visible.shape)
    box = bounding_box(inside)
    if box[0] >= 0:
        box = (box[0] + left, box[1] + top, box[2], box[3])
    return InstanceTruth(
        T_camera_object, mask, visible, int(inside.sum()), box, bounding_box(visible)
    )


def _bounding_rectangle(
    canvas: Camera, T_camera_object: SE3, placement: Placement
) -> tuple[int, int, int, int]:
    """Pixels x0, y0, x1, y1 (end excluded) of the canvas that an object can cover."""
    low, high = placement.model.mesh.bounds.astype(np.float64)
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True)), axis=-1).reshape(-1, 3)
    pixels = np.asarray(canvas.project(T_camera_object @ corners))
    if not np.isfinite(pixels).all():
        return 0, 0, canvas.width, canvas.height
    first = np.floor(pixels.min(axis=0)).astype(int) - 3
    last = np.ceil(pixels.max(axis=0)).astype(int) + 4
    x0, x1 = np.clip([first[0], last[0]], 0, canvas.width).tolist()
    y0, y1 = np.clip([first[1], last[1]], 0, canvas.height).tolist()
    return x0, y0, x1, y1
