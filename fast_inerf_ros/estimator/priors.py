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
    spread = _root(prior.covariance)
    if spread is not None:
        drawn = generator.standard_normal((N_DRAWN, 6))
        twists = np.clip(drawn, -FARTHEST, FARTHEST) @ spread
        poses += [prior.T_world_camera @ SE3.exp(twist) for twist in twists]
    return [Hypothesis(pose, Source.PRIOR) for pose in poses]


def _root(covariance: Floats | None) -> Floats | None:
    """Symmetric root (6, 6) of a covariance, 0 along directions that are not known; or None.

    Of all roots this one is unique: the same poses are drawn on every machine, whatever axes its
    linear algebra finds where variances are equal.
    """
    if covariance is None or covariance.shape != (6, 6) or not np.isfinite(covariance).all():
        return None
    variances, directions = np.linalg.eigh((covariance + covariance.T) / 2)
    known = (variances > 0) & (variances < UNKNOWN)
    if not known.any():
        return None
    directions = directions[:, known]
    return np.asarray(directions * np.sqrt(variances[known]) @ directions.T)
