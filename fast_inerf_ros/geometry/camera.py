"""Pinhole and fisheye cameras with the lens models of OpenCV and ROS.

Axes are optical (x right, y down, z forward); pixel (0, 0) is the centre of the first pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry import camera_info, lens
from fast_inerf_ros.geometry.arrays import Array, as_float, constant, namespace, require_shape
from fast_inerf_ros.geometry.camera_info import Region
from fast_inerf_ros.geometry.distortion import from_coefficients

__all__ = ["Camera", "Region"]

OUTSIDE = -10.0
"""Coordinate that OpenCV's remap takes for "outside of the image" (NaN would be undefined)."""

LARGEST_PIXEL = 1e12


@dataclass(frozen=True)
class Camera:
    """Size in pixels, focal lengths and principal point in pixels, and the lens.

    `distortion` is in the order of ROS and OpenCV (k1, k2, p1, p2, k3, ...).

    Raises:
        InputError: sizes or focal lengths that are not positive and finite, an unknown lens
            model, or a number of coefficients that does not belong to it.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str = "none"
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _require_image_size(self.width, self.height)
        coefficients = tuple(float(value) for value in self.distortion)
        object.__setattr__(self, "distortion", coefficients)
        numbers = (self.fx, self.fy, self.cx, self.cy, *coefficients)
        if not np.isfinite(numbers).all() or min(self.fx, self.fy) <= 0:
            raise InputError(
                "expected finite intrinsics with positive focal lengths, got fx, fy, cx, cy = "
                f"{self.fx}, {self.fy}, {self.cx}, {self.cy}, D = {coefficients}: recalibrate"
            )
        from_coefficients(self.distortion_model, coefficients)

    @staticmethod
    def from_camera_info(
        width: int,
        height: int,
        distortion_model: str,
        d: Sequence[float],
        k: Sequence[float],
        r: Sequence[float] = (),
        p: Sequence[float] = (),
        binning_x: int = 0,
        binning_y: int = 0,
        roi: tuple[int, int, int, int, bool] = Region(),
        *,
        rectified: bool = False,
    ) -> Camera:
        """Camera of an image from the fields of its `sensor_msgs/CameraInfo`.

        A raw image uses K and D, a rectified one P (its fourth column, the stereo baseline, is
        left out: the pose is that of this camera's own centre). `roi` is x, y, width, height,
        do_rectify; 0 for binning means 1. Pixels stay centred: a binned principal point is
        (c + 0.5) / binning - 0.5.

        Raises:
            InputError: not calibrated (zero K), an unknown distortion model, D that does not
                belong to it, skew, or a region outside of the sensor.
        """
        found = camera_info.read_intrinsics(
            (width, height),
            distortion_model,
            d,
            k,
            r,
            p,
            (binning_x, binning_y),
            Region(*roi),
            rectified=rectified,
        )
        return Camera(
            width=found.width,
            height=found.height,
            fx=found.fx,
            fy=found.fy,
            cx=found.cx,
            cy=found.cy,
            distortion_model=found.distortion_model,
            distortion=found.distortion,
        )

    def matrix(self) -> Array:
        """Intrinsic matrix K (3, 3), numpy float64."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def project(self, points_camera: Array) -> Array:
        """Pixels (..., 2) of points (..., 3) in this camera's frame.

        NaN where z <= 0 and outside of the lens model's valid domain. A pixel may lie outside
        of the image: see `contains`.
        """
        points = require_shape(as_float(points_camera), (3,), "points")
        normalised, _, in_front = _perspective(points)
        pixels = self._to_pixels(lens.distort(self.distortion_model, self.distortion, normalised))
        return _nan_unless(in_front, pixels)

    def project_with_jacobian(self, points_camera: Array) -> tuple[Array, Array]:
        """Pixels (..., 2) as from `project`, and their derivatives (..., 2, 3) by the points."""
        points = require_shape(as_float(points_camera), (3,), "points")
        xp = namespace(points)
        normalised, depth, in_front = _perspective(points)
        model = (self.distortion_model, self.distortion)
        distorted, jacobian = lens.distort_with_jacobian(*model, normalised)
        inverse, (x, y) = 1 / depth[..., 0], (normalised[..., axis] for axis in (0, 1))
        rows = []
        for row, focal in enumerate((self.fx, self.fy)):
            scale = focal * inverse
            by_x, by_y = scale * jacobian[..., row, 0], scale * jacobian[..., row, 1]
            rows.append(xp.stack([by_x, by_y, -(by_x * x + by_y * y)], axis=-1))
        pixels = _nan_unless(in_front, self._to_pixels(distorted))
        return pixels, xp.stack(rows, axis=-2)

    def normalise(self, pixels: Array) -> Array:
        """Coordinates x/z, y/z (..., 2) without distortion of pixels (..., 2), NaN as above."""
        points = require_shape(as_float(pixels), (2,), "pixels")
        # Infinity becomes NaN, and nothing overflows later on.
        points = _nan_unless(namespace(points).abs(points) < LARGEST_PIXEL, points)
        focal = constant([self.fx, self.fy], points)
        distorted = (points - constant([self.cx, self.cy], points)) / focal
        return lens.undistort(self.distortion_model, self.distortion, distorted)

    def bearings(self, pixels: Array) -> Array:
        """Unit vectors (..., 3) from the camera centre through pixels (..., 2).

        NaN for pixels that no direction of the lens model's valid domain reaches.
        """
        points = self.normalise(pixels)
        xp = namespace(points)
        x, y = points[..., 0], points[..., 1]
        forward = 1 / xp.sqrt(1 + x * x + y * y)
        return xp.stack([x * forward, y * forward, forward], axis=-1)

    def unproject(self, pixels: Array, depth_z: Array) -> Array:
        """Points (..., 3) in this camera's frame at depths z (...) in metres along the axis."""
        points = self.normalise(pixels)
        xp = namespace(points)
        depth = as_float(depth_z)[..., None]
        return xp.concat([points * depth, xp.ones_like(points[..., :1]) * depth], axis=-1)

    def pixel_grid(self, like: Array | None = None) -> Array:
        """Centres (height, width, 2) of all pixels, of the kind, dtype and device of `like`."""
        grid = np.stack(np.meshgrid(np.arange(self.width), np.arange(self.height)), axis=-1)
        return constant(grid, np.zeros(()) if like is None else like)

    def contains(self, pixels: Array) -> Array:
        """Whether pixels (..., 2) lie on the image, borders of the outer pixels included."""
        points = require_shape(as_float(pixels), (2,), "pixels")
        u, v = points[..., 0], points[..., 1]
        across = (u >= -0.5) & (u < self.width - 0.5)
        return across & (v >= -0.5) & (v < self.height - 0.5)

    def undistorted(self) -> Camera:
        """The same camera with a lens that does not distort."""
        return replace(self, distortion_model="none", distortion=())

    def undistort_maps(self, target: Camera | None = None) -> tuple[Array, Array]:
        """Maps x, y (height, width), float32, for `cv2.remap` onto an undistorted camera.

        `target` is `undistorted()` unless given. Where the lens sees nothing the maps point
        outside of the image.
        """
        target = self.undistorted() if target is None else target
        source = self.project(target.unproject(target.pixel_grid(), np.ones(())))
        source = np.where(np.isfinite(source), source, OUTSIDE).astype(np.float32)
        return np.ascontiguousarray(source[..., 0]), np.ascontiguousarray(source[..., 1])

    def undistort(self, image: Array, target: Camera | None = None) -> Array:
        """Image (height, width, ...) as an undistorted camera sees it, bilinear, black outside.

        Raises:
            InputError: an image of another size.
        """
        import cv2  # only here: everything else works without OpenCV

        if image.shape[:2] != (self.height, self.width):
            raise InputError(
                f"expected an image of {self.width} x {self.height} pixels, got "
                f"{image.shape[1]} x {image.shape[0]}: resize the camera or the image"
            )
        return cv2.remap(image, *self.undistort_maps(target), interpolation=cv2.INTER_LINEAR)

    def resize(self, width: int, height: int) -> Camera:
        """Camera of the image scaled to a new size; pixel centres stay on pixel centres."""
        _require_image_size(width, height)
        x, y = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * x,
            fy=self.fy * y,
            cx=(self.cx + 0.5) * x - 0.5,
            cy=(self.cy + 0.5) * y - 0.5,
        )

    def crop(self, x: int, y: int, width: int, height: int) -> Camera:
        """Camera of the part of the image whose first pixel is (x, y); may reach outside."""
        return replace(self, width=width, height=height, cx=self.cx - x, cy=self.cy - y)

    def _to_pixels(self, points: Array) -> Array:
        return namespace(points).stack(
            [points[..., 0] * self.fx + self.cx, points[..., 1] * self.fy + self.cy], axis=-1
        )


def _perspective(points: Array) -> tuple[Array, Array, Array]:
    """Coordinates x/z, y/z (..., 2), depth (..., 1) and whether it is positive (..., 1).

    Where it is not, the coordinates are 0 and the depth 1, so that gradients stay finite.
    """
    xp = namespace(points)
    # Coordinate by coordinate: numpy is slow where the last axis is short.
    x, y, z = (points[..., axis] for axis in range(3))
    in_front = (z > 0) & xp.isfinite(x) & xp.isfinite(y) & xp.isfinite(z)
    safe, nothing = xp.where(in_front, z, xp.ones_like(z)), xp.zeros_like(z)
    plane = [xp.where(in_front, value, nothing) / safe for value in (x, y)]
    return xp.stack(plane, axis=-1), safe[..., None], in_front[..., None]


def _nan_unless(valid: Array, values: Array) -> Array:
    xp = namespace(values)
    return xp.where(valid, values, xp.full_like(values, float("nan")))


def _require_image_size(width: int, height: int) -> None:
    if min(width, height) < 1:
        raise InputError(f"expected a positive image size, got {width} x {height}: check it")
