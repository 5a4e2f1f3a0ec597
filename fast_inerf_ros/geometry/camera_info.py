"""Intrinsics from the numbers of a ROS `sensor_msgs/CameraInfo`, without ROS.

`width`, `height`, K, D, R and P describe the full sensor; the region of interest is cut out of
it first, in unbinned pixels, then blocks of `binning` pixels are averaged (REP 104).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import NamedTuple

import numpy as np

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry import lens
from fast_inerf_ros.geometry.arrays import Array
from fast_inerf_ros.geometry.distortion import BROWN_CONRADY, from_coefficients

CALIBRATE = (
    "the camera is not calibrated: run `ros2 run camera_calibration cameracalibrator` and give "
    "the driver its result (camera_info_url)"
)


class Region(NamedTuple):
    """`sensor_msgs/RegionOfInterest`: a part of the sensor in unbinned pixels; 0 x 0 is all."""

    x: int = 0
    y: int = 0
    width: int = 0
    height: int = 0
    do_rectify: bool = False


@dataclass(frozen=True)
class Intrinsics:
    """What a camera needs of a CameraInfo; pixel (0, 0) is the centre of the first pixel."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str
    distortion: tuple[float, ...]


def read_intrinsics(
    size: tuple[int, int],
    distortion_model: str,
    d: Sequence[float],
    k: Sequence[float],
    r: Sequence[float],
    p: Sequence[float],
    binning: tuple[int, int],
    roi: Region,
    *,
    rectified: bool,
) -> Intrinsics:
    """Intrinsics of the image that belongs to a CameraInfo, region and binning applied.

    Raises:
        InputError: not calibrated, or numbers that contradict each other.
    """
    _require_size(size)
    model, coefficients = _read_distortion(distortion_model, d)
    region = _full_region(roi, size)
    if rectified:
        fx, fy, cx, cy = _read_projection(p)
        if roi.do_rectify and region[:4] != (0, 0, *size):
            raw = _read_matrix(k)
            region = _rectify_region(region, (model, coefficients), raw, r, (fx, fy, cx, cy))
        model, coefficients = "none", ()
    else:
        fx, fy, cx, cy = _read_matrix(k)
    step_x, step_y = (max(1, step) for step in _require_binning(binning))
    return Intrinsics(
        width=region.width // step_x,
        height=region.height // step_y,
        fx=fx / step_x,
        fy=fy / step_y,
        # The centre of a block of pixels is half a pixel from its corner, before and after.
        cx=(cx - region.x + 0.5) / step_x - 0.5,
        cy=(cy - region.y + 0.5) / step_y - 0.5,
        distortion_model=model,
        distortion=coefficients,
    )


def _require_size(size: tuple[int, int]) -> None:
    if min(size) <= 0:
        raise InputError(
            f"expected a CameraInfo with a positive size, got {size[0]} x {size[1]}: {CALIBRATE}"
        )


def _require_binning(binning: tuple[int, int]) -> tuple[int, int]:
    if min(binning) < 0:
        raise InputError(f"expected binning of 0 (none) or more, got {binning}: fix CameraInfo")
    return binning


def _read_distortion(model: str, d: Sequence[float]) -> tuple[str, tuple[float, ...]]:
    coefficients = tuple(float(value) for value in d)
    if not np.isfinite(coefficients).all():
        raise InputError("expected finite distortion coefficients D, got NaN: recalibrate")
    if not coefficients and model in ("", "none", *BROWN_CONRADY):
        return "none", ()
    # ROS has no name for "none": with coefficients it is as unknown as any other.
    lens_model = from_coefficients("" if model == "none" else model, coefficients)
    if lens_model is None and not any(coefficients):
        return "none", ()
    return model, coefficients


def _read_matrix(k: Sequence[float]) -> tuple[float, float, float, float]:
    values = np.asarray(k, dtype=np.float64).reshape(-1)
    if values.shape != (9,):
        raise InputError(f"expected 9 numbers in K, got {values.size}: fix CameraInfo")
    if not values.any():
        raise InputError(f"expected focal lengths in K, got zeros: {CALIBRATE}")
    return _read_pinhole(values.reshape(3, 3), "K")


def _read_projection(p: Sequence[float]) -> tuple[float, float, float, float]:
    values = np.asarray(p, dtype=np.float64).reshape(-1)
    if values.shape != (12,):
        raise InputError(f"expected 12 numbers in P, got {values.size}: fix CameraInfo")
    if not values.any():
        raise InputError(
            f"expected focal lengths in P of a rectified image, got zeros: {CALIBRATE}"
        )
    return _read_pinhole(values.reshape(3, 4)[:, :3], "P")


def _read_pinhole(matrix: Array, name: str) -> tuple[float, float, float, float]:
    fx, fy, cx, cy = (float(matrix[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    if not np.isfinite(matrix).all() or min(fx, fy) <= 0:
        raise InputError(
            f"expected positive focal lengths in {name}, got {fx:g}, {fy:g}: {CALIBRATE}"
        )
    rest = matrix - np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    if np.abs(rest).max() > 1e-6 * max(fx, fy):
        raise InputError(
            f"expected {name} as [fx 0 cx; 0 fy cy; 0 0 1], got skew or another last row: "
            "recalibrate with zero skew, and check that it is stored row by row"
        )
    return fx, fy, cx, cy


def _full_region(roi: Region, size: tuple[int, int]) -> Region:
    if roi.width == 0 and roi.height == 0:
        if roi.x or roi.y:
            raise InputError(
                f"expected a region with a size, got offset {roi.x}, {roi.y} and 0 x 0: "
                "set all four to 0 for the full image"
            )
        return Region(0, 0, *size)
    inside_x = 0 <= roi.x < roi.x + roi.width <= size[0]
    inside_y = 0 <= roi.y < roi.y + roi.height <= size[1]
    if not (inside_x and inside_y):
        raise InputError(
            f"expected a region inside {size[0]} x {size[1]}, got {roi.width} x {roi.height} at "
            f"{roi.x}, {roi.y}: the region is in unbinned pixels of the full sensor"
        )
    return roi


def _rectify_region(
    region: Region,
    distortion: tuple[str, tuple[float, ...]],
    raw: tuple[float, float, float, float],
    r: Sequence[float],
    projection: tuple[float, float, float, float],
) -> Region:
    """Region that image_geometry::PinholeCameraModel::rectifyRoi cuts out of the full image."""
    right, bottom = region.x + region.width, region.y + region.height
    corners = np.array(
        [[region.x, region.y], [right, region.y], [right, bottom], [region.x, bottom]], float
    )
    distorted = (corners - raw[2:]) / raw[:2]
    points = np.column_stack([lens.undistort(*distortion, distorted), np.ones(4)])
    turned = points @ _read_rotation(r).T
    pixels = turned[:, :2] / turned[:, 2:] * projection[:2] + projection[2:]
    if not np.isfinite(pixels).all():
        raise InputError(
            "expected a region that the distortion model covers, got one outside of its domain: "
            "recalibrate, or use the raw image"
        )
    top_left, top_right, bottom_right, bottom_left = pixels
    x = ceil(min(top_left[0], bottom_left[0]))
    y = ceil(min(top_left[1], top_right[1]))
    end_x = floor(max(top_right[0], bottom_right[0]))
    end_y = floor(max(bottom_left[1], bottom_right[1]))
    return Region(x, y, end_x - x, end_y - y)


def _read_rotation(r: Sequence[float]) -> Array:
    values = np.asarray(r, dtype=np.float64).reshape(-1)
    if values.size == 0 or not values.any():
        return np.eye(3)
    if values.shape != (9,):
        raise InputError(f"expected 9 numbers in R, got {values.size}: fix CameraInfo")
    matrix = values.reshape(3, 3)
    if np.abs(matrix @ matrix.T - np.eye(3)).max() > 1e-4:
        raise InputError("expected a rotation matrix in R, got another matrix: recalibrate")
    return matrix
