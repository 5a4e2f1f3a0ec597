"""The plane that most of a scene's surface lies in, and which way is up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3

Floats = npt.NDArray[np.float64]

N_TRIALS = 800
N_SCORED = 4000
LEVEL_DEG = 35.0
"""A plane whose normal is nearer than this to the cameras' up is one that things stand on."""


@dataclass(frozen=True, eq=False)
class Plane:
    """Points x with normal @ x = offset; the normal (3,) is a unit vector."""

    normal: Floats
    offset: float

    def heights(self, points: Floats) -> Floats:
        """Signed distances (n,) of points (n, 3)."""
        return np.asarray(points @ self.normal - self.offset)


def dominant_plane(
    points: Floats, towards: Floats, tolerance: float, generator: np.random.Generator
) -> Plane:
    """The plane within whose tolerance most points (n, 3) lie, by RANSAC and least squares.

    Fischler and Bolles (1981). towards: a point (3,) on the side that the normal points to.

    Raises:
        InputError: fewer than three points, or points on one line.
    """
    if len(points) < 3:
        raise InputError(f"plane: expected three or more points, got {len(points)}")
    scored = points[generator.permutation(len(points))[:N_SCORED]]
    triples = scored[generator.integers(len(scored), size=(N_TRIALS, 3))]
    normals = np.cross(triples[:, 1] - triples[:, 0], triples[:, 2] - triples[:, 0])
    lengths = np.linalg.norm(normals, axis=-1)
    if not (lengths > 0).any():
        raise InputError("plane: expected points that span one, got points on one line")
    normals, triples = normals[lengths > 0], triples[lengths > 0]
    normals /= lengths[lengths > 0, None]
    offsets = np.einsum("ka,ka->k", normals, triples[:, 0])
    near = np.abs(scored @ normals.T - offsets) < tolerance
    best = int(near.sum(axis=0).argmax())
    plane = Plane(normals[best], float(offsets[best]))
    for _ in range(5):
        plane = _fitted(points[np.abs(plane.heights(points)) < tolerance])
    side = np.sign(plane.heights(towards[None])[0]) or 1.0
    return Plane(side * plane.normal, float(side * plane.offset))


def _fitted(points: Floats) -> Plane:
    middle = points.mean(axis=0)
    normal = np.linalg.svd(points - middle, full_matrices=False)[2][2]
    return Plane(np.asarray(normal), float(normal @ middle))


def up_direction(plane: Plane, T_world_camera: SE3, given: tuple[float, ...]) -> Floats:
    """Which way is up (3,): as given, else the normal of a level plane, else the cameras'.

    Hand-held cameras are upright in the mean, which tells a table from a wall. Where the plane
    is a wall, a z axis that is up within the same tolerance is kept: it knows better.

    Raises:
        InputError: a direction of no length.
    """
    if given:
        return _unit(np.asarray(given, dtype=np.float64))
    upright = _unit(-np.asarray(T_world_camera.rotation.matrix)[:, :, 1].mean(axis=0))
    least = np.cos(np.radians(LEVEL_DEG))
    if plane.normal @ upright > least:
        return plane.normal
    vertical = np.array([0.0, 0.0, 1.0])
    return vertical if upright @ vertical > least else upright


def levelled(up: Floats, origin: Floats) -> SE3:
    """T_level_world: z is up, x as near as can be to the old one, and `origin` becomes 0."""
    first = np.array([1.0, 0.0, 0.0])
    if abs(first @ up) > 0.9:
        first = np.array([0.0, 1.0, 0.0])
    x = _unit(first - (first @ up) * up)
    rotation = SO3.nearest(np.stack([x, np.cross(up, x), up]))
    return SE3(rotation, -np.asarray(rotation @ origin))


def _unit(vector: Floats) -> Floats:
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length < 1e-9:
        raise InputError(f"up: expected a direction x,y,z, got {vector.tolist()}")
    return np.asarray(vector / length)
