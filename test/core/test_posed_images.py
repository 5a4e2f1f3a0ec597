"""What every loaded data set can do, and which folders are recognised."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fast_inerf_ros.datasets.bounds import focus_point
from fast_inerf_ros.datasets.images import LazyImages
from fast_inerf_ros.datasets.load import load_dataset, recognise
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.datasets.posed_images import PosedImages, Splits
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.geometry.se3 import SE3, SO3
from fast_inerf_ros.geometry.similarity import Similarity


@pytest.fixture
def posed(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for i, path in enumerate(paths):
        Image.fromarray(np.full((6, 8, 3), 10 * i, np.uint8)).save(path)
    return PosedImages(
        name="set",
        images=LazyImages(paths, [(8, 6)] * 4),
        cameras=tuple(Camera(8, 6, 7.0 + i, 7.0, 3.5, 2.5) for i in range(4)),
        T_world_camera=SE3.random(np.random.default_rng(0), (4,)),
        bounds=np.array([[1.0 + i, 5.0 + i] for i in range(4)]),
        splits=Splits.hold_out(4, 2),
        names=tuple(path.name for path in paths),
    )


def test_split_takes_everything_of_its_images(posed):
    test = posed.split("test")
    assert test.names == ("0.png", "2.png")
    assert (test.image(1) == 20).all()
    assert test.cameras[1].fx == 9.0
    assert test.bounds[1].tolist() == [3.0, 7.0]
    assert test.T_world_camera[1].matrix() == pytest.approx(posed.T_world_camera[2].matrix())
    assert test.splits.train.tolist() == [0, 1]


def test_validation_is_taken_from_the_training_images_only():
    splits = Splits.hold_out(40, 8)
    tuned = splits.with_validation(7)
    assert tuned.test.tolist() == splits.test.tolist()
    assert len(tuned.val) == 5
    together = np.concatenate([tuned.train, tuned.val, tuned.test])
    assert sorted(together.tolist()) == list(range(40))


def test_resizing_keeps_what_a_pixel_sees(posed):
    small = posed.resized(4, 3)
    assert small.image(0).shape == (3, 4, 3)
    corner = small.cameras[1].bearings(np.array([-0.5, -0.5]))
    assert corner == pytest.approx(posed.cameras[1].bearings(np.array([-0.5, -0.5])))
    assert posed.downscaled(2).cameras == small.cameras


def test_another_world_moves_cameras_field_and_bounds_together(posed):
    frame = FieldFrame(SE3.random(np.random.default_rng(1)), 0.7)
    posed = dataclasses.replace(posed, frame=frame)
    move = Similarity(SE3.random(np.random.default_rng(2)), 3.0)
    moved = posed.in_world(move, metric=True)
    assert moved.frame.metric
    assert moved.frame.metres_per_unit == pytest.approx(2.1)
    assert moved.T_field_camera.matrix() == pytest.approx(posed.T_field_camera.matrix())
    assert moved.field_bounds == pytest.approx(posed.field_bounds)
    point = np.array([0.3, -0.2, 5.0])
    seen = posed.T_world_camera[1].inverse() @ point
    assert moved.T_world_camera[1].inverse() @ (move @ point) == pytest.approx(3.0 * seen)


def test_focus_point_is_where_the_axes_meet():
    target = np.array([0.3, -0.7, 2.0])
    rotations = SO3.random(np.random.default_rng(3), (6,))
    poses = SE3(rotations, target - 4.0 * rotations.matrix[:, :, 2])
    assert focus_point(poses) == pytest.approx(target)
    parallel = SE3(SO3.identity((6,)), np.random.default_rng(4).random((6, 3)))
    assert focus_point(parallel) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ("a", "b")}, "a camera, a pose, a name and bounds for each of 4 images"),
        ({"T_world_camera": SE3.identity((3,))}, r"got 4, \(3,\), 4 and \(4, 2\)"),
        ({"bounds": np.ones((4, 2))}, r"0\.png: expected bounds 0 < near < far, got 1 and 1"),
        ({"bounds": np.full((4, 2), np.nan)}, "got nan and nan"),
        ({"bounds": np.ones(2)}, "bounds for each"),
        ({"splits": Splits.hold_out(4, 1)}, "images to train on"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(posed, changes, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(posed, **changes)


def test_single_image_is_no_data_set(posed):
    with pytest.raises(InputError, match="at least 2 images, got 1"):
        posed.subset([2])


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["transforms.json"], "transforms"),
        (["transforms_train.json"], "transforms"),
        (["poses_bounds.npy"], "llff"),
        (["poses_bounds.npy", "sparse/0/cameras.bin"], "llff"),
        (["sparse/0/cameras.bin"], "colmap"),
        (["sparse/cameras.txt"], "colmap"),
        (["transforms.json", "poses_bounds.npy"], "transforms"),
    ],
)
def test_format_is_recognised_from_its_files(tmp_path, files, expected):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert recognise(tmp_path) == expected


def test_unknown_folder_and_missing_path_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"expected transforms\.json, .* got none"):
        load_dataset(tmp_path)
    for format_name in ("auto", "llff"):
        with pytest.raises(InputError, match="got no such file or folder"):
            load_dataset(tmp_path / "absent", DatasetOptions(format=format_name))


def test_format_that_is_not_there_is_refused(tmp_path):
    for format_name, message in (
        ("transforms", "expected transforms"),
        ("llff", "poses_bounds"),
        ("colmap", "expected a COLMAP model"),
    ):
        with pytest.raises(InputError, match=message):
            load_dataset(tmp_path, DatasetOptions(format=format_name))


@pytest.mark.parametrize(
    ("name", "n_images", "size", "test"),
    [
        ("fox", 50, (270, 480), [0, 8, 16, 24, 32, 40, 48]),
        ("fern", 20, (126, 94), [0, 8, 16]),
        ("lego_400", 100, (100, 100), []),
    ],
)
def test_real_sets_load_lazily_at_any_size(external_data, name, n_images, size, test):
    folder: Path = external_data(name)
    factor = 32 if name == "fern" else 4  # fern has images_8
    posed = load_dataset(folder, DatasetOptions(factor=factor))
    assert posed.images.cached_bytes == 0
    assert (len(posed), posed.splits.test.tolist()) == (n_images, test)
    assert (posed.cameras[0].width, posed.cameras[0].height) == size
    assert posed.image(n_images - 1).shape[:2] == size[::-1]
