"""Finds the CameraInfo that belongs to an image."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from sensor_msgs.msg import CameraInfo

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.nodes.camera_info import camera_from_message

MOST_FRAMES = 16
"""Optical frames that are remembered on one topic; more are nonsense, and would fill memory."""


class CameraModels:
    """The newest CameraInfo of each optical frame, as cameras; from any thread.

    rectified: whether the images are rectified, so that P describes them and not K and D.
    topic: its name, for messages.
    """

    def __init__(self, rectified: bool, topic: str) -> None:
        self._rectified = rectified
        self._topic = topic
        self._lock = threading.Lock()
        self._messages: OrderedDict[str, CameraInfo] = OrderedDict()
        self._converted: dict[str, tuple[Any, Camera | InputError]] = {}

    def add(self, message: CameraInfo) -> None:
        """Remember a CameraInfo in the place of the earlier one of its frame."""
        with self._lock:
            self._messages[message.header.frame_id] = message
            self._messages.move_to_end(message.header.frame_id)
            if len(self._messages) > MOST_FRAMES:
                forgotten, _ = self._messages.popitem(last=False)
                self._converted.pop(forgotten, None)

    def camera_of(self, frame_id: str, width: int, height: int) -> Camera:
        """Return the camera of an image.

        A CameraInfo without a frame is taken for any.

        Raises:
            InputError: There is none of this frame, it is uncalibrated or contradicts itself, or
                it is of another size.
        """
        with self._lock:
            known = tuple(self._messages)
            key = frame_id if frame_id in self._messages else ""
            message = self._messages.get(key)
        if message is None:
            raise self._missing(frame_id, known)
        camera = self._camera(key, message)
        if (camera.width, camera.height) != (width, height):
            raise InputError(
                f"CameraInfo on {self._topic}: expected the {width}x{height} of the image, got "
                f"{camera.width}x{camera.height}: let the driver publish the calibration of the "
                "resolution that it sends, or set the other image topic"
            )
        return camera

    def _camera(self, key: str, message: CameraInfo) -> Camera:
        content = _content(message)
        with self._lock:
            earlier = self._converted.get(key)
        if earlier is None or earlier[0] != content:
            earlier = (content, self._convert(message))
            with self._lock:
                self._converted[key] = earlier
        if isinstance(earlier[1], InputError):
            raise earlier[1]
        return earlier[1]

    def _convert(self, message: CameraInfo) -> Camera | InputError:
        try:
            return camera_from_message(message, rectified=self._rectified)
        except InputError as error:
            return InputError(f"CameraInfo on {self._topic}: {error}")

    def _missing(self, frame_id: str, known: tuple[str, ...]) -> InputError:
        if not known:
            return InputError(
                f"expected CameraInfo on {self._topic}, got none yet: start the camera's driver, "
                "or set camera_info_topics"
            )
        return InputError(
            f"CameraInfo on {self._topic}: expected one of the image's frame {frame_id!r}, got "
            f"{', '.join(map(repr, known))}: correct the frame in the driver, or set "
            "camera_info_topics"
        )


def _content(message: CameraInfo) -> tuple[Any, ...]:
    """Return all that a camera is made of, to be compared."""
    roi = message.roi
    return (
        message.width,
        message.height,
        message.distortion_model,
        bytes(message.d),
        *(bytes(values) for values in (message.k, message.r, message.p)),
        message.binning_x,
        message.binning_y,
        (roi.x_offset, roi.y_offset, roi.width, roi.height, roi.do_rectify),
    )
