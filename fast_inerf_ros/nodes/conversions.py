"""ROS messages to and from the core's types: the one import that the nodes need.

The parts are in `image_decoding`, `compressed_decoding`, `image_encoding`, `camera_info` and
`poses`; this module joins them and lets ``cv_bridge`` do its share under a distribution.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from fast_inerf_ros.nodes import distribution
from fast_inerf_ros.nodes.camera_info import camera_from_message, camera_to_message
from fast_inerf_ros.nodes.compressed_decoding import decode_compressed_rgb
from fast_inerf_ros.nodes.encodings import ENCODINGS
from fast_inerf_ros.nodes.image_decoding import (
    ImageLayout,
    check_layout,
    decode_depth,
    decode_rgb,
)
from fast_inerf_ros.nodes.image_encoding import compress, encode_compressed, encode_image
from fast_inerf_ros.nodes.poses import (
    covariance_from_message,
    header,
    nanoseconds_to_stamp,
    pose_to_se3,
    se3_to_pose,
    se3_to_pose_stamped,
    se3_to_pose_with_covariance,
    se3_to_transform_stamped,
    stamp_to_nanoseconds,
    transform_to_se3,
)

__all__ = [
    "camera_from_message",
    "camera_to_message",
    "compress",
    "covariance_from_message",
    "encode_compressed",
    "encode_image",
    "header",
    "image_to_depth",
    "image_to_rgb",
    "layout_of",
    "nanoseconds_to_stamp",
    "pose_to_se3",
    "se3_to_pose",
    "se3_to_pose_stamped",
    "se3_to_pose_with_covariance",
    "se3_to_transform_stamped",
    "stamp_to_nanoseconds",
    "transform_to_se3",
]

_LOGGER = logging.getLogger(__name__)


def image_to_rgb(message: Image | CompressedImage) -> NDArray[np.uint8]:
    """Return the RGB image of a message, see `decode_rgb` and `decode_compressed_rgb`.

    The result of an unpadded or padded ``rgb8`` message shares the memory of the message.

    Returns:
        (height, width, 3) uint8.

    Raises:
        InputError: The message cannot be decoded; one line says why.
    """
    if isinstance(message, CompressedImage):
        return decode_compressed_rgb(message.data, message.format)
    layout = layout_of(message)
    if _bridge() is not None and bridge_handles(layout):
        check_layout(message.data, layout)
        image = _through_bridge(message)
        if image is not None:
            return image
    return decode_rgb(message.data, layout)


def image_to_depth(message: Image) -> NDArray[np.float32]:
    """Return the depth image of a message in metres, NaN where there is none.

    Raises:
        InputError: The message holds no depth or cannot be decoded.
    """
    return decode_depth(message.data, layout_of(message))


def bridge_handles(layout: ImageLayout) -> bool:
    """Tell whether ``cv_bridge`` is known to decode such an image rightly.

    It fails on big-endian samples under NumPy 2 and on padded rows, and it does not know YUV.
    Untyped matrices have no colours to it.
    """
    encoding = ENCODINGS.get(layout.encoding)
    if encoding is None or encoding.is_depth or encoding.horizontal_pair:
        return False
    unpadded = layout.step == layout.width * encoding.pixel_bytes
    return unpadded and not layout.is_bigendian and not layout.encoding[0].isdigit()


def layout_of(message: Image) -> ImageLayout:
    """Return what a message says of its bytes."""
    return ImageLayout(
        encoding=message.encoding,
        width=message.width,
        height=message.height,
        step=message.step,
        is_bigendian=bool(message.is_bigendian),
    )


@functools.cache
def _bridge() -> Any | None:
    module = distribution.cv_bridge()
    return None if module is None else module.CvBridge()


def _through_bridge(message: Image) -> NDArray[np.uint8] | None:
    bridge = _bridge()
    assert bridge is not None
    try:
        image = bridge.imgmsg_to_cv2(message, desired_encoding="rgb8")
    except Exception as error:  # of many kinds: its compiled part passes on those of OpenCV
        _LOGGER.debug("cv_bridge refused %s: %s", message.encoding, error)
        return None
    return np.asarray(image, dtype=np.uint8)
