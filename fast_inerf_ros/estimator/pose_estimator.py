"""The pose of the camera from one image: hypotheses, refinement, verification."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path

import cv2
import numpy as np
import torch

from fast_inerf_ros.estimator.answers import lost, obstacle_of
from fast_inerf_ros.estimator.config import EstimatorConfig
from fast_inerf_ros.estimator.estimate import (
    Estimate,
    ObjectEstimate,
    Source,
    Status,
)
from fast_inerf_ros.estimator.hypotheses import Hypothesis, ranked
from fast_inerf_ros.estimator.moved_objects import Mask, object_estimates
from fast_inerf_ros.estimator.observation import Observation, PosePrior
from fast_inerf_ros.estimator.refinement import SURE, Refinement, Seen, Verified
from fast_inerf_ros.estimator.sources import Sources
from fast_inerf_ros.estimator.stage_clock import StageClock
from fast_inerf_ros.estimator.verification import compare
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.fields.scene_field import load_scene_field
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.landmark_file import field_id, load_landmarks
from fast_inerf_ros.inerf.landmarks import LandmarkMap, Matches
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.io.scene import Scene, load_scene
from fast_inerf_ros.posecnn.detection import Detection
from fast_inerf_ros.posecnn.detector import Detector

FEWEST_PIXELS = 64


class PoseEstimator:
    """Localises single images in one scene. One caller at a time.

    landmarks, detector: None where the scene has none. sources: what it starts from.
    """

    def __init__(
        self,
        scene: Scene,
        scene_field: Field,
        config: EstimatorConfig | None = None,
        landmarks: LandmarkMap | None = None,
        detector: Detector | None = None,
    ) -> None:
        self.scene, self.field = scene, scene_field
        self.config = EstimatorConfig() if config is None else config
        self.landmarks, self.detector = landmarks, detector
        self.sources = Sources(scene, scene_field, self.config, landmarks, detector)
        self.refinement = Refinement(scene_field, self.config)
        # PoseCNN and landmarks leave cores idle in turn.
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="objects")

    @classmethod
    def load(
        cls,
        scene_path: str | PathLike[str],
        config: EstimatorConfig | None = None,
        device: torch.device | str = "cpu",
    ) -> PoseEstimator:
        """Read a scene with all that it refers to.

        Raises:
            InputError: in one line, for a file that is missing, damaged, or of another scene.
        """
        config = EstimatorConfig() if config is None else config
        scene = load_scene(Path(scene_path))
        scene_field = load_scene_field(scene, device)
        landmarks, detector = None, None
        if scene.landmarks is not None and config.landmarks.enabled:
            assert scene.field is not None  # load_scene_field has made sure
            expected = field_id(scene.resolve(scene.field.checkpoint))
            stored = load_landmarks(scene.resolve(scene.landmarks), expected)
            landmarks = LandmarkMap(stored, scene_field.frame, config.landmarks.match)
        if scene.detector is not None:
            detector = Detector.load(scene.resolve(scene.detector), config.detector)
        return cls(scene, scene_field, config, landmarks, detector)

    def warm_up(self, camera: Camera) -> None:
        """Compile and cache what the first image would have to wait for."""
        noise = np.random.default_rng(0).integers(0, 256, (camera.height, camera.width, 3))
        observation = Observation(noise.astype(np.uint8), camera)
        self.sources.detected(observation)
        seen = Seen(observation, self.sources.matched(self.sources.features(observation)))
        start = Hypothesis(SE3.identity(), Source.PRIOR)
        if self.config.views.enabled:
            problem = self.problem(observation, SE3.identity())
            start = next(iter(self.sources.searched(problem)), start)
        self.refinement.refined(seen, start)

    def estimate(
        self,
        observation: Observation,
        prior: PosePrior | None = None,
        *,
        detect: bool | None = None,
        budget_s: float = float("inf"),
    ) -> Estimate:
        """Where the camera was. Never raises for what an image or a prior contains.

        detect: whether PoseCNN looks for objects; None where there is no prior. budget_s: time
        after which nothing further is begun, which ends in vain searches sooner; what landmarks
        are sure of is refined all the same.
        """
        clock, deadline = StageClock(), time.perf_counter() + budget_s
        obstacle = self._obstacle(observation)
        if obstacle is not None:
            return lost(observation, obstacle)
        detections: tuple[Detection, ...] = ()
        detect = prior is None if detect is None else detect
        looking = self._beside.submit(self.sources.detected, observation) if detect else None
        with clock.stage("landmarks"):
            features = self.sources.features(observation)
            matches = self.sources.matched(features)
        if looking is not None:
            with clock.stage("objects"):  # what is left of it
                detections = looking.result()
        limit = self.sources.max_error_px(observation.camera)
        seen = Seen(observation, matches, limit)
        problem = self.problem(observation, SE3.identity())
        with clock.stage("hypotheses"):
            starts = self.sources.hypotheses(observation, prior, detections, features, matches)
            starts = ranked(problem, starts)
        best = self._best_refined(seen, starts, clock, deadline)
        # Where landmarks are sure, views have nothing to add: another answer would be wrong.
        unsure = all(start.support < SURE for start in starts)
        in_time = time.perf_counter() < deadline
        if self.config.views.enabled and unsure and in_time and not self._accepted(best):
            with clock.stage("views"):
                starts = self.sources.searched(problem)
            best = _better(best, self._best_refined(seen, starts, clock, deadline))
        found = self.answer(seen, best, detections, clock)
        return dataclasses.replace(found, looked_at_objects=detect)

    def objects_at(
        self, observation: Observation, T_world_camera: SE3
    ) -> tuple[tuple[ObjectEstimate, ...], tuple[Detection, ...]]:
        """Objects in view of a pose that is known, and what PoseCNN found of them."""
        detections = self.sources.detected(observation)
        comparison = compare(self.problem(observation, T_world_camera), T_world_camera)
        objects = self.scene.objects
        return object_estimates(comparison, T_world_camera, objects, detections)[0], detections

    def problem(self, observation: Observation, start: SE3) -> Problem:
        """The question for a solver."""
        return self.refinement.problem(observation, start)

    def _obstacle(self, observation: Observation) -> str | None:
        """Why nothing can be made of an observation, None where something can."""
        obstacle = obstacle_of(observation)
        if obstacle is not None:
            return obstacle
        return self.problem(observation, SE3.identity()).obstacle(FEWEST_PIXELS)

    def _accepted(self, found: Verified | None) -> bool:
        return found is not None and found.score >= self.config.trust.min_score

    def _best_refined(
        self, seen: Seen, starts: Sequence[Hypothesis], clock: StageClock, deadline: float
    ) -> Verified | None:
        """Refine the first few; the one of the highest score, None where there are none.

        One that landmarks are sure of comes first, and is the answer where it is accepted.
        """
        best: Verified | None = None
        starts = sorted(starts, key=lambda start: start.support < SURE)
        for start in starts[: self.config.max_refined]:
            if best is not None and time.perf_counter() >= deadline:
                break
            with clock.stage("refinement"):
                best = _better(best, self.refinement.refined(seen, start, deadline))
            if best is not None and best.score >= self.config.trust.good_score:
                break
            if start.support >= SURE and self._accepted(best):
                break
        return best

    def answer(
        self,
        seen: Seen,
        best: Verified | None,
        detections: tuple[Detection, ...],
        clock: StageClock,
    ) -> Estimate:
        """What is said of an image where ``best`` is the best that was found."""
        observation = seen.observation
        if best is None:
            reason = "no prior, landmark, object or view says where to begin"
            return lost(observation, reason, tuple(clock.timings), detections)
        objection = self._objection(best)
        if objection is not None:
            timings = tuple(clock.timings)
            return lost(observation, objection, timings, detections, best.score, best.evidence)
        objects: tuple[ObjectEstimate, ...] = ()
        if self.scene.objects and best.comparison is not None:
            with clock.stage("moved objects"):
                best, objects = self._without_moved(seen, best, detections)
        return Estimate(
            status=Status.LOCALISED,
            reason=f"from {best.source.value}, verified",
            T_world_camera=best.T_world_camera,
            covariance=best.covariance,
            score=best.score,
            source=best.source,
            timings=tuple(clock.timings),
            objects=objects,
            detections=detections,
            stamp_ns=observation.stamp_ns,
            frame_id=observation.frame_id,
            evidence=best.evidence,
            landmarks=_agreeing(best.start),
        )

    def _objection(self, found: Verified) -> str | None:
        """Why a pose is not offered, None where it is."""
        if found.covariance is None:
            return found.objection or "the pixels do not fix the pose"
        least = self.config.trust.min_score
        if not self._accepted(found):
            return f"verification gives the best pose {found.score:.2f}, {least:.2f} is needed"
        return None

    def _without_moved(
        self, seen: Seen, best: Verified, detections: tuple[Detection, ...]
    ) -> tuple[Verified, tuple[ObjectEstimate, ...]]:
        """Report objects; where some have moved, refine once more without their pixels."""
        comparison, start = best.comparison, best.start
        if comparison is None or start is None:
            return best, ()
        objects, gone = object_estimates(
            comparison, best.T_world_camera, self.scene.objects, detections
        )
        if not gone.any():
            return best, objects
        masked = dataclasses.replace(seen, mask=~_enlarged(gone, seen.observation.camera))
        start = dataclasses.replace(start, T_world_camera=best.T_world_camera)
        again = self.refinement.refined(masked, start)
        kept = again if self._objection(again) is None else best
        return kept, objects


def _agreeing(start: Hypothesis | None) -> Matches | None:
    """The landmarks that a hypothesis was made of."""
    if start is None or start.matches is None or start.located is None:
        return None
    return start.matches[start.located.inliers]


def _better(first: Verified | None, second: Verified | None) -> Verified | None:
    """The one of the higher score; one without a covariance is no answer, and comes second."""
    if first is None or second is None:
        return second if first is None else first
    return max(first, second, key=lambda found: (found.covariance is not None, found.score))


def _enlarged(small: Mask, camera: Camera) -> Mask:
    """A mask (h, w) at the size of a camera, grown by a pixel of its own."""
    grown = cv2.dilate(small.astype(np.uint8), np.ones((3, 3), dtype=np.uint8))
    size = (camera.width, camera.height)
    return np.asarray(cv2.resize(grown, size, interpolation=cv2.INTER_NEAREST) > 0)
