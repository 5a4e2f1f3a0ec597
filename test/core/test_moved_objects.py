"""Objects that have moved are found, left out and reported."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from analytic_field import BOXES, AnalyticField
from small_place import SECOND, VIEW, estimator, observation, picture

from fast_inerf_ros.estimator.config import TrackerConfig
from fast_inerf_ros.estimator.estimate import Status
from fast_inerf_ros.estimator.moved_objects import object_estimates
from fast_inerf_ros.estimator.tracker import Tracker
from fast_inerf_ros.estimator.verification import compare
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.io.scene import Scene, SceneObject
from fast_inerf_ros.posecnn.detection import Detection

pytestmark = pytest.mark.usefixtures("one_thread")


def scene():
    """The three boxes of the place as objects, and one that nobody can see."""
    objects = []
    for number, (low, high) in enumerate((*BOXES, ((5.0, 5, 5), (5.1, 5.1, 5.1)))):
        low, high = np.array(low), np.array(high)
        pose = SE3(SO3.identity(), (low + high) / 2)
        objects.append(SceneObject(f"box_{number}", number + 1, pose, tuple(high - low)))
    return Scene("map", objects=tuple(objects))


def test_objects_that_stand_where_they_should_are_reported_as_such():
    found = estimator(scene=scene()).estimate(observation(picture(VIEW)))
    assert found.status is Status.LOCALISED
    assert {item.label for item in found.objects} <= {"box_0", "box_1", "box_2"}
    assert len(found.objects) >= 2
    assert not any(item.moved for item in found.objects)
    assert all(item.score > 0.7 for item in found.objects)


def test_an_object_that_was_taken_away_is_reported_and_does_no_harm():
    without = AnalyticField(frequency=60.0, boxes=(*BOXES[:2], ((9.0, 9, 9), (9.1, 9.1, 9.1))))
    found = estimator(scene=scene()).estimate(observation(picture(VIEW, without)))
    assert found.status is Status.LOCALISED, found.reason
    assert [item.label for item in found.objects if item.moved] == ["box_2"]
    error = pose_errors(found.T_world_camera, VIEW)
    assert np.degrees(error.rotation) < 0.1
    assert error.translation < 0.003


def test_without_objects_nothing_is_reported():
    assert estimator().estimate(observation(picture(VIEW))).objects == ()


def test_a_stream_looks_at_objects_again_and_reports_them_in_between():
    tracker, found = Tracker(estimator(scene=scene()), TrackerConfig(objects_s=1.0)), []
    without = AnalyticField(frequency=60.0, boxes=(*BOXES[:2], ((9.0, 9, 9), (9.1, 9.1, 9.1))))
    for tenths in (0, 3, 6, 9, 12, 15):
        place = without if tenths > 5 else AnalyticField(frequency=60.0)
        shown = observation(picture(VIEW, place), tenths * SECOND // 10)
        found.append(tracker.update(shown).estimate)
    looked = ["objects" in [timing.stage for timing in item.timings] for item in found]
    assert looked == [True, False, False, False, True, False]
    moved = [[item.label for item in one.objects if item.moved] for one in found]
    assert moved == [[], [], [], [], ["box_2"], ["box_2"]]
    assert all(len(one.objects) >= 2 for one in found)


def seen_at(item, T_world_object, score=0.9, label=None):
    """A detection of an object that stands somewhere."""
    pose = VIEW.inverse() @ T_world_object
    centre = np.asarray(pose.translation)
    return Detection(
        label=label or item.label,
        class_id=item.class_id,
        instance=0,
        score=score,
        box=(0, 0, 4, 4),
        mask=np.ones((4, 4), dtype=bool),
        centre_px=np.zeros(2),
        centre_covariance_px=np.eye(2),
        depth=float(centre[2]),
        log_depth_deviation=0.03,
        T_camera_object=pose,
        rotation_deviation=0.1,
    )


def moved_objects(detections, alike):
    """Labels of what has moved, where all pixels correlate with the rendering by so much."""
    problem = estimator().problem(observation(picture(VIEW)), VIEW)
    exact = compare(problem, VIEW)
    noise = (
        np.random.default_rng(0)
        .permutation(exact.rendered.reshape(-1, 3))
        .reshape(exact.rendered.shape)
    )
    mixed = (alike * exact.rendered + (1 - alike) * noise).astype(np.float32)
    comparison = dataclasses.replace(exact, image=mixed)
    found, _ = object_estimates(comparison, VIEW, scene().objects, detections)
    return [item.label for item in found if item.moved]


def test_an_object_that_is_seen_elsewhere_has_moved_unless_its_pixels_say_otherwise():
    item = next(item for item in scene().objects if item.label == "box_1")
    aside = SE3(SO3.identity(), np.array([0.5, 0.4, 0.0]))
    elsewhere = seen_at(item, aside @ item.T_world_object)
    assert moved_objects([elsewhere], 0.5) == ["box_1"]
    assert moved_objects([], 0.5) == []
    assert moved_objects([elsewhere], 1.0) == []
    assert moved_objects([seen_at(item, item.T_world_object), elsewhere], 0.5) == []
    assert moved_objects([seen_at(item, item.T_world_object)], 0.5) == []
    doubtful = seen_at(item, aside @ item.T_world_object, score=0.3)
    assert moved_objects([doubtful], 0.5) == []
