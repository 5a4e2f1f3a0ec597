"""Which pixels of an image a solver looks at: strategies by name.

Every strategy gives weights to the allowed pixels; pixels of weight zero are never drawn. What
is drawn never repeats. Fewer pixels than asked for is no error: the caller sees how many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.config import option
from fast_inerf_ros.inerf.problem import Problem

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Strategy = Literal[
    "random", "interest_points", "interest_regions", "mask_region", "gradient_weighted"
]

STRATEGIES: tuple[str, ...] = get_args(Strategy)


@dataclass(frozen=True)
class PixelOptions:
    """How pixels are chosen."""

    strategy: Strategy = option(
        "gradient_weighted",
        doc="random: uniform. interest_points: at SIFT features. interest_regions: around them. "
        "mask_region: uniform in the grown mask of a detector. gradient_weighted: in "
        "proportion to the image's gradient.",
    )
    count: int = option(2048, doc="Pixels at a time.", minimum=6, maximum=1 << 20)
    minimum: int = option(64, doc="Fewer usable pixels than this are a failure.", minimum=6)
    kernel_size: int = option(
        5, doc="Side of the square that regions grow by, in each iteration.", minimum=1
    )
    iterations: int = option(3, doc="How often regions grow by the square.", minimum=0)
    uniform_share: float = option(
        0.1,
        doc="gradient_weighted: share of the weight that all pixels have alike.",
        minimum=0.0,
        maximum=1.0,
    )


def select(
    options: PixelOptions, problem: Problem, allowed: Mask, generator: np.random.Generator
) -> Indices:
    """Draw pixels (N, 2), columns u and v, N <= options.count, without repetition.

    allowed: (H, W); no other pixel is ever drawn.
    """
    return draw(interest(options, problem, allowed), options.count, generator)


def interest(options: PixelOptions, problem: Problem, allowed: Mask) -> Floats:
    """Weights (H, W) that ``draw`` takes; for drawing again and again from one image."""
    return np.where(allowed, _INTEREST[options.strategy](options, problem), np.float32(0))


def draw(weights: Floats, count: int, generator: np.random.Generator) -> Indices:
    """Draw up to ``count`` pixels (N, 2) in proportion to weights (H, W), without repetition.

    Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006), with keys
    -log(u) / w.
    """
    flat = weights.ravel()
    candidates = np.flatnonzero(flat > 0)
    if len(candidates) > count:
        keys = generator.exponential(size=len(candidates)) / flat[candidates]
        # In rows: rays of neighbours meet the same part of the field.
        candidates = np.sort(candidates[np.argpartition(keys, count)[:count]])
    v, u = np.divmod(candidates, weights.shape[1])
    return np.stack([u, v], axis=-1)


def _uniform(options: PixelOptions, problem: Problem) -> Floats:
    return np.ones(problem.colors.shape[:2], dtype=np.float32)


def _interest_points(options: PixelOptions, problem: Problem) -> Floats:
    """One at the pixels nearest to SIFT features."""
    grey = cv2.cvtColor((problem.colors * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
    points = cv2.SIFT.create().detect(grey, None)
    weights = np.zeros(grey.shape, dtype=np.float32)
    if points:
        places = np.rint([point.pt for point in points]).astype(int)
        u, v = np.clip(places, 0, np.array(grey.shape[::-1]) - 1).T
        weights[v, u] = 1.0
    return weights


def _interest_regions(options: PixelOptions, problem: Problem) -> Floats:
    return _grown(options, _interest_points(options, problem))


def _mask_region(options: PixelOptions, problem: Problem) -> Floats:
    region = problem.usable if problem.region is None else problem.region
    return _grown(options, region.astype(np.float32))


def _gradient_weighted(options: PixelOptions, problem: Problem) -> Floats:
    magnitude = problem.gradient
    share = np.float32(options.uniform_share)
    level = share * np.float32(magnitude.mean()) + np.float32(1e-12)
    return (1 - share) * magnitude + level


def _grown(options: PixelOptions, weights: Floats) -> Floats:
    kernel = np.ones((options.kernel_size, options.kernel_size), dtype=np.uint8)
    grown = cv2.dilate(weights, kernel, iterations=options.iterations)
    return np.asarray(grown, dtype=np.float32)


_INTEREST: dict[str, Callable[[PixelOptions, Problem], Floats]] = {
    "random": _uniform,
    "interest_points": _interest_points,
    "interest_regions": _interest_regions,
    "mask_region": _mask_region,
    "gradient_weighted": _gradient_weighted,
}
