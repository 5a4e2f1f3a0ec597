"""From normalised image coordinates (x/z, y/z) to distorted ones and back, or NaN."""

from __future__ import annotations

from math import cos, sin

import numpy as np

from fast_inerf_ros.geometry import lens_inverse
from fast_inerf_ros.geometry.arrays import Array, constant, namespace
from fast_inerf_ros.geometry.distortion import (
    Distorted,
    Distortion,
    from_coefficients,
    widest_radius,
)


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
    return points if lens is None else lens_inverse.undistort(lens, points)


def _distort_lens(lens: Distortion, points: Array) -> Array:
    at, valid = _distort_valid(lens, points)
    return _masked(namespace(points).stack([at.x, at.y], axis=-1), valid)


def _distort_valid(lens: Distortion, points: Array) -> tuple[Distorted, Array]:
    """The lens at points (..., 2), and whether they are in its domain (...)."""
    xp = namespace(points)
    x, y = points[..., 0], points[..., 1]
    largest = widest_radius(lens)
    # Each coordinate first: the square of a huge one would overflow.
    bounded = (xp.abs(x) < largest) & (xp.abs(y) < largest)
    x, y = (xp.where(bounded, value, xp.zeros_like(value)) for value in (x, y))
    at = lens.distort(x, y)
    return at, bounded & (x * x + y * y < largest**2)


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
    finite = (xp.abs(points[..., 0]) < 1e12) & (xp.abs(points[..., 1]) < 1e12)
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
