"""From a hypothesis to a pose with a score: joint refinement, then verification."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.config import replace
from fast_inerf_ros.estimator.config import EstimatorConfig
from fast_inerf_ros.estimator.estimate import Floats, Source
from fast_inerf_ros.estimator.hypotheses import Hypothesis
from fast_inerf_ros.estimator.observation import Observation
from fast_inerf_ros.estimator.trust import covariance_factor, score_of
from fast_inerf_ros.estimator.verification import Comparison, Evidence, compare, gather
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.anchors import Anchors
from fast_inerf_ros.inerf.landmarks import Matches
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.solvers.keyframe import KeyframeSolver

Mask = npt.NDArray[np.bool_]

BACKGROUNDS = {"unknown": None, "white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0)}

SURE = 0.5
"""Support of landmarks from which a pose is right within a pixel or two: neither coarse renderings
nor other starts are needed."""

SHARPEST_PX = 0.3
"""Least standard deviation of a landmark."""


@dataclass(frozen=True, eq=False)
class Seen:
    """An image and the landmarks in it. mask: (H, W), pixels that may be used; None for all."""

    observation: Observation
    matches: Matches | None = None
    max_error_px: float = 4.0
    mask: Mask | None = None


@dataclass(frozen=True, eq=False)
class Verified:
    """A refined pose. objection: why it has no covariance, and so is no answer.

    start: the hypothesis. comparison: image and field at the pose; None where it was followed.
    """

    T_world_camera: SE3
    covariance: Floats | None
    score: float
    source: Source
    objection: str | None
    evidence: Evidence
    comparison: Comparison | None = None
    start: Hypothesis | None = None


class Refinement:
    """Refines and verifies hypotheses against one field."""

    def __init__(self, field: Field, config: EstimatorConfig) -> None:
        self.field, self.config = field, config
        self._solver = KeyframeSolver(config.solver)
        closing = replace(replace(config.solver, "first_level", 0), "restarts", 0)
        self._closing = KeyframeSolver(closing)

    def problem(
        self,
        observation: Observation,
        start: SE3,
        anchors: Anchors | None = None,
        mask: Mask | None = None,
    ) -> Problem:
        """The question for a solver."""
        return Problem(
            observation.image,
            observation.camera,
            self.field,
            start,
            mask=mask,
            near=self.config.near,
            background=BACKGROUNDS[self.config.background],
            anchors=anchors,
        )

    def refined(self, seen: Seen, start: Hypothesis, deadline: float = float("inf")) -> Verified:
        """Refine one hypothesis and gather what speaks for the result.

        deadline: on the clock of ``time.perf_counter``; after it the refinement begins nowhere
        else, but what has begun is finished.
        """
        anchors = self._anchors(start)
        problem = self.problem(seen.observation, start.T_world_camera, anchors, seen.mask)
        generator = np.random.default_rng(self.config.seed)
        if start.support < SURE:
            result = self._solver.solve(
                problem, generator, in_time=lambda: time.perf_counter() < deadline
            )
        else:
            result = self._closing.solve(problem, generator)
        # Where refinement changes nothing for the better the start may still be right.
        pose, spread = start.T_world_camera, start.covariance
        if result.status.refined and result.T_world_camera is not None:
            pose, spread = result.T_world_camera, result.covariance()
        comparison = compare(problem, pose)
        matches = seen.matches if start.matches is None else start.matches
        evidence = gather(problem, comparison, pose, matches, seen.max_error_px)
        if spread is not None:
            with_landmarks = problem.anchors is not None
            factor = covariance_factor(self.config.trust, with_landmarks, evidence.agreeing)
            spread = factor * spread
        objection = result.reason if spread is None else None
        return Verified(
            pose,
            spread,
            score_of(evidence),
            start.source,
            objection,
            evidence,
            comparison,
            start,
        )

    def _anchors(self, start: Hypothesis) -> Anchors | None:
        if start.located is None or start.matches is None:
            return None
        # error_px is of both axes together.
        deviation = max(start.located.error_px / np.sqrt(2.0), SHARPEST_PX)
        weight = self.config.trust.covariance_scale
        return Anchors(start.matches.points, start.matches.pixels, deviation, weight)
