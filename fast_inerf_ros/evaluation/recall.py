"""How often an answer is good enough: recall with intervals, its curves, areas and summaries.

An error that is NaN or infinite stands for an answer that is missing (the system said "lost").
It counts as a failure everywhere; it is never left out of the denominator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fast_inerf_ros.errors import InputError

Floats = NDArray[np.float64]

POSECNN_MAXIMUM = 0.10  # metres


@dataclass(frozen=True)
class Recall:
    """Fractions of answers below thresholds, with a Wilson score interval; arrays of shape (k,).

    ``thresholds`` has the unit of the errors; for a joint recall it is (k, 2).
    """

    thresholds: Floats
    successes: NDArray[np.int64]
    trials: int
    fraction: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True)
class Percentile:
    """A percentile of errors, with a bootstrap interval where one was asked for."""

    rank: float
    value: float
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Summary:
    """Median and percentiles of errors; a missing answer counts as an infinite error."""

    count: int
    missing: int
    median: Percentile
    percentiles: tuple[Percentile, ...]


def wilson_interval(
    successes: ArrayLike, trials: int, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Score interval of a binomial proportion: lower and upper bounds, shaped as ``successes``.

    Wilson, "Probable inference, the law of succession, and statistical inference", 1927:
    ``(p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)``. Unlike p +- z sigma it stays
    inside [0, 1] and is honest at 0 and at all successes.

    Raises:
        InputError: trials < 1, successes outside [0, trials], or confidence outside (0, 1).
    """
    count = np.asarray(successes, dtype=np.float64)
    if trials < 1:
        raise InputError(f"expected at least one trial, got {trials}; evaluate on some data")
    if not ((count >= 0) & (count <= trials)).all():
        raise InputError(f"expected successes in 0..{trials}, got {count.ravel()[:5]}")
    if not 0.0 < confidence < 1.0:
        raise InputError(f"expected a confidence in (0, 1), got {confidence}; for 95 % give 0.95")
    z = NormalDist().inv_cdf(0.5 + 0.5 * confidence)
    fraction = count / trials
    centre = fraction + z * z / (2.0 * trials)
    spread = z * np.sqrt(fraction * (1.0 - fraction) / trials + z * z / (4.0 * trials * trials))
    scale = 1.0 + z * z / trials
    lower = np.where(count == 0, 0.0, (centre - spread) / scale)
    upper = np.where(count == trials, 1.0, (centre + spread) / scale)
    return lower, upper


def recall_at(errors: ArrayLike, thresholds: ArrayLike, confidence: float = 0.95) -> Recall:
    """Fraction of ``errors`` strictly below each threshold.

    Args:
        errors: any shape, non-negative, any unit; NaN or infinity is a failure.
        thresholds: scalar or (k,), positive, in the unit of ``errors``.
        confidence: of the Wilson interval.

    Raises:
        InputError: no errors, negative errors, or thresholds that are not positive.
    """
    values, limits = _checked_errors(errors), _checked_thresholds(thresholds)
    successes = np.searchsorted(np.sort(values), limits, side="left").astype(np.int64)
    return _recall(limits, successes, values.size, confidence)


def joint_recall(
    rotation_errors: ArrayLike,
    translation_errors: ArrayLike,
    rotation_thresholds: ArrayLike,
    translation_thresholds: ArrayLike,
    confidence: float = 0.95,
) -> Recall:
    """Fraction of poses whose rotation AND translation errors are below paired thresholds.

    ``joint_recall(r, t, np.radians(5), 0.05)`` is "5 degrees, 5 cm" (Shotton et al., "Scene
    coordinate regression forests", 2013).

    Args:
        rotation_errors: (n,), radians (or the unit of its thresholds).
        translation_errors: (n,), metres, of the same poses.
        rotation_thresholds: scalar or (k,).
        translation_thresholds: scalar or (k,), paired with the rotation thresholds.
        confidence: of the Wilson interval.

    Raises:
        InputError: as ``recall_at``, or arrays of different lengths.
    """
    rotation, translation = _checked_errors(rotation_errors), _checked_errors(translation_errors)
    if rotation.size != translation.size:
        raise InputError(
            f"expected rotation and translation errors of the same poses, got {rotation.size} "
            f"and {translation.size}; pair them first"
        )
    angle, distance = (
        _checked_thresholds(rotation_thresholds),
        _checked_thresholds(translation_thresholds),
    )
    if angle.size != distance.size and 1 not in (angle.size, distance.size):
        raise InputError(
            f"expected paired thresholds, got {angle.size} angles and {distance.size} distances"
        )
    angle, distance = np.broadcast_arrays(angle, distance)
    good = (rotation < angle[:, None]) & (translation < distance[:, None])
    return _recall(
        np.stack([angle, distance], axis=-1), good.sum(axis=1), rotation.size, confidence
    )


def recall_curve(
    errors: ArrayLike, maximum: float, n_points: int = 101, confidence: float = 0.95
) -> Recall:
    """Recall at ``n_points`` evenly spaced thresholds in (0, maximum].

    Raises:
        InputError: as ``recall_at``, or fewer than one point.
    """
    if n_points < 1:
        raise InputError(f"expected at least one point of the curve, got {n_points}")
    limit = float(_checked_thresholds(maximum)[0])
    return recall_at(errors, limit * np.arange(1, n_points + 1) / n_points, confidence)


def area_under_recall(errors: ArrayLike, maximum: float = POSECNN_MAXIMUM) -> float:
    """Normalised area under the recall curve from 0 to ``maximum``, computed exactly, in [0, 1].

    The curve is a step function, so its area is ``mean(max(0, 1 - e / maximum))``. With ADD or
    ADD-S in metres and the default of 10 cm this is the AUC of PoseCNN (Xiang et al., 2018).
    **This definition is the one to report**; the YCB-Video toolbox computes
    ``area_under_recall_voc``, which is larger by at most 1/n.

    Args:
        errors: any shape, non-negative, metres; NaN or infinity contributes nothing.
        maximum: largest threshold, in the unit of ``errors``.

    Raises:
        InputError: as ``recall_at``.
    """
    values, limit = _checked_errors(errors), float(_checked_thresholds(maximum)[0])
    return float(np.clip(1.0 - values / limit, 0.0, None).mean())


def area_under_recall_voc(errors: ArrayLike, maximum: float = POSECNN_MAXIMUM) -> float:
    """Area as in the YCB-Video toolbox (VOCap of PASCAL VOC), for comparison with its figures.

    Each interval between two sorted errors takes the recall of its **right** end, an upper sum:
    it exceeds ``area_under_recall`` by ``e_k / (n maximum)``, where ``e_k`` is the largest error
    that is not above ``maximum``; the difference vanishes with many instances n.

    Raises:
        InputError: as ``recall_at``.
    """
    values, limit = _checked_errors(errors), float(_checked_thresholds(maximum)[0])
    within = np.sort(values[values <= limit])
    if within.size == 0:
        return 0.0
    reached = np.arange(1, within.size + 1) / values.size
    knots = np.concatenate([[0.0], within, [limit]])
    heights = np.concatenate([reached, reached[-1:]])
    return float(np.diff(knots) @ heights / limit)


def summarise(
    errors: ArrayLike,
    percentiles: Sequence[float] = (25.0, 75.0, 90.0, 95.0),
    *,
    generator: np.random.Generator | None = None,
    n_resamples: int = 1000,
    confidence: float = 0.95,
) -> Summary:
    """Median and percentiles of ``errors``, with bootstrap intervals if a generator is given.

    Linear interpolation between order statistics; the interval is the percentile bootstrap
    (Efron, "Bootstrap methods", 1979) over ``n_resamples`` samples with replacement.

    Args:
        errors: any shape, non-negative; NaN or infinity counts as an infinite error.
        percentiles: ranks in [0, 100] beside the median.
        generator: source of the resampling; None for no intervals.
        n_resamples: number of bootstrap samples.
        confidence: of the intervals.

    Raises:
        InputError: no errors, negative errors, or ranks outside [0, 100].
    """
    values = _checked_errors(errors)
    ranks = np.array([50.0, *percentiles])
    if not ((ranks >= 0.0) & (ranks <= 100.0)).all():
        raise InputError(f"expected percentile ranks in 0..100, got {list(percentiles)}")
    points = _percentiles(values, ranks)
    bounds: Floats | None = None
    if generator is not None:
        bounds = _bootstrap(values, ranks, generator, n_resamples, confidence)
    rows = tuple(
        Percentile(float(rank), float(points[i]))
        if bounds is None
        else Percentile(float(rank), float(points[i]), float(bounds[0, i]), float(bounds[1, i]))
        for i, rank in enumerate(ranks)
    )
    return Summary(values.size, int(np.isinf(values).sum()), rows[0], rows[1:])


def _bootstrap(
    values: Floats,
    ranks: Floats,
    generator: np.random.Generator,
    n_resamples: int,
    confidence: float,
) -> Floats:
    """Lower and upper bounds, (2, ranks)."""
    samples = np.stack(
        [
            _percentiles(values[generator.integers(values.size, size=values.size)], ranks)
            for _ in range(n_resamples)
        ]
    )
    tail = 50.0 * (1.0 - confidence)
    return np.stack(
        [_percentiles(column, np.array([tail, 100.0 - tail])) for column in samples.T]
    ).T


def _percentiles(values: Floats, ranks: Floats) -> Floats:
    """Linear percentiles in which infinity is an ordinary largest value."""
    position = ranks / 100.0 * (values.size - 1)
    below, above = np.floor(position).astype(int), np.ceil(position).astype(int)
    ordered = np.sort(values)
    low, high, weight = ordered[below], ordered[above], position - below
    exact = (weight == 0.0) | (low == high)
    step = np.where(exact, 0.0, high - np.where(exact, 0.0, low))
    return np.where(exact, low, np.where(np.isinf(high), np.inf, low + weight * step))


def _recall(
    limits: Floats, successes: NDArray[np.int64], trials: int, confidence: float
) -> Recall:
    lower, upper = wilson_interval(successes, trials, confidence)
    return Recall(limits, successes, trials, successes / trials, lower, upper)


def _checked_errors(errors: ArrayLike) -> Floats:
    """Flat float64 errors with every missing one as +infinity."""
    values = np.asarray(errors, dtype=np.float64).ravel()
    if values.size == 0:
        raise InputError("expected at least one error to evaluate, got none")
    if (values < 0.0).any():
        raise InputError(f"expected errors >= 0, got {values.min():.3g}; take their norm first")
    return np.where(np.isfinite(values), values, np.inf)


def _checked_thresholds(thresholds: ArrayLike) -> Floats:
    limits = np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    if limits.ndim != 1 or limits.size == 0 or not (np.isfinite(limits) & (limits > 0.0)).all():
        raise InputError(f"expected thresholds > 0, a number or a list, got {limits.ravel()[:5]}")
    return limits
