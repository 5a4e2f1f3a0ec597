"""A stream of images is tracked, lost and found again."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from analytic_field import camera_at
from small_place import CAMERA, PLACE, SECOND, VIEW, estimator, observation, picture

from fast_inerf_ros.estimator.config import EstimatorConfig, TrackerConfig
from fast_inerf_ros.estimator.estimate import Source, Status, TrackingState
from fast_inerf_ros.estimator.following import (
    Followed,
    Follower,
    FollowOptions,
    stream_pyramid,
)
from fast_inerf_ros.estimator.landmark_check import LandmarkCheck
from fast_inerf_ros.estimator.landmark_tracking import TrackedLandmarks
from fast_inerf_ros.estimator.motion import Motion
from fast_inerf_ros.estimator.observation import PosePrior
from fast_inerf_ros.estimator.sources import Sources
from fast_inerf_ros.estimator.tracker import Tracker
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.keyframe import GrowingKeyframe
from fast_inerf_ros.inerf.landmarks import Matches
from fast_inerf_ros.inerf.problem import Problem

pytestmark = pytest.mark.usefixtures("one_thread")

PERIOD = SECOND // 10


def way(count):
    """Poses of a camera that goes around, and stamps."""
    angles = np.linspace(-0.6, -0.6 + 0.05 * count, count)
    return [camera_at((1.4 * np.cos(a), 1.4 * np.sin(a), 1.0)) for a in angles]


def black():
    return np.zeros((CAMERA.height, CAMERA.width, 3), dtype=np.uint8)


def close(tracked, truth, angle_deg=0.3, distance=0.012):
    assert tracked.estimate.status is Status.LOCALISED, tracked.estimate.reason
    error = pose_errors(tracked.estimate.T_world_camera, truth)
    return np.degrees(error.rotation) < angle_deg and error.translation < distance


def test_a_moving_camera_is_tracked_from_the_first_image():
    tracker = Tracker(estimator())
    assert tracker.state is TrackingState.INITIALISING
    for number, pose in enumerate(way(6)):
        tracked = tracker.update(observation(picture(pose), number * PERIOD))
        assert tracked.state is TrackingState.TRACKING
        assert close(tracked, pose)


def test_after_a_blackout_the_camera_is_found_again():
    tracker, poses = Tracker(estimator(), TrackerConfig(lost_after=2)), way(8)
    for number, pose in enumerate(poses):
        dark = 2 <= number < 6
        image = black() if dark else picture(pose)
        tracked = tracker.update(observation(image, number * PERIOD))
        assert tracked.state is (TrackingState.LOST if dark else TrackingState.TRACKING)
    assert close(tracked, poses[-1])


def test_it_is_initialising_until_there_is_a_pose():
    tracker = Tracker(estimator())
    assert tracker.update(observation(black(), 0)).state is TrackingState.INITIALISING
    assert tracker.update(observation(picture(VIEW), 1)).state is TrackingState.TRACKING


@pytest.mark.parametrize("stamp", [0, 5, 10])
def test_an_image_that_is_not_newer_is_left_out(stamp):
    tracker = Tracker(estimator())
    tracker.update(observation(picture(VIEW), 10))
    tracked = tracker.update(observation(picture(VIEW), stamp))
    assert tracked.estimate.status is Status.LOST
    assert "not after" in tracked.estimate.reason
    assert tracked.state is TrackingState.TRACKING
    assert close(tracker.update(observation(picture(VIEW), 11)), VIEW)


def test_after_a_reset_time_may_start_anew_and_a_prior_helps():
    tracker = Tracker(estimator(with_landmarks=False))
    assert tracker.update(observation(picture(VIEW), 10)).state is TrackingState.INITIALISING
    tracker.reset(PosePrior(VIEW))
    assert tracker.state is TrackingState.INITIALISING
    assert close(tracker.update(observation(picture(VIEW), 0)), VIEW)


def test_odometry_carries_the_pose_over_a_leap():
    """Without landmarks only odometry can say where the camera went while nobody looked."""
    tracker = Tracker(estimator(with_landmarks=False))
    drifted = SE3.exp(np.array([3.0, 1.0, -2.0, 0.3, -0.2, 1.0]))
    first, last = camera_at((1.2, -0.9, 1.0)), camera_at((-1.2, 0.9, 1.0))
    tracker.reset(PosePrior(first))
    assert close(tracker.update(observation(picture(first), 0), drifted @ first), first)
    tracked = tracker.update(observation(picture(last), 10 * SECOND), drifted @ last)
    assert close(tracked, last)


def test_odometry_that_is_not_finite_is_left_out():
    tracker = Tracker(estimator())
    broken = SE3(VIEW.rotation, np.array([np.nan, 0.0, 0.0]))
    for stamp in (0, PERIOD):
        assert close(tracker.update(observation(picture(VIEW), stamp), broken), VIEW)


def test_a_constant_velocity_is_continued_exactly():
    twist = np.array([0.1, 0.2, -0.1, 0.05, -0.1, 0.2])
    motion, pose = Motion("constant_velocity", 1.0), VIEW
    for number in range(2):
        motion.seen(number * PERIOD, VIEW @ SE3.exp(number * twist), None)
    expected = pose @ SE3.exp(2.5 * twist)
    found = motion.predicted(5 * PERIOD // 2, None)
    assert np.allclose(found.matrix(), expected.matrix(), atol=1e-9)
    assert motion.predicted(PERIOD + 2 * SECOND, None) is None


def test_a_followed_image_tells_how_sure_it_is():
    tracker = Tracker(estimator(with_landmarks=False))
    tracker.reset(PosePrior(VIEW))
    tracker.update(observation(picture(VIEW), 0))
    tracked = tracker.update(observation(picture(VIEW), PERIOD))
    assert [timing.stage for timing in tracked.estimate.timings] == ["follow"]
    covariance = tracked.estimate.covariance
    assert np.allclose(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance)[0] > 0


def stages(tracked):
    return [timing.stage for timing in tracked.estimate.timings]


def test_after_a_gap_few_landmarks_say_where_the_camera_is():
    tracker, poses = Tracker(estimator()), way(8)
    tracker.update(observation(picture(poses[0]), 0))
    tracked = tracker.update(observation(picture(poses[7]), 30 * SECOND))
    assert stages(tracked) == ["landmarks", "adopt"]
    assert tracked.estimate.source is Source.LANDMARKS
    assert tracked.estimate.evidence.landmarks > 0
    assert close(tracked, poses[7])


def test_landmarks_are_searched_anew_while_others_are_tracked():
    """No image waits: all are tracked, and in between the landmarks are exchanged."""
    tracker, exchanged = Tracker(estimator(), TrackerConfig(check_s=0.35)), []
    for number, pose in enumerate(way(12)):
        before = tracker._stream._landmarks
        tracked = tracker.update(observation(picture(pose), number * PERIOD))
        exchanged.append(tracker._stream._landmarks is not before)
        assert stages(tracked) == ["track", "examine"] or number == 0
        assert close(tracked, pose)
    # Begun with the images 4 and 8, as the first later than check_s; three bits each.
    assert [number for number, new in enumerate(exchanged) if new] == [0, 6, 10]


def test_landmarks_that_are_tracked_at_a_wrong_place_are_put_right():
    """What is wrong with all of them alike only a search in the whole scene can show."""
    tracker, pose = Tracker(estimator(), TrackerConfig(check_s=0.15)), way(1)[0]
    assert close(tracker.update(observation(picture(pose), 0)), pose)
    landmarks = tracker._stream._landmarks
    moved = SE3.exp(np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.02])) @ landmarks.matches.points
    landmarks.matches = replace(landmarks.matches, points=moved)
    right = []
    for number in range(1, 8):
        tracked = tracker.update(observation(picture(pose), number * PERIOD))
        right.append(tracked.estimate.status is Status.LOCALISED and close(tracked, pose))
    assert not right[0]
    assert all(right[5:])


def test_landmarks_that_no_search_confirms_are_given_up(monkeypatch):
    tracker, pose = Tracker(estimator(), TrackerConfig(check_s=0.15)), way(1)[0]
    tracker.update(observation(picture(pose), 0))
    monkeypatch.setattr(LandmarkCheck, "found", None)
    ways = [
        stages(tracker.update(observation(picture(pose), number * PERIOD)))
        for number in range(1, 6)
    ]
    assert ways[3] == ["track", "examine"]
    assert ways[4] == ["landmarks", "adopt"]


def test_a_check_that_is_not_sure_is_followed_by_a_thorough_one(monkeypatch):
    tracker, pose = Tracker(estimator(), TrackerConfig(check_s=0.15)), way(1)[0]
    tracker.update(observation(picture(pose), 0))
    monkeypatch.setattr(Sources, "located", lambda *_, quick=False: None)
    modes = []
    for number in range(1, 5):
        tracker.locate(observation(picture(pose), number * PERIOD))
        modes.append(tracker._stream._check and tracker._stream._check._quick)
        for _ in range(20):
            tracker.catch_up()
    assert modes == [None, True, False, False]


def test_what_can_wait_is_done_after_the_answer():
    """An answer costs no search; ``catch_up`` does it."""
    tracker, poses = Tracker(estimator(), TrackerConfig(check_s=0.3)), way(8)
    for number, pose in enumerate(poses):
        located = tracker.locate(observation(picture(pose), number * PERIOD))
        assert close(located, pose, distance=0.02)
    assert tracker._checked_ns == 0
    for _ in range(3):
        tracker.catch_up()
    assert tracker._checked_ns == 3 * PERIOD


def test_landmarks_are_tracked_over_a_leap_that_no_motion_predicts():
    tracker, poses = Tracker(estimator()), way(8)
    tracker.update(observation(picture(poses[0]), 0))
    tracker.update(observation(picture(poses[0]), SECOND))
    tracked = tracker.update(observation(picture(poses[3]), SECOND + 3 * PERIOD))
    assert stages(tracked) == ["track", "examine"]
    assert tracked.estimate.evidence.landmarks > 0
    assert close(tracked, poses[3])


def test_what_does_not_come_back_is_not_tracked():
    pixels = np.array([[20.0, 20.0], [40.0, 30.0]])
    none = np.zeros(2, dtype=np.int64)
    matches = Matches(np.zeros((2, 3)), pixels, none, np.zeros(2))
    generator = np.random.default_rng(0)
    noise = [generator.integers(0, 256, (60, 80, 3)).astype(np.uint8) for _ in range(2)]
    smooth = cv2.GaussianBlur(noise[0], (0, 0), 2.0)
    moved = TrackedLandmarks(smooth, matches)
    moved.advance(np.roll(smooth, (2, 3), axis=(0, 1)))
    assert np.allclose(moved.matches.pixels, pixels + np.array([3.0, 2.0]), atol=0.05)
    moved.advance(np.zeros_like(smooth))
    assert len(moved.matches) == 0
    smaller = TrackedLandmarks(smooth, matches)
    smaller.advance(smooth[:50])
    assert len(smaller.matches) == 0


def test_an_error_of_following_does_not_last():
    """What was followed to a wrong place is found at the right one when landmarks are asked."""
    tracker, pose = Tracker(estimator(), TrackerConfig(check_s=0.15)), way(1)[0]
    tracker.update(observation(picture(pose), 0))
    wrong = pose @ SE3.exp(np.array([0.05, -0.03, 0.02, 0.03, 0.02, -0.04]))
    tracker._motion.seen(PERIOD, wrong, None)
    assert close(tracker.update(observation(picture(pose), 2 * PERIOD)), pose)


def test_without_landmarks_images_are_followed_all_the_same():
    tracker = Tracker(estimator(with_landmarks=False), TrackerConfig(check_s=0.0))
    tracker.reset(PosePrior(VIEW))
    tracker.update(observation(picture(VIEW), 0))
    tracked = tracker.update(observation(picture(VIEW), PERIOD))
    assert stages(tracked) == ["follow"]
    assert close(tracked, VIEW)


def test_images_are_followed_by_their_own_colours_and_the_fields_depth():
    """A field with wrong colours does not draw the images of a stream away from each other."""
    first, second = way(2)
    tinted = Problem(255 - picture(second), CAMERA, PLACE, first)
    inverted = Follower(FollowOptions(), np.random.default_rng(0))
    evidence = inverted.adopt(Problem(255 - picture(first), CAMERA, PLACE, first))
    assert evidence.correlation < 0.0
    found = inverted.follow(tinted)
    assert isinstance(found, Followed)
    error = pose_errors(found.T_world_camera, second)
    assert np.degrees(error.rotation) < 0.3
    assert error.translation < 0.01
    # Evidence is no better than that of the keyframe's own pose.
    assert found.evidence.correlation <= evidence.correlation


def test_a_keyframe_grown_bit_by_bit_is_the_same():
    problem = Problem(picture(VIEW), CAMERA, PLACE, VIEW)
    levels = stream_pyramid(problem, (48, 24))
    frames = []
    for rays in (10**6, 100):
        growing = GrowingKeyframe(VIEW, levels)
        while not growing.complete:
            growing.grow(problem, rays)
        frames.append(growing.finished(300, np.random.default_rng(0)))
    for first, second in zip(frames[0].levels, frames[1].levels, strict=True):
        assert np.allclose(first.colors, second.colors, atol=1e-6)
        assert np.allclose(first.points, second.points, atol=1e-6)


def test_the_information_of_an_alignment_is_of_body_twists_of_the_camera():
    """A camera far to the side of its keyframe: the two frames must not be mixed up."""
    follower = Follower(FollowOptions(), np.random.default_rng(0))
    here = camera_at((1.2, -0.9, 1.0))
    there = here @ SE3.exp(np.array([0.05, 0.02, 0.0, 0.0, 0.05, 0.6]))
    for pose in (here, there):
        found = follower.follow(Problem(picture(pose), CAMERA, PLACE, pose))
        assert isinstance(found, Followed)
    follower.forget()
    fresh = follower.follow(Problem(picture(there), CAMERA, PLACE, there))
    ratio = np.diag(found.information) / np.diag(fresh.information)
    # The share of the keyframe that is still in view makes all of it smaller alike.
    assert np.ptp(np.log(ratio)) < 1.0


def strange():
    """Another place."""
    return np.random.default_rng(3).integers(0, 256, (120, 160, 3)).astype(np.uint8)


def test_while_nothing_is_found_only_landmarks_are_asked_between_two_tries():
    tracker = Tracker(estimator(), TrackerConfig(retry_s=0.35))
    found = [
        stages(tracker.update(observation(strange(), number * PERIOD))) for number in range(9)
    ]
    assert [k for k, names in enumerate(found) if "hypotheses" in names] == [0, 4, 8]
    assert all(names == ["landmarks"] for k, names in enumerate(found) if k % 4)
    assert tracker.state is TrackingState.INITIALISING
    assert close(tracker.update(observation(picture(VIEW), 9 * PERIOD)), VIEW)


def test_a_prior_is_tried_at_once():
    tracker = Tracker(estimator(), TrackerConfig(retry_s=100.0))
    tracker.update(observation(strange(), 0))
    tracker.reset(PosePrior(VIEW))
    tracked = tracker.update(observation(strange(), PERIOD))
    assert "hypotheses" in stages(tracked)


def test_an_estimate_without_time_still_takes_what_landmarks_are_sure_of():
    hurried = estimator().estimate(observation(picture(VIEW)), budget_s=0.0)
    assert hurried.status is Status.LOCALISED
    assert pose_errors(hurried.T_world_camera, VIEW).translation < 0.003


def test_what_has_begun_is_finished_without_time():
    """A pose half of the way to the truth scores well, and is no answer."""
    blind = estimator(with_landmarks=False)
    moved = VIEW @ SE3.exp(np.array([0.03, -0.02, 0.0, 0.0, 0.06, 0.0]))
    poses = [
        blind.estimate(observation(picture(VIEW)), PosePrior(moved), budget_s=budget)
        for budget in (0.0, float("inf"))
    ]
    assert [pose.status for pose in poses] == [Status.LOCALISED] * 2
    np.testing.assert_array_equal(
        poses[0].T_world_camera.matrix(), poses[1].T_world_camera.matrix()
    )


def test_without_time_one_hypothesis_is_refined_and_no_views_are_searched():
    config = EstimatorConfig()
    found = estimator(config).estimate(observation(strange()), PosePrior(VIEW), budget_s=0.0)
    assert found.status is Status.LOST
    assert [timing.stage for timing in found.timings].count("refinement") == 1
    assert "views" not in [timing.stage for timing in found.timings]
