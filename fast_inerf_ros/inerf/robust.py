"""Robust losses on residual lengths, and their scale.

Zhang, "Parameter estimation techniques: a tutorial with application to conic fitting" (1997),
section 9.4. With e = |r| / scale a loss is rho(e), its weight rho'(e) / e.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.config import option

Floats = npt.NDArray[np.float32]

SMALLEST_SCALE = 1e-3
"""A quarter of a step of 8-bit images: residuals below it are no information."""

NORMAL = 1.4826
"""Standard deviation of normal noise over its median absolute deviation."""


@dataclass(frozen=True)
class LossOptions:
    """How strongly large residuals count."""

    kind: Literal["none", "huber", "tukey"] = option(
        "huber", doc="none: squares; huber: linear beyond the threshold; tukey: constant there."
    )
    threshold: float = option(
        2.0, doc="Where the loss bends, in robust standard deviations.", minimum=0.1
    )


def robust_scale(residuals: Floats) -> float:
    """Standard deviation of residuals of any shape, from their median absolute value.

    NaN-free and never below ``SMALLEST_SCALE``; an empty array gives that.
    """
    if residuals.size == 0:
        return SMALLEST_SCALE
    return max(NORMAL * float(np.median(np.abs(residuals))), SMALLEST_SCALE)


def lengths(residuals: Floats) -> Floats:
    """Root mean square over the channels (N,) of residuals (N, C)."""
    squares = np.einsum("nc,nc->n", residuals, residuals)
    return np.asarray(np.sqrt(squares / np.float32(residuals.shape[-1])))


def weights(loss: LossOptions, normalised: Floats) -> Floats:
    """rho'(e) / e of normalised residual lengths e >= 0, in [0, 1]."""
    if loss.kind == "none":
        return np.ones_like(normalised)
    ratio = normalised / loss.threshold
    if loss.kind == "huber":
        return np.asarray(1.0 / np.maximum(ratio, 1.0), dtype=normalised.dtype)
    inside = np.maximum(1.0 - ratio * ratio, 0.0)
    return np.asarray(inside * inside)


def costs(loss: LossOptions, normalised: Floats) -> Floats:
    """rho(e) of normalised residual lengths e >= 0; e²/2 near zero."""
    half_square = 0.5 * normalised * normalised
    if loss.kind == "none":
        return half_square
    bend = loss.threshold
    if loss.kind == "huber":
        linear = bend * (normalised - 0.5 * bend)
        return np.where(normalised <= bend, half_square, linear)
    ratio = np.minimum(normalised / bend, 1.0)
    return np.asarray(bend**2 / 6.0 * (1.0 - (1.0 - ratio * ratio) ** 3))
