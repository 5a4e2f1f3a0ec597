"""How far a pose is to be believed: one number from the evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.estimator.verification import Evidence

NAMES = ("correlation", "agreeing", "landmarks")
"""What the score is made of: see ``features``."""

MANY_LANDMARKS = 50.0
FEWEST_COVERED = 0.05


@dataclass(frozen=True)
class Weights:
    """Of the logistic score: log-odds without any evidence, and of each of ``NAMES``."""

    offset: float
    values: tuple[float, ...]

    def moved(self, by: float) -> Weights:
        """The same with other log-odds."""
        return replace(self, offset=self.offset + by)


WEIGHTS = Weights(-9.0, (6.0, 6.0, 4.0))


def features(evidence: Evidence) -> npt.NDArray[np.float64]:
    """What the score is made of, (n,), each about in [0, 1] and monotone in the evidence."""
    landmarks = min(1.0, evidence.landmarks / MANY_LANDMARKS) * evidence.landmark_share**0.5
    return np.array([evidence.correlation, evidence.agreeing, landmarks])


def score_of(evidence: Evidence, weights: Weights = WEIGHTS) -> float:
    """Score in [0, 1], monotone in every part of the evidence."""
    if evidence.coverage < FEWEST_COVERED:
        return 0.0
    total = weights.offset + float(features(evidence) @ np.array(weights.values))
    return float(1.0 / (1.0 + np.exp(-total)))
