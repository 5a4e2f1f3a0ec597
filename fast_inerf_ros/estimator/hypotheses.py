"""Where the camera may be: hypotheses of all sources in one list, scored by small renderings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fast_inerf_ros.estimator.estimate import Floats, Source
from fast_inerf_ros.geometry.pnp import PnpResult
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.held_out import correlation
from fast_inerf_ros.inerf.landmarks import Matches
from fast_inerf_ros.inerf.photometric import render
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.pyramid import WHOLLY_USABLE, build_pyramid

SCORING_SIDE = 30
"""Side of a square with as many pixels as the renderings that hypotheses are scored by."""

SUPPORT = 0.3
"""What the agreement of very many landmarks is worth, in units of correlation."""

PRIORS = 2
"""Poses of a prior that are kept, the best ones: other sources are to have their turn."""


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A pose to start from.

    support: of landmarks that agree, 0 to 1. covariance: (6, 6) of body twists, None where
    nothing is known. located, matches: what landmarks gave, and which. score: see ``ranked``.
    """

    T_world_camera: SE3
    source: Source
    support: float = 0.0
    covariance: Floats | None = None
    located: PnpResult | None = None
    matches: Matches | None = None
    score: float = 0.0


def of_landmarks(found: PnpResult, matches: Matches) -> Hypothesis:
    """The hypothesis of landmarks. Support grows with their number and with their share."""
    n_inliers = float(np.count_nonzero(found.inliers))
    share = n_inliers / max(len(matches), 1)
    support = min(1.0, n_inliers / 60.0) * min(1.0, 2.0 * share)
    spread = np.asarray(found.covariance, dtype=np.float64)
    pose = found.T_camera_world.inverse()
    return Hypothesis(pose, Source.LANDMARKS, support, spread, found, matches)


def ranked(problem: Problem, hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """The hypotheses, the best first, each with its score.

    The score is the correlation of the image with a small rendering, and more where landmarks
    agree. Of those of a prior only the best are left.
    """
    if not hypotheses:
        return []
    level = build_pyramid(problem, problem.usable, (SCORING_SIDE,))[0]
    usable = np.isfinite(level.bearings).all(axis=-1) & (level.channels[..., 3] >= WHOLLY_USABLE)
    image, bearings = level.channels[usable][:, :3], level.bearings[usable]
    scored = []
    for item in hypotheses:
        alike = correlation(image, render(problem, item.T_world_camera, bearings).color)
        score = alike + SUPPORT * item.support
        scored.append(dataclasses.replace(item, score=score))
    scored.sort(key=lambda item: -item.score)
    of_prior = [item for item in scored if item.source is Source.PRIOR]
    left_out = {id(item) for item in of_prior[PRIORS:]}
    return [item for item in scored if id(item) not in left_out]
