"""Decodes ``sensor_msgs/CompressedImage``: JPEG and PNG, as image_transport labels them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.nodes.encodings import ENCODINGS, Buffer, to_eight_bits

_JPEG_START = b"\xff\xd8"
_JPEG_SCAN = b"\xff\xda"
_JPEG_END = b"\xff\xd9"
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND"

_READ_AS_STORED = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION


def decode_compressed_rgb(data: Buffer, image_format: str = "") -> NDArray[np.uint8]:
    """Decode a JPEG or PNG image to RGB.

    The file itself says whether it is JPEG or PNG and in which order its colours are; the
    message's format is needed only for a Bayer mosaic that was compressed without being
    demosaiced (``"bayer_rggb8; png compressed"``). 16-bit PNG is scaled to 8 bits, alpha is
    dropped, an EXIF orientation is ignored: the intrinsics belong to the pixels as stored.

    Args:
        data: The bytes of the message, any buffer.
        image_format: The message's ``format``.

    Returns:
        (height, width, 3) uint8.

    Raises:
        InputError: Neither JPEG nor PNG, a depth image, truncated or corrupt.
    """
    source = image_format.partition(";")[0].strip()
    _check_is_colour(source, image_format)
    buffer = np.frombuffer(data, dtype=np.uint8)
    check_complete(buffer.tobytes(), image_format)
    decoded = _decoded(buffer, image_format)
    if decoded.ndim == 3:
        alpha = decoded.shape[2] == 4
        return to_eight_bits(
            cv2.cvtColor(decoded, cv2.COLOR_BGRA2RGB if alpha else cv2.COLOR_BGR2RGB)
        )
    mosaic = source.startswith("bayer_") and source in ENCODINGS
    conversion = ENCODINGS[source].conversion if mosaic else cv2.COLOR_GRAY2RGB
    assert conversion is not None
    if mosaic and min(decoded.shape) < ENCODINGS[source].smallest_side:
        raise InputError(
            f"compressed image: expected a mosaic of at least 3x3 pixels, got {decoded.shape[1]}x"
            f"{decoded.shape[0]} ({image_format!r}): check the camera driver"
        )
    return to_eight_bits(cv2.cvtColor(decoded, conversion))


def _check_is_colour(source: str, image_format: str) -> None:
    if "compresseddepth" in image_format.lower().replace(" ", ""):
        raise InputError(
            f"compressed image: expected JPEG or PNG, got the depth format {image_format!r}: "
            "subscribe to the camera's colour topic"
        )
    if source in ENCODINGS and ENCODINGS[source].is_depth:
        raise InputError(
            f"compressed image: expected a colour or grey image, got {image_format!r}, "
            "which holds depth: subscribe to the camera's colour topic"
        )


def check_complete(content: bytes, image_format: str = "") -> None:
    """Refuse what is no whole file; some versions of OpenCV decode a part of it silently.

    Raises:
        InputError: Neither JPEG nor PNG, or the end is missing.
    """
    if content.startswith(_JPEG_START):
        # After the last scan begins, the end marker cannot occur within the compressed data.
        # Cameras may append bytes to it; an embedded thumbnail has its own end before the scan.
        complete = content.rfind(_JPEG_END) > content.rfind(_JPEG_SCAN) > 0
        kind = "JPEG"
    elif content.startswith(_PNG_START):
        complete = _PNG_END in content[-64:]
        kind = "PNG"
    else:
        start = content[:4].hex(" ") or "nothing"
        raise InputError(
            f"compressed image: expected JPEG or PNG data, got {len(content)} bytes starting "
            f"with {start} (format {image_format!r}): choose JPEG or PNG in the publisher"
        )
    if not complete:
        raise InputError(
            f"compressed image: expected a whole {kind} file, got {len(content)} bytes without "
            "its end: the message is truncated; check the publisher and the connection"
        )


def _decoded(buffer: NDArray[np.uint8], image_format: str) -> NDArray[Any]:
    try:
        decoded = cv2.imdecode(buffer, _READ_AS_STORED)
    except cv2.error as error:
        raise _corrupt(buffer, image_format, str(error.err)) from None
    if decoded is None:
        raise _corrupt(buffer, image_format, "the decoder refused it")
    if decoded.dtype not in (np.uint8, np.uint16):
        raise _corrupt(buffer, image_format, f"its samples are {decoded.dtype}")
    return decoded


def _corrupt(buffer: NDArray[np.uint8], image_format: str, reason: str) -> InputError:
    return InputError(
        f"compressed image: expected a decodable image, got {buffer.size} corrupt bytes (format "
        f"{image_format!r}, {reason}): check the publisher and the connection"
    )
