"""From normalised image coordinates (x/z, y/z) to distorted ones and back, NaN where impossible.

The inverse solves the 2x2 system by Newton's method from the exact radial inverse, which is
tabulated. Its gradient is that of the implicit function: one last step with the Jacobian held.
"""

from __future__ import annotations

from math import atan, cos, sin

import numpy as np

from fast_inerf_ros.geometry.arrays import Array, constant, detached, namespace
from fast_inerf_ros.geometry.distortion import Distorted, Distortion, from_coefficients

LARGEST_RADIUS = 1000.0
"""Tangent of the widest angle to the axis that a distorted lens may have (89.94 degrees)."""

N_RADII = 1024
MAX_ITERATIONS = 20
CHUNK = 16384
"""Points that are solved together in numpy, so that the intermediate arrays stay in the cache."""


def distort(model: str, coefficients: tuple[float, ...], points: Array) -> Array:
    """Distorted coordinates (..., 2) of normalised ones (..., 2); NaN outside the domain."""
    lens = from_coefficients(model, coefficients)
    if lens is not None:
        points = _distort_lens(lens, points)
    tilt = _tilt_matrix(coefficients)
    return points if tilt is None else _apply_homography(tilt, points)


def distort_with_jacobian(
    model: str, coefficients: tuple[float, ...], points: Array
) -> tuple[Array, Array]:
    """Distorted coordinates (..., 2) and their derivatives (..., 2, 2) by `points` (..., 2)."""
    xp = namespace(points)
    lens = from_coefficients(model, coefficients)
    jacobian = constant(np.eye(2), points)
    if lens is not None:
        at, valid = _distort_valid(lens, points)
        rows = xp.stack([at.dx_dx, at.dx_dy, at.dy_dx, at.dy_dy], axis=-1)
        jacobian = xp.reshape(rows, (*points.shape, 2))
        points = _masked(xp.stack([at.x, at.y], axis=-1), valid)
    tilt = _tilt_matrix(coefficients)
    if tilt is not None:
        outer, points = _homography_jacobian(tilt, points), _apply_homography(tilt, points)
        jacobian = xp.matmul(outer, jacobian)
    return points, xp.broadcast_to(jacobian, (*points.shape, 2))


def undistort(model: str, coefficients: tuple[float, ...], points: Array) -> Array:
    """Normalised coordinates (..., 2) of distorted ones (..., 2); NaN outside the domain."""
    tilt = _tilt_matrix(coefficients)
    if tilt is not None:
        points = _apply_homography(np.linalg.inv(tilt), points)
    lens = from_coefficients(model, coefficients)
    if lens is None:
        return points
    if not isinstance(points, np.ndarray) or points.size <= 2 * CHUNK:
        return _undistort_lens(lens, points)
    flat = points.reshape(-1, 2)
    solved = np.empty_like(flat)
    for start in range(0, len(flat), CHUNK):
        chunk = slice(start, start + CHUNK)
        solved[chunk] = _undistort_lens(lens, flat[chunk])
    return solved.reshape(points.shape)


def _distort_lens(lens: Distortion, points: Array) -> Array:
    at, valid = _distort_valid(lens, points)
    return _masked(namespace(points).stack([at.x, at.y], axis=-1), valid)


def _distort_valid(lens: Distortion, points: Array) -> tuple[Distorted, Array]:
    """The lens at points (..., 2), and whether they are in its domain (...)."""
    xp = namespace(points)
    x, y = points[..., 0], points[..., 1]
    largest = min(lens.largest_radius(), LARGEST_RADIUS)
    # Each coordinate first: the square of a huge one would overflow.
    bounded = (xp.abs(x) < largest) & (xp.abs(y) < largest)
    x, y = (xp.where(bounded, value, xp.zeros_like(value)) for value in (x, y))
    at = lens.distort(x, y)
    return at, bounded & (x * x + y * y < largest**2) & (at.determinant() > 0)


def _undistort_lens(lens: Distortion, points: Array) -> Array:
    xp = namespace(points)
    largest = min(lens.largest_radius(), LARGEST_RADIUS)
    radii = np.tan(np.linspace(0.0, atan(largest), N_RADII))
    table = lens.radial(radii)
    limit = min(2 * float(table[-1]) + 1, 1e12)
    bounded = xp.all(xp.abs(points) < limit, axis=-1)
    target = xp.where(bounded[..., None], points, xp.zeros_like(points))
    start = _radial_start(radii, table, detached(target))
    x, y, at, error = _newton(lens, detached(target), start, largest)
    step_x, step_y = _newton_step(at, at.x - target[..., 0], at.y - target[..., 1])
    x, y = x - step_x, y - step_y
    valid = bounded & (error < _tolerance(points)) & (at.determinant() > 0)
    valid = valid & (detached(x * x + y * y) < largest**2)
    return _masked(xp.stack([x, y], axis=-1), valid)


def _radial_start(radii: Array, table: Array, target: Array) -> Array:
    """Undistorted coordinates (..., 2) by the tabulated radial part alone."""
    xp = namespace(target)
    radius = xp.sqrt(xp.sum(target * target, axis=-1))
    distorted, undistorted = constant(table, target), constant(radii, target)
    upper = xp.clip(xp.searchsorted(distorted, radius), 1, N_RADII - 1)
    low, high = distorted[upper - 1], distorted[upper]
    fraction = xp.clip((radius - low) / (high - low), 0.0, 1.0)
    solved = undistorted[upper - 1] * (1 - fraction) + undistorted[upper] * fraction
    central = radius < 1e-12
    ratio = solved / xp.where(central, xp.ones_like(radius), radius)
    return target * xp.where(central, xp.ones_like(radius), ratio)[..., None]


def _newton(
    lens: Distortion, target: Array, start: Array, largest: float
) -> tuple[Array, Array, Distorted, Array]:
    """Coordinates x, y, the lens there, and the error (...) that the last step still removes."""
    xp = namespace(target)
    x, y = start[..., 0], start[..., 1]
    for iteration in range(MAX_ITERATIONS):
        at = lens.distort(x, y)
        error_x, error_y = at.x - target[..., 0], at.y - target[..., 1]
        error = xp.abs(error_x) + xp.abs(error_y)
        if iteration == MAX_ITERATIONS - 1 or bool(xp.all(error < _tolerance(target))):
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
    border = (0.9999 * largest) ** 2
    outside = squared > border
    if not bool(xp.any(outside)):
        return x, y
    shrink = xp.where(
        outside, xp.sqrt(border / xp.where(outside, squared, border + 0 * x)), 1 + 0 * x
    )
    return x * shrink, y * shrink


def _tolerance(array: Array) -> float:
    """Residual from which one more step reaches the rounding of the dtype."""
    return 1e-9 if float(namespace(array).finfo(array.dtype).eps) < 1e-10 else 1e-5


def _masked(points: Array, valid: Array) -> Array:
    xp = namespace(points)
    return xp.where(valid[..., None], points, xp.full_like(points, float("nan")))


def _tilt_matrix(coefficients: tuple[float, ...]) -> Array | None:
    """Homography (3, 3) of a sensor tilted by the last two of 14 coefficients (OpenCV)."""
    if len(coefficients) < 14 or not any(coefficients[12:14]):
        return None
    tilt_x, tilt_y = coefficients[12:14]
    about_x = np.array([[1, 0, 0], [0, cos(tilt_x), sin(tilt_x)], [0, -sin(tilt_x), cos(tilt_x)]])
    about_y = np.array([[cos(tilt_y), 0, -sin(tilt_y)], [0, 1, 0], [sin(tilt_y), 0, cos(tilt_y)]])
    turn = about_y @ about_x
    project = np.array([[turn[2, 2], 0, -turn[0, 2]], [0, turn[2, 2], -turn[1, 2]], [0, 0, 1]])
    return project @ turn


def _apply_homography(matrix: Array, points: Array) -> Array:
    """Map points (..., 2); NaN where they come from behind the tilted sensor's horizon."""
    xp = namespace(points)
    finite = xp.all(xp.abs(points) < 1e12, axis=-1)
    points = xp.where(finite[..., None], points, xp.zeros_like(points))
    ones = xp.ones_like(points[..., :1])
    mapped = xp.matmul(xp.concat([points, ones], axis=-1), constant(matrix.T, points))
    scale = mapped[..., 2:]
    valid = finite & (scale[..., 0] > 0)
    safe = xp.where(valid[..., None], scale, ones)
    return _masked(mapped[..., :2] / safe, valid)


def _homography_jacobian(matrix: Array, points: Array) -> Array:
    """Derivatives (..., 2, 2) of `_apply_homography` by its points (..., 2)."""
    xp = namespace(points)
    mapped = _apply_homography(matrix, points)
    row = constant(matrix[2], points)
    scale = xp.sum(points * row[:2], axis=-1) + row[2]
    numerator = constant(matrix[:2, :2], points) - mapped[..., :, None] * row[:2]
    return numerator / scale[..., None, None]
