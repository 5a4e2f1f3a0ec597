"""Object boxes as people write them: label:x:y:z:sx:sy:sz:yaw_deg."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.io.scene import SceneObject

GivenBox = tuple[str, SE3, tuple[float, ...]]


def given_box(text: str) -> GivenBox:
    """Label, T_world_object of the box's centre, and edge lengths (3) of a text.

    Raises:
        InputError: another form, or lengths that are not positive.
    """
    label, *numbers = text.split(":")
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        values = []
    if not label or len(values) != 7 or not np.isfinite(values).all() or min(values[3:6]) <= 0:
        raise InputError(f"boxes: expected label:x:y:z:sx:sy:sz:yaw_deg, got {text!r}")
    turn = SO3.exp(np.array([0.0, 0.0, np.radians(values[6])]))
    return label, SE3(turn, np.array(values[:3])), tuple(values[3:6])


def numbered(given: Sequence[GivenBox]) -> tuple[SceneObject, ...]:
    """Objects whose classes count up in the order in which their labels come first."""
    labels = list(dict.fromkeys(label for label, _, _ in given))
    return tuple(
        SceneObject(label, labels.index(label) + 1, pose, extent) for label, pose, extent in given
    )
