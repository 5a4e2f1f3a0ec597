"""Views, camera paths, videos and scores."""

from __future__ import annotations

import json

import ball_scene
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from fast_inerf_ros.datasets.bounds import focus_point
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.field import Rendered
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.training.camera_paths import camera_path, circle
from fast_inerf_ros.training.pictures import (
    brightest,
    disparity_pixels,
    to_pixels,
    write_gif,
    write_video,
)
from fast_inerf_ros.training.results import render_test_set
from fast_inerf_ros.training.validation import ImageScore, Scores, evaluate, evenly
from fast_inerf_ros.training.views import render_view


class Ball:
    """The field that the photographs of `ball_scene` show, exactly."""

    kind = "ball"
    frame = FieldFrame()
    device = torch.device("cpu")

    def render(self, origins, directions, near=0.0, far=float("inf"), *, background=None):
        along = (directions * origins).sum(-1)
        inside = along**2 - (origins**2).sum(-1) + ball_scene.RADIUS**2
        hit = inside > 0
        depth = -along - inside.clamp(min=0.0).sqrt()
        z = (origins + depth[:, None] * directions)[:, 2:]
        color = torch.where(z > 0, torch.tensor([230, 30, 30]), torch.tensor([30, 30, 230]))
        color = torch.where(z.abs() < 0.25, torch.tensor([30, 200, 30]), color)
        color = torch.where(hit[:, None], color / 255.0, torch.ones(()))
        nothing = torch.full_like(depth, torch.nan)
        depth = torch.where(hit, depth, nothing)
        return Rendered(color, depth, depth, hit.float())


@pytest.fixture(scope="module")
def posed(tmp_path_factory):
    return load_dataset(ball_scene.write_blender(tmp_path_factory.mktemp("data") / "ball"))


@pytest.fixture(scope="module")
def forward(tmp_path_factory):
    folder = ball_scene.write_llff(tmp_path_factory.mktemp("data") / "llff")
    return load_dataset(folder, DatasetOptions(hold_out=3))


# ---- views and scores


def test_the_view_of_the_true_field_is_the_photograph(posed):
    scores = evaluate(Ball(), posed, posed.splits.test, (1.0, 1.0, 1.0))
    assert [image.name for image in scores.images] == ["test/r_0", "test/r_1", "test/r_2"]
    assert scores.psnr_db > 45.0
    assert scores.ssim > 0.999
    wrong = evaluate(Ball(), posed, posed.splits.test, (0.0, 0.0, 0.0))
    assert wrong.psnr_db < 6.0


def test_depth_is_along_the_optical_axis_and_absent_where_there_is_nothing(posed):
    pose = SE3.from_matrix(ball_scene.looking_at_origin(np.array([0.0, -3.0, 0.0])))
    view = render_view(Ball(), Camera(41, 41, 30.0, 30.0, 20.0, 20.0), pose)
    assert view.depth[20, 20] == pytest.approx(3.0 - ball_scene.RADIUS, abs=1e-5)
    assert np.isnan(view.depth[0, 0])
    assert view.disparity[0, 0] == 0.0
    ray = np.array([5 / 30.0, 0.0, 1.0])  # pixel (25, 20): where z along the axis meets the ball
    a, b, c = ray @ ray, -2.0 * 3.0, 9.0 - ball_scene.RADIUS**2
    z = (-b - np.sqrt(b * b - 4 * a * c)) / (2 * a)
    assert view.depth[20, 25] == pytest.approx(z, abs=1e-5)


def test_pixels_that_the_lens_does_not_reach_are_black(posed):
    lens = Camera(41, 41, 8.0, 8.0, 20.0, 20.0, "plumb_bob", (-0.4, 0.0, 0.0, 0.0))
    missing = np.isnan(lens.bearings(lens.pixel_grid())).any(axis=-1)
    assert 0 < missing.sum() < missing.size
    pose = SE3.from_matrix(ball_scene.looking_at_origin(np.array([0.0, -3.0, 0.0])))
    view = render_view(Ball(), lens, pose)
    assert (view.color[missing] == 0.0).all()
    assert (view.opacity[missing] == 0.0).all()
    assert np.isnan(view.depth[missing]).all()
    assert (view.color[~missing] > 0.0).any(axis=-1).all()


def test_the_test_set_is_written_with_its_likeness(posed, tmp_path):
    scores = render_test_set(Ball(), posed, (0.9, 0.9, 0.9), tmp_path / "test")
    written = json.loads((tmp_path / "test" / "metrics.json").read_text())
    assert written["mean"]["psnr_db"] == pytest.approx(scores.psnr_db)
    assert len(written["images"]) == 3
    with Image.open(tmp_path / "test" / "001.png") as image:
        shown = np.asarray(image).astype(int)
    truth = to_pixels(posed.colors(int(posed.splits.test[1])))
    assert np.abs(shown - truth).max() <= 1
    with pytest.raises(InputError, match="expected test photographs, got none"):
        render_test_set(Ball(), posed.split("train"), (1.0, 1.0, 1.0), tmp_path / "none")


def test_equal_images_have_no_finite_psnr_and_small_ones_no_ssim(tmp_path):
    Scores((ImageScore("one", float("inf"), None),)).write(tmp_path / "metrics.json")
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["mean"] == {"psnr_db": None, "ssim": None}
    assert Scores((ImageScore("one", 20.0, None),)).figures("val/") == {"val/psnr_db": 20.0}


def test_few_images_are_taken_evenly():
    np.testing.assert_array_equal(evenly(np.arange(10), 3), [0, 4, 9])
    np.testing.assert_array_equal(evenly(np.arange(2), 3), [0, 1])


# ---- paths


def test_the_circle_goes_around_what_the_cameras_look_at(posed):
    path = circle(posed.T_field_camera, 36)
    focus = focus_point(posed.T_field_camera)
    origins, axes = np.asarray(path.translation), np.asarray(path.rotation.matrix)
    towards = focus - origins
    distance = np.linalg.norm(towards, axis=-1)
    np.testing.assert_allclose(distance, distance[0])
    np.testing.assert_allclose(axes[:, :, 2], towards / distance[:, None], atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(axes), 1.0)
    steps = np.linalg.norm(np.roll(origins, -1, axis=0) - origins, axis=-1)
    np.testing.assert_allclose(steps, steps[0])
    up = -np.asarray(posed.T_field_camera.rotation.matrix)[:, :, 1].mean(axis=0)
    assert (-(axes[:, :, 1] @ up) > 0).all()


def test_the_spiral_stays_among_the_cameras_and_looks_at_one_point(forward):
    path = camera_path(forward, "auto", 24)
    origins = np.asarray(path.translation)
    cameras = np.asarray(forward.T_field_camera.translation)
    assert (origins.min(axis=0) > cameras.min(axis=0) - 0.2).all()
    assert (origins.max(axis=0) < cameras.max(axis=0) + 0.2).all()
    assert np.ptp(origins, axis=0).max() > 0.1
    focus = focus_point(path)
    axes = np.asarray(path.rotation.matrix)[:, :, 2]
    across = np.cross(focus - origins, axes)
    assert np.linalg.norm(across, axis=-1).max() < 1e-6
    assert ((focus - origins) @ axes.mean(axis=0) > 0).all()


def test_the_test_path_takes_the_test_photographs(posed, forward):
    path = camera_path(forward, "test", 5)
    expected = forward.T_field_camera[forward.splits.test]
    np.testing.assert_allclose(path.matrix(), expected.matrix())
    with pytest.raises(InputError, match="expected test photographs for the test path"):
        camera_path(posed.split("train"), "test", 5)
    with pytest.raises(InputError, match="expected auto, circle, spiral or test"):
        camera_path(posed, "zigzag", 5)


def test_a_circle_of_parallel_cameras_goes_around_a_point_ahead(forward):
    pose = forward.T_field_camera
    rotation = np.broadcast_to(np.asarray(pose.rotation.matrix)[:1], (9, 3, 3))
    parallel = SE3(type(pose.rotation)(rotation.copy()), pose.translation)
    path = circle(parallel, 8)
    assert np.isfinite(path.matrix()).all()


# ---- files


def frames(count=5, size=(40, 32)):
    images = np.zeros((count, *size, 3), dtype=np.uint8)
    for number in range(count):
        images[number, :, :, 0] = 40 * number
        images[number, :, :, 2] = 200
    return list(images)


def test_a_video_has_its_frames_in_order(tmp_path):
    write_video(tmp_path / "a.mp4", frames(), 25.0)
    video = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(25.0)
    for number in range(5):
        there, image = video.read()
        assert there
        assert image.shape == (40, 32, 3)
        blue, _, red = image.mean(axis=(0, 1))
        assert (abs(red - 40 * number) < 12, abs(blue - 200) < 12) == (True, True)
    assert not video.read()[0]
    video.release()


def test_odd_sizes_lose_a_row_and_a_column(tmp_path):
    write_video(tmp_path / "odd.mp4", frames(size=(41, 33)), 25.0)
    video = cv2.VideoCapture(str(tmp_path / "odd.mp4"))
    assert video.read()[1].shape == (40, 32, 3)
    video.release()


def test_a_gif_has_its_frames_and_repeats(tmp_path):
    write_gif(tmp_path / "a.gif", frames(), 25.0)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 5
        assert image.info["loop"] == 0
        assert image.info["duration"] == 40
        image.seek(3)
        red, _, blue = np.asarray(image.convert("RGB")).mean(axis=(0, 1))
    assert abs(red - 120) < 12
    assert abs(blue - 200) < 12


@pytest.mark.parametrize("write", [write_video, write_gif])
def test_no_frames_or_unequal_ones_are_refused(write, tmp_path):
    for images in ([], [*frames(1), *frames(1, (10, 10))]):
        with pytest.raises(InputError, match="expected frames of one size"):
            write(tmp_path / "x.mp4", images, 25.0)
    assert list(tmp_path.iterdir()) == []


def test_disparity_shows_near_in_red_far_in_blue_and_nothing_in_black():
    disparity = np.array([[0.0, 0.05, 1.0]], dtype=np.float32)
    white = brightest([disparity])
    nothing, far, near = disparity_pixels(disparity, white)[0].astype(int)
    assert tuple(nothing) == (0, 0, 0)
    assert far[2] > far[0]
    assert near[0] > near[2]
    assert brightest([np.zeros((2, 2), dtype=np.float32)]) == 1.0
