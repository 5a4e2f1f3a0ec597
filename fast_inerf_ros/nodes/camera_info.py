"""``sensor_msgs/CameraInfo`` to and from the core's `Camera`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from fast_inerf_ros.geometry.camera import Camera

_ROS_MODEL = {"none": "plumb_bob"}


def camera_from_message(message: CameraInfo, *, rectified: bool) -> Camera:
    """Return the camera of the images that come with a CameraInfo.

    Args:
        message: K, D, R, P of the full sensor, with its binning and region of interest.
        rectified: Whether the images are rectified (``image_rect``: P describes them) or raw
            (``image_raw``: K and D do).

    Raises:
        InputError: An uncalibrated camera, or values that contradict each other.
    """
    roi = message.roi
    # Zeros are no distortion in all models but the fisheye's, where they still bend.
    fisheye = message.distortion_model == "equidistant"
    return Camera.from_camera_info(
        width=message.width,
        height=message.height,
        distortion_model=message.distortion_model,
        d=list(message.d) if fisheye else _coefficients(message.d),
        k=[float(value) for value in message.k],
        r=[float(value) for value in message.r],
        p=[float(value) for value in message.p],
        binning_x=message.binning_x,
        binning_y=message.binning_y,
        roi=(roi.x_offset, roi.y_offset, roi.width, roi.height, roi.do_rectify),
        rectified=rectified,
    )


def _coefficients(d: Sequence[float]) -> list[float]:
    """Return D, or nothing where it says that there is no distortion."""
    values = [float(value) for value in d]
    return values if any(values) else []


def camera_to_message(camera: Camera, header: Header) -> CameraInfo:
    """Return the CameraInfo of raw images of a camera: no binning, no region of interest.

    P has the intrinsics of K, so that rectified images have the same focal length.
    """
    matrix = np.asarray(camera.matrix(), dtype=np.float64)
    model = _ROS_MODEL.get(camera.distortion_model, camera.distortion_model)
    message = CameraInfo(header=header, width=camera.width, height=camera.height)
    message.distortion_model = model
    message.d = [float(value) for value in camera.distortion] or [0.0] * 5
    message.k = matrix.ravel()
    message.r = np.eye(3).ravel()
    message.p = np.hstack([matrix, np.zeros((3, 1))]).ravel()
    return message
