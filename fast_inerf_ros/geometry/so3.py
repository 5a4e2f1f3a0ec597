"""Rotations: immutable, batched, the same for numpy arrays and torch tensors.

Sola, Deray, Atchuthan, "A micro Lie theory for state estimation in robotics" (2018) is the
source of the formulas; equation numbers below are those of arXiv:1812.01537v9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry import quaternion, series
from fast_inerf_ros.geometry.arrays import (
    Array,
    as_float,
    batch_index,
    constant,
    detached,
    namespace,
    require_finite,
    require_shape,
    to_like,
)


@dataclass(frozen=True, eq=False)
class SO3:
    """A batch of rotations; `matrix` (..., 3, 3) is trusted, `from_matrix` checks."""

    matrix: Array

    # numpy would otherwise try to broadcast `array @ rotation` element by element.
    __array_ufunc__ = None

    @staticmethod
    def identity(batch_shape: tuple[int, ...] = (), like: Array | None = None) -> SO3:
        """Rotations that change nothing, of the kind, dtype and device of `like`."""
        like = np.zeros(()) if like is None else like
        matrix = constant(np.eye(3), like)
        return SO3(namespace(like).broadcast_to(matrix, (*batch_shape, 3, 3)))

    @staticmethod
    def exp(rotation_vector: Array) -> SO3:
        """Rotation by |v| radians about v (..., 3): Rodrigues' formula."""
        vector = require_shape(as_float(rotation_vector), (3,), "rotation vectors")
        xp = namespace(vector)
        squared = xp.sum(vector * vector, axis=-1)[..., None, None]
        hat = skew(vector)
        identity = constant(np.eye(3), vector)
        return SO3(
            identity
            + series.sine_ratio(squared) * hat
            + series.cosine_ratio(squared) * xp.matmul(hat, hat)
        )

    @staticmethod
    def from_quaternion_xyzw(values: Array) -> SO3:
        """Rotation of unit quaternions (..., 4) in the order x, y, z, w (that of ROS).

        Raises:
            InputError: a norm differs from 1 by more than 1e-3, or is not finite.
        """
        return SO3(quaternion.to_matrix(quaternion.require_unit(values)))

    @staticmethod
    def from_matrix(matrix: Array, tolerance: float = 1e-4) -> SO3:
        """Rotation of matrices (..., 3, 3) that are rotations but for rounding.

        Raises:
            InputError: an entry of RᵀR − I exceeds the tolerance, det R < 0, or NaN.
        """
        rotation = require_shape(as_float(matrix), (3, 3), "rotation matrices")
        require_finite(rotation, "rotation matrices")
        xp = namespace(rotation)
        error = _orthogonality_error(rotation)
        if error > max(tolerance, 8 * float(xp.finfo(rotation.dtype).eps)):
            raise InputError(
                f"expected rotation matrices with |RᵀR - I| <= {tolerance:g}, got {error:.3g}: "
                "use SO3.nearest for a projection, or take scale and shear out first"
            )
        if bool(xp.any(xp.linalg.det(rotation) < 0)):
            raise InputError(
                "expected rotation matrices with determinant +1, got a reflection (-1): "
                "one axis is flipped, check the axis convention"
            )
        return SO3(rotation).normalized()

    @staticmethod
    def nearest(matrix: Array) -> SO3:
        """Closest rotation in the Frobenius norm to any matrices (..., 3, 3), by SVD.

        Umeyama (1991), eq. 39-43. Raises InputError where it is not unique.
        """
        values = require_shape(as_float(matrix), (3, 3), "matrices")
        require_finite(values, "matrices")
        xp = namespace(values)
        left, singular, right = xp.linalg.svd(values)
        sign = xp.where(xp.linalg.det(xp.matmul(left, right)) < 0, -1.0, 1.0)
        sign = xp.astype(sign, values.dtype)
        gap = singular[..., 1] + sign * singular[..., 2]
        if bool(xp.any(gap <= 16 * xp.finfo(values.dtype).eps * singular[..., 0])):
            raise InputError(
                "expected matrices with one closest rotation, got a degenerate one (rank < 2 "
                "or an ambiguous reflection): check the input"
            )
        ones = xp.ones_like(sign)
        scaled = left * xp.stack([ones, ones, sign], axis=-1)[..., None, :]
        return SO3(xp.matmul(scaled, right))

    @staticmethod
    def random(generator: np.random.Generator, batch_shape: tuple[int, ...] = ()) -> SO3:
        """Rotations distributed uniformly, as numpy float64."""
        values = generator.standard_normal((*batch_shape, 4))
        return SO3(quaternion.to_matrix(values / np.linalg.norm(values, axis=-1, keepdims=True)))

    @staticmethod
    def stack(rotations: Sequence[SO3]) -> SO3:
        """One batch of several rotations along a new first axis."""
        matrices = [rotation.matrix for rotation in rotations]
        return SO3(namespace(*matrices).stack(matrices, axis=0))

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the batch, () for one rotation."""
        return tuple(self.matrix.shape[:-2])

    def log(self) -> Array:
        """Rotation vector (..., 3) in radians, |v| <= π."""
        return quaternion.to_rotation_vector(self.quaternion_xyzw())

    def angle(self) -> Array:
        """Geodesic angle (...) to the identity in radians, 0 to π."""
        xp = namespace(self.matrix)
        values = self.quaternion_xyzw()
        # Not xp.linalg.vector_norm: its gradient at the identity is NaN.
        return 2 * xp.atan2(quaternion.vector_length(values[..., :3]), values[..., 3])

    def inverse(self) -> SO3:
        """The opposite rotation, exactly."""
        return SO3(namespace(self.matrix).matrix_transpose(self.matrix))

    def quaternion_xyzw(self) -> Array:
        """Unit quaternion (..., 4), x, y, z, w with w >= 0."""
        return quaternion.from_matrix(self.matrix)

    def normalized(self) -> SO3:
        """The same rotation with the rounding of many products removed.

        Newton-Schulz iterations towards the polar factor: unlike an SVD they have a gradient.
        """
        xp = namespace(self.matrix)
        matrix = self.matrix
        for _ in range(5):
            gram = xp.matmul(xp.matrix_transpose(matrix), matrix)
            matrix = 1.5 * matrix - 0.5 * xp.matmul(matrix, gram)
        return SO3(matrix)

    def interpolate(self, other: SO3, t: Array | float) -> SO3:
        """Rotation at fraction t (...) of the shortest way from this (0) to the other (1)."""
        step = (self.inverse() @ other).log()
        fraction = t if isinstance(t, (int, float)) else as_float(t)[..., None]
        return self @ SO3.exp(step * fraction)

    @overload
    def __matmul__(self, other: SO3) -> SO3: ...
    @overload
    def __matmul__(self, other: Array) -> Array: ...
    def __matmul__(self, other: SO3 | Array) -> SO3 | Array:
        """Compose with a rotation, or rotate points (..., 3); batch shapes broadcast."""
        if isinstance(other, SO3):
            return SO3(namespace(self.matrix, other.matrix).matmul(self.matrix, other.matrix))
        points = require_shape(as_float(other), (3,), "points")
        return _rotate(self.matrix, points)

    def __getitem__(self, index: Any) -> SO3:
        return SO3(self.matrix[batch_index(index, 2)])

    def astype(self, dtype: Any) -> SO3:
        """The same rotation in another dtype."""
        return SO3(namespace(self.matrix).astype(self.matrix, dtype))

    def to_like(self, like: Array) -> SO3:
        """The same rotation with the kind, dtype and device of an array."""
        return SO3(to_like(self.matrix, like))


def skew(vector: Array) -> Array:
    """Matrix (..., 3, 3) of the cross product with a vector (..., 3)."""
    xp = namespace(vector)
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    zero = xp.zeros_like(x)
    rows = [zero, -z, y, z, zero, -x, -y, x, zero]
    return xp.reshape(xp.stack(rows, axis=-1), (*vector.shape[:-1], 3, 3))


def _rotate(matrix: Array, points: Array) -> Array:
    xp = namespace(matrix, points)
    if matrix.ndim == 2 and points.ndim > 1:
        return xp.matmul(points, xp.matrix_transpose(matrix))
    if matrix.ndim > 2 and matrix.shape[-3] == 1 and points.ndim > 1:
        # One rotation for a whole row of points: one matrix product instead of many small ones.
        return xp.matmul(points, xp.matrix_transpose(matrix[..., 0, :, :]))
    return xp.matmul(matrix, points[..., None])[..., 0]


def _orthogonality_error(matrix: Array) -> float:
    xp, matrix = namespace(matrix), detached(matrix)
    gram = xp.matmul(xp.matrix_transpose(matrix), matrix)
    error = xp.abs(gram - constant(np.eye(3), matrix))
    return float(xp.max(error)) if 0 not in error.shape else 0.0
