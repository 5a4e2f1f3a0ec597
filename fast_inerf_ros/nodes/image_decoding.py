"""Decodes the bytes of a ``sensor_msgs/Image`` with NumPy and OpenCV.

Works on plain values, in both worlds, for everything that ``cv_bridge`` gets wrong or does not
know: padded rows, big-endian samples, YUV, and images of a pip-installed OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.nodes.encodings import Buffer, Encoding, find_encoding, to_eight_bits


@dataclass(frozen=True)
class ImageLayout:
    """The fields of ``sensor_msgs/Image`` that say how its bytes are to be read.

    width, height: size in pixels. step: bytes from one row to the next.
    """

    encoding: str
    width: int
    height: int
    step: int
    is_bigendian: bool = False


def decode_rgb(data: Buffer, layout: ImageLayout) -> NDArray[np.uint8]:
    """Decode an image to RGB.

    16-bit samples are scaled to 8 bits, alpha is dropped, grey is repeated. YUV is BT.601 with
    limited range, as V4L2 cameras send it. ``rgb8`` is returned without a copy: a view of
    ``data``, with its row padding skipped.

    Args:
        data: The bytes of the message, any buffer.
        layout: How they are to be read.

    Returns:
        (height, width, 3) uint8.

    Raises:
        InputError: Unknown encoding, a depth image, or sizes that do not agree.
    """
    encoding = find_encoding(layout.encoding)
    if encoding.is_depth:
        raise InputError(
            f"image encoding: expected a colour or grey image, got the depth encoding "
            f"{layout.encoding!r}: subscribe to the camera's colour topic"
        )
    rows = _rows(data, layout, encoding)
    if encoding.conversion is None:
        return to_eight_bits(rows)
    rgb = cv2.cvtColor(_decodable(rows, layout, encoding), encoding.conversion)
    return to_eight_bits(rgb[: layout.height, : layout.width])


def decode_depth(data: Buffer, layout: ImageLayout) -> NDArray[np.float32]:
    """Decode a depth image (REP 118) to metres; pixels without a measurement become NaN.

    Args:
        data: The bytes of the message, any buffer.
        layout: ``16UC1`` and ``mono16`` count millimetres, ``32FC1`` and ``64FC1`` metres.

    Returns:
        (height, width) float32 in metres.

    Raises:
        InputError: The encoding holds no depth, or sizes do not agree.
    """
    encoding = find_encoding(layout.encoding)
    if not encoding.is_depth and layout.encoding != "mono16":
        raise InputError(
            "depth image encoding: expected 16UC1, mono16, 32FC1 or 64FC1, got "
            f"{layout.encoding!r}: subscribe to the depth topic"
        )
    rows = _rows(data, layout, encoding)
    millimetres = rows.dtype == np.uint16
    depth = np.asarray(rows * 1e-3 if millimetres else rows, dtype=np.float32)
    return np.where((depth > 0) & np.isfinite(depth), depth, np.float32(np.nan))


def check_layout(data: Buffer, layout: ImageLayout) -> None:
    """Check that an image of a known encoding has the size, step and bytes it should have.

    Raises:
        InputError: It has not; the message names expected, got and remedy.
    """
    encoding = find_encoding(layout.encoding)
    _check_size(layout, encoding)
    flat = np.frombuffer(data, dtype=np.uint8)
    stored_rows = _stored_rows(layout, encoding)
    if flat.size != stored_rows * layout.step:
        raise InputError(
            f"image data: expected {stored_rows * layout.step} bytes ({stored_rows} rows of "
            f"step {layout.step}, {layout.encoding} {layout.width}x{layout.height}), got "
            f"{flat.size}: the message is truncated or its driver fills step or height wrongly"
        )


def _rows(data: Buffer, layout: ImageLayout, encoding: Encoding) -> NDArray[Any]:
    """Return the samples as (stored rows, width[, channels]) in native byte order.

    No copy is made of unpadded native samples. An odd width of YUV 4:2:2 is returned with the
    rest of its last pair.
    """
    check_layout(data, layout)
    flat = np.frombuffer(data, dtype=np.uint8)
    stored_rows = _stored_rows(layout, encoding)
    columns = _stored_columns(layout, encoding)
    used = flat.reshape(stored_rows, layout.step)[:, : columns * encoding.pixel_bytes]
    samples = _samples(used, layout, encoding)
    if encoding.channels == 1:
        return samples
    return samples.reshape(stored_rows, columns, encoding.channels)


def _check_size(layout: ImageLayout, encoding: Encoding) -> None:
    size = f"{layout.encoding} {layout.width}x{layout.height}"
    if min(layout.width, layout.height) < encoding.smallest_side:
        raise InputError(
            f"image size: expected at least {encoding.smallest_side}x{encoding.smallest_side} "
            f"pixels, got {size}: check that the camera driver is running properly"
        )
    odd_height = encoding.vertical_pair and layout.height % 2
    odd_width = encoding.horizontal_pair and layout.width % 2
    complete = not encoding.vertical_pair and _stored_columns(layout, encoding) % 2 == 0
    if odd_height or (odd_width and not complete):
        raise InputError(
            f"image size: expected an even size, got {size}, whose last pixels have no complete "
            "chroma sample: choose an even size in the camera driver"
        )
    expected = _stored_columns(layout, encoding) * encoding.pixel_bytes
    if layout.step < expected:
        raise InputError(
            f"image step: expected at least {expected} bytes per row for {size}, got "
            f"{layout.step}: the camera driver fills the message wrongly"
        )


def _stored_rows(layout: ImageLayout, encoding: Encoding) -> int:
    return int(layout.height * encoding.rows_per_height)


def _stored_columns(layout: ImageLayout, encoding: Encoding) -> int:
    """Return the width in pixels, plus one where an odd row holds a complete last pair."""
    odd = encoding.horizontal_pair and layout.width % 2 == 1
    has_room = layout.step >= (layout.width + 1) * encoding.pixel_bytes
    return layout.width + int(odd and has_room)


def _samples(used: NDArray[np.uint8], layout: ImageLayout, encoding: Encoding) -> NDArray[Any]:
    sample = np.dtype(encoding.sample)
    if sample.itemsize == 1:
        return used
    stored = sample.newbyteorder(">" if layout.is_bigendian else "<")
    # Padded rows are copied: their step need not be a multiple of the sample size.
    return np.ascontiguousarray(used).view(stored).astype(sample, copy=False)


def _decodable(rows: NDArray[Any], layout: ImageLayout, encoding: Encoding) -> NDArray[Any]:
    # Planar conversions of OpenCV read the chroma rows as continuing the luma rows in memory.
    return np.ascontiguousarray(rows) if encoding.vertical_pair else rows
