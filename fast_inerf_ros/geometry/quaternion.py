"""Unit quaternions in the order x, y, z, w, and their way to matrices and rotation vectors."""

from __future__ import annotations

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.arrays import Array, as_float, detached, namespace, require_shape

NORM_TOLERANCE = 1e-3


def require_unit(values: Array) -> Array:
    """Normalised copy of quaternions (..., 4) whose norm is 1 within 1e-3.

    Raises:
        InputError: a norm is further from 1, or NaN.
    """
    array = require_shape(as_float(values), (4,), "quaternions")
    xp = namespace(array)
    norm = xp.sqrt(xp.sum(array * array, axis=-1, keepdims=True))
    # Written so that NaN fails too.
    if not bool(xp.all(xp.abs(norm - 1) <= NORM_TOLERANCE)):
        worst = float(detached(xp.max(xp.abs(norm - 1))))
        raise InputError(
            f"expected unit quaternions (norm 1 within {NORM_TOLERANCE:g}), got a norm that is "
            f"off by {worst:.3g}: normalise it, and check the order x, y, z, w"
        )
    return array / norm


def to_matrix(values: Array) -> Array:
    """Rotation matrices (..., 3, 3) of unit quaternions (..., 4), x, y, z, w."""
    xp = namespace(values)
    x, y, z, w = (values[..., k] for k in range(4))
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        *(2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        *(2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    ]
    return xp.reshape(xp.stack(rows, axis=-1), (*values.shape[:-1], 3, 3))


def from_matrix(matrix: Array) -> Array:
    """Unit quaternions (..., 4), x, y, z, w with w >= 0, of rotation matrices (..., 3, 3).

    The four rows of the table are q scaled by 4x, 4y, 4z and 4w; the longest one is normalised,
    so nothing is divided by a small number (Shepperd 1978).
    """
    xp = namespace(matrix)
    table = _shepperd_table(matrix)
    diagonal = xp.stack([table[..., k, k] for k in range(4)], axis=-1)
    best = xp.argmax(diagonal, axis=-1)
    row = table[..., 0, :]
    for k in range(1, 4):
        row = xp.where((best == k)[..., None], table[..., k, :], row)
    row = row / xp.sqrt(xp.sum(row * row, axis=-1, keepdims=True))
    return xp.where(row[..., 3:] < 0, -row, row)


def _shepperd_table(matrix: Array) -> Array:
    xp = namespace(matrix)
    m00, m01, m02 = (matrix[..., 0, k] for k in range(3))
    m10, m11, m12 = (matrix[..., 1, k] for k in range(3))
    m20, m21, m22 = (matrix[..., 2, k] for k in range(3))
    xy, xz, yz = m01 + m10, m02 + m20, m12 + m21
    xw, yw, zw = m21 - m12, m02 - m20, m10 - m01
    rows = [
        *(1 + m00 - m11 - m22, xy, xz, xw),
        *(xy, 1 - m00 + m11 - m22, yz, yw),
        *(xz, yz, 1 - m00 - m11 + m22, zw),
        *(xw, yw, zw, 1 + m00 + m11 + m22),
    ]
    return xp.reshape(xp.stack(rows, axis=-1), (*matrix.shape[:-2], 4, 4))


def to_rotation_vector(values: Array) -> Array:
    """Rotation vectors (..., 3) in radians, |v| <= π, of unit quaternions with w >= 0."""
    xp = namespace(values)
    vector, w = values[..., :3], values[..., 3:]
    squared = xp.sum(vector * vector, axis=-1, keepdims=True)
    small = squared < 1e-6
    one = xp.ones_like(squared)
    length = xp.sqrt(xp.where(small, one, squared))
    far = 2 * xp.atan2(length, w) / length
    near_w = xp.where(small, w, one)
    tangent = xp.where(small, squared, 0 * one) / near_w**2
    # 2 atan(t) / (t w) with t = |vector| / w
    near = 2 / near_w * (1 - tangent / 3 + tangent**2 / 5 - tangent**3 / 7)
    return vector * xp.where(small, near, far)


def vector_length(vector: Array) -> Array:
    """Euclidean length (...) of vectors (..., 3); its gradient at zero is zero, not NaN."""
    xp = namespace(vector)
    squared = xp.sum(vector * vector, axis=-1)
    positive = squared > 0
    length = xp.sqrt(xp.where(positive, squared, xp.ones_like(squared)))
    return xp.where(positive, length, xp.zeros_like(squared))
