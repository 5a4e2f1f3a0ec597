"""How far a pose is to be believed: one number from the evidence."""

from __future__ import annotations

import numpy as np

from fast_inerf_ros.estimator.verification import Evidence

OFFSET = -9.0
WEIGHTS = {"correlation": 6.0, "agreeing": 6.0, "landmarks": 4.0}
"""Of the logistic score."""

MANY_LANDMARKS = 50.0
FEWEST_COVERED = 0.05


def score_of(evidence: Evidence) -> float:
    """Score in [0, 1], monotone in every part of the evidence."""
    if evidence.coverage < FEWEST_COVERED:
        return 0.0
    landmarks = min(1.0, evidence.landmarks / MANY_LANDMARKS) * evidence.landmark_share**0.5
    total = (
        OFFSET
        + WEIGHTS["correlation"] * evidence.correlation
        + WEIGHTS["agreeing"] * evidence.agreeing
        + WEIGHTS["landmarks"] * landmarks
    )
    return float(1.0 / (1.0 + np.exp(-total)))
