"""Cameras of ``transforms.json`` files, as NeRF, instant-ngp and Nerfstudio write them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.conventions import corner_to_centre, focal_length

FOCAL_KEYS = frozenset({"fl_x", "fl_y", "camera_angle_x", "camera_angle_y"})
INTRINSIC_KEYS = FOCAL_KEYS | {"w", "h", "cx", "cy"}
RATIONAL_ORDER = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
EQUIDISTANT_ORDER = ("k1", "k2", "k3", "k4")

PINHOLE_MODELS = frozenset({"PINHOLE", "SIMPLE_PINHOLE"})
RADIAL_MODELS = frozenset({"OPENCV", "SIMPLE_RADIAL", "RADIAL"})
FISHEYE_MODELS = frozenset({"OPENCV_FISHEYE"})
RATIONAL_MODELS = frozenset({"FULL_OPENCV"})
KNOWN_MODELS = PINHOLE_MODELS | RADIAL_MODELS | FISHEYE_MODELS | RATIONAL_MODELS
UNSUPPORTED_KEYS = ("is_equirectangular", "is_latlong", "ftheta_p0")


def camera_from_entries(
    header: Mapping[str, Any], frame: Mapping[str, Any], size: tuple[int, int], where: str
) -> Camera:
    """Camera of one frame: its own entries, and the file's where it has none.

    Args:
        header: entries of the file.
        frame: entries of the frame; any focal entry of its own replaces all of the file's.
        size: of the image, width and height in pixels.
        where: file and image, for messages.

    Raises:
        InputError: no focal length, a size other than the image's, an unknown lens.
    """
    own_focal = any(key in frame for key in FOCAL_KEYS)
    shared = {key: header[key] for key in header if not (own_focal and key in FOCAL_KEYS)}
    entries = {**shared, **frame}
    _check_size(entries, size, where)
    fx, fy = _focal_lengths(entries, size, where)
    model, coefficients = _lens(entries, where)
    cx = corner_to_centre(_number(entries, "cx", where, 0.5 * size[0]))
    cy = corner_to_centre(_number(entries, "cy", where, 0.5 * size[1]))
    try:
        return Camera(*size, fx, fy, cx, cy, model, coefficients)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def has_own_intrinsics(frame: Mapping[str, Any]) -> bool:
    """Whether a frame brings a camera instead of sharing the file's."""
    return any(key in frame for key in INTRINSIC_KEYS)


def _check_size(entries: Mapping[str, Any], size: tuple[int, int], where: str) -> None:
    declared = (
        _number(entries, "w", where, float(size[0])),
        _number(entries, "h", where, float(size[1])),
    )
    if declared != size:
        raise InputError(
            f"{where}: expected an image of {declared[0]:g}x{declared[1]:g} pixels as its "
            f"intrinsics (w, h) say, got {size[0]}x{size[1]}; restore the image or correct "
            "the intrinsics"
        )


def _focal_lengths(
    entries: Mapping[str, Any], size: tuple[int, int], where: str
) -> tuple[float, float]:
    found = [
        _focal_length_along(entries, f"fl_{axis}", f"camera_angle_{axis}", extent, where)
        for axis, extent in zip("xy", size, strict=True)
    ]
    fx, fy = found[0] or found[1], found[1] or found[0]
    if fx is None or fy is None:
        raise InputError(
            f"{where}: expected a focal length (fl_x in pixels or camera_angle_x in radians), "
            "got neither; add one to the file"
        )
    if "fl_x" in entries and "fl_y" not in entries:
        fy = fx  # camera_angle_y beside fl_x alone is often rounded
    return fx, fy


def _focal_length_along(
    entries: Mapping[str, Any], key: str, angle_key: str, extent: int, where: str
) -> float | None:
    if key in entries:
        focal = _number(entries, key, where)
        if focal <= 0.0:
            raise InputError(f"{where}: expected {key} > 0 pixels, got {focal:g}; correct it")
        return focal
    if angle_key not in entries:
        return None
    try:
        return focal_length(extent, _number(entries, angle_key, where))
    except InputError as error:
        raise InputError(f"{where}: {angle_key}: {error}") from None


def _lens(entries: Mapping[str, Any], where: str) -> tuple[str, tuple[float, ...]]:
    """Distortion model and coefficients in ROS names and order."""
    name = str(entries.get("camera_model", "OPENCV"))
    unsupported = next((key for key in UNSUPPORTED_KEYS if entries.get(key)), None)
    if name not in KNOWN_MODELS or unsupported:
        raise InputError(
            f"{where}: expected a camera model of {sorted(KNOWN_MODELS)}, got "
            f"{unsupported or name}; undistort the images to a pinhole first"
        )
    if entries.get("is_fisheye") or name in FISHEYE_MODELS:
        return "equidistant", _coefficients(entries, EQUIDISTANT_ORDER, where)
    values = _coefficients(entries, RATIONAL_ORDER, where)
    if name in PINHOLE_MODELS or not any(values):
        return "none", ()
    if not any(values[5:]):
        return "plumb_bob", values[:5]
    if name in RATIONAL_MODELS:
        return "rational_polynomial", values
    raise InputError(
        f"{where}: expected k4, k5, k6 only with is_fisheye or a camera_model that has them "
        f"(OPENCV_FISHEYE, FULL_OPENCV), got {values[5:]}; name the model"
    )


def _coefficients(
    entries: Mapping[str, Any], order: tuple[str, ...], where: str
) -> tuple[float, ...]:
    return tuple(_number(entries, key, where, 0.0) for key in order)


def _number(
    entries: Mapping[str, Any], key: str, where: str, default: float | None = None
) -> float:
    value = entries.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{where}: expected a finite number for {key}, got {value!r}; correct it")
    return float(value)
