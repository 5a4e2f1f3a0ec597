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
from fast_inerf_ros.estimator.following import Follower
from fast_inerf_ros.estimator.motion import Motion
from fast_inerf_ros.estimator.observation import Observation, PosePrior
from fast_inerf_ros.estimator.pose_estimator import PoseEstimator
from fast_inerf_ros.geometry.se3 import SE3


class Tracker:
    """INITIALISING until the first pose; TRACKING while images are localised; else LOST.

    One caller at a time, images in the order of their stamps.
    """

    def __init__(self, estimator: PoseEstimator, config: TrackerConfig | None = None) -> None:
        self.estimator = estimator
        self.config = TrackerConfig() if config is None else config
        self.state = TrackingState.INITIALISING
        self._motion = Motion(self.config.motion, self.config.max_gap_s)
        self._follower = Follower(self.config.follow, np.random.default_rng(self.config.seed))
        self._given: PosePrior | None = None
        self._newest_ns: int | None = None
        self._n_missed = 0
        self._checked_ns = 0  # when landmarks were asked last
        self._objects_ns = 0  # when objects were looked at last
        self._objects: tuple[ObjectEstimate, ...] = ()

    def reset(self, prior: PosePrior | None = None) -> None:
        """Forget where the camera was. prior: where to look first, from a user, say."""
        self.state = TrackingState.INITIALISING
        self._motion.forget()
        self._follower.forget()
        self._given, self._newest_ns, self._n_missed = prior, None, 0
        self._objects = ()

    def update(self, observation: Observation, odometry: SE3 | None = None) -> Tracked:
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

    def _localised(self, observation: Observation, predicted: SE3 | None, near: bool) -> Estimate:
        stamp_ns = observation.stamp_ns
        started = self.state is not TrackingState.INITIALISING
        if self.config.follow.enabled and started and not self._objects_are_due(stamp_ns):
            found = self._quickly(observation, predicted, near)
            if found.status is Status.LOCALISED:
                return replace(found, objects=self._objects)
        self._checked_ns = self._objects_ns = stamp_ns
        given, self._given = self._given, None
        prior = given if predicted is None else PosePrior(predicted)
        found = self.estimator.estimate(observation, prior, detect=predicted is None)
        if found.status is Status.LOCALISED:
            self._objects = found.objects
        if self.config.follow.enabled:
            self.estimator.adopt(observation, found, self._follower)
        return found

    def _objects_are_due(self, stamp_ns: int) -> bool:
        """Whether it is time for a full estimate, for the sake of the objects."""
        if not self.estimator.scene.objects or not self.config.objects_s:
            return False
        return (stamp_ns - self._objects_ns) * 1e-9 >= self.config.objects_s

    def _quickly(self, observation: Observation, predicted: SE3 | None, near: bool) -> Estimate:
        """Track landmarks, ask few of them anew, or align: the first that is safe and succeeds.

        Landmarks are asked anew from time to time, and where they have been lost or the last pose
        is too old for alignment, which would settle somewhere else.
        """
        tracking = self.state is TrackingState.TRACKING
        due = (observation.stamp_ns - self._checked_ns) * 1e-9 >= self.config.check_s
        had_landmarks = self._follower.landmarks is not None
        gap_s = self.config.track_gap_s
        if tracking and not due and self._motion.is_near(observation.stamp_ns, None, gap_s):
            found = self.estimator.track(observation, self._follower)
            if found.status is Status.LOCALISED:
                return found
        prediction = predicted if near and tracking else None
        if prediction is None or due or had_landmarks:
            found = self._relocalised(observation)
            if found.status is Status.LOCALISED or prediction is None:
                return found
        return self.estimator.follow(observation, prediction, self._follower, anew=due)

    def _relocalised(self, observation: Observation) -> Estimate:
        self._checked_ns = observation.stamp_ns
        return self.estimator.relocalise(observation, self._follower)

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
