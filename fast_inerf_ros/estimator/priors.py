"""Hypotheses of a prior: the pose that was given, and others that its covariance allows."""

from __future__ import annotations

import numpy as np

from fast_inerf_ros.estimator.estimate import Floats, Source
from fast_inerf_ros.estimator.hypotheses import Hypothesis
from fast_inerf_ros.estimator.observation import PosePrior
from fast_inerf_ros.geometry.se3 import SE3

N_DRAWN = 32
"""Poses drawn around a prior; each costs a rendering of 900 rays."""

UNKNOWN = 1e3
"""Variance, m² or rad², from which on nothing is known of a direction: it is not searched."""

FARTHEST = 2.0
"""Standard deviations beyond which nothing is drawn."""


def of_prior(prior: PosePrior, generator: np.random.Generator) -> list[Hypothesis]:
    """The prior itself, first, and poses drawn around it where its covariance is known."""
    poses = [prior.T_world_camera]
    spread = _roots(prior.covariance)
    if spread is not None:
        drawn = generator.standard_normal((N_DRAWN, spread.shape[1]))
        twists = np.clip(drawn, -FARTHEST, FARTHEST) @ spread.T
        poses += [prior.T_world_camera @ SE3.exp(twist) for twist in twists]
    return [Hypothesis(pose, Source.PRIOR) for pose in poses]


def _roots(covariance: Floats | None) -> Floats | None:
    """Twists (6, k) of one standard deviation along the directions that are known; or None."""
    if covariance is None or covariance.shape != (6, 6) or not np.isfinite(covariance).all():
        return None
    variances, directions = np.linalg.eigh((covariance + covariance.T) / 2)
    known = (variances > 0) & (variances < UNKNOWN)
    if not known.any():
        return None
    return np.asarray(directions[:, known] * np.sqrt(variances[known]))
