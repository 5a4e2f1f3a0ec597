"""A scene on disk is read as a whole, or refused in one line."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
from ball_scene import write_blender
from voxel_place import CAMERA, picture, way, write_place

from fast_inerf_ros.config import replace
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.estimator.config import EstimatorConfig
from fast_inerf_ros.estimator.estimate import Status
from fast_inerf_ros.estimator.observation import Observation
from fast_inerf_ros.estimator.pose_estimator import PoseEstimator
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.fields.checkpoint import load_field, save_field
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.io.scene import FieldReference, load_scene, save_scene
from fast_inerf_ros.training import build_landmarks

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original")
    write_place(folder)
    return folder


@pytest.fixture
def place(original, tmp_path):
    return shutil.copytree(original, tmp_path / "place")


def located(folder, T_world_camera, image):
    config = replace(EstimatorConfig(), "views.enabled", False)
    found = PoseEstimator.load(folder / "scene.yaml", config).estimate(Observation(image, CAMERA))
    assert found.status is Status.LOCALISED, found.reason
    return pose_errors(found.T_world_camera, T_world_camera)


def view(folder):
    pose = way(5)[3]
    return pose, picture(load_field(folder / "field.npz"), pose)


def test_a_scene_is_localised_in(place):
    pose, image = view(place)
    error = located(place, pose, image)
    assert np.degrees(error.rotation) < 0.2
    assert error.translation < 0.004


def test_where_the_scene_is_registered_anew_the_pose_moves_along(place):
    pose, image = view(place)
    T_new_old = SE3.exp(np.array([1.0, -2.0, 0.5, 0.0, 0.0, 1.0]))
    scene = load_scene(place / "scene.yaml")
    moved = FieldReference("field.npz", 2.0, T_new_old)
    objects = ()  # they would have to be registered anew, too
    save_scene(dataclasses.replace(scene, field=moved, objects=objects), place / "scene.yaml")
    expected = T_new_old @ SE3(pose.rotation, 2.0 * pose.translation)
    error = located(place, expected, image)
    assert np.degrees(error.rotation) < 0.2
    assert error.translation < 0.008


def refused(folder, match):
    with pytest.raises(InputError, match=match) as caught:
        PoseEstimator.load(folder / "scene.yaml")
    assert "\n" not in str(caught.value)


def test_landmarks_of_another_field_are_refused(place):
    field = load_field(place / "field.npz")
    field.grid.density[1:] *= 1.1
    save_field(place / "field.npz", field)
    refused(place, "another one")


def test_landmarks_that_are_damaged_are_refused(place):
    whole = (place / "landmarks.npz").read_bytes()
    (place / "landmarks.npz").write_bytes(whole[:1000])
    refused(place, "landmark file")


@pytest.mark.parametrize("name", ["field.npz", "landmarks.npz", "scene.yaml"])
def test_a_missing_file_is_named(place, name):
    (place / name).unlink()
    refused(place, name)


def test_a_scene_without_a_field_is_refused(place):
    scene = dataclasses.replace(load_scene(place / "scene.yaml"), field=None)
    save_scene(scene, place / "scene.yaml")
    refused(place, "train")


def test_landmarks_are_built_from_views_and_entered_in_the_scene(place):
    scene = dataclasses.replace(load_scene(place / "scene.yaml"), landmarks=None)
    save_scene(scene, place / "scene.yaml")
    arguments = [str(place / "scene.yaml"), "--output", "map.npz", "--n-views", "12"]
    assert build_landmarks.main(arguments) == 0
    assert load_scene(place / "scene.yaml").landmarks == "map.npz"
    found = PoseEstimator.load(place / "scene.yaml")
    assert found.landmarks is not None
    assert len(found.landmarks) > 100


def test_photographs_of_another_place_are_refused(place, tmp_path, capsys):
    data = write_blender(tmp_path / "ball", size=48)
    before = (place / "scene.yaml").read_text()
    assert build_landmarks.main([str(place / "scene.yaml"), "--data", str(data)]) == 2
    assert "photographs that the field was trained on" in capsys.readouterr().err
    assert (place / "scene.yaml").read_text() == before
