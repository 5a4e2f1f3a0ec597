"""Lens distortion of OpenCV and ROS: normalised coordinates (x/z, y/z) to distorted ones.

Every model is an object with `distort` (coordinates and their 2x2 Jacobian) and a largest valid
radius. Outside of it the polynomial folds back, so that points far outside the image would
land inside it; such points become NaN, in both directions.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from math import atan, inf, pi, sqrt, tan
from typing import Protocol

import numpy as np
from numpy.polynomial import Polynomial

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.arrays import Array, namespace

N_COEFFICIENTS: dict[str, tuple[int, ...]] = {
    "none": (0,),
    "plumb_bob": (4, 5),
    "rational_polynomial": (8, 12, 14),
    "equidistant": (4,),
}
"""Models by their ROS names, with the numbers of coefficients each may have."""

BROWN_CONRADY = ("plumb_bob", "rational_polynomial")
"""Models that are a pinhole when all coefficients are zero."""

LARGEST_RADIUS = 1000.0
"""Largest distance from the axis, distorted or not, at distance 1 (89.94 degrees)."""

FOLD_MARGIN = 1e-3
"""Part of the radius that is left out at a fold, where the inverse has no derivative."""

N_TURNS, N_RADII = 72, 128
"""Directions and radii at which the domain of a lens without symmetry is searched."""


@dataclass(frozen=True)
class Distorted:
    """Distorted coordinates x, y (...) and their derivatives by the undistorted ones."""

    x: Array
    y: Array
    dx_dx: Array
    dx_dy: Array
    dy_dx: Array
    dy_dy: Array

    def determinant(self) -> Array:
        """Determinant (...) of the Jacobian: not positive where the image is folded."""
        return self.dx_dx * self.dy_dy - self.dx_dy * self.dy_dx


class Distortion(Hashable, Protocol):
    """What the camera needs of a lens model; models are immutable and compare by value."""

    def distort(self, x: Array, y: Array) -> Distorted:
        """Distort coordinates without regard to the valid domain."""

    def radial(self, radius: Array) -> Array:
        """Distorted radius (...) of undistorted radii (...), tangential terms aside."""

    def refine_angle(self, angle: Array, distorted: Array) -> Array:
        """Better angle (...) to the axis, in radians, for distorted radii (...)."""

    def largest_radius(self) -> float:
        """Undistorted radius below which the radial part grows; may be infinite."""


@dataclass(frozen=True)
class BrownConrady:
    """Radial polynomial or rational function with tangential and thin-prism terms.

    OpenCV's `calib3d` documentation, "Detailed description", without the sensor tilt.
    """

    polynomial: tuple[float, float, float]
    denominator: tuple[float, float, float] = (0.0, 0.0, 0.0)
    tangential: tuple[float, float] = (0.0, 0.0)
    prism: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def distort(self, x: Array, y: Array) -> Distorted:
        """Distort coordinates without regard to the valid domain."""
        squared = x * x + y * y
        scale, slope = self._radial_scale(squared)
        p1, p2 = self.tangential
        s1, s2, s3, s4 = self.prism
        xy = x * y
        cross = 2 * xy * slope
        # Derivatives by x and y of the prism terms are these slopes times 2x and 2y.
        prism_x, prism_y = s1 + 2 * s2 * squared, s3 + 2 * s4 * squared
        return Distorted(
            x=x * scale + 2 * p1 * xy + (p2 + s1 + s2 * squared) * squared + 2 * p2 * x * x,
            y=y * scale + 2 * p2 * xy + (p1 + s3 + s4 * squared) * squared + 2 * p1 * y * y,
            dx_dx=scale + 2 * x * x * slope + 2 * p1 * y + (6 * p2 + 2 * prism_x) * x,
            dx_dy=cross + 2 * p1 * x + 2 * (p2 + prism_x) * y,
            dy_dx=cross + 2 * p2 * y + 2 * (p1 + prism_y) * x,
            dy_dy=scale + 2 * y * y * slope + 2 * p2 * x + (6 * p1 + 2 * prism_y) * y,
        )

    def radial(self, radius: Array) -> Array:
        """Distorted radius (...) of undistorted radii (...), tangential terms aside."""
        return radius * self._radial_scale(radius * radius)[0]

    def refine_angle(self, angle: Array, distorted: Array) -> Array:
        """The same angle: Newton's method in the plane does well for these polynomials."""
        return angle

    def largest_radius(self) -> float:
        """Undistorted radius below which the radial part grows; may be infinite."""
        top = Polynomial([1.0, *self.polynomial])
        bottom = Polynomial([1.0, *self.denominator])
        squared = Polynomial([0.0, 1.0])
        growth = (top + 2 * squared * top.deriv()) * bottom - 2 * squared * top * bottom.deriv()
        return sqrt(min(_first_positive_root(p, LARGEST_RADIUS**2) for p in (growth, bottom)))

    def is_decentred(self) -> bool:
        """Whether the image depends on the direction, not on the radius alone."""
        return any((*self.tangential, *self.prism))

    def _radial_scale(self, squared: Array) -> tuple[Array, Array]:
        """Radial factor and its derivative by the squared radius."""
        k1, k2, k3 = self.polynomial
        top = 1 + squared * (k1 + squared * (k2 + squared * k3))
        top_slope = k1 + squared * (2 * k2 + squared * (3 * k3))
        if not any(self.denominator):
            return top, top_slope
        k4, k5, k6 = self.denominator
        bottom = 1 + squared * (k4 + squared * (k5 + squared * k6))
        bottom_slope = k4 + squared * (2 * k5 + squared * (3 * k6))
        scale = top / bottom
        return scale, (top_slope - scale * bottom_slope) / bottom


@dataclass(frozen=True)
class Equidistant:
    """Fisheye lens of Kannala and Brandt (2006): the radius is a polynomial of the angle.

    Angles up to 90 degrees from the optical axis, as in OpenCV's `fisheye`.
    """

    polynomial: tuple[float, float, float, float]

    def distort(self, x: Array, y: Array) -> Distorted:
        """Distort coordinates without regard to the valid domain."""
        xp = namespace(x)
        squared = x * x + y * y
        central = squared < 1e-12
        radius = xp.sqrt(xp.where(central, xp.ones_like(squared), squared))
        angle = xp.atan(radius)
        factor, growth = self._factors(angle * angle)
        far_scale = angle * factor / radius
        # d(r_d / r) / d(r²) = (r_d' - r_d / r) / (2 r²)
        far_slope = (growth / (1 + squared) - far_scale) / (2 * radius * radius)
        k = self.polynomial[0] - 1 / 3
        scale = xp.where(central, 1 + k * squared, far_scale)
        slope = xp.where(central, xp.full_like(squared, k), far_slope)
        cross = 2 * x * y * slope
        return Distorted(
            x=x * scale,
            y=y * scale,
            dx_dx=scale + 2 * x * x * slope,
            dx_dy=cross,
            dy_dx=cross,
            dy_dy=scale + 2 * y * y * slope,
        )

    def radial(self, radius: Array) -> Array:
        """Distorted radius (...) of undistorted radii (...)."""
        angle = namespace(radius).atan(radius)
        return angle * self._factors(angle * angle)[0]

    def refine_angle(self, angle: Array, distorted: Array) -> Array:
        """Two of Newton's steps in the angle; in the plane he overshoots near 90 degrees."""
        for _ in range(2):
            ratio, growth = self._factors(angle * angle)
            angle = angle - (angle * ratio - distorted) / namespace(angle).clip(growth, 1e-3, None)
        return angle

    def largest_radius(self) -> float:
        """Undistorted radius below which the radial part grows; may be infinite."""
        odd = [(2 * k + 1) * c for k, c in enumerate((1.0, *self.polynomial))]
        angle = sqrt(_first_positive_root(Polynomial(odd), pi**2 / 4))
        return tan(angle) if angle < pi / 2 else inf

    def _factors(self, turned: Array) -> tuple[Array, Array]:
        """Distorted radius over angle, and its derivative by the angle, from the angle²."""
        k1, k2, k3, k4 = self.polynomial
        ratio = 1 + turned * (k1 + turned * (k2 + turned * (k3 + turned * k4)))
        growth = 1 + turned * (3 * k1 + turned * (5 * k2 + turned * (7 * k3 + turned * (9 * k4))))
        return ratio, growth


def from_coefficients(model: str, coefficients: tuple[float, ...]) -> Distortion | None:
    """Lens model of a ROS name and its coefficients in the order of ROS and OpenCV.

    Returns None for a lens without distortion. The tilt of a sensor is not part of it.

    Raises:
        InputError: an unknown model, or a number of coefficients that does not belong to it.
    """
    if model not in N_COEFFICIENTS:
        known = ", ".join(N_COEFFICIENTS)
        raise InputError(
            f"expected a distortion model out of {known}, got {model!r}: "
            "recalibrate with one of them, or rectify the images first"
        )
    if len(coefficients) not in N_COEFFICIENTS[model]:
        counts = " or ".join(str(count) for count in N_COEFFICIENTS[model])
        raise InputError(
            f"expected {counts} coefficients for {model}, got {len(coefficients)}: "
            "check the distortion model and D of the calibration"
        )
    if model == "equidistant":
        k1, k2, k3, k4 = coefficients
        return Equidistant((k1, k2, k3, k4))
    if not any(coefficients[:12]):
        return None
    padded = (*coefficients, *(0.0,) * (14 - len(coefficients)))
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4 = padded[:12]
    return BrownConrady((k1, k2, k3), (k4, k5, k6), (p1, p2), (s1, s2, s3, s4))


@lru_cache(maxsize=64)
def widest_radius(lens: Distortion) -> float:
    """Undistorted radius that ends the valid domain of a lens.

    Inside of it the symmetric part of the Jacobian is positive definite. On a disc, which is
    convex, no two points can then have the same image (Gale and Nikaido 1965).
    """
    radial = min((1 - FOLD_MARGIN) * lens.largest_radius(), LARGEST_RADIUS)
    radii = np.tan(np.linspace(0.0, atan(radial), 64 * N_RADII))
    radial = float(np.interp(LARGEST_RADIUS, lens.radial(radii), radii))
    if not (isinstance(lens, BrownConrady) and lens.is_decentred()):
        return radial
    turns = np.linspace(0.0, 2 * pi, N_TURNS, endpoint=False)

    def is_single_valued(radius: Array) -> Array:
        """Whether no direction folds at radii (n,)."""
        at = lens.distort(radius[:, None] * np.cos(turns), radius[:, None] * np.sin(turns))
        mixed = (at.dx_dy + at.dy_dx) / 2
        definite = (at.dx_dx > 0) & (at.dx_dx * at.dy_dy > mixed * mixed)
        return np.asarray(definite.all(axis=-1))

    radii = np.tan(np.linspace(0.0, atan(radial), N_RADII))
    for _ in range(3):
        inside = is_single_valued(radii)
        if inside.all():
            return float(radii[-1])
        first = int(np.argmin(inside))
        radii = np.linspace(radii[first - 1], radii[first], N_RADII)
    return (1 - FOLD_MARGIN) * float(radii[0])


def _first_positive_root(polynomial: Polynomial, largest: float) -> float:
    """Smallest positive real root up to `largest`, or infinity; double roots count as roots.

    The constant term is 1. Terms too small to matter up to `largest` are left out, as they
    would make the companion matrix overflow.
    """
    powers = largest ** np.arange(len(polynomial.coef))
    matters = np.abs(polynomial.coef) * powers > 1e-9
    coefficients = polynomial.coef[: np.flatnonzero(matters)[-1] + 1]
    if len(coefficients) < 2:
        return inf
    roots = Polynomial(coefficients).roots()
    # A double root comes out as a pair with tiny imaginary parts.
    real = roots.real[(np.abs(roots.imag) < 1e-6 * (1 + np.abs(roots.real))) & (roots.real > 0)]
    return float(real.min()) if len(real) else inf
