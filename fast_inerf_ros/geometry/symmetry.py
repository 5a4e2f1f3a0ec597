"""Symmetries of objects: the motions that leave an object looking the same, as in BOP."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.geometry.stored_pose import StoredPose

AXIS_TOLERANCE = 1e-3
METRES_PER_MILLIMETRE = 1e-3


@dataclass(frozen=True)
class SymmetryAxis:
    """A line in the object's frame about which any rotation changes nothing.

    axis: unit direction (3). offset: a point of the line (3) in metres.
    """

    axis: tuple[float, ...]
    offset: tuple[float, ...] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        """Refuse a direction whose length is not 1, and numbers that are not finite."""
        if len(self.axis) != 3 or not abs(math.hypot(*self.axis) - 1) <= AXIS_TOLERANCE:
            raise InputError(
                f"expected a symmetry axis of length 1, got {list(self.axis)}: normalise it"
            )
        if len(self.offset) != 3 or not all(math.isfinite(number) for number in self.offset):
            raise InputError(f"expected an offset of 3 finite metres, got {list(self.offset)}")

    def rotations(self, n_steps: int) -> SE3:
        """Transforms (n_steps,) `T_object_object` by equal angles, the first of them 0."""
        angles = np.arange(n_steps) * (2 * math.pi / n_steps)
        axis = np.array(self.axis) / math.hypot(*self.axis)
        rotation = SO3.exp(angles[:, None] * axis)
        offset = np.array(self.offset)
        return SE3(rotation, offset - rotation @ offset)


@dataclass(frozen=True)
class Symmetry:
    """Every motion `T_object_object` after which an object looks the same.

    axes: continuous symmetries. discrete: single motions without the identity.
    """

    axes: tuple[SymmetryAxis, ...] = ()
    discrete: tuple[SE3, ...] = ()

    def __post_init__(self) -> None:
        """Keep the motions as stored poses, which compare and write exactly."""
        object.__setattr__(self, "axes", tuple(self.axes))
        object.__setattr__(self, "discrete", tuple(StoredPose.of(pose) for pose in self.discrete))

    @staticmethod
    def from_bop(model_info: Mapping[str, Any]) -> Symmetry:
        """Read an entry of BOP's models_info.json, which is in millimetres.

        Raises InputError for axes that are not unit vectors and motions that are not rigid.
        """
        axes = [
            SymmetryAxis(_floats(entry["axis"]), _floats(_in_metres(entry["offset"])))
            for entry in model_info.get("symmetries_continuous", [])
        ]
        discrete = [_from_bop(numbers) for numbers in model_info.get("symmetries_discrete", [])]
        return Symmetry(tuple(axes), tuple(discrete))

    @property
    def trivial(self) -> bool:
        """Whether the object looks different from everywhere."""
        return not self.axes and not self.discrete

    def transforms(self, max_step_rad: float = math.radians(10.0)) -> SE3:
        """Expand into transforms (n,) `T_object_object`, the identity first.

        Each axis is sampled at least every `max_step_rad` and combined with each discrete
        motion, as in bop_toolkit's get_symmetry_transformations.
        """
        discrete = SE3.stack([SE3.identity(), *self.discrete])
        if not self.axes:
            return discrete
        n_steps = max(2, math.ceil(2 * math.pi / max_step_rad))
        turns = [axis.rotations(n_steps)[1:] for axis in self.axes]
        identity = SE3.identity((1,))
        rotation = np.concatenate([t.rotation.matrix for t in (identity, *turns)])
        translation = np.concatenate([t.translation for t in (identity, *turns)])
        combined = SE3(SO3(rotation), translation)[:, None] @ discrete[None]
        return SE3(
            SO3(combined.rotation.matrix.reshape(-1, 3, 3)), combined.translation.reshape(-1, 3)
        )


def _floats(numbers: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(number) for number in numbers)


def _in_metres(millimetres: Sequence[float]) -> list[float]:
    return [number * METRES_PER_MILLIMETRE for number in millimetres]


def _from_bop(numbers: Sequence[float]) -> SE3:
    matrix = np.array(numbers, dtype=np.float64).reshape(4, 4)
    matrix[:3, 3] *= METRES_PER_MILLIMETRE
    return SE3.from_matrix(matrix)
