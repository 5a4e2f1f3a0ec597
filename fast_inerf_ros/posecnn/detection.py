"""Objects found in an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.geometry.se3 import SE3

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Detection:
    """One object, in the image that was given.

    label, class_id: name and number (from 1) of its class. instance: its number among those of
        its class, from 0, the best first.
    score: 0 to 1: how sure its pixels are of the class, times how many agree on its centre.
    box: x, y, width, height of what is seen of it, whole pixels.
    mask: (height, width) of the box: which of its pixels show the object.
    centre_px: where the object's origin is seen (2,), maybe outside of the image.
    centre_covariance_px: (2, 2). depth: of the origin along the optical axis, metres.
    log_depth_deviation: standard deviation of the logarithm of depth.
    T_camera_object: its pose. rotation_deviation: of the rotation, radians.
    """

    label: str
    class_id: int
    instance: int
    score: float
    box: tuple[int, int, int, int]
    mask: Mask
    centre_px: Floats
    centre_covariance_px: Floats
    depth: float
    log_depth_deviation: float
    T_camera_object: SE3
    rotation_deviation: float

    def full_mask(self, width: int, height: int) -> Mask:
        """The mask (height, width) on an image of the size that was given."""
        whole: npt.NDArray[Any] = np.zeros((height, width), dtype=bool)
        x, y, box_width, box_height = self.box
        whole[y : y + box_height, x : x + box_width] = self.mask
        return whole
