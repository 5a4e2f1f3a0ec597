"""Scale and gravity: exact where the data are, robust where they are not, refused where none."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from analytic_field import camera_at, small_camera

from fast_inerf_ros.datasets.images import LazyImages
from fast_inerf_ros.datasets.posed_images import PosedImages, Splits
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.similarity import Similarity
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.scene_building.metric_scale import (
    fit_cameras,
    matched_positions,
    read_positions,
    scale_of_distance,
)
from fast_inerf_ros.scene_building.world_placement import PlacementOptions, place

N = 16
NO_POINTS = np.zeros((0, 3))


def some_similarity(seed):
    generator = np.random.default_rng(seed)
    turn = SO3.exp(generator.normal(size=3))
    return Similarity(SE3(turn, generator.normal(size=3)), float(np.exp(generator.normal())))


def photographs(world_from_metric, metric=False):
    """Cameras around a table, in a world of unknown scale and direction."""
    angles = np.arange(N) * 2 * np.pi / N
    poses = [
        world_from_metric.pose_to_target(
            camera_at((1.5 * np.cos(a), 1.5 * np.sin(a), 0.9 + 0.3 * (k % 3)))
        )
        for k, a in enumerate(angles)
    ]
    names = tuple(f"images/{k:03d}.jpg" for k in range(N))
    images = LazyImages([Path(name) for name in names], [(96, 72)] * N)
    return PosedImages(
        "table", images, (small_camera(96, 72),) * N, SE3.stack(poses),
        np.tile([0.1, 10.0], (N, 1)), Splits.hold_out(N, 0), names, FieldFrame(metric=metric),
    )  # fmt: skip


def table_points(seed, clutter_share=0.4):
    """Points on a table at height 0 and clutter above it, metres."""
    generator = np.random.default_rng(seed)
    flat = np.c_[generator.uniform(-0.8, 0.8, (600, 2)), np.zeros(600)]
    count = int(600 * clutter_share)
    return np.concatenate(
        [flat, generator.uniform((-0.5, -0.5, 0.05), (0.5, 0.5, 0.6), (count, 3))]
    )


def written(path, positions, names=None):
    names = names or [f"images/{k:03d}.jpg" for k in range(len(positions))]
    rows = zip(names, np.asarray(positions).tolist(), strict=True)
    lines = [",".join([name, *map(repr, position)]) for name, position in rows]
    path.write_text("\n".join(["file,x,y,z", *lines]) + "\n")
    return str(path)


# ---- scale


@pytest.mark.parametrize("seed", range(5))
def test_a_distance_gives_the_scale_of_any_similarity(seed):
    metric_from_world = some_similarity(seed)
    a, b = np.random.default_rng(seed).normal(size=(2, 3))
    length = np.linalg.norm(metric_from_world @ a - metric_from_world @ b)
    assert scale_of_distance([*a, *b, length]) == pytest.approx(metric_from_world.scale)


@pytest.mark.parametrize(
    "values",
    [(1.0,) * 6, (1, 2, 3, 1, 2, 3, 1.0), (0, 0, 0, 1, 0, 0, 0.0), (0, 0, 0, 1, 0, 0, -1.0),
     (0, 0, 0, 1, 0, np.inf, 1.0)],
)  # fmt: skip
def test_what_is_no_distance_is_refused(values):
    with pytest.raises(InputError, match="distance: expected"):
        scale_of_distance(values)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n", "n_wrong"), [(3, 0), (4, 0), (12, 0), (12, 4), (40, 17)])
def test_camera_positions_are_fitted_exactly_despite_wrong_ones(seed, n, n_wrong):
    generator = np.random.default_rng(seed)
    truth, world = some_similarity(seed), generator.normal(size=(n, 3))
    metric = truth @ world
    wrong = generator.permutation(n)[:n_wrong]
    metric[wrong] += generator.uniform(1.0, 5.0, (n_wrong, 3)) * truth.scale
    fit = fit_cameras(world, metric, generator)
    assert fit.metric_from_world.scale == pytest.approx(truth.scale, rel=1e-9)
    assert fit.metric_from_world @ world == pytest.approx(truth @ world, abs=1e-8)
    assert fit.residual < 1e-8
    assert sorted(np.flatnonzero(~fit.agreeing)) == sorted(wrong)


def test_the_residual_is_the_noise():
    generator = np.random.default_rng(1)
    truth, world = some_similarity(3), generator.normal(size=(200, 3))
    metric = truth @ world + 0.01 * generator.normal(size=(200, 3))
    metric[:60] += 3.0
    fit = fit_cameras(world, metric, generator)
    assert fit.residual == pytest.approx(0.01 * np.sqrt(3), rel=0.15)
    assert fit.metric_from_world.scale == pytest.approx(truth.scale, rel=0.02)
    assert not fit.agreeing[:60].any()


@pytest.mark.parametrize(
    "world", [np.eye(3)[:2], np.outer(np.arange(8.0), [1.0, 2.0, 3.0]), np.ones((6, 3))]
)
def test_positions_that_fix_nothing_are_refused(world):
    with pytest.raises(InputError, match="expected"):
        fit_cameras(world, 2.0 * world, np.random.default_rng(0))


def test_positions_are_read_with_and_without_a_heading(tmp_path):
    path = tmp_path / "positions.csv"
    path.write_text("name, x, y, z\n# by hand\na.jpg, 1, 2.5, -3\n\nsub/b.jpg,0,0,1e-1\n")
    found = read_positions(path)
    assert list(found) == ["a.jpg", "sub/b.jpg"]
    assert found["a.jpg"] == pytest.approx(np.array([1, 2.5, -3]))
    path.write_text("a.jpg,1,2,3\n")
    assert list(read_positions(path)) == ["a.jpg"]


@pytest.mark.parametrize(
    "text", ["n,x,y,z\na,1,2\n", "n,x,y,z\na,1,2,q\n", "a,1,2,nan\n", "a,1,2,3\na,1,2,3\n"]
)
def test_bad_lines_of_positions_are_named(tmp_path, text):
    path = tmp_path / "positions.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"positions.csv: row \d"):
        read_positions(path)
    with pytest.raises(InputError, match=r"nowhere.csv: expected"):
        read_positions(tmp_path / "nowhere.csv")


def test_names_match_without_folder_or_suffix_unless_two_fit(caplog):
    names = ("left/1.png", "right/1.png", "left/2.png")
    given = {"right/1.png": np.ones(3), "2": np.zeros(3), "1.png": np.full(3, 5.0)}
    with caplog.at_level(logging.WARNING):
        indices, positions = matched_positions(given, names)
    assert indices.tolist() == [1, 2]
    assert positions.tolist() == [[1, 1, 1], [0, 0, 0]]
    assert "2 of 3 camera positions" in caplog.text


@pytest.mark.parametrize("seed", range(3))
def test_camera_positions_put_the_scene_into_their_frame(tmp_path, seed):
    world_from_metric = some_similarity(seed)
    posed = photographs(world_from_metric)
    known = np.asarray(world_from_metric.inverse() @ np.asarray(posed.T_world_camera.translation))
    known[3] += 2.0  # noted down wrongly
    path = written(tmp_path / "positions.csv", known)
    found = place(posed, NO_POINTS, PlacementOptions(camera_positions=path))
    assert found.metric
    both = found.scene_from_world @ world_from_metric
    assert both.scale == pytest.approx(1.0)
    assert both.transform.matrix() == pytest.approx(np.eye(4), abs=1e-6)
    assert "15 of 16 agree" in found.notes[0]


def test_camera_positions_of_other_photographs_are_refused(tmp_path):
    posed = photographs(some_similarity(0))
    path = written(tmp_path / "positions.csv", np.eye(3), ["images/000.jpg", "x", "y"])
    with pytest.raises(InputError, match="three or more photographs"):
        place(posed, NO_POINTS, PlacementOptions(camera_positions=path))
    path = written(tmp_path / "line.csv", np.outer(np.arange(N), np.ones(3)))
    with pytest.raises(InputError, match=r"line.csv: .*on one line"):
        place(posed, NO_POINTS, PlacementOptions(camera_positions=path))


# ---- gravity


@pytest.mark.parametrize("seed", range(5))
def test_scale_and_support_plane_recover_the_metric_upright_world(seed):
    world_from_metric = some_similarity(seed)
    points = table_points(seed)
    options = PlacementOptions(scale=1 / world_from_metric.scale)
    found = place(photographs(world_from_metric), world_from_metric @ points, options)
    assert found.metric
    moved = found.scene_from_world @ (world_from_metric @ points)
    assert moved[:, 2] == pytest.approx(points[:, 2], abs=1e-9)
    cameras = found.scene_from_world @ np.asarray(
        photographs(world_from_metric).T_world_camera.translation
    )
    assert (cameras[:, 2] > 0.5).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_given_direction_becomes_z_about_the_origin(seed):
    up = np.random.default_rng(seed).normal(size=3)
    options = PlacementOptions(scale=0.5, up=tuple(str(value) for value in up))
    found = place(photographs(some_similarity(0)), NO_POINTS, options).scene_from_world
    assert found @ up == pytest.approx(np.array([0, 0, 0.5 * np.linalg.norm(up)]), abs=1e-12)
    assert found @ np.zeros(3) == pytest.approx(np.zeros(3))


def test_the_axes_of_metric_data_sets_stay_unless_asked():
    tilt = some_similarity(2)
    posed = photographs(tilt, metric=True)
    kept = place(posed, tilt @ table_points(0), PlacementOptions())
    assert kept.metric
    assert kept.scene_from_world.transform.matrix() == pytest.approx(np.eye(4))
    turned = place(posed, tilt @ table_points(0), PlacementOptions(up=("auto",)))
    up = turned.scene_from_world.transform.rotation @ (tilt.transform.rotation @ np.eye(3)[2])
    assert up == pytest.approx(np.eye(3)[2], abs=1e-9)


def test_a_wall_leaves_it_to_the_cameras_to_say_what_is_up():
    tilt = Similarity(SE3(SO3.exp(np.array([2.0, 0.0, 0.0])), np.ones(3)), 0.5)
    generator = np.random.default_rng(0)
    wall = np.c_[np.full(500, -1.0), generator.uniform(-1, 1, (500, 2))]
    found = place(photographs(tilt), tilt @ wall, PlacementOptions())
    up = found.scene_from_world.transform.rotation @ (tilt.transform.rotation @ np.eye(3)[2])
    assert up @ np.eye(3)[2] > 0.97


@pytest.mark.parametrize("points", [NO_POINTS, np.outer(np.arange(9.0), [1.0, 2.0, 3.0])])
def test_without_a_plane_auto_is_refused_and_the_default_says_so(points, caplog):
    posed = photographs(some_similarity(1))
    with pytest.raises(InputError, match="plane: expected"):
        place(posed, points, PlacementOptions(up=("auto",)))
    with caplog.at_level(logging.WARNING):
        found = place(posed, points, PlacementOptions())
    assert "up is not known" in caplog.text
    assert not found.metric
    assert found.scene_from_world.scale == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 2.0, "distance": (0, 0, 0, 1, 0, 0, 1.0)}, "one source of the scale"),
        ({"camera_positions": "a.csv", "up": ("auto",)}, "up: expected nothing"),
        ({"up": ("1", "2")}, "up: expected auto, keep or X Y Z"),
        ({"up": ("down",)}, "up: expected auto, keep or X Y Z"),
        ({"up": ("0", "0", "0")}, "up: expected auto, keep or X Y Z"),
        ({"distance": (1.0, 2.0)}, "distance: expected AX"),
    ],
)
def test_contradictions_are_refused_before_any_work(options, message):
    with pytest.raises(InputError, match=message):
        PlacementOptions(**options)
