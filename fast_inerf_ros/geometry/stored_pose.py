"""Poses that come from a file and go back into it without losing a bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.arrays import Array
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3


@dataclass(frozen=True, eq=False)
class StoredPose(SE3):
    """One float64 rigid transform that remembers the numbers it is written with.

    A matrix made of a quaternion does not give back the same quaternion to the last bit, so the
    quaternion is kept. Two stored poses are equal where all their written numbers are.
    """

    quaternion_xyzw: tuple[float, ...]

    @staticmethod
    def of(pose: SE3) -> StoredPose:
        """Make any single transform storable; a stored one is returned as it is.

        Raises InputError for batches and for numbers that are not finite.
        """
        if isinstance(pose, StoredPose):
            return pose
        if pose.batch_shape != ():
            raise InputError(f"expected one pose, got a batch of shape {pose.batch_shape}")
        quaternion = _numbers(pose.rotation.quaternion_xyzw())
        return StoredPose.from_numbers(_numbers(pose.translation), quaternion)

    @staticmethod
    def from_numbers(translation: Sequence[float], quaternion_xyzw: Sequence[float]) -> StoredPose:
        """Make a pose of a translation (3) in metres and a unit quaternion (4).

        Raises InputError for a quaternion whose norm is not 1 and for numbers that are not
        finite.
        """
        shift = np.array(translation, dtype=np.float64)
        if shift.shape != (3,) or not np.all(np.isfinite(shift)):
            raise InputError(f"expected a translation of 3 finite numbers, got {translation}")
        rotation = SO3.from_quaternion_xyzw(np.array(quaternion_xyzw, dtype=np.float64))
        return StoredPose(rotation, shift, tuple(float(number) for number in quaternion_xyzw))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StoredPose):
            return NotImplemented
        return self._written() == other._written()

    def __hash__(self) -> int:
        return hash(self._written())

    def _written(self) -> tuple[float, ...]:
        return (*_numbers(self.translation), *self.quaternion_xyzw)


def _numbers(array: Array) -> tuple[float, ...]:
    values: Any = array.detach().cpu() if hasattr(array, "detach") else array
    return tuple(np.asarray(values, dtype=np.float64).tolist())
