"""The estimator finds the camera, or says that it did not; it never raises for an image."""

from __future__ import annotations

import numpy as np
import pytest
from analytic_field import AnalyticField, camera_at, disturbed, small_camera
from small_place import CAMERA, VIEW, estimator, observation, picture

from fast_inerf_ros.estimator.estimate import Source, Status
from fast_inerf_ros.estimator.observation import Observation, PosePrior
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3

pytestmark = pytest.mark.usefixtures("one_thread")

OTHER_BOXES = (((-0.9, -0.9, 0.0), (-0.3, 0.3, 0.4)), ((0.3, -0.2, 0.0), (0.9, 0.9, 0.2)))
ANOTHER = AnalyticField(frequency=43.0, boxes=OTHER_BOXES)
REARRANGED = AnalyticField(frequency=60.0, boxes=OTHER_BOXES)


def assert_found(estimate, truth, angle_deg=0.1, distance=0.003):
    assert estimate.status is Status.LOCALISED, estimate.reason
    error = pose_errors(estimate.T_world_camera, truth)
    assert np.degrees(error.rotation) < angle_deg
    assert error.translation < distance


def assert_lost(estimate):
    assert estimate.status is Status.LOST
    assert estimate.T_world_camera is None
    assert estimate.covariance is None
    assert estimate.reason
    assert "\n" not in estimate.reason


@pytest.mark.parametrize("eye", [(1.2, -0.9, 1.0), (-0.9, 0.9, 0.8)])
def test_an_image_alone_is_enough_where_there_are_landmarks(eye):
    truth = camera_at(eye)
    found = estimator().estimate(observation(picture(truth), 7))
    assert_found(found, truth)
    assert found.source is Source.LANDMARKS
    assert found.stamp_ns == 7
    assert found.frame_id == "camera"
    assert 0.5 < found.score <= 1.0
    assert found.seconds > 0


def test_a_prior_is_enough_where_there_are_none():
    prior = PosePrior(disturbed(VIEW, 8.0, 0.05, np.random.default_rng(0)))
    found = estimator(with_landmarks=False).estimate(observation(picture(VIEW)), prior)
    assert_found(found, VIEW)
    assert found.source is Source.PRIOR


def test_a_wrong_prior_does_no_harm_where_there_are_landmarks():
    prior = PosePrior(camera_at((-1.2, 0.9, 1.0)))
    assert_found(estimator().estimate(observation(picture(VIEW)), prior), VIEW)


def test_the_covariance_is_one():
    found = estimator().estimate(observation(picture(VIEW)))
    assert found.covariance.shape == (6, 6)
    assert np.allclose(found.covariance, found.covariance.T)
    assert np.linalg.eigvalsh(found.covariance)[0] > 0


def test_equal_images_give_equal_poses():
    first, second = (estimator().estimate(observation(picture(VIEW))) for _ in range(2))
    assert np.array_equal(first.T_world_camera.matrix(), second.T_world_camera.matrix())


def test_noise_and_exposure_do_little_harm():
    generator = np.random.default_rng(3)
    image = picture(VIEW) * 0.7 + 20 + generator.normal(0, 5, (CAMERA.height, CAMERA.width, 3))
    found = estimator().estimate(observation(np.clip(image, 0, 255).astype(np.uint8)))
    assert_found(found, VIEW, 0.3, 0.01)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_blank_image_is_lost(level):
    blank = np.full((CAMERA.height, CAMERA.width, 3), level, dtype=np.uint8)
    assert_lost(estimator().estimate(observation(blank), PosePrior(VIEW)))


def test_noise_is_lost_whatever_the_prior_says():
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (CAMERA.height, CAMERA.width, 3)).astype(np.uint8)
    assert_lost(estimator().estimate(observation(noise)))
    assert_lost(estimator().estimate(observation(noise), PosePrior(VIEW)))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10, 3), dtype=np.uint8),
        np.zeros((120, 160), dtype=np.uint8),
        np.zeros((120, 160, 4), dtype=np.uint8),
        np.zeros((120, 160, 3), dtype=np.float32),
        np.zeros((0, 0, 3), dtype=np.uint8),
    ],
    ids=["size", "grey", "rgba", "float", "empty"],
)
def test_an_image_of_the_wrong_kind_is_lost_and_says_what_was_expected(image):
    found = estimator().estimate(Observation(image, CAMERA))
    assert_lost(found)
    assert "expected" in found.reason


def test_another_scene_is_lost():
    found = estimator().estimate(observation(picture(VIEW, ANOTHER)), PosePrior(VIEW))
    assert_lost(found)


def test_a_place_whose_things_were_all_moved_gives_no_wrong_pose():
    """Floor and walls are what they were, and most landmarks lie there."""
    found = estimator().estimate(observation(picture(VIEW, REARRANGED)), PosePrior(VIEW))
    if found.status is Status.LOCALISED:
        assert_found(found, VIEW, 0.5, 0.02)
    else:
        assert_lost(found)


@pytest.mark.parametrize("turn", ["upside_down", "mirrored", "flipped"])
def test_a_turned_or_mirrored_image_gives_no_wrong_pose(turn):
    image = picture(VIEW)
    change = {"upside_down": image[::-1, ::-1], "mirrored": image[:, ::-1], "flipped": image[::-1]}
    given = np.ascontiguousarray(change[turn])
    found = estimator().estimate(observation(given), PosePrior(VIEW))
    if turn == "upside_down" and found.status is Status.LOCALISED:
        # An image turned by 180 degrees is that of a camera that is upside down.
        rolled = VIEW @ SE3(SO3.exp(np.array([0.0, 0.0, np.pi])), np.zeros(3))
        assert_found(found, rolled, 1.0, 0.03)
    else:
        assert_lost(found)


def test_an_image_turned_by_a_right_angle_has_the_wrong_size():
    assert_lost(estimator().estimate(observation(np.rot90(picture(VIEW)).copy())))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_a_prior_that_is_no_pose_is_left_out(value):
    broken = SE3(SO3.identity(), np.array([value, 0.0, 0.0]))
    assert_found(estimator().estimate(observation(picture(VIEW)), PosePrior(broken)), VIEW)
    broken = SE3(SO3(np.full((3, 3), value)), np.zeros(3))
    assert_found(estimator().estimate(observation(picture(VIEW)), PosePrior(broken)), VIEW)


def test_without_any_source_of_a_start_it_is_lost():
    found = estimator(with_landmarks=False).estimate(observation(picture(VIEW)))
    assert_lost(found)
    assert found.source is Source.NONE


def test_a_lens_with_distortion_is_no_hindrance():
    lens = small_camera(160, 120, distortion_model="plumb_bob", distortion=(-0.2, 0.04, 0.0, 0.0))
    image = picture(VIEW, camera=lens)
    assert_found(estimator().estimate(observation(image, camera=lens)), VIEW, 0.2, 0.006)


def test_warming_up_changes_nothing():
    ready = estimator()
    ready.warm_up(CAMERA)
    assert_found(ready.estimate(observation(picture(VIEW))), VIEW)


def test_a_prior_narrows_the_search_for_landmarks(monkeypatch):
    """Where no landmark of the whole scene is matched, those in view of a prior are."""
    ready = estimator()
    everywhere = ready.landmarks.match
    monkeypatch.setattr(
        ready.landmarks,
        "match",
        lambda features, allowed=None: everywhere(
            features, np.zeros(len(ready.landmarks), dtype=bool) if allowed is None else allowed
        ),
    )
    prior = PosePrior(disturbed(VIEW, 25.0, 0.1, np.random.default_rng(1)))
    seen = observation(picture(VIEW))
    features = ready.sources.features(seen)
    matches = ready.sources.matched(features)
    starts = ready.sources.hypotheses(seen, prior, (), features, matches)
    (found,) = [item for item in starts if item.source is Source.LANDMARKS]
    assert np.degrees(pose_errors(found.T_world_camera, VIEW).rotation) < 0.5
