"""What each image encoding means: bytes per pixel, sample type and how it becomes RGB.

Names and layouts are those of ``sensor_msgs/image_encodings.hpp``.
"""

from __future__ import annotations

import array
from dataclasses import dataclass
from typing import Union

import cv2
import numpy as np
from numpy.typing import NDArray

from fast_inerf_ros.errors import InputError

Buffer = Union[bytes, bytearray, memoryview, "array.array[int]", NDArray[np.uint8]]
"""The bytes of a message: rclpy gives array('B')."""

SMALLEST_BAYER_SIDE = 3
"""OpenCV returns black for a mosaic with a side below this."""


@dataclass(frozen=True)
class Encoding:
    """One encoding of ``sensor_msgs/Image``.

    sample: type of one sample, in native byte order.
    channels: samples per pixel of one row (2 for YUV 4:2:2, 1 for a mosaic).
    conversion: OpenCV colour conversion that leads to RGB; None where the samples are RGB.
    rows_per_height: rows stored per image row (1.5 for planar 4:2:0).
    horizontal_pair, vertical_pair: whether chroma is shared by two columns, by two rows.
    smallest_side: least width and height that the conversion can handle.
    is_depth: floating-point or distance samples, which are no colours.
    """

    sample: type[np.generic]
    channels: int
    conversion: int | None = None
    rows_per_height: float = 1.0
    horizontal_pair: bool = False
    vertical_pair: bool = False
    smallest_side: int = 1
    is_depth: bool = False

    @property
    def pixel_bytes(self) -> int:
        """Bytes of one pixel within its row."""
        return self.channels * np.dtype(self.sample).itemsize


def _bayer(sample: type[np.generic]) -> dict[str, Encoding]:
    # OpenCV names a mosaic after the second and third pixel of its second row, ROS after the
    # top-left 2x2 block.
    suffix = 8 * np.dtype(sample).itemsize
    conversions = {
        "rggb": cv2.COLOR_BayerBG2RGB,
        "bggr": cv2.COLOR_BayerRG2RGB,
        "gbrg": cv2.COLOR_BayerGR2RGB,
        "grbg": cv2.COLOR_BayerGB2RGB,
    }
    return {
        f"bayer_{name}{suffix}": Encoding(sample, 1, conversion, smallest_side=SMALLEST_BAYER_SIDE)
        for name, conversion in conversions.items()
    }


def _interleaved(sample: type[np.generic]) -> dict[str, Encoding]:
    suffix = 8 * np.dtype(sample).itemsize
    return {
        f"rgb{suffix}": Encoding(sample, 3),
        f"bgr{suffix}": Encoding(sample, 3, cv2.COLOR_BGR2RGB),
        f"rgba{suffix}": Encoding(sample, 4, cv2.COLOR_RGBA2RGB),
        f"bgra{suffix}": Encoding(sample, 4, cv2.COLOR_BGRA2RGB),
        f"mono{suffix}": Encoding(sample, 1, cv2.COLOR_GRAY2RGB),
    }


_UYVY = Encoding(np.uint8, 2, cv2.COLOR_YUV2RGB_UYVY, horizontal_pair=True)
_YUYV = Encoding(np.uint8, 2, cv2.COLOR_YUV2RGB_YUYV, horizontal_pair=True)


def _planar(conversion: int) -> Encoding:
    return Encoding(
        np.uint8, 1, conversion, rows_per_height=1.5, horizontal_pair=True, vertical_pair=True
    )


ENCODINGS: dict[str, Encoding] = {
    **_interleaved(np.uint8),
    **_interleaved(np.uint16),
    **_bayer(np.uint8),
    **_bayer(np.uint16),
    "uyvy": _UYVY,
    "yuv422": _UYVY,
    "yuyv": _YUYV,
    "yuv422_yuy2": _YUYV,
    "nv12": _planar(cv2.COLOR_YUV2RGB_NV12),
    "nv21": _planar(cv2.COLOR_YUV2RGB_NV21),
    # Untyped OpenCV matrices: one channel is grey, three and four are in OpenCV's order.
    "8UC1": Encoding(np.uint8, 1, cv2.COLOR_GRAY2RGB),
    "8UC3": Encoding(np.uint8, 3, cv2.COLOR_BGR2RGB),
    "8UC4": Encoding(np.uint8, 4, cv2.COLOR_BGRA2RGB),
    "16UC1": Encoding(np.uint16, 1, is_depth=True),
    "32FC1": Encoding(np.float32, 1, is_depth=True),
    "64FC1": Encoding(np.float64, 1, is_depth=True),
}


def find_encoding(name: str) -> Encoding:
    """Return the encoding of a name.

    Raises:
        InputError: The encoding is not supported; the message lists those that are.
    """
    encoding = ENCODINGS.get(name)
    if encoding is None:
        raise InputError(
            f"image encoding: expected one of {', '.join(ENCODINGS)}, got {name!r}: "
            "configure the camera driver for one of them (rgb8 costs nothing to decode)"
        )
    return encoding


def to_eight_bits(samples: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale 16-bit samples to 8 bits: 65535 becomes 255, rounded to nearest.

    Args:
        samples: uint8 (returned unchanged) or uint16, any shape.
    """
    if samples.dtype == np.uint8:
        return samples.view(np.uint8)
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
