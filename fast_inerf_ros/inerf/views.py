"""Views of a field from all around, with depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from fast_inerf_ros.fields.field import Field, render_world
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3

Floats = npt.NDArray[np.float32]

DISTANCE = 2.2
"""Of cameras around a field, in half diagonals of the box of what is well seen."""


@dataclass(frozen=True, eq=False)
class CachedView:
    """A rendering. color: (h, w, 3). depth: (h, w), along the rays, metres, NaN for none."""

    camera: Camera
    T_world_camera: SE3
    color: Floats
    depth: Floats


def around(field: Field, count: int) -> SE3:
    """Poses T_world_camera (count,) that look at the middle of a field from above and beside.

    A Fibonacci spiral on the part of a sphere that is not below 10 degrees under the horizon.
    """
    corners = field.bounds.cpu().numpy().astype(np.float64)
    matrix, scale = field.frame.matrix(), field.frame.metres_per_unit
    middle = matrix[:3, :3] @ (scale * corners.mean(axis=0)) + matrix[:3, 3]
    radius = DISTANCE * scale * float(np.linalg.norm(corners[1] - corners[0])) / 2.0
    number = np.arange(count)
    height = np.sin(np.radians(80.0)) - (number + 0.5) / count * (
        np.sin(np.radians(80.0)) + np.sin(np.radians(10.0))
    )
    azimuth = number * np.pi * (3.0 - np.sqrt(5.0))
    across = np.sqrt(1.0 - height**2)
    outward = np.stack([across * np.cos(azimuth), across * np.sin(azimuth), height], axis=-1)
    forward = -outward
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    axes = np.stack([right, np.cross(forward, right), forward], axis=-1)
    return SE3(SO3.nearest(axes), middle + radius * outward)


def render_cached(field: Field, camera: Camera, T_world_camera: SE3) -> CachedView:
    """Render one pose."""
    bearings = np.asarray(camera.bearings(camera.pixel_grid()), dtype=np.float64).reshape(-1, 3)
    directions = bearings @ np.asarray(T_world_camera.rotation.matrix).T
    origin = np.asarray(T_world_camera.translation, dtype=np.float32)
    rays = torch.from_numpy(directions.astype(np.float32)).to(field.device)
    with torch.no_grad():
        seen = render_world(field, torch.from_numpy(origin).to(rays).expand(len(rays), 3), rays)
    shape = (camera.height, camera.width)
    return CachedView(
        camera,
        T_world_camera,
        seen.color.cpu().numpy().reshape(*shape, 3),
        seen.median_depth.cpu().numpy().reshape(shape),
    )


def field_views(field: Field, count: int, width: int = 640, height: int = 480) -> list[CachedView]:
    """Views from all around a field, with a field of view of 56 degrees across."""
    focal = 0.94 * width
    camera = Camera(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    poses = around(field, count)
    return [render_cached(field, camera, poses[index]) for index in range(count)]
