"""Undistorted coordinates of distorted ones, by Newton's method on both coordinates.

It starts from the inverse of the radial part, which is tabulated, so that two or three steps
reach the rounding. The gradient is that of the implicit function: one last step is taken with
the Jacobian held, and only that step is differentiated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import atan, tan

import numpy as np

from fast_inerf_ros.geometry.arrays import Array, constant, detached, namespace
from fast_inerf_ros.geometry.distortion import Distorted, Distortion, widest_radius

N_SAMPLES = 1024
MAX_ITERATIONS = 20
CHUNK = 16384
"""Points that numpy solves together, so that the intermediate arrays stay in the cache."""


@dataclass(frozen=True)
class RadialInverse:
    """Angle to the axis (rad) at equal steps of atan(distorted radius), tangential terms aside.

    Distorted coordinates from `limit` on have no inverse.
    """

    angles: Array
    step: float
    limit: float

    @staticmethod
    @lru_cache(maxsize=64)
    def of(lens: Distortion) -> RadialInverse:
        """Tabulate the radial part of a lens over its valid domain."""
        angles = np.linspace(0.0, atan(widest_radius(lens)), 8 * N_SAMPLES)
        distorted = np.arctan(lens.radial(np.tan(angles)))
        wanted = np.linspace(0.0, distorted[-1], N_SAMPLES)
        solved = np.interp(wanted, distorted, angles)
        solved.flags.writeable = False
        return RadialInverse(solved, float(wanted[1]), 2 * tan(distorted[-1]) + 1)

    def start(self, lens: Distortion, x: Array, y: Array) -> tuple[Array, Array]:
        """Undistorted coordinates (...) by the radial part alone."""
        xp = namespace(x)
        angles = constant(self.angles, x)
        radius = xp.sqrt(x * x + y * y)
        position = xp.clip(xp.atan(radius) / self.step, 0.0, float(N_SAMPLES - 1))
        lower = xp.clip(xp.astype(position, xp.int64), 0, N_SAMPLES - 2)
        fraction = position - xp.astype(lower, x.dtype)
        angle = angles[lower] * (1 - fraction) + angles[lower + 1] * fraction
        angle = xp.clip(lens.refine_angle(angle, radius), 0.0, float(self.angles[-1]))
        ratio = xp.tan(angle) / xp.clip(radius, 1e-30, None)
        return x * ratio, y * ratio


def undistort(lens: Distortion, points: Array) -> Array:
    """Coordinates (..., 2) that a lens takes to `points` (..., 2); NaN where there are none."""
    table = RadialInverse.of(lens)
    if not isinstance(points, np.ndarray) or points.size <= 2 * CHUNK:
        return _undistort(lens, table, points)
    flat = points.reshape(-1, 2)
    solved = np.empty_like(flat)
    for start in range(0, len(flat), CHUNK):
        chunk = slice(start, start + CHUNK)
        solved[chunk] = _undistort(lens, table, flat[chunk])
    return solved.reshape(points.shape)


def _undistort(lens: Distortion, table: RadialInverse, points: Array) -> Array:
    xp = namespace(points)
    largest = widest_radius(lens)
    target_x, target_y = points[..., 0], points[..., 1]
    bounded = (xp.abs(target_x) < table.limit) & (xp.abs(target_y) < table.limit)
    target_x = xp.where(bounded, target_x, xp.zeros_like(target_x))
    target_y = xp.where(bounded, target_y, xp.zeros_like(target_y))
    held = (detached(target_x), detached(target_y))
    x, y, at, error = _newton(lens, held, table.start(lens, *held), largest)
    step_x, step_y = _newton_step(at, at.x - target_x, at.y - target_y)
    x, y = x - step_x, y - step_y
    valid = bounded & (error < _tolerance(points)) & (detached(x * x + y * y) < largest**2)
    nothing = xp.full_like(x, float("nan"))
    return xp.stack([xp.where(valid, x, nothing), xp.where(valid, y, nothing)], axis=-1)


def _newton(
    lens: Distortion,
    target: tuple[Array, Array],
    start: tuple[Array, Array],
    largest: float,
) -> tuple[Array, Array, Distorted, Array]:
    """Coordinates x, y, the lens there, and the relative error (...) one more step removes."""
    xp = namespace(*start)
    x, y = start
    tolerance = _tolerance(x)
    unit = 1 + xp.abs(target[0]) + xp.abs(target[1])
    for iteration in range(MAX_ITERATIONS):
        at = lens.distort(x, y)
        error_x, error_y = at.x - target[0], at.y - target[1]
        error = (xp.abs(error_x) + xp.abs(error_y)) / unit
        if iteration == MAX_ITERATIONS - 1 or bool(xp.all(error < tolerance)):
            break
        step_x, step_y = _newton_step(at, error_x, error_y)
        x, y = _keep_inside(x - step_x, y - step_y, largest)
    return x, y, at, error


def _newton_step(at: Distorted, error_x: Array, error_y: Array) -> tuple[Array, Array]:
    xp = namespace(error_x)
    determinant = at.determinant()
    # A folded or flat place has no way back; a short step keeps the numbers finite there.
    safe = xp.where(determinant > 1e-9, determinant, xp.ones_like(determinant))
    return (
        (at.dy_dy * error_x - at.dx_dy * error_y) / safe,
        (at.dx_dx * error_y - at.dy_dx * error_x) / safe,
    )


def _keep_inside(x: Array, y: Array, largest: float) -> tuple[Array, Array]:
    """Pull points that jumped out of the valid domain back to its border."""
    xp = namespace(x)
    squared = x * x + y * y
    border = constant(((1 - 1e-6) * largest) ** 2, x)
    outside = squared > border
    if not bool(xp.any(outside)):
        return x, y
    shrink = xp.sqrt(border / xp.where(outside, squared, border))
    return x * shrink, y * shrink


def _tolerance(array: Array) -> float:
    """Residual from which one more step reaches the rounding of the dtype."""
    return 1e-9 if float(namespace(array).finfo(array.dtype).eps) < 1e-10 else 1e-5
