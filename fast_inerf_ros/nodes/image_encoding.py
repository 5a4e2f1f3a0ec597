"""Makes ``sensor_msgs/Image`` and ``sensor_msgs/CompressedImage`` from arrays."""

from __future__ import annotations

import array
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from fast_inerf_ros.errors import InputError

ENCODING_OF: dict[tuple[str, int], str] = {
    ("uint8", 3): "rgb8",
    ("uint8", 1): "mono8",
    ("uint16", 1): "mono16",
    ("float32", 1): "32FC1",
}


def encode_image(image: NDArray[Any], header: Header, encoding: str | None = None) -> Image:
    """Make an uncompressed image message.

    Args:
        image: (H, W, 3) uint8 RGB, (H, W) uint8 grey, (H, W) uint16, or (H, W) float32 depth in
            metres.
        header: Stamp and frame.
        encoding: Label in place of ``rgb8``, ``mono8``, ``mono16`` or ``32FC1``, where the
            samples mean something else of the same layout (``16UC1``).

    Raises:
        InputError: Another shape or type, or no pixels.
    """
    channels = image.shape[2] if image.ndim == 3 else 1
    own_encoding = ENCODING_OF.get((image.dtype.name, channels))
    if own_encoding is None or image.ndim not in (2, 3) or image.size == 0:
        raise InputError(
            "image to publish: expected (H, W, 3) or (H, W) uint8, (H, W) uint16 or (H, W) "
            f"float32, got {image.dtype} of shape {image.shape}: convert it first"
        )
    # The message's setter takes an array('B') as it is and checks anything else item by item.
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(image).reshape(-1).view(np.uint8).data)
    message = Image(header=header, encoding=encoding or own_encoding)
    message.height, message.width = image.shape[:2]
    message.step = image.shape[1] * channels * image.dtype.itemsize
    message.is_bigendian = int(_is_bigendian(image.dtype))
    message.data = data
    return message


def encode_compressed(
    image: NDArray[np.uint8], header: Header, image_format: str = "jpeg", quality: int = 95
) -> CompressedImage:
    """Make a compressed image message that image_transport and rviz understand.

    Args:
        image: (H, W, 3) RGB or (H, W) grey.
        header: Stamp and frame.
        image_format: ``"jpeg"`` or ``"png"`` (lossless).
        quality: JPEG quality, 0 to 100.

    Raises:
        InputError: Another shape, type or format.
    """
    grey = image.ndim == 2
    if image.dtype != np.uint8 or not (grey or (image.ndim == 3 and image.shape[2] == 3)):
        raise InputError(
            "image to compress: expected (H, W, 3) or (H, W) uint8, got "
            f"{image.dtype} of shape {image.shape}: convert it first"
        )
    label = ("mono8; {0} compressed " if grey else "rgb8; {0} compressed bgr8").format(
        image_format
    )
    data = array.array("B")
    data.frombytes(compress(image, image_format, quality))
    return CompressedImage(header=header, format=label, data=data)


def compress(image: NDArray[np.uint8], image_format: str, quality: int = 95) -> bytes:
    """Return the bytes of a JPEG or PNG file; arguments as of `encode_compressed`."""
    options = {"jpeg": [cv2.IMWRITE_JPEG_QUALITY, quality], "png": []}
    if image_format not in options:
        raise InputError(f"image format: expected jpeg or png, got {image_format!r}")
    stored = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    succeeded, encoded = cv2.imencode(f".{image_format}", stored, options[image_format])
    if not succeeded:
        raise InputError(f"image to compress: {image_format} cannot hold shape {image.shape}")
    return encoded.tobytes()


def _is_bigendian(sample: np.dtype[Any]) -> bool:
    native_is_big = np.dtype(">u2").isnative
    return sample.byteorder == ">" or (sample.byteorder == "=" and native_is_big)
