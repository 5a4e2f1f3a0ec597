"""Boxes of a scene's objects: their corners, and where rays run through them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.io.scene import SceneObject

Floats = npt.NDArray[np.float64]

SMALLEST = 1e-12


def corners(item: SceneObject) -> Floats:
    """The eight corners (8, 3) of an object's box, in the object's frame."""
    half = np.asarray(item.extent) / 2
    signs = np.stack(np.meshgrid(*[(-1.0, 1.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(np.asarray(item.box_centre) + signs * half)


def grown(item: SceneObject, margin: float) -> SceneObject:
    """The object with a box that reaches farther by a margin in metres, all around."""
    return replace(item, extent=tuple(length + 2 * margin for length in item.extent))


def box_segments(
    item: SceneObject, origins: Floats, directions: Floats, floor: float | None = None
) -> tuple[Floats, Floats]:
    """Where unit rays (N, 3) in the world enter and leave an object's box: distances (N,).

    floor: height in the world below which the box does not count. Rays that miss the box have
    far <= near. Origins inside of the box enter at 0. (Kay and Kajiya, 1986: slabs.)
    """
    T_object_world: SE3 = item.T_world_object.inverse()
    origin = np.asarray(T_object_world @ origins) - np.asarray(item.box_centre)
    direction = np.asarray(T_object_world.rotation @ directions)
    half = np.asarray(item.extent) / 2
    first, second = ((sign * half - origin) / _not_zero(direction) for sign in (-1.0, 1.0))
    near = np.minimum(first, second).max(axis=-1)
    far = np.maximum(first, second).min(axis=-1)
    if floor is not None:
        falling = _not_zero(np.asarray(directions)[..., 2])
        crossing = (floor - np.asarray(origins)[..., 2]) / falling
        near = np.where(falling > 0, np.maximum(near, crossing), near)
        far = np.where(falling < 0, np.minimum(far, crossing), far)
    return np.maximum(near, 0.0), far


def _not_zero(values: Floats) -> Floats:
    return np.asarray(np.where(np.abs(values) < SMALLEST, SMALLEST, values))
