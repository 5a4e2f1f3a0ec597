"""Images of a stream, each localised from what is known of those before: quick ways to a pose."""

from __future__ import annotations

import dataclasses

import numpy as np

from fast_inerf_ros.estimator.answers import lost, obstacle_of
from fast_inerf_ros.estimator.estimate import Estimate, Floats, Source, Status
from fast_inerf_ros.estimator.following import Follower, FollowOptions
from fast_inerf_ros.estimator.hypotheses import Hypothesis, of_landmarks
from fast_inerf_ros.estimator.landmark_check import LandmarkCheck
from fast_inerf_ros.estimator.landmark_tracking import TrackedLandmarks
from fast_inerf_ros.estimator.observation import Observation
from fast_inerf_ros.estimator.pose_estimator import PoseEstimator
from fast_inerf_ros.estimator.refinement import SURE, Seen, Verified
from fast_inerf_ros.estimator.stage_clock import StageClock
from fast_inerf_ros.estimator.trust import covariance_factor, score_of
from fast_inerf_ros.estimator.verification import Evidence, agreement
from fast_inerf_ros.geometry.pnp import PnpResult
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.landmarks import Matches
from fast_inerf_ros.inerf.result import covariance

MOSTLY = 0.6
"""Share of the tracked landmarks that must agree with a pose that was found without sampling."""


def _expected(
    tracked: TrackedLandmarks, observation: Observation, predicted: SE3 | None
) -> Floats | None:
    """Where (k, 2) landmarks are seen from where the camera is thought to be."""
    if predicted is None:
        return None
    points = predicted.inverse() @ tracked.matches.points
    return np.asarray(observation.camera.project(points))


class Stream:
    """What is carried from image to image: tracked landmarks, and a keyframe to align with.

    One caller at a time. Nothing raises for what an image contains.
    """

    def __init__(
        self, estimator: PoseEstimator, options: FollowOptions, generator: np.random.Generator
    ) -> None:
        self.estimator = estimator
        self._follower = Follower(options, generator)
        self._landmarks: TrackedLandmarks | None = None
        self._check: LandmarkCheck | None = None
        self._in_vain = False

    @property
    def has_landmarks(self) -> bool:
        """Whether landmarks are tracked."""
        return self._landmarks is not None

    def forget(self) -> None:
        """Know nothing of earlier images any more."""
        self._follower.forget()
        self._landmarks = self._check = None

    def adopt(self, observation: Observation, found: Estimate) -> None:
        """Go on from an image that has been localised."""
        if found.status is not Status.LOCALISED or found.T_world_camera is None:
            return
        self._follower.adopt(self.estimator.problem(observation, found.T_world_camera))
        self._take(observation, found.landmarks)

    def track(self, observation: Observation, predicted: SE3 | None) -> Estimate:
        """Localise the next image by the landmarks of the one before.

        predicted: about where the camera is, which saves time; None where nothing is known. LOST
        where too few landmarks are left; then they are given up.
        """
        clock = StageClock()
        obstacle = obstacle_of(observation)
        tracked, self._landmarks = self._landmarks, None
        if obstacle is not None or tracked is None:
            return lost(observation, obstacle or "no landmarks are tracked")
        with clock.stage("track"):
            tracked.advance(observation.image, _expected(tracked, observation, predicted))
            located = self._located(tracked.matches, observation, predicted)
        start = None if located is None else of_landmarks(located, tracked.matches)
        if start is None or located is None or start.support < SURE:
            reason = "too few landmarks are left of those in the image before"
            return lost(observation, reason, tuple(clock.timings))
        with clock.stage("examine"):
            problem = self.estimator.problem(observation, start.T_world_camera)
            seen = self._follower.examine(problem)
        found = self._by_landmarks(observation, start, seen, clock)
        if found.status is Status.LOCALISED:
            tracked.keep(located.inliers)
            self._landmarks = tracked
        return found

    def relocalise(self, observation: Observation) -> Estimate:
        """Localise an image by few landmarks of the scene, and go on from it.

        Quick, and needs no prediction. LOST where landmarks are not sure: then ``estimate`` may
        help. Objects are not looked at.
        """
        clock = StageClock()
        obstacle = obstacle_of(observation)
        if obstacle is not None:
            return lost(observation, obstacle)
        with clock.stage("landmarks"):
            start = self.estimator.sources.located_quickly(observation)
        if start is None or start.support < SURE:
            return lost(observation, "too few landmarks agree", tuple(clock.timings))
        with clock.stage("adopt"):
            problem = self.estimator.problem(observation, start.T_world_camera)
            seen = self._follower.adopt(problem)
        found = self._by_landmarks(observation, start, seen, clock, quick=True)
        self._landmarks = self._check = None
        if found.status is Status.LOCALISED:
            self._take(observation, found.landmarks)
        else:
            self._follower.forget()
        return found

    def follow(self, observation: Observation, predicted: SE3, *, anew: bool = False) -> Estimate:
        """Align the next image with the keyframe; see ``Follower``.

        predicted: about where the camera is. anew: with a rendered keyframe, so that errors end
        that have added up. LOST where that fails: then ``estimate`` may help.
        """
        clock = StageClock()
        obstacle = obstacle_of(observation)
        if obstacle is not None:
            return lost(observation, obstacle)
        with clock.stage("follow"):
            problem = self.estimator.problem(observation, predicted)
            found = self._follower.follow(problem, anew=anew)
        if isinstance(found, str):
            return lost(observation, found, tuple(clock.timings))
        pose, evidence = found.T_world_camera, found.evidence
        trust = self.estimator.config.trust
        factor = covariance_factor(trust, with_landmarks=False, agreeing=evidence.agreeing)
        spread = covariance(found.information, factor**0.5)
        start = Hypothesis(pose, Source.PRIOR)
        return self._answer(observation, start, spread, evidence, clock)

    def begin_check(self, observation: Observation, T_world_camera: SE3) -> None:
        """Have landmarks asked anew, if that is not being done: see ``go_on_checking``.

        Thoroughly, where the last time few of them did not tell.
        """
        if self._check is None:
            self._check = LandmarkCheck(
                self.estimator.sources, observation, T_world_camera, quick=not self._in_vain
            )

    def go_on_checking(self) -> int | None:
        """Do the next bit of a check; the stamp of its image where it has just succeeded.

        Landmarks that agree with the tracked ones take their place. Where they do not agree the
        tracked ones are given up, so that the next image is relocalised.
        """
        check = self._check
        if check is None or not check.advance():
            return None
        self._check, self._in_vain = None, check.found is None
        if check.found is None:
            return None
        if not check.confirms:
            self._landmarks = None
            return None
        self._follower.renew(self.estimator.problem(check.observation, check.found.T_world_camera))
        self._bring_forward(check)
        return check.observation.stamp_ns

    def _bring_forward(self, check: LandmarkCheck) -> None:
        """Track the landmarks of a check to the newest image, if any are tracked there."""
        inliers, tracked = check.inliers, self._landmarks
        if inliers is None or tracked is None:
            return
        renewed = TrackedLandmarks(check.observation.image, inliers)
        renewed.advance_to(tracked)
        if len(renewed.matches) >= len(tracked.matches) // 2:
            self._landmarks = renewed

    def _take(self, observation: Observation, landmarks: Matches | None) -> None:
        """Track landmarks that were found in an image from there on."""
        self._check = self._landmarks = None
        if landmarks is not None and len(landmarks):
            self._landmarks = TrackedLandmarks(observation.image, landmarks)

    def _located(
        self, matches: Matches, observation: Observation, predicted: SE3 | None
    ) -> PnpResult | None:
        """Where landmarks put the camera; without sampling, if most of them agree that way."""
        sources, camera = self.estimator.sources, observation.camera
        if predicted is not None:
            found = sources.located_near(matches, camera, predicted)
            if found is not None and np.mean(found.inliers) >= MOSTLY:
                return found
        return sources.located(matches, camera)

    def _by_landmarks(
        self,
        observation: Observation,
        start: Hypothesis,
        seen: Evidence,
        clock: StageClock,
        *,
        quick: bool = False,
    ) -> Estimate:
        """The answer that landmarks give, with what they and pictures say of it."""
        camera, pose = observation.camera, start.T_world_camera
        limit = self.estimator.sources.max_error_px(camera, quick=quick)
        count, share = agreement(start.matches, camera, pose, limit)
        evidence = dataclasses.replace(seen, landmarks=count, landmark_share=share)
        return self._answer(observation, start, start.covariance, evidence, clock)

    def _answer(
        self,
        observation: Observation,
        start: Hypothesis,
        spread: Floats | None,
        evidence: Evidence,
        clock: StageClock,
    ) -> Estimate:
        """The answer for an image of a stream, without a look at objects."""
        pose, score = start.T_world_camera, score_of(evidence)
        verified = Verified(pose, spread, score, start.source, None, evidence, start=start)
        return self.estimator.answer(Seen(observation), verified, (), clock)
