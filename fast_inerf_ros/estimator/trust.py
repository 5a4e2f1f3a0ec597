"""How far a pose is to be believed: one number from the evidence, and factors of covariances.

Weights and factors were fitted to poses in scenes other than those they are judged on, by
``benchmarks.fit_trust``; docs/benchmarks.md has the command, the scenes and the figures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.estimator.config import TrustOptions
from fast_inerf_ros.estimator.verification import Evidence

NAMES = ("correlation", "agreeing", "landmarks")
"""What the score is made of: see ``features``."""

MANY_LANDMARKS = 40.0
"""Landmarks, times their share, from which more say nothing new."""

FEWEST_COVERED = 0.05


@dataclass(frozen=True)
class Weights:
    """Of the logistic score: log-odds without any evidence, and of each of ``NAMES``."""

    offset: float
    values: tuple[float, ...]

    def moved(self, by: float) -> Weights:
        """The same with other log-odds."""
        return replace(self, offset=self.offset + by)


WEIGHTS = Weights(-4.5, (1.22, 7.10, 3.16))


def features(evidence: Evidence) -> npt.NDArray[np.float64]:
    """What the score is made of, (n,), at most 1 and monotone in the evidence.

    Of landmarks n · share counts: many wrong matches agree on a few of them by chance.
    """
    told = evidence.landmarks * evidence.landmark_share / MANY_LANDMARKS
    return np.array([evidence.correlation, evidence.agreeing, min(1.0, told) ** 0.5])


def score_of(evidence: Evidence, weights: Weights = WEIGHTS) -> float:
    """Score in [0, 1], monotone in every part of the evidence."""
    if evidence.coverage < FEWEST_COVERED:
        return 0.0
    total = weights.offset + float(features(evidence) @ np.array(weights.values))
    return float(1.0 / (1.0 + np.exp(-total)))


def covariance_factor(options: TrustOptions, with_landmarks: bool, agreeing: float) -> float:
    """Factor of the covariance that residuals give.

    agreeing: share of the blocks of the image that agree with the field. Where a field is wrong
    its colours alone pull a pose away by more than their residuals tell.
    """
    if with_landmarks:
        return options.covariance_scale
    doubt = float(np.exp(options.doubt * (1.0 - agreeing)))
    return options.covariance_scale * options.colours_alone * doubt
