"""Rigid transforms with a scale: where a scene of unknown size lies in the metric world."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import overload

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.arrays import Array
from fast_inerf_ros.geometry.se3 import SE3


@dataclass(frozen=True, eq=False)
class Similarity:
    """p_target = transform @ (scale * p_source), with one scale for the batch.

    A field lies in the world by exactly this: transform is `T_world_field` and scale
    `metres_per_unit`.

    Raises:
        InputError: a scale that is not positive and finite.
    """

    transform: SE3
    scale: float = 1.0

    __array_ufunc__ = None

    def __post_init__(self) -> None:
        if not (isfinite(self.scale) and self.scale > 0):
            raise InputError(
                f"expected a positive, finite scale, got {self.scale}: check its registration"
            )

    def inverse(self) -> Similarity:
        """The way back, of the same form."""
        back = self.transform.inverse()
        return Similarity(SE3(back.rotation, back.translation / self.scale), 1 / self.scale)

    def pose_to_target(self, T_source_body: SE3) -> SE3:
        """`T_target_body` of a body whose pose in the source has unscaled translations.

        The body itself keeps its axes and its size: a camera sees the same image in both.
        """
        return self.transform @ SE3(T_source_body.rotation, self.scale * T_source_body.translation)

    def pose_to_source(self, T_target_body: SE3) -> SE3:
        """`T_source_body` in units of the source, of a body in the target."""
        pose = self.transform.inverse() @ T_target_body
        return SE3(pose.rotation, pose.translation / self.scale)

    @overload
    def __matmul__(self, other: Similarity) -> Similarity: ...
    @overload
    def __matmul__(self, other: Array) -> Array: ...
    def __matmul__(self, other: Similarity | Array) -> Similarity | Array:
        """Compose with a similarity, or move points (..., 3)."""
        if isinstance(other, Similarity):
            return Similarity(self.pose_to_target(other.transform), self.scale * other.scale)
        return self.transform @ (self.scale * other)
