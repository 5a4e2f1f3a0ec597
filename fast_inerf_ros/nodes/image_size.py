"""Reads the size of a JPEG or PNG file from its first bytes, without decoding it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from fast_inerf_ros.errors import InputError

_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8"
# ITU T.81, table B.1: all SOF markers; C4, C8 and CC in their midst mean something else.
_FRAME_MARKERS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height in pixels.

    Raises:
        InputError: The file cannot be read or is neither JPEG nor PNG.
    """
    try:
        with path.open("rb") as stream:
            size = _size(stream)
    except (OSError, struct.error) as error:
        raise InputError(
            f"image {path}: expected a readable JPEG or PNG file, got {error}: check the file"
        ) from None
    if size is None or 0 in size:
        raise InputError(
            f"image {path}: expected a JPEG or PNG file, got something else or a part of one: "
            "convert it or take it out of the folder"
        )
    return size


def _size(stream: BinaryIO) -> tuple[int, int] | None:
    start = stream.read(2)
    if start == _JPEG_START:
        return _jpeg_size(stream)
    start += stream.read(22)
    if start.startswith(_PNG_START) and start[12:16] == b"IHDR":
        width, height = struct.unpack(">II", start[16:24])
        return width, height
    return None


def _jpeg_size(stream: BinaryIO) -> tuple[int, int] | None:
    while True:
        prefix, marker, length = struct.unpack(">BBH", stream.read(4))
        if prefix != 0xFF:
            return None
        if marker in _FRAME_MARKERS:
            _precision, height, width = struct.unpack(">BHH", stream.read(5))
            return width, height
        stream.seek(length - 2, 1)
