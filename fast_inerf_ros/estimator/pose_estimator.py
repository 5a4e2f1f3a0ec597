"""The pose of the camera from one image: hypotheses, refinement, verification."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
import torch

from fast_inerf_ros.config import replace
from fast_inerf_ros.errors import InputError
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
from fast_inerf_ros.estimator.motion import is_finite
from fast_inerf_ros.estimator.observation import Observation, PosePrior
from fast_inerf_ros.estimator.trust import score_of
from fast_inerf_ros.estimator.verification import gather
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.fields.scene_field import load_scene_field
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.pnp import PnpResult, solve_pnp
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.anchors import Anchors
from fast_inerf_ros.inerf.features.registry import make_extractor
from fast_inerf_ros.inerf.initialise import poses_from_objects
from fast_inerf_ros.inerf.landmark_file import field_id, load_landmarks
from fast_inerf_ros.inerf.landmarks import LandmarkMap, Matches, features_of
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.result import covariance
from fast_inerf_ros.inerf.solvers.keyframe import KeyframeSolver
from fast_inerf_ros.io.scene import Scene, load_scene
from fast_inerf_ros.posecnn.detection import Detection
from fast_inerf_ros.posecnn.detector import Detector

BACKGROUNDS = {"unknown": None, "white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0)}
FEWEST_PIXELS = 64

SURE = 0.5
"""Support of landmarks from which a pose is right within a pixel or two: no coarse renderings."""

SHARPEST_PX = 0.3
"""Least standard deviation of a landmark."""


@dataclass
class _Clock:
    timings: list[Timing] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.timings.append(Timing(name, time.perf_counter() - began))


@dataclass(frozen=True, eq=False)
class _Verified:
    T_world_camera: SE3
    covariance: Floats | None
    score: float
    source: Source
    objection: str | None


class PoseEstimator:
    """Localises single images in one scene. One caller at a time.

    landmarks, detector: None where the scene has none.
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
        self._extractor = None
        if landmarks is not None:
            self._extractor = make_extractor(landmarks.landmarks.extractor)
        self._solver = KeyframeSolver(self.config.solver)
        self._closing = KeyframeSolver(replace(self.config.solver, "first_level", 0))

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
        somewhere = PosePrior(SE3.identity())
        self.estimate(Observation(noise.astype(np.uint8), camera), somewhere, detect=True)

    def estimate(
        self,
        observation: Observation,
        prior: PosePrior | None = None,
        *,
        detect: bool | None = None,
    ) -> Estimate:
        """Where the camera was. Never raises for what an image, a mask or a prior contains.

        detect: whether PoseCNN looks for objects; None where there is no prior.
        """
        clock = _Clock()
        obstacle = obstacle_of(observation)
        if obstacle is not None:
            return lost(observation, obstacle, tuple(clock.timings))
        problem = self._problem(observation, SE3.identity())
        obstacle = problem.obstacle(FEWEST_PIXELS)
        if obstacle is not None:
            return lost(observation, obstacle, tuple(clock.timings))
        looked = prior is None if detect is None else detect
        detections = self._detected(observation, looked, clock)
        with clock.stage("landmarks"):
            matches = self.matched(observation)
        with clock.stage("hypotheses"):
            candidates = self._candidates(observation, prior, detections, matches)
            candidates = ranked(problem, candidates)
        best: _Verified | None = None
        for candidate in candidates[: self.config.max_refined]:
            found = self._refined(observation, candidate, matches, clock)
            if best is None or found.score > best.score:
                best = found
            if best.score >= self.config.trust.good_score:
                break
        return self._answer(observation, best, detections, clock)

    def follow(self, observation: Observation, predicted: SE3, follower: Follower) -> Estimate:
        """Align the next image of a stream with the follower's keyframe; see ``Follower``.

        predicted: about where the camera is. LOST where that fails: then ``estimate`` may help.
        """
        clock = _Clock()
        obstacle = obstacle_of(observation)
        if obstacle is not None:
            return lost(observation, obstacle)
        with clock.stage("follow"):
            found = follower.follow(self._problem(observation, predicted))
        if isinstance(found, str):
            return lost(observation, found, tuple(clock.timings))
        spread = covariance(found.information, 1.0)
        if spread is not None:
            spread = self.config.trust.covariance_scale * spread
        verified = _Verified(
            found.T_world_camera, spread, score_of(found.evidence), Source.PRIOR, None
        )
        return self._answer(observation, verified, (), clock)

    def _detected(
        self, observation: Observation, looked: bool, clock: _Clock
    ) -> tuple[Detection, ...]:
        if self.detector is None or not looked:
            return ()
        with clock.stage("objects"):
            return self.detector.detect(observation.image, observation.camera)

    def matched(self, observation: Observation) -> Matches | None:
        """Landmarks that are seen in an image, None where the scene has no map."""
        if self.landmarks is None or self._extractor is None:
            return None
        features = features_of(
            observation.image,
            observation.camera,
            self._extractor.extract,
            self.landmarks.options,
        )
        return self.landmarks.match(features)

    def _candidates(
        self,
        observation: Observation,
        prior: PosePrior | None,
        detections: tuple[Detection, ...],
        matches: Matches | None,
    ) -> list[Hypothesis]:
        found = []
        if prior is not None and is_finite(prior.T_world_camera):
            found.append(Hypothesis(prior.T_world_camera, Source.PRIOR))
        if matches is not None:
            located = self.located(matches, observation.camera)
            if located is not None:
                found.append(of_landmarks(located, len(matches)))
        return found + self._from_objects(detections, observation.camera)

    def located(self, matches: Matches, camera: Camera) -> PnpResult | None:
        """Where the matched landmarks alone put the camera, None where they agree on nothing."""
        return solve_pnp(
            matches.points,
            matches.pixels,
            camera,
            max_error_px=self._max_error_px(camera),
            min_inliers=self.config.landmarks.min_inliers,
            generator=np.random.default_rng(self.config.seed),
        )

    def _from_objects(self, detections: tuple[Detection, ...], camera: Camera) -> list[Hypothesis]:
        if not detections or not self.scene.objects:
            return []
        try:
            poses = poses_from_objects(detections, self.scene.objects, camera, self.config.objects)
        except InputError:  # detections with numbers that are not finite
            return []
        return [
            Hypothesis(item.T_world_camera, Source.OBJECTS, covariance=item.covariance)
            for item in poses
        ]

    def _refined(
        self,
        observation: Observation,
        candidate: Hypothesis,
        matches: Matches | None,
        clock: _Clock,
    ) -> _Verified:
        limit = self._max_error_px(observation.camera)
        anchors = None
        if candidate.located is not None and matches is not None:
            # error_px is of both axes together.
            deviation = max(candidate.located.error_px / np.sqrt(2.0), SHARPEST_PX)
            weight = self.config.trust.covariance_scale
            anchors = Anchors(matches.points, matches.pixels, deviation, weight)
        problem = self._problem(observation, candidate.T_world_camera, anchors)
        generator = np.random.default_rng(self.config.seed)
        solver = self._solver if candidate.support < SURE else self._closing
        with clock.stage("refinement"):
            result = solver.solve(problem, generator)
        # Where refinement changes nothing for the better the start may still be right.
        pose, spread = candidate.T_world_camera, candidate.covariance
        if result.status.refined and result.T_world_camera is not None:
            pose, spread = result.T_world_camera, result.covariance()
        with clock.stage("verification"):
            evidence = gather(problem, pose, matches, limit)
        if spread is not None:
            spread = self.config.trust.covariance_scale * spread
        objection = result.reason if spread is None else None
        return _Verified(pose, spread, score_of(evidence), candidate.source, objection)

    def _answer(
        self,
        observation: Observation,
        best: _Verified | None,
        detections: tuple[Detection, ...],
        clock: _Clock,
    ) -> Estimate:
        timings = tuple(clock.timings)
        if best is None:
            reason = "no prior, landmark or object says where to begin"
            return lost(observation, reason, timings, detections)
        least = self.config.trust.min_score
        if best.objection is not None or best.covariance is None:
            reason = best.objection or "the pixels do not fix the pose"
            return lost(observation, reason, timings, detections, best.score)
        if best.score < least:
            reason = f"verification gives the best pose {best.score:.2f}, {least:.2f} is needed"
            return lost(observation, reason, timings, detections, best.score)
        return Estimate(
            status=Status.LOCALISED,
            reason=f"from {best.source.value}, verified",
            T_world_camera=best.T_world_camera,
            covariance=best.covariance,
            score=best.score,
            source=best.source,
            timings=timings,
            objects=self._objects(),
            detections=detections,
            stamp_ns=observation.stamp_ns,
            frame_id=observation.frame_id,
        )

    def _objects(self) -> tuple[ObjectEstimate, ...]:
        return ()

    def _problem(
        self, observation: Observation, start: SE3, anchors: Anchors | None = None
    ) -> Problem:
        return Problem(
            observation.image,
            observation.camera,
            self.field,
            start,
            near=self.config.near,
            background=BACKGROUNDS[self.config.background],
            anchors=anchors,
        )

    def _max_error_px(self, camera: Camera) -> float:
        """Largest reprojection error, in pixels of the image as it is."""
        options = self.config.landmarks
        longest = max(camera.width, camera.height)
        return options.max_error_px * max(1.0, longest / options.match.longest_side)


def obstacle_of(observation: Observation) -> str | None:
    """Why an observation cannot be worked on, in one line; None where it can."""
    image, camera = observation.image, observation.camera
    expected = (camera.height, camera.width, 3)
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        return f"expected a uint8 image, got {getattr(image, 'dtype', type(image).__name__)}"
    if image.shape != expected:
        return (
            f"expected an image of shape {expected} as its camera says, got {image.shape}; "
            "another calibration belongs to it"
        )
    return None


def lost(
    observation: Observation,
    reason: str,
    timings: tuple[Timing, ...] = (),
    detections: tuple[Detection, ...] = (),
    score: float = 0.0,
) -> Estimate:
    """The answer where there is no pose to use."""
    return Estimate(
        status=Status.LOST,
        reason=reason,
        T_world_camera=None,
        covariance=None,
        score=score,
        source=Source.NONE,
        timings=timings,
        objects=(),
        detections=detections,
        stamp_ns=observation.stamp_ns,
        frame_id=observation.frame_id,
    )
