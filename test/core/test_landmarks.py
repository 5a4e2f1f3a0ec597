"""Landmarks lie where the scene is, find the camera, and belong to their field alone."""

from __future__ import annotations

import dataclasses
import zipfile

import numpy as np
import pytest
import torch
from analytic_field import camera_at
from small_place import CAMERA, PLACE, VIEW, landmark_map, landmarks, picture

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.geometry.pnp import solve_pnp
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.inerf.features.registry import make_extractor
from fast_inerf_ros.inerf.landmark_building import build_landmarks
from fast_inerf_ros.inerf.landmark_file import field_id, load_landmarks, save_landmarks
from fast_inerf_ros.inerf.landmark_tracks import Sightings, epipolar, triangulate
from fast_inerf_ros.inerf.landmarks import LandmarkMap, MatchOptions, features_of

pytestmark = pytest.mark.usefixtures("one_thread")


def rays_to(points, eyes, noise=0.0, generator=None):
    """Sightings of every point from every eye, in the order of the eyes."""
    towards = (points[None] - eyes[:, None]).reshape(-1, 3)
    if noise:
        towards = towards + noise * generator.standard_normal(towards.shape)
    direction = towards / np.linalg.norm(towards, axis=-1, keepdims=True)
    n = len(points)
    return Sightings(
        np.repeat(np.arange(len(eyes)), n),
        np.repeat(eyes, n, axis=0),
        direction,
        np.full(len(direction), 1e-3),
    )


def links_of(n_points, n_eyes):
    first = np.arange(n_points)
    pairs = [np.stack([first, first + k * n_points], axis=-1) for k in range(1, n_eyes)]
    return np.concatenate(pairs)


def test_points_are_triangulated_from_their_rays():
    generator = np.random.default_rng(0)
    points = generator.uniform(-1, 1, (40, 3))
    eyes = generator.uniform(-1, 1, (4, 3)) + np.array([0, 0, 5])
    found = triangulate(
        rays_to(points, eyes), links_of(40, 4), max_error_px=1.0, min_angle_deg=1.0
    )
    assert len(found.points) == 40
    assert np.allclose(found.points[found.owner[:40]], points, atol=1e-6)


def test_a_wrong_sighting_does_not_move_its_point():
    generator = np.random.default_rng(1)
    points = generator.uniform(-1, 1, (10, 3))
    eyes = generator.uniform(-1, 1, (6, 3)) + np.array([0, 0, 5])
    rays = rays_to(points, eyes)
    wrong = rays.direction.copy()
    wrong[20] = SO3.exp(np.array([0.0, 0.05, 0.0])) @ wrong[20]
    found = triangulate(
        dataclasses.replace(rays, direction=wrong),
        links_of(10, 6),
        max_error_px=1.0,
        min_angle_deg=1.0,
    )
    assert found.owner[20] == -1
    assert np.allclose(found.points[found.owner[:10]], points, atol=1e-4)


def test_rays_of_one_direction_give_no_point():
    points = np.array([[0.0, 0.0, 50.0]])
    eyes = np.array([[0.0, 0, 0], [0.1, 0, 0]])
    found = triangulate(rays_to(points, eyes), links_of(1, 2), max_error_px=1.0, min_angle_deg=1.0)
    assert len(found.points) == 0


def test_only_rays_that_meet_are_linked():
    points = np.array([[0.0, 0, 0], [0.0, 0.4, 0.1]])
    rays = rays_to(points, np.array([[0.0, 0, 5], [1.0, 0, 5]]))
    assert epipolar(rays, np.array([[0, 2], [0, 3]])).tolist() == [True, False]


def test_landmarks_lie_on_the_surfaces():
    found = landmarks()
    assert (found.n_seen > 1).sum() > 300
    points = found.points[found.n_seen > 2].astype(np.float64)
    eye = np.asarray(VIEW.translation)
    towards = points - eye
    distance = np.linalg.norm(towards, axis=-1)
    rays = torch.tensor(towards / distance[:, None], dtype=torch.float32)
    seen = PLACE.render(torch.tensor(eye, dtype=torch.float32).expand(len(rays), 3), rays)
    # Hardly any floats before what the camera sees there; some are hidden behind it.
    assert np.mean(distance > seen.depth.numpy() - 0.03) > 0.9


@pytest.mark.parametrize("eye", [(1.2, -0.9, 1.0), (-0.9, 0.9, 0.8), (0.2, 1.3, 0.9)])
def test_landmarks_find_the_camera_without_a_start(eye):
    truth = camera_at(eye)
    features = features_of(picture(truth), CAMERA, make_extractor().extract, MatchOptions())
    matches = landmark_map().match(features)
    found = solve_pnp(matches.points, matches.pixels, CAMERA)
    assert found is not None
    assert found.inliers.sum() > 30
    error = pose_errors(found.T_camera_world.inverse(), truth)
    assert np.degrees(error.rotation) < 0.2
    assert error.translation < 0.005


def test_what_is_not_allowed_is_not_matched():
    features = features_of(picture(VIEW), CAMERA, make_extractor().extract, MatchOptions())
    area = landmark_map()
    allowed = area.visible(CAMERA, VIEW)
    assert 0 < allowed.sum() < len(area)
    matches = area.match(features, allowed)
    assert len(matches) > 30
    assert allowed[matches.landmark].all()
    assert len(area.match(features, np.zeros(len(area), dtype=bool))) == 0


def test_what_is_allowed_is_matched_alike_whatever_fits_into_memory(monkeypatch):
    features = features_of(picture(VIEW), CAMERA, make_extractor().extract, MatchOptions())
    area = landmark_map()
    allowed = area.visible(CAMERA, VIEW)
    at_once = area.match(features, allowed)
    monkeypatch.setattr("fast_inerf_ros.inerf.landmarks.COMPARED_AT_ONCE", 1 << 12)
    in_parts = area.match(features, allowed)
    assert np.array_equal(at_once.landmark, in_parts.landmark)
    assert np.array_equal(at_once.pixels, in_parts.pixels)


@pytest.mark.parametrize("n_parts", [1, 2, 7])
def test_matching_in_parts_gives_the_same_in_the_end(n_parts):
    features = features_of(picture(VIEW), CAMERA, make_extractor().extract, MatchOptions())
    *before, last = landmark_map().match_in_parts(features, n_parts)
    assert before == [None] * (n_parts - 1)
    whole = landmark_map().match(features)
    assert np.array_equal(last.landmark, whole.landmark)
    assert np.array_equal(last.pixels, whole.pixels)


def test_near_a_known_pose_each_landmark_is_matched_once_where_it_should_be():
    features = features_of(picture(VIEW), CAMERA, make_extractor().extract, MatchOptions())
    matches = landmark_map().match_near(features, CAMERA, VIEW)
    assert len(matches) > 100
    assert len(np.unique(matches.landmark)) == len(matches)
    pixels = CAMERA.project(VIEW.inverse() @ matches.points)
    assert np.linalg.norm(pixels - matches.pixels, axis=-1).max() <= MatchOptions().guided_px


def test_landmarks_move_with_the_scene():
    frame = FieldFrame(SE3.exp(np.array([1.0, 2.0, 3.0, 0.1, 0.2, 0.3])), 2.5, True)
    moved = LandmarkMap(landmarks(), frame, MatchOptions())
    expected = frame.T_world_field @ (2.5 * landmark_map().points)
    assert np.allclose(moved.points, expected, atol=1e-5)


def test_an_image_without_features_matches_nothing():
    grey = np.full((CAMERA.height, CAMERA.width, 3), 128, dtype=np.uint8)
    features = features_of(grey, CAMERA, make_extractor().extract, MatchOptions())
    assert len(features) == 0
    assert len(landmark_map().match(features)) == 0
    assert [len(part) for part in landmark_map().match_in_parts(features, 2)] == [0]
    assert len(landmark_map().match_near(features, CAMERA, VIEW)) == 0


def test_photographs_without_texture_are_refused():
    grey = np.full((CAMERA.height, CAMERA.width, 3), 128, dtype=np.uint8)
    poses = SE3.stack([VIEW, VIEW])
    with pytest.raises(InputError, match="texture"):
        build_landmarks(lambda _: grey, [CAMERA] * 2, poses, PLACE, "id", make_extractor())


def test_a_file_gives_back_what_was_written(tmp_path):
    save_landmarks(tmp_path / "map.npz", landmarks())
    found = load_landmarks(tmp_path / "map.npz", "this place")
    for item in dataclasses.fields(found):
        assert np.array_equal(getattr(found, item.name), getattr(landmarks(), item.name))


def test_landmarks_of_another_field_are_refused(tmp_path):
    save_landmarks(tmp_path / "map.npz", landmarks())
    with pytest.raises(InputError, match=r"another one.*build_landmarks"):
        load_landmarks(tmp_path / "map.npz", "another place")


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "foreign", "flipped"])
def test_a_damaged_file_is_refused_in_one_line(tmp_path, damage):
    path = tmp_path / "map.npz"
    save_landmarks(path, landmarks())
    whole = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "text":
        path.write_text("not a map")
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "foreign":
        np.savez(path, points=np.zeros(3))
    else:
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    with pytest.raises(InputError) as caught:
        load_landmarks(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"points": np.full((4, 3), np.nan, dtype=np.float32)},
        {"owner": np.full(5, 10**6, dtype=np.int32)},
        {"descriptors": np.zeros((5, 7), dtype=np.uint8)},
        {"viewpoints": np.zeros((2, 4, 4))},
    ],
    ids=["nan", "owner", "length", "viewpoints"],
)
def test_a_file_that_contradicts_itself_is_refused(tmp_path, change):
    few = dataclasses.replace(
        landmarks(),
        points=landmarks().points[:4],
        views=landmarks().views[:4],
        n_seen=landmarks().n_seen[:4],
        descriptors=landmarks().descriptors[:5],
        owner=np.zeros(5, dtype=np.int32),
    )
    save_landmarks(tmp_path / "map.npz", few)
    load_landmarks(tmp_path / "map.npz")
    save_landmarks(tmp_path / "map.npz", dataclasses.replace(few, **change))
    with pytest.raises(InputError):
        load_landmarks(tmp_path / "map.npz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_landmarks(tmp_path / "none.npz")


def test_fields_are_told_apart_by_their_bytes(tmp_path):
    for name, text in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / name).write_bytes(text)
    assert field_id(tmp_path / "a") == field_id(tmp_path / "b") != field_id(tmp_path / "c")


def test_the_file_holds_no_pickle(tmp_path):
    save_landmarks(tmp_path / "map.npz", landmarks())
    with zipfile.ZipFile(tmp_path / "map.npz") as archive:
        assert all(name.endswith(".npy") for name in archive.namelist())
    with np.load(tmp_path / "map.npz", allow_pickle=False) as stored:
        assert all(stored[name].dtype != object for name in stored.files)


def test_an_unknown_kind_of_feature_names_the_known_ones():
    with pytest.raises(InputError, match="sift"):
        make_extractor("surf")
