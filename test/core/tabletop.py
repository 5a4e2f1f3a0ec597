"""A small tabletop shared by the tests of the generator: rendering it once takes a second."""

from __future__ import annotations

import functools

import numpy as np

from fast_inerf_ros.datasets.synthetic.layout import Layout, make_layout
from fast_inerf_ros.datasets.synthetic.objects import ObjectModel, object_set
from fast_inerf_ros.datasets.synthetic.render import Renderer
from fast_inerf_ros.datasets.synthetic.trajectories import look_at
from fast_inerf_ros.datasets.synthetic.world import PreparedWorld
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3

CAMERA = Camera(160, 120, 150.0, 150.0, 79.5, 59.5)
DISTORTED = Camera(160, 120, 150.0, 148.0, 81.0, 58.0, "plumb_bob", (-0.2, 0.05, 0.002, -0.001))
FISHEYE = Camera(160, 120, 90.0, 90.0, 79.5, 59.5, "equidistant", (0.02, -0.004, 0.001, 0.0))
VIEW = look_at((0.55, -0.5, 0.5), (0.0, 0.0, 0.04))


@functools.cache
def renderer() -> Renderer:
    return Renderer(2)


@functools.cache
def models() -> tuple[ObjectModel, ...]:
    return object_set(3, n_boxes=2, n_cans=2)


@functools.cache
def layout() -> Layout:
    return make_layout(5, models(), n_clutter=2, crowding=0.8)


@functools.cache
def world() -> PreparedWorld:
    return renderer().prepare(layout())


def points_in_world(depth: np.ndarray, camera: Camera, T_world_camera: SE3) -> np.ndarray:
    """Unproject a depth image with the camera's own model."""
    return T_world_camera @ camera.unproject(camera.pixel_grid(), depth.astype(np.float64))
