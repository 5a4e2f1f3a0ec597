"""Wrong answers among good ones: what `benchmarks.localisation trust` asks.

good: images as they are. near: the refinement of a start 10 to 60 degrees off without landmarks,
which may end in a wrong optimum. occluded: 40 to 80 % covered by pieces of other images.
rearranged: the same table after few, more or all things on it were moved. other: images of other
places; tabletops share their objects. turned: rolled by a right angle, mirrored, upside down. A
pose counts as wrong from 5 degrees or 5 cm (0.05 d) on; whether it is, is measured, not assumed:
an occluded image may well be localised rightly.

The JSON has, for every pose that was verified, the evidence and the errors, so that other scores
can be judged without asking anew: ``benchmarks.fit_trust``.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks._artefacts import layout_seed
from benchmarks._trust_cases import Case, Material, cases, rearranged_pictures, strangers
from benchmarks._trust_statistics import answers, summary
from fast_inerf_ros.config import replace
from fast_inerf_ros.datasets.synthetic.render import Renderer
from fast_inerf_ros.estimator.config import EstimatorConfig, TrustOptions
from fast_inerf_ros.estimator.estimate import Source
from fast_inerf_ros.estimator.hypotheses import Hypothesis, of_landmarks
from fast_inerf_ros.estimator.observation import Observation, PosePrior
from fast_inerf_ros.estimator.pose_estimator import PoseEstimator
from fast_inerf_ros.estimator.refinement import Refinement, Seen, Verified
from fast_inerf_ros.estimator.trust import covariance_factor
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.geometry.se3 import SE3

WRONG_DEG, WRONG = 5.0, 0.05
SYMMETRIC = ("lego",)
"""Scenes whose left is their right, mirrored: the excavator, but for a few bricks."""


class Recording(Refinement):
    """Keeps what it has verified, but what it did for the sake of moved objects."""

    def __init__(self, field: Field, config: EstimatorConfig) -> None:
        super().__init__(field, config)
        self.found: list[Verified] = []

    def refined(self, seen: Seen, start: Hypothesis, deadline: float = float("inf")) -> Verified:
        """Refine and verify a hypothesis."""
        verified = super().refined(seen, start, deadline)
        if seen.mask is None:
            self.found.append(verified)
        return verified


class Witness(PoseEstimator):
    """An estimator that tells of the poses it refuses, too."""

    def __init__(self, told: PoseEstimator) -> None:
        super().__init__(told.scene, told.field, told.config, told.landmarks, told.detector)
        self.refinement = self.recording = Recording(told.field, told.config)
        self._once = Refinement(told.field, replace(told.config, "solver.restarts", 0))

    def verified(self, case: Case) -> list[Verified]:
        """All poses that were verified on the way to the answer; the best score is the answer."""
        if case.way == "estimate":
            self.recording.found = []
            self.estimate(case.observation, None if case.prior is None else PosePrior(case.prior))
            return self.recording.found
        if case.way == "landmarks":
            return self._by_landmarks(case.observation)
        assert case.prior is not None
        refinement = self._once if case.way == "once" else self.refinement
        start = Hypothesis(case.prior, Source.PRIOR)
        return [refinement.refined(Seen(case.observation), start)]

    def _by_landmarks(self, observation: Observation) -> list[Verified]:
        """The pose that landmarks give, refined; none where they agree on nothing."""
        camera = observation.camera
        matches = self.sources.matched(self.sources.features(observation))
        found = None if matches is None else self.sources.located(matches, camera)
        if found is None or matches is None:
            return []
        seen = Seen(observation, matches, self.sources.max_error_px(camera))
        return [self._once.refined(seen, of_landmarks(found, matches))]


def trust_part(
    arguments: argparse.Namespace, known: list[Any], keep: Callable[[list[dict[str, Any]]], None]
) -> list[dict[str, Any]]:
    """Judge all cases of all places.

    keep: is given all trials so far after each image; the places take turns, so that a run that
    is ended early has something of each.
    """
    trials: list[dict[str, Any]] = []
    renderer = Renderer(1)
    tables = strangers(renderer)
    materials = [material(place, known, tables) for place in known]
    witnesses = [Witness(place.estimator) for place in known]
    for number in range(min(arguments.most, max(len(place.questions) for place in known))):
        for place, given, witness in zip(known, materials, witnesses, strict=True):
            if number < len(place.questions):
                moved = moved_things(place, number, renderer)
                trials += judged(place, number, given, moved, witness)
                keep(trials)
    for place in known:
        own = [trial for trial in trials if trial["place"] == place.name]
        print(f"{place.name}: {summary(answers(own))}", flush=True)
    print(f"all: {summary(answers(trials))}", flush=True)
    return trials


def material(place: Any, known: list[Any], tables: list[np.ndarray]) -> Material:
    """What cases are made from. tables: pictures of layouts that nobody knows."""
    foreign = tables + [
        question.observation.image
        for other in known
        if other.name != place.name
        for question in other.questions
    ]
    return Material(place.depth, foreign, place.name in SYMMETRIC)


def moved_things(place: Any, number: int, renderer: Renderer) -> list[np.ndarray]:
    """Pictures of moved things for an image, where the place is a layout."""
    if not place.name.startswith("layout_"):
        return []
    seed = layout_seed(place.name)
    return rearranged_pictures(renderer, seed, number, place.questions[number].truth)


def judged(
    place: Any, number: int, given: Material, moved: list[np.ndarray], witness: Witness
) -> Iterator[dict[str, Any]]:
    """Evidence and errors of all poses of all cases of an image of a place."""
    question = place.questions[number]
    generator = np.random.default_rng([number, *place.name.encode()])
    for case in cases(question.observation, question.truth, number, given, moved, generator):
        poses = [described(found, case.truth, place.unit) for found in witness.verified(case)]
        yield {
            "place": place.name,
            "image": question.name,
            "kind": case.kind,
            "way": case.way,
            "known": case.truth is not None,
            "poses": poses,
            **answered(poses),
        }


def answered(poses: list[dict[str, Any]]) -> dict[str, Any]:
    """Score, rightness and NEES of the answer that the poses make."""
    if not poses:
        return {"score": 0.0, "right": False, "nees": None}
    best = max(poses, key=lambda pose: pose["score"])
    score = best["score"] if best["answer"] else 0.0
    return {"score": score, "right": best["right"], "nees": best["nees"]}


def described(found: Verified, truth: SE3 | None, unit: float) -> dict[str, Any]:
    """What is kept of a pose. nees: None where it has no covariance and so is no answer.

    factor: of the covariance, so that others can be judged without asking anew.
    """
    by_landmarks = found.start is not None and found.start.located is not None
    agreeing = found.evidence.agreeing
    record: dict[str, Any] = {
        "score": found.score,
        "evidence": dataclasses.asdict(found.evidence),
        "source": found.source.value,
        "by_landmarks": by_landmarks,
        "factor": covariance_factor(TrustOptions(), by_landmarks, agreeing),
        "answer": found.covariance is not None,
        "right": False,
        "angle_deg": None,
        "distance": None,
        "nees": None,
    }
    if truth is None:
        return record
    error = pose_errors(found.T_world_camera, truth)
    record["angle_deg"] = float(np.degrees(error.rotation))
    record["distance"] = float(error.translation) / unit
    record["right"] = record["angle_deg"] < WRONG_DEG and record["distance"] < WRONG
    if found.covariance is not None:
        twist = np.asarray((found.T_world_camera.inverse() @ truth).log())
        record["nees"] = float(twist @ np.linalg.solve(found.covariance, twist))
    return record
