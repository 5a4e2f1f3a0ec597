"""Rigid transforms: immutable, batched, the same for numpy arrays and torch tensors.

A pose is named `T_target_source` and maps points: `p_target = T_target_source @ p_source`.
Twists are (translation, rotation), so the last three numbers are a rotation vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry import series
from fast_inerf_ros.geometry.arrays import (
    Array,
    as_float,
    batch_index,
    broadcast_batch,
    constant,
    namespace,
    require_finite,
    require_shape,
    to_like,
)
from fast_inerf_ros.geometry.so3 import SO3, skew

__all__ = ["SE3", "SO3"]


@dataclass(frozen=True, eq=False)
class SE3:
    """A batch of rigid transforms: p -> rotation @ p + translation (..., 3), in metres."""

    rotation: SO3
    translation: Array

    # numpy would otherwise try to broadcast `array @ pose` element by element.
    __array_ufunc__ = None

    @staticmethod
    def identity(batch_shape: tuple[int, ...] = (), like: Array | None = None) -> SE3:
        """Transforms that change nothing, of the kind, dtype and device of `like`."""
        like = np.zeros(()) if like is None else like
        zero = namespace(like).broadcast_to(constant(np.zeros(3), like), (*batch_shape, 3))
        return SE3(SO3.identity(batch_shape, like), zero)

    @staticmethod
    def from_matrix(matrix: Array, tolerance: float = 1e-4) -> SE3:
        """Transform of homogeneous matrices (..., 4, 4) or their upper rows (..., 3, 4).

        Raises:
            InputError: not rigid within the tolerance, a reflection, NaN, or a last row that
                is not 0, 0, 0, 1.
        """
        values = as_float(matrix)
        rows = values.shape[-2] if values.ndim >= 2 else 0
        require_shape(values, (4 if rows == 4 else 3, 4), "pose matrices")
        require_finite(values, "pose matrices")
        if rows == 4:
            _require_last_row(values)
        rotation = SO3.from_matrix(values[..., :3, :3], tolerance)
        return SE3(rotation, values[..., :3, 3])

    @staticmethod
    def exp(twist: Array) -> SE3:
        """Transform of twists (..., 6), translation first.

        Sola et al. (2018), eq. 172 and 174.
        """
        values = require_shape(as_float(twist), (6,), "twists")
        xp = namespace(values)
        velocity, vector = values[..., :3], values[..., 3:]
        squared = xp.sum(vector * vector, axis=-1, keepdims=True)
        once = xp.linalg.cross(vector, velocity)
        twice = xp.linalg.cross(vector, once)
        translation = (
            velocity + series.cosine_ratio(squared) * once + series.sine_remainder(squared) * twice
        )
        return SE3(SO3.exp(vector), translation)

    @staticmethod
    def random(
        generator: np.random.Generator,
        batch_shape: tuple[int, ...] = (),
        translation_scale: float = 1.0,
    ) -> SE3:
        """Uniform rotations and Gaussian translations (standard deviation in metres)."""
        translation = translation_scale * generator.standard_normal((*batch_shape, 3))
        return SE3(SO3.random(generator, batch_shape), translation)

    @staticmethod
    def stack(poses: Sequence[SE3]) -> SE3:
        """One batch of several transforms along a new first axis."""
        translations = [pose.translation for pose in poses]
        rotation = SO3.stack([pose.rotation for pose in poses])
        return SE3(rotation, namespace(*translations).stack(translations, axis=0))

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the batch, () for one transform."""
        return np.broadcast_shapes(self.rotation.batch_shape, tuple(self.translation.shape[:-1]))

    def matrix(self) -> Array:
        """Homogeneous matrices (..., 4, 4)."""
        rotation, translation = broadcast_batch((self.rotation.matrix, 2), (self.translation, 1))
        xp = namespace(rotation, translation)
        upper = xp.concat([rotation, translation[..., None]], axis=-1)
        last = constant([[0.0, 0.0, 0.0, 1.0]], upper)
        return xp.concat([upper, xp.broadcast_to(last, (*upper.shape[:-2], 1, 4))], axis=-2)

    def log(self) -> Array:
        """Twist (..., 6), translation first, with a rotation of at most π."""
        vector = self.rotation.log()
        vector, translation = broadcast_batch((vector, 1), (self.translation, 1))
        xp = namespace(vector)
        squared = xp.sum(vector * vector, axis=-1, keepdims=True)
        once = xp.linalg.cross(vector, translation)
        twice = xp.linalg.cross(vector, once)
        velocity = translation - once / 2 + series.cotangent_remainder(squared) * twice
        return xp.concat([velocity, vector], axis=-1)

    def inverse(self) -> SE3:
        """The transform back: `T_a_b.inverse()` is `T_b_a`."""
        rotation = self.rotation.inverse()
        return SE3(rotation, -(rotation @ self.translation))

    def adjoint(self) -> Array:
        """Matrix (..., 6, 6) that carries twists of the source to twists of the target frame.

        `T @ SE3.exp(x) == SE3.exp(T.adjoint() @ x) @ T`; Sola et al. (2018), eq. 175.
        """
        rotation, translation = broadcast_batch((self.rotation.matrix, 2), (self.translation, 1))
        xp = namespace(rotation, translation)
        upper = xp.concat([rotation, xp.matmul(skew(translation), rotation)], axis=-1)
        lower = xp.concat([xp.zeros_like(rotation), rotation], axis=-1)
        return xp.concat([upper, lower], axis=-2)

    def interpolate(self, other: SE3, t: Array | float) -> SE3:
        """Transform at fraction t (...) of the screw motion from this (0) to the other (1)."""
        step = (self.inverse() @ other).log()
        fraction = t if isinstance(t, (int, float)) else as_float(t)[..., None]
        return self @ SE3.exp(step * fraction)

    @overload
    def __matmul__(self, other: SE3) -> SE3: ...
    @overload
    def __matmul__(self, other: Array) -> Array: ...
    def __matmul__(self, other: SE3 | Array) -> SE3 | Array:
        """Compose with a transform, or move points (..., 3); batch shapes broadcast."""
        if isinstance(other, SE3):
            translation = self.rotation @ other.translation + self.translation
            return SE3(self.rotation @ other.rotation, translation)
        return self.rotation @ other + self.translation

    def __getitem__(self, index: Any) -> SE3:
        return SE3(self.rotation[index], self.translation[batch_index(index, 1)])

    def astype(self, dtype: Any) -> SE3:
        """The same transform in another dtype."""
        xp = namespace(self.translation)
        return SE3(self.rotation.astype(dtype), xp.astype(self.translation, dtype))

    def to_like(self, like: Array) -> SE3:
        """The same transform with the kind, dtype and device of an array."""
        return SE3(self.rotation.to_like(like), to_like(self.translation, like))


def _require_last_row(matrix: Array) -> None:
    xp = namespace(matrix)
    expected = constant([0.0, 0.0, 0.0, 1.0], matrix)
    if bool(xp.any(xp.abs(matrix[..., 3, :] - expected) > 1e-6)):
        raise InputError(
            "expected pose matrices with the last row 0, 0, 0, 1, got another one: "
            "the matrix is transposed or not a rigid transform"
        )
