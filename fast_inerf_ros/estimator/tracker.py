"""A stream of images: each is localised from the one before, and from nothing where that fails."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fast_inerf_ros.estimator.answers import lost
from fast_inerf_ros.estimator.config import TrackerConfig
from fast_inerf_ros.estimator.estimate import (
    Estimate,
    ObjectEstimate,
    Status,
    Tracked,
    TrackingState,
)
from fast_inerf_ros.estimator.motion import Motion
from fast_inerf_ros.estimator.observation import Observation, PosePrior
from fast_inerf_ros.estimator.pose_estimator import PoseEstimator
from fast_inerf_ros.estimator.stage_clock import StageClock
from fast_inerf_ros.estimator.stream import Stream
from fast_inerf_ros.geometry.se3 import SE3

MISSED_CHECKS = 3
"""After so many times ``check_s`` without a check that succeeded, tracked landmarks are given up.
"""


class Tracker:
    """INITIALISING until the first pose; TRACKING while images are localised; else LOST.

    One caller at a time, images in the order of their stamps.
    """

    def __init__(self, estimator: PoseEstimator, config: TrackerConfig | None = None) -> None:
        self.estimator = estimator
        self.config = TrackerConfig() if config is None else config
        self.state = TrackingState.INITIALISING
        self._motion = Motion(self.config.motion, self.config.max_gap_s)
        generator = np.random.default_rng(self.config.seed)
        self._stream = Stream(estimator, self.config.follow, generator)
        self._given: PosePrior | None = None
        self._newest_ns: int | None = None
        self._n_missed = 0
        self._begun = False  # whether an image was estimated
        self._failed_ns: int | None = None  # the last estimate, if that failed
        self._checked_ns = 0  # the newest image whose landmarks were asked anew
        self._objects_ns: int | None = None  # when objects were looked at last
        self._objects: tuple[ObjectEstimate, ...] = ()

    def reset(self, prior: PosePrior | None = None) -> None:
        """Forget where the camera was. prior: where to look first, from a user, say."""
        self.state = TrackingState.INITIALISING
        self._motion.forget()
        self._stream.forget()
        self._given, self._newest_ns, self._n_missed = prior, None, 0
        self._begun, self._failed_ns, self._objects_ns = False, None, None
        self._objects = ()

    def update(self, observation: Observation, odometry: SE3 | None = None) -> Tracked:
        """``locate`` an image, then ``catch_up``."""
        tracked = self.locate(observation, odometry)
        self.catch_up()
        return tracked

    def locate(self, observation: Observation, odometry: SE3 | None = None) -> Tracked:
        """Localise the next image. Never raises for what it contains.

        odometry: T_odom_camera at the stamp of the image, in any frame that may drift; what
        moved between two images is taken from it.
        """
        if self._newest_ns is not None and observation.stamp_ns <= self._newest_ns:
            reason = (
                f"the stamp {observation.stamp_ns} is not after that of the image before, "
                f"{self._newest_ns}: it is left out; reset the tracker where time starts anew"
            )
            return Tracked(self.state, lost(observation, reason))
        self._newest_ns = observation.stamp_ns
        predicted = self._motion.predicted(observation.stamp_ns, odometry)
        near = self._motion.is_near(observation.stamp_ns, odometry, self.config.follow_gap_s)
        estimate = self._localised(observation, predicted, near)
        self._moved_on(estimate, odometry)
        return Tracked(self.state, estimate)

    def catch_up(self) -> None:
        """Do a bit of what no image had to wait for; to be called after each ``locate``."""
        checked_ns = self._stream.go_on_checking()
        if checked_ns is not None:
            self._checked_ns = checked_ns

    def _localised(self, observation: Observation, predicted: SE3 | None, near: bool) -> Estimate:
        if self.config.follow.enabled and self._begun:
            found = self._quickly(observation, predicted, near)
            if found.status is Status.LOCALISED:
                self._failed_ns = None
                return self._with_objects(observation, found)
            if not self._is_time_to_retry(observation.stamp_ns):
                return found
        return self._estimated(observation, predicted)

    def _estimated(self, observation: Observation, predicted: SE3 | None) -> Estimate:
        """Localise an image from everything there is."""
        stamp_ns, given, self._given = observation.stamp_ns, self._given, None
        prior = given if predicted is None else PosePrior(predicted)
        found = self.estimator.estimate(
            observation, prior, detect=predicted is None, budget_s=self.config.budget_s
        )
        self._checked_ns = stamp_ns
        if found.status is Status.LOCALISED:
            self._objects, self._objects_ns, self._failed_ns = found.objects, stamp_ns, None
        elif found.timings:  # it was tried
            self._failed_ns = stamp_ns
        self._begun = self._begun or bool(found.timings)
        if self.config.follow.enabled:
            self._stream.adopt(observation, found)
        return found

    def _is_time_to_retry(self, stamp_ns: int) -> bool:
        """Whether an image is to be estimated in full though the last such estimate failed."""
        if self.estimator.landmarks is None or self._failed_ns is None or self._given:
            return True
        return (stamp_ns - self._failed_ns) * 1e-9 >= self.config.retry_s

    def _with_objects(self, observation: Observation, found: Estimate) -> Estimate:
        """The same with the objects: looked at if it is time for that, else as they were."""
        last_ns, every_s = self._objects_ns, self.config.objects_s
        due = last_ns is None or 0 < every_s <= (observation.stamp_ns - last_ns) * 1e-9
        pose = found.T_world_camera
        if not self.estimator.scene.objects or not due or pose is None:
            return replace(found, objects=self._objects)
        self._objects_ns, clock = observation.stamp_ns, StageClock()
        with clock.stage("objects"):
            self._objects, detections = self.estimator.objects_at(observation, pose)
        timings = (*found.timings, *clock.timings)
        return replace(
            found,
            objects=self._objects,
            detections=detections,
            timings=timings,
            looked_at_objects=True,
        )

    def _quickly(self, observation: Observation, predicted: SE3 | None, near: bool) -> Estimate:
        """Track landmarks, ask few of them anew, or align: the first that is safe and succeeds.

        Landmarks are asked anew from time to time, bit by bit where some are tracked; and at once
        where they have been lost, or asked in vain for too long, or the last pose is too old for
        alignment, which would settle somewhere else.
        """
        stamp_ns, tracking = observation.stamp_ns, self.state is TrackingState.TRACKING
        checks = (stamp_ns - self._checked_ns) * 1e-9 / max(self.config.check_s, 1e-9)
        had_landmarks = self._stream.has_landmarks
        recent = self._motion.is_near(stamp_ns, None, self.config.track_gap_s)
        if tracking and recent and checks < MISSED_CHECKS:
            found = self._stream.track(observation, predicted)
            if found.status is Status.LOCALISED and found.T_world_camera is not None:
                if checks >= 1:
                    self._stream.begin_check(observation, found.T_world_camera)
                return found
        prediction = predicted if near and tracking else None
        if prediction is None or checks >= 1 or had_landmarks:
            self._checked_ns = stamp_ns
            found = self._stream.relocalise(observation)
            if found.status is Status.LOCALISED or prediction is None:
                return found
        return self._stream.follow(observation, prediction, anew=checks >= 1)

    def _moved_on(self, estimate: Estimate, odometry: SE3 | None) -> None:
        if estimate.status is Status.LOCALISED and estimate.T_world_camera is not None:
            self._motion.seen(estimate.stamp_ns, estimate.T_world_camera, odometry)
            self.state, self._n_missed = TrackingState.TRACKING, 0
            return
        self._n_missed += 1
        if self.state is TrackingState.TRACKING:
            self.state = TrackingState.LOST
        if self._n_missed >= self.config.lost_after:
            self._motion.forget()
