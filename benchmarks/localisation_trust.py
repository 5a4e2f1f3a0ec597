"""Wrong answers among good ones: what `benchmarks.localisation trust` asks.

good: photographs as they are. near: a start 15 to 60 degrees off and no landmarks, so that the
refinement may end in a wrong optimum. occluded: 40 to 80 % covered by pieces of other images.
other: images of another place, with and without a start; among tabletops these are the same
objects rearranged. A pose counts as wrong from 5 degrees or 5 cm (0.05 d) on; whether it is, is
measured, not assumed: an occluded image may well be localised rightly.
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

import cv2
import numpy as np

from fast_inerf_ros.config import replace
from fast_inerf_ros.estimator.estimate import Estimate
from fast_inerf_ros.estimator.observation import Observation, PosePrior
from fast_inerf_ros.estimator.pose_estimator import PoseEstimator
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3

WRONG_DEG, WRONG = 5.0, 0.05


@dataclasses.dataclass(frozen=True)
class Case:
    """An image to be judged. truth: None where there is none."""

    kind: str
    observation: Observation
    truth: SE3 | None
    prior: PosePrior | None
    with_landmarks: bool = True


def cases(questions: list[Any], foreign: list[np.ndarray], depth: float, seed: int) -> list[Case]:
    """All cases of one place. foreign: images of other places. depth: of the scene, metres."""
    generator = np.random.default_rng(seed)
    made: list[Case] = []
    for question in questions:
        seen, truth = question.observation, question.truth
        made.append(Case("good", seen, truth, None))
        made.append(Case("good", seen, truth, PosePrior(turned(truth, 8.0, depth, generator))))
        for most in (20.0, 35.0, 60.0):
            far = turned(truth, generator.uniform(15.0, most), depth, generator)
            made.append(Case("near", seen, truth, PosePrior(far), False))
        strange = foreign[int(generator.integers(len(foreign)))]
        strange = fitted(strange, seen)
        close = PosePrior(turned(truth, 3.0, depth, generator))
        for prior in (None, close):
            covered = occluded(seen.image, strange, generator.uniform(0.4, 0.8), generator)
            made.append(Case("occluded", dataclasses.replace(seen, image=covered), truth, prior))
        for prior in (None, close):
            made.append(Case("other", dataclasses.replace(seen, image=strange), None, prior))
    return made


def turned(truth: SE3, angle_deg: float, depth: float, generator: np.random.Generator) -> SE3:
    """The camera turned about what it looks at."""
    axis = generator.standard_normal(3)
    turn = SO3.exp(axis / np.linalg.norm(axis) * np.radians(angle_deg))
    pivot = np.asarray(truth @ np.array([0.0, 0.0, depth]))
    return SE3(turn, pivot - turn @ pivot) @ truth


def fitted(image: np.ndarray, seen: Observation) -> np.ndarray:
    """An image at the size of an observation."""
    return np.asarray(cv2.resize(image, (seen.camera.width, seen.camera.height)))


def occluded(
    image: np.ndarray, strange: np.ndarray, share: float, generator: np.random.Generator
) -> np.ndarray:
    """An image with boxes of another one over a share of it."""
    covered, hidden = image.copy(), np.zeros(image.shape[:2], dtype=bool)
    height, width = hidden.shape
    while hidden.mean() < share:
        size = generator.uniform(0.15, 0.5, 2) * (height, width)
        v, u = (int(generator.integers(-size[i] // 2, hidden.shape[i])) for i in (0, 1))
        box = (slice(max(v, 0), int(v + size[0])), slice(max(u, 0), int(u + size[1])))
        covered[box], hidden[box] = strange[box], True
    return covered


def judged(
    estimator: PoseEstimator, blind: PoseEstimator, case: Case, unit: float
) -> dict[str, Any]:
    """Evidence and score of the best pose, and whether it is right. blind: has no landmarks."""
    asked = estimator if case.with_landmarks else blind
    # A threshold of nought: what is wrong must be seen, to be told from what is right.
    found = asked.estimate(case.observation, case.prior)
    record: dict[str, Any] = {"kind": case.kind, "score": found.score, "right": False}
    if found.T_world_camera is None:
        return record | {"score": 0.0, "evidence": None}
    record["evidence"] = None if found.evidence is None else dataclasses.asdict(found.evidence)
    if case.truth is not None:
        record |= compared(found, case.truth, unit)
    return record


def compared(found: Estimate, truth: SE3, unit: float) -> dict[str, Any]:
    """Errors of a pose and whether it is right."""
    assert found.T_world_camera is not None
    assert found.covariance is not None
    error = pose_errors(found.T_world_camera, truth)
    angle_deg = float(np.degrees(error.rotation))
    distance = float(error.translation) / unit
    twist = np.asarray((found.T_world_camera.inverse() @ truth).log())
    return {
        "angle_deg": angle_deg,
        "distance": distance,
        "right": angle_deg < WRONG_DEG and distance < WRONG,
        "nees": float(twist @ np.linalg.solve(found.covariance, twist)),
    }


def lenient(estimator: PoseEstimator, with_landmarks: bool) -> PoseEstimator:
    """The same estimator with every pose accepted, so that its score can be judged."""
    config = replace(estimator.config, "trust.min_score", 0.0)
    landmarks = estimator.landmarks if with_landmarks else None
    return PoseEstimator(estimator.scene, estimator.field, config, landmarks, estimator.detector)


def operating_points(trials: list[dict[str, Any]], threshold: float) -> str:
    """False acceptance and recall at the shipped threshold, and the area under the ROC curve.

    False acceptance: wrong poses among the accepted ones, and accepted among the wrong ones.
    """
    score = np.array([t["score"] for t in trials])
    right = np.array([t["right"] for t in trials])
    answered = np.array([t["evidence"] is not None for t in trials])
    accepted = (score >= threshold) & answered
    good = np.array([t["kind"] == "good" for t in trials])
    recall = float((accepted & right & good).sum() / max(1, good.sum()))
    false_rate = float((accepted & ~right).sum() / max(1, (~right).sum()))
    among = float((accepted & ~right).sum() / max(1, accepted.sum()))
    positive, negative = score[right], score[~right]
    area = float(
        np.mean(positive[:, None] > negative) + 0.5 * np.mean(positive[:, None] == negative)
    )
    values = np.array([t["nees"] for t in trials if t["right"] and t["score"] >= threshold])
    shares = [float(np.mean(values <= bound)) for bound in (5.348, 10.645, 12.592)]
    return (
        f"trust: {int(right.sum())} right, {int((~right).sum())} wrong; at {threshold}: recall of "
        f"good images {recall:.3f}, {false_rate:.4f} of the wrong accepted, {among:.4f} of the "
        f"accepted wrong; AUROC {area:.4f}; NEES mean {values.mean():.2f} (6), "
        f"coverage at 50/90/95 % {shares[0]:.2f}/{shares[1]:.2f}/{shares[2]:.2f}"
    )


def trust_part(arguments: argparse.Namespace, known: list[Any]) -> list[dict[str, Any]]:
    """Judge all cases of all places."""
    trials: list[dict[str, Any]] = []
    images = {place.name: [q.observation.image for q in place.questions] for place in known}
    threshold = 0.5
    for number, place in enumerate(known):
        foreign = [
            image for name, found in images.items() if name != place.name for image in found
        ]
        threshold = place.estimator.config.trust.min_score
        seeing, blind = (lenient(place.estimator, flag) for flag in (True, False))
        asked = place.questions[: arguments.most]
        for case in cases(asked, foreign, place.depth, number):
            trials.append({"place": place.name} | judged(seeing, blind, case, place.unit))
        print(place.name, operating_points(trials, threshold), flush=True)
    return trials
