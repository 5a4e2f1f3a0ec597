"""``/initialpose``: about where the robot is, as rviz's "2D Pose Estimate" sends it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import PoseWithCovarianceStamped

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.estimator.observation import PosePrior
from fast_inerf_ros.geometry.covariance import ros_covariance_to_tangent, transport_covariance
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.nodes.conversions import covariance_from_message, pose_to_se3

Floats = npt.NDArray[np.float64]

UNKNOWN = 1e6
"""Variance, m² or rad², of a direction of which nothing is known."""

RVIZ = np.array([0.25, 0.25, UNKNOWN, UNKNOWN, UNKNOWN, 0.0685])
"""Variances that rviz2 sends for x, y and yaw; taken where a message has zeros."""


def prior_of_camera(
    message: PoseWithCovarianceStamped, world: str, T_base_camera: SE3
) -> PosePrior:
    """Return what the pose of the robot says of the camera's.

    Zeros on the diagonal of the message's covariance mean "not given": nothing is known of z,
    roll and pitch then, and x, y and yaw are as good as a click in rviz.

    Args:
        message: Pose of the base frame.
        world: The scene's frame, in which it must be.
        T_base_camera: How the camera is mounted.

    Raises:
        InputError: The pose is in another frame or no pose.
    """
    frame = message.header.frame_id.removeprefix("/")
    if frame != world:
        raise InputError(
            f"/initialpose: expected a pose in the scene's frame {world!r}, got {frame!r}: set "
            f"rviz's fixed frame to {world!r}"
        )
    T_world_base = pose_to_se3(message.pose.pose)
    covariance = _completed(covariance_from_message(message))
    of_base = ros_covariance_to_tangent(covariance, T_world_base)
    of_camera = transport_covariance(of_base, T_base_camera.inverse())
    return PosePrior(T_world_base @ T_base_camera, np.asarray(of_camera, dtype=np.float64))


def _completed(covariance: Floats) -> Floats:
    """Fill in what is not given.

    Raises:
        InputError: Numbers that are no variances.
    """
    variances = np.diagonal(covariance)
    if not np.isfinite(covariance).all() or (variances < 0).any():
        raise InputError(
            "/initialpose: expected finite variances from 0, got "
            f"{variances.tolist()}: correct the node that publishes it"
        )
    given = variances > 0
    completed: Floats = np.where(np.outer(given, given), covariance, 0.0)
    completed[~given, ~given] = RVIZ[~given]
    return completed
