"""Poses, covariances and stamps between messages and the core's types."""

from __future__ import annotations

from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import (
    Point,
    Pose,
    PoseStamped,
    PoseWithCovarianceStamped,
    Quaternion,
    Transform,
    TransformStamped,
    Vector3,
)
from numpy.typing import NDArray
from std_msgs.msg import Header

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.se3 import SE3, SO3

NANOSECONDS_PER_SECOND = 1_000_000_000


def stamp_to_nanoseconds(stamp: Time) -> int:
    """Return a stamp as nanoseconds since the epoch, exactly."""
    return int(stamp.sec) * NANOSECONDS_PER_SECOND + int(stamp.nanosec)


def nanoseconds_to_stamp(nanoseconds: int) -> Time:
    """Return nanoseconds since the epoch as a stamp, exactly.

    Raises:
        InputError: The time does not fit a stamp (before 1901 or after 2038).
    """
    seconds, rest = divmod(int(nanoseconds), NANOSECONDS_PER_SECOND)
    if not -(2**31) <= seconds < 2**31:
        raise InputError(
            f"stamp: expected nanoseconds since 1970 that fit 32-bit seconds, got {nanoseconds}: "
            "check its unit"
        )
    return Time(sec=seconds, nanosec=rest)


def header(stamp_ns: int, frame_id: str) -> Header:
    """Make a message header."""
    return Header(stamp=nanoseconds_to_stamp(stamp_ns), frame_id=frame_id)


def pose_to_se3(pose: Pose) -> SE3:
    """Return ``T_frame_body`` of a pose of the body in the frame of the message's header.

    Raises:
        InputError: A quaternion that is not normalised, or values that are not finite.
    """
    position, orientation = pose.position, pose.orientation
    return _se3(position, orientation)


def transform_to_se3(transform: Transform) -> SE3:
    """Return ``T_parent_child`` of a TF transform; raises as `pose_to_se3`."""
    return _se3(transform.translation, transform.rotation)


def _se3(position: Point | Vector3, quaternion: Quaternion) -> SE3:
    translation = np.array([position.x, position.y, position.z], dtype=np.float64)
    xyzw = np.array([quaternion.x, quaternion.y, quaternion.z, quaternion.w], dtype=np.float64)
    if not np.isfinite(translation).all():
        raise InputError(
            f"pose: expected a finite position, got {translation.tolist()}: "
            "check the node that publishes it"
        )
    return SE3(SO3.from_quaternion_xyzw(xyzw), translation)


def se3_to_pose(T_frame_body: SE3) -> Pose:
    """Return the pose message of one ``T_frame_body``."""
    x, y, z = map(float, np.asarray(T_frame_body.translation))
    return Pose(position=Point(x=x, y=y, z=z), orientation=_quaternion(T_frame_body.rotation))


def se3_to_pose_stamped(T_frame_body: SE3, stamp_ns: int, frame_id: str) -> PoseStamped:
    """Return the stamped pose message of one ``T_frame_body``."""
    return PoseStamped(header=header(stamp_ns, frame_id), pose=se3_to_pose(T_frame_body))


def se3_to_transform_stamped(
    T_parent_child: SE3,
    stamp_ns: int,
    parent: str,
    child: str,
) -> TransformStamped:
    """Return the TF message of one ``T_parent_child``."""
    x, y, z = map(float, np.asarray(T_parent_child.translation))
    transform = Transform(
        translation=Vector3(x=x, y=y, z=z), rotation=_quaternion(T_parent_child.rotation)
    )
    return TransformStamped(
        header=header(stamp_ns, parent), child_frame_id=child, transform=transform
    )


def se3_to_pose_with_covariance(
    T_frame_body: SE3,
    covariance: NDArray[Any],
    stamp_ns: int,
    frame_id: str,
) -> PoseWithCovarianceStamped:
    """Return the pose message with its uncertainty.

    Args:
        T_frame_body: One pose.
        covariance: (6, 6) about the fixed axes of ``frame_id``: x, y, z, then rotations about
            X, Y, Z; m² and rad². See `geometry.conventions` for turning the covariance of a
            tangent vector into this form.
        stamp_ns: Time of the pose.
        frame_id: Frame in which the pose and the covariance are expressed.

    Raises:
        InputError: The covariance is not a finite symmetric (6, 6) matrix.
    """
    matrix = np.asarray(covariance, dtype=np.float64)
    if matrix.shape != (6, 6) or not np.isfinite(matrix).all():
        raise InputError(
            f"covariance: expected a finite 6x6 matrix, got shape {matrix.shape} with "
            f"{np.count_nonzero(~np.isfinite(matrix))} values that are not finite"
        )
    if not np.allclose(matrix, matrix.T, rtol=1e-6, atol=1e-12):
        raise InputError("covariance: expected a symmetric matrix, got one that is not")
    message = PoseWithCovarianceStamped(header=header(stamp_ns, frame_id))
    message.pose.pose = se3_to_pose(T_frame_body)
    message.pose.covariance = (0.5 * (matrix + matrix.T)).ravel()
    return message


def covariance_from_message(message: PoseWithCovarianceStamped) -> NDArray[np.float64]:
    """Return the (6, 6) covariance of a message, in the order of ROS; see above."""
    return np.asarray(message.pose.covariance, dtype=np.float64).reshape(6, 6).copy()


def _quaternion(rotation: SO3) -> Quaternion:
    x, y, z, w = map(float, np.asarray(rotation.quaternion_xyzw()))
    return Quaternion(x=x, y=y, z=z, w=w)
