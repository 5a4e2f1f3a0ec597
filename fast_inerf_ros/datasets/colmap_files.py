"""Whether COLMAP's binary files are whole: pycolmap reads a truncated one as garbage or forever.

Only lengths are followed here; the layout is that of COLMAP's `reconstruction_io_binary.cc`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from fast_inerf_ros.errors import InputError

# By the number of the camera model.
N_PARAMETERS = (3, 4, 4, 5, 8, 8, 12, 5, 4, 5, 12, 16, 4, 5, 3, 4, 6, 2)
COUNT = struct.Struct("<Q")
CAMERA_HEAD = struct.Struct("<IiQQ")
IMAGE_HEAD_BYTES = 4 + 7 * 8 + 4
POINT2D_BYTES = 2 * 8 + 8
POINT3D_HEAD_BYTES = 8 + 3 * 8 + 3 + 8
TRACK_BYTES = 4 + 4


def check_binary_model(folder: Path) -> None:
    """Refuse a model whose binary files end too early or too late.

    Raises:
        InputError: it names the file.
    """
    steps: dict[str, Callable[[bytes, int], int]] = {
        "cameras.bin": _after_camera,
        "images.bin": _after_image,
        "points3D.bin": _after_point,
    }
    for name, step in steps.items():
        file = folder / name
        if file.is_file() and not _is_whole(file.read_bytes(), step):
            raise InputError(
                f"{file}: expected a whole COLMAP file, got a truncated or foreign one; export "
                "or copy it again"
            )


def _is_whole(data: bytes, step: Callable[[bytes, int], int]) -> bool:
    try:
        (count,) = COUNT.unpack_from(data)
        position = COUNT.size
        for _ in range(count):
            position = step(data, position)
            if position > len(data):
                return False
        return position == len(data)
    except (struct.error, ValueError, IndexError, OverflowError):
        return False


def _after_camera(data: bytes, position: int) -> int:
    _, model, _, _ = CAMERA_HEAD.unpack_from(data, position)
    if model < 0:
        raise ValueError("no camera model")
    return position + CAMERA_HEAD.size + 8 * N_PARAMETERS[model]


def _after_image(data: bytes, position: int) -> int:
    end_of_name = data.index(b"\0", position + IMAGE_HEAD_BYTES) + 1
    (n_points,) = COUNT.unpack_from(data, end_of_name)
    return int(end_of_name + COUNT.size + POINT2D_BYTES * n_points)


def _after_point(data: bytes, position: int) -> int:
    (length,) = COUNT.unpack_from(data, position + POINT3D_HEAD_BYTES)
    return int(position + POINT3D_HEAD_BYTES + COUNT.size + TRACK_BYTES * length)
