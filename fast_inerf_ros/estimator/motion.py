"""How the camera moves on: by odometry where there is any, else as fast as it did before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fast_inerf_ros.geometry.se3 import SE3


@dataclass(frozen=True, eq=False)
class _Seen:
    stamp_ns: int
    T_world_camera: SE3
    T_odom_camera: SE3 | None


class Motion:
    """The last two poses of a camera, and where it is likely to be next.

    model: "constant_velocity" or "none". max_gap_s: time after which nothing is predicted.
    """

    def __init__(self, model: str, max_gap_s: float) -> None:
        self.model, self.max_gap_s = model, max_gap_s
        self._last: _Seen | None = None
        self._before: _Seen | None = None

    def forget(self) -> None:
        """Know nothing any more."""
        self._last = self._before = None

    def seen(self, stamp_ns: int, T_world_camera: SE3, T_odom_camera: SE3 | None) -> None:
        """The camera was localised."""
        odometry = T_odom_camera if is_finite(T_odom_camera) else None
        self._before, self._last = self._last, _Seen(stamp_ns, T_world_camera, odometry)

    def is_near(self, stamp_ns: int, T_odom_camera: SE3 | None, gap_s: float) -> bool:
        """Whether a prediction is good: odometry reaches to the last pose, or it was just now."""
        last = self._last
        if last is None:
            return False
        bridged = last.T_odom_camera is not None and is_finite(T_odom_camera)
        return bridged or (stamp_ns - last.stamp_ns) * 1e-9 <= gap_s

    def predicted(self, stamp_ns: int, T_odom_camera: SE3 | None) -> SE3 | None:
        """T_world_camera at a later time, None where nothing is known.

        Constant velocity is that of the body twist between the last two poses.
        """
        last = self._last
        if last is None:
            return None
        if T_odom_camera is not None and last.T_odom_camera and is_finite(T_odom_camera):
            return last.T_world_camera @ last.T_odom_camera.inverse() @ T_odom_camera
        elapsed = (stamp_ns - last.stamp_ns) * 1e-9
        if not 0 < elapsed <= self.max_gap_s:
            return None
        before = self._before
        if before is None or self.model == "none":
            return last.T_world_camera
        period = (last.stamp_ns - before.stamp_ns) * 1e-9
        if not 0 < period <= self.max_gap_s:
            return last.T_world_camera
        twist = np.asarray((before.T_world_camera.inverse() @ last.T_world_camera).log())
        return last.T_world_camera @ SE3.exp(twist * (elapsed / period))


def is_finite(pose: SE3 | None) -> bool:
    """Whether there is one pose, all of its numbers finite."""
    if pose is None or pose.batch_shape != ():
        return False
    numbers = np.concatenate([np.ravel(pose.rotation.matrix), np.ravel(pose.translation)])
    return bool(np.isfinite(numbers).all())
