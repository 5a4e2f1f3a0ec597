"""The pose of the camera from one image: hypotheses, refinement, verification."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import cv2
import numpy as np
import torch

from fast_inerf_ros.estimator.answers import lost, obstacle_of
from fast_inerf_ros.estimator.config import EstimatorConfig
from fast_inerf_ros.estimator.estimate import (
    Estimate,
    Floats,
    ObjectEstimate,
    Source,
    Status,
    Timing,
)
from fast_inerf_ros.estimator.following import Follower
from fast_inerf_ros.estimator.hypotheses import Hypothesis, of_landmarks, ranked
from fast_inerf_ros.estimator.landmark_tracking import TrackedLandmarks
from fast_inerf_ros.estimator.moved_objects import Mask, object_estimates
from fast_inerf_ros.estimator.observation import Observation, PosePrior
from fast_inerf_ros.estimator.refinement import SURE, Refinement, Seen, Verified
from fast_inerf_ros.estimator.sources import Sources
from fast_inerf_ros.estimator.trust import score_of
from fast_inerf_ros.estimator.verification import Evidence, agreement
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.fields.scene_field import load_scene_field
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.landmark_file import field_id, load_landmarks
from fast_inerf_ros.inerf.landmarks import LandmarkMap
from fast_inerf_ros.inerf.result import covariance
from fast_inerf_ros.io.scene import Scene, load_scene
from fast_inerf_ros.posecnn.detection import Detection
from fast_inerf_ros.posecnn.detector import Detector

FEWEST_PIXELS = 64


@dataclass
class _Clock:
    timings: list[Timing] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.timings.append(Timing(name, time.perf_counter() - began))


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
        self._refinement = Refinement(scene_field, self.config)

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
        seen = Seen(observation, self.sources.matched(observation))
        start = Hypothesis(SE3.identity(), Source.PRIOR)
        if self.config.views.enabled:
            problem = self._refinement.problem(observation, SE3.identity())
            start = next(iter(self.sources.searched(problem)), start)
        self._refinement.refined(seen, start)

    def estimate(
        self,
        observation: Observation,
        prior: PosePrior | None = None,
        *,
        detect: bool | None = None,
    ) -> Estimate:
        """Where the camera was. Never raises for what an image or a prior contains.

        detect: whether PoseCNN looks for objects; None where there is no prior.
        """
        clock = _Clock()
        obstacle = self._obstacle(observation)
        if obstacle is not None:
            return lost(observation, obstacle)
        detections: tuple[Detection, ...] = ()
        if prior is None if detect is None else detect:
            with clock.stage("objects"):
                detections = self.sources.detected(observation)
        with clock.stage("landmarks"):
            matches = self.sources.matched(observation)
        limit = self.sources.max_error_px(observation.camera)
        seen = Seen(observation, matches, limit)
        problem = self._refinement.problem(observation, SE3.identity())
        with clock.stage("hypotheses"):
            starts = self.sources.hypotheses(observation, prior, detections, matches)
            starts = ranked(problem, starts)
        best = self._best_refined(seen, starts, clock)
        # Where landmarks are sure, views have nothing to add: another answer would be wrong.
        unsure = all(start.support < SURE for start in starts)
        if self.config.views.enabled and unsure and not self._accepted(best):
            with clock.stage("views"):
                starts = self.sources.searched(problem)
            best = _better(best, self._best_refined(seen, starts, clock))
        return self._answer(seen, best, detections, clock)

    def follow(
        self,
        observation: Observation,
        predicted: SE3,
        follower: Follower,
        *,
        anew: bool = False,
    ) -> Estimate:
        """Align the next image of a stream with the follower's keyframe; see ``Follower``.

        predicted: about where the camera is. anew: with a rendered keyframe, so that errors end
        that have added up. LOST where that fails: then ``estimate`` may help.
        """
        clock = _Clock()
        obstacle = obstacle_of(observation)
        if obstacle is not None:
            return lost(observation, obstacle)
        with clock.stage("follow"):
            found = follower.follow(self._refinement.problem(observation, predicted), anew=anew)
        if isinstance(found, str):
            return lost(observation, found, tuple(clock.timings))
        factor = self._refinement.covariance_factor(with_landmarks=False)
        spread = covariance(found.information, factor**0.5)
        pose, evidence = found.T_world_camera, found.evidence
        return self._streamed(observation, pose, spread, Source.PRIOR, evidence, clock)

    def adopt(self, observation: Observation, found: Estimate, follower: Follower) -> None:
        """Let a follower align the next images of a stream with one that has been localised."""
        if found.status is Status.LOCALISED and found.T_world_camera is not None:
            follower.adopt(self._refinement.problem(observation, found.T_world_camera))

    def relocalise(self, observation: Observation, follower: Follower) -> Estimate:
        """Localise an image of a stream by few landmarks, and let a follower adopt it.

        Quick, and needs no prediction. LOST where landmarks are not sure: then ``estimate`` may
        help. Objects are not looked at.
        """
        clock = _Clock()
        obstacle = obstacle_of(observation)
        if obstacle is not None:
            return lost(observation, obstacle)
        with clock.stage("landmarks"):
            start = self.sources.located_quickly(observation)
        if start is None or start.support < SURE:
            return lost(observation, "too few landmarks agree", tuple(clock.timings))
        with clock.stage("adopt"):
            problem = self._refinement.problem(observation, start.T_world_camera)
            seen = follower.adopt(problem)
        found = self._by_landmarks(observation, start, seen, clock, quick=True)
        follower.landmarks = None
        if found.status is not Status.LOCALISED:
            follower.forget()
        elif start.matches is not None and start.located is not None:
            inliers = start.matches[start.located.inliers]
            follower.landmarks = TrackedLandmarks(observation.image, inliers)
        return found

    def track(self, observation: Observation, follower: Follower) -> Estimate:
        """Localise the next image of a stream by the landmarks of the one before.

        Needs no prediction. LOST where too few landmarks are left; then they are given up.
        """
        clock = _Clock()
        obstacle = obstacle_of(observation)
        tracked, follower.landmarks = follower.landmarks, None
        if obstacle is not None or tracked is None:
            return lost(observation, obstacle or "no landmarks are tracked")
        with clock.stage("track"):
            tracked.advance(observation.image)
            located = self.sources.located(tracked.matches, observation.camera)
        start = None if located is None else of_landmarks(located, tracked.matches)
        if start is None or located is None or start.support < SURE:
            reason = "too few landmarks are left of those in the image before"
            return lost(observation, reason, tuple(clock.timings))
        with clock.stage("examine"):
            problem = self._refinement.problem(observation, start.T_world_camera)
            seen = follower.examine(problem)
        found = self._by_landmarks(observation, start, seen, clock)
        if found.status is Status.LOCALISED:
            tracked.keep(located.inliers)
            follower.landmarks = tracked
        return found

    def _by_landmarks(
        self,
        observation: Observation,
        start: Hypothesis,
        seen: Evidence,
        clock: _Clock,
        *,
        quick: bool = False,
    ) -> Estimate:
        """The answer that landmarks give, with what they and pictures say of it."""
        camera, pose = observation.camera, start.T_world_camera
        limit = self.sources.max_error_px(camera, quick=quick)
        count, share = agreement(start.matches, camera, pose, limit)
        evidence = dataclasses.replace(seen, landmarks=count, landmark_share=share)
        return self._streamed(observation, pose, start.covariance, start.source, evidence, clock)

    def _streamed(
        self,
        observation: Observation,
        pose: SE3,
        spread: Floats | None,
        source: Source,
        evidence: Evidence,
        clock: _Clock,
    ) -> Estimate:
        """The answer for an image of a stream, without a look at objects."""
        verified = Verified(pose, spread, score_of(evidence), source, None, evidence)
        return self._answer(Seen(observation), verified, (), clock)

    def _obstacle(self, observation: Observation) -> str | None:
        """Why nothing can be made of an observation, None where something can."""
        obstacle = obstacle_of(observation)
        if obstacle is not None:
            return obstacle
        return self._refinement.problem(observation, SE3.identity()).obstacle(FEWEST_PIXELS)

    def _accepted(self, found: Verified | None) -> bool:
        return found is not None and found.score >= self.config.trust.min_score

    def _best_refined(
        self, seen: Seen, starts: Sequence[Hypothesis], clock: _Clock
    ) -> Verified | None:
        """Refine the first few; the one of the highest score, None where there are none.

        One that landmarks are sure of comes first, and is the answer where it is accepted.
        """
        best: Verified | None = None
        starts = sorted(starts, key=lambda start: start.support < SURE)
        for start in starts[: self.config.max_refined]:
            with clock.stage("refinement"):
                best = _better(best, self._refinement.refined(seen, start))
            if best is not None and best.score >= self.config.trust.good_score:
                break
            if start.support >= SURE and self._accepted(best):
                break
        return best

    def _answer(
        self,
        seen: Seen,
        best: Verified | None,
        detections: tuple[Detection, ...],
        clock: _Clock,
    ) -> Estimate:
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
        again = self._refinement.refined(masked, start)
        kept = again if self._objection(again) is None else best
        return kept, objects


def _better(first: Verified | None, second: Verified | None) -> Verified | None:
    """The one of the higher score."""
    if first is None or second is None:
        return second if first is None else first
    return first if first.score >= second.score else second


def _enlarged(small: Mask, camera: Camera) -> Mask:
    """A mask (h, w) at the size of a camera, grown by a pixel of its own."""
    grown = cv2.dilate(small.astype(np.uint8), np.ones((3, 3), dtype=np.uint8))
    size = (camera.width, camera.height)
    return np.asarray(cv2.resize(grown, size, interpolation=cv2.INTER_NEAREST) > 0)
