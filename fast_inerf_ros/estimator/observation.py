"""What is known when a pose is asked for: an image, its camera, and maybe about where it was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Observation:
    """One image of one camera.

    image: (H, W, 3) RGB, uint8, as the camera gave it; lens distortion is part of ``camera``.
    camera: its intrinsics; an image of another size is a reason to be lost, not an exception.
    stamp_ns: when it was taken, nanoseconds of the clock that all stamps of a stream share.
    frame_id: name of the camera's optical frame.
    """

    image: npt.NDArray[np.uint8]
    camera: Camera
    stamp_ns: int = 0
    frame_id: str = "camera"


@dataclass(frozen=True, eq=False)
class PosePrior:
    """About where the camera was, from anybody: a user, odometry, the frame before.

    T_world_camera: the pose. covariance: (6, 6) of body twists, ``T_world_camera @ exp(x)``,
    translation first; None where nothing is known of its errors. Directions that are not known
    have large variances (1e6), such as height, roll and pitch of a pose given on a map.
    """

    T_world_camera: SE3
    covariance: Floats | None = None
