"""Coefficients of the exponential maps as smooth functions of the squared angle.

Each is written twice: the closed form away from zero, and its Taylor series near zero, where
the closed form divides zero by zero. Both branches get arguments that are safe for them, so
that a gradient through the unused branch is finite too (the "double where").
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial

from fast_inerf_ros.geometry.arrays import Array, namespace

SERIES_LIMIT = 0.25
"""Squared angle (rad²) under which the series is used; eight terms are then exact to 1e-19."""

_SINE = tuple((-1) ** k / factorial(2 * k + 1) for k in range(8))
_COSINE = tuple((-1) ** k / factorial(2 * k + 2) for k in range(8))
_SINE_REMAINDER = tuple((-1) ** k / factorial(2 * k + 3) for k in range(8))
_COSINE_REMAINDER = tuple((-1) ** k / factorial(2 * k + 4) for k in range(8))
_MIXED_REMAINDER = tuple((-1) ** k * (k + 1) / factorial(2 * k + 5) for k in range(8))
# |B_2k| / (2k)! of the Bernoulli numbers B_2, B_4, ...
_COTANGENT = (
    1 / 12,
    1 / 720,
    1 / 30240,
    1 / 1209600,
    1 / 47900160,
    691 / 1307674368000,
    1 / 74724249600,
    3617 / 10670622842880000,
)


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    total = x * 0 + coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


def _blend(
    angle_squared: Array, coefficients: tuple[float, ...], closed_form: Callable[[Array], Array]
) -> Array:
    xp = namespace(angle_squared)
    small = angle_squared < SERIES_LIMIT
    near = xp.where(small, angle_squared, xp.zeros_like(angle_squared))
    far = xp.where(small, xp.ones_like(angle_squared), angle_squared)
    return xp.where(small, _polynomial(near, coefficients), closed_form(xp.sqrt(far)))


def sine_ratio(angle_squared: Array) -> Array:
    """sin θ / θ as a function of θ² (rad²), any shape."""
    xp = namespace(angle_squared)
    return _blend(angle_squared, _SINE, lambda angle: xp.sin(angle) / angle)


def cosine_ratio(angle_squared: Array) -> Array:
    """(1 − cos θ) / θ² as a function of θ² (rad²), any shape."""
    xp = namespace(angle_squared)
    return _blend(angle_squared, _COSINE, lambda angle: 2 * (xp.sin(angle / 2) / angle) ** 2)


def sine_remainder(angle_squared: Array) -> Array:
    """(θ − sin θ) / θ³ as a function of θ² (rad²), any shape."""
    xp = namespace(angle_squared)
    return _blend(angle_squared, _SINE_REMAINDER, lambda angle: (angle - xp.sin(angle)) / angle**3)


def cosine_remainder(angle_squared: Array) -> Array:
    """(θ² / 2 − 1 + cos θ) / θ⁴ as a function of θ² (rad²), any shape."""
    xp = namespace(angle_squared)
    return _blend(
        angle_squared,
        _COSINE_REMAINDER,
        lambda angle: (angle**2 / 2 - 2 * xp.sin(angle / 2) ** 2) / angle**4,
    )


def mixed_remainder(angle_squared: Array) -> Array:
    """(2θ − 3 sin θ + θ cos θ) / (2θ⁵) as a function of θ² (rad²), any shape."""
    xp = namespace(angle_squared)
    return _blend(
        angle_squared,
        _MIXED_REMAINDER,
        lambda angle: (2 * angle - 3 * xp.sin(angle) + angle * xp.cos(angle)) / (2 * angle**5),
    )


def cotangent_remainder(angle_squared: Array) -> Array:
    """(1 − (θ/2) cot(θ/2)) / θ² as a function of θ² (rad²), any shape."""
    xp = namespace(angle_squared)
    return _blend(
        angle_squared,
        _COTANGENT,
        lambda angle: (1 - angle / 2 * xp.cos(angle / 2) / xp.sin(angle / 2)) / angle**2,
    )
