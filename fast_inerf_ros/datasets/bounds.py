"""Between which depths a scene lies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fast_inerf_ros.geometry.se3 import SE3

Floats = NDArray[np.float64]

BLENDER_NEAR = 2.0
BLENDER_FAR = 6.0
"""nerf_synthetic writes no bounds; every NeRF code takes these, and PROPS-NeRF follows them."""

NEAR_FRACTION = 0.05
FAR_FRACTION = 10.0
SMALLEST_CONVERGENCE = 1e-3


def focus_point(T_world_camera: SE3) -> Floats | None:
    """Point (3,) nearest to all optical axes; None where these are (almost) parallel.

    Least squares: ``sum(I - d d^T) p = sum((I - d d^T) o)``.
    """
    directions = T_world_camera.rotation.matrix[..., :, 2]
    origins = T_world_camera.translation
    across = np.eye(3) - directions[:, :, None] * directions[:, None, :]
    normal = across.mean(axis=0)
    if np.linalg.eigvalsh(normal)[0] < SMALLEST_CONVERGENCE:
        return None
    point: Floats = np.linalg.solve(normal, np.einsum("nij,nj->i", across, origins) / len(origins))
    return point


def blender_bounds(T_world_camera: SE3) -> Floats:
    """2 and 6 for every camera (n, 2) where that fits, else an estimate."""
    distance = _focus_distance(T_world_camera)
    if ((distance > BLENDER_NEAR) & (distance < BLENDER_FAR)).all():
        return np.tile([BLENDER_NEAR, BLENDER_FAR], (len(distance), 1))
    return estimated_bounds(T_world_camera)


def estimated_bounds(T_world_camera: SE3) -> Floats:
    """Wide depths (n, 2) about where the cameras look, for files that say nothing.

    From a twentieth of the distance to the focus point to ten times it.
    """
    distance = _focus_distance(T_world_camera)
    return np.stack([NEAR_FRACTION * distance, FAR_FRACTION * distance], axis=-1)


def box_bounds(T_world_camera: SE3, half_side: float) -> Floats:
    """Depths (n, 2) that reach the farthest corner of a cube about the world's origin."""
    corners = half_side * np.array(
        [[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)]
    )
    origins = T_world_camera.translation
    far = np.linalg.norm(origins[:, None] - corners, axis=-1).max(axis=-1)
    near = NEAR_FRACTION * np.minimum(_focus_distance(T_world_camera), far)
    return np.stack([near, far], axis=-1)


def replaced_bounds(bounds: Floats, near: float | None, far: float | None) -> Floats:
    """The same depths (n, 2) but for those that the user gives."""
    given = [np.nan if value is None else value for value in (near, far)]
    return np.where(np.isnan(given), bounds, given)


def _focus_distance(T_world_camera: SE3) -> Floats:
    """Distance (n,) of each camera to what they all look at, or to the spread of the cameras."""
    origins = np.asarray(T_world_camera.translation, dtype=np.float64)
    spread = float(np.linalg.norm(np.ptp(origins, axis=0)))
    focus = focus_point(T_world_camera)
    if focus is None:
        return np.full(len(origins), spread)
    return np.asarray(np.maximum(np.linalg.norm(origins - focus, axis=-1), 1e-3 * spread))
