"""Start errors, noise, records and detections are what users of the seed project know."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from analytic_field import camera_at, small_camera

from fast_inerf_ros import config
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.experiments.detections import DetectionFiles, read_mask, read_pose
from fast_inerf_ros.experiments.image_noise import ImageNoise, brightened, spoilt
from fast_inerf_ros.experiments.record import read_steps, write_result, write_steps
from fast_inerf_ros.experiments.start_error import StartError, started
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.inerf.observer import Iteration
from fast_inerf_ros.inerf.result import failed
from fast_inerf_ros.io.scene_description import Scene, SceneObject

POSE = camera_at((1.0, -2.0, 1.5))
CAMERA = small_camera(64, 48)
GREY = np.full((200, 200, 3), 0.4, dtype=np.float32)


def seed_matrices(phi, theta, psi, distance):
    """The four factors, written out as in the seed project."""
    c, s = np.cos, np.sin
    a, b, d = np.radians([phi, theta, psi])
    rot_phi = [[c(a), -s(a), 0, 0], [s(a), c(a), 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    rot_theta = [[c(b), 0, -s(b), 0], [0, 1, 0, 0], [s(b), 0, c(b), 0], [0, 0, 0, 1]]
    rot_psi = [[1, 0, 0, 0], [0, c(d), -s(d), 0], [0, s(d), c(d), 0], [0, 0, 0, 1]]
    trans_t = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, distance], [0, 0, 0, 1]]
    return [np.array(m, dtype=float) for m in (rot_phi, rot_theta, rot_psi, trans_t)]


# ---- start errors


def test_the_order_of_start_errors_is_the_seeds():
    rot_phi, rot_theta, rot_psi, trans_t = seed_matrices(11.0, -7.0, 23.0, 0.3)
    error = StartError(phi_deg=11.0, theta_deg=-7.0, psi_deg=23.0, distance=0.3)
    blender = trans_t @ rot_phi @ rot_theta @ rot_psi @ POSE.matrix()
    llff = rot_phi @ rot_theta @ rot_psi @ trans_t @ POSE.matrix()
    np.testing.assert_allclose(started(POSE, error, "blender").matrix(), blender, atol=1e-12)
    np.testing.assert_allclose(started(POSE, error, "llff").matrix(), llff, atol=1e-12)
    assert not np.allclose(blender, llff)


@pytest.mark.parametrize("order", ["blender", "llff"])
def test_an_order_that_is_given_goes_before_that_of_the_data(order):
    error = StartError(phi_deg=20.0, psi_deg=30.0, distance=1.0, order=order)
    for layout in ("blender", "llff"):
        found = started(POSE, error, layout).matrix()
        np.testing.assert_array_equal(found, started(POSE, error, order).matrix())


def test_angles_turn_the_camera_where_the_seed_turns_it():
    """phi turns x towards y, theta turns z towards -x, psi turns y towards z."""
    cases = (("phi_deg", (1, 0, 0), (0, 1, 0)), ("theta_deg", (0, 0, 1), (-1, 0, 0)))
    for name, before, after in (*cases, ("psi_deg", (0, 1, 0), (0, 0, 1))):
        at = SE3(SO3.identity(), np.array(before, dtype=float))
        moved = started(at, config.replace(StartError(), name, 90.0), "blender")
        np.testing.assert_allclose(moved.translation, after, atol=1e-12)


# ---- brightness and noise


def test_without_noise_the_image_stays_as_it_is():
    np.testing.assert_array_equal(spoilt(GREY, ImageNoise(), np.random.default_rng(0)), GREY)


@pytest.mark.parametrize("change", [0.25, -0.25, 0.8, -0.8])
def test_brightness_is_added_to_the_value_and_clipped(change):
    colors = np.random.default_rng(1).random((20, 30, 3)).astype(np.float32)
    before, after = (
        cv2.cvtColor(x, cv2.COLOR_RGB2HSV) for x in (colors, brightened(colors, change))
    )
    expected = np.clip(before[..., 2] + change, 0, 1)
    np.testing.assert_allclose(after[..., 2], expected, atol=1e-5)
    lit = expected > 0.05
    np.testing.assert_allclose(after[lit][:, 1], before[lit][:, 1], atol=1e-3)


def test_gaussian_noise_has_its_deviation():
    noisy = spoilt(GREY, ImageNoise("gaussian", sigma=0.05), np.random.default_rng(0))
    assert (noisy - GREY).std() == pytest.approx(0.05, rel=0.02)
    assert (noisy - GREY).mean() == pytest.approx(0.0, abs=0.001)


@pytest.mark.parametrize(
    ("kind", "white", "black"), [("salt", 0.1, 0), ("pepper", 0, 0.1), ("s_and_p", 0.05, 0.05)]
)
def test_salt_and_pepper_hit_their_share_of_the_values(kind, white, black):
    noisy = spoilt(GREY, ImageNoise(kind, amount=0.1), np.random.default_rng(0))
    assert (noisy == 1).mean() == pytest.approx(white, abs=0.004)
    assert (noisy == 0).mean() == pytest.approx(black, abs=0.004)
    assert np.isin(noisy, np.array([0, 1, 0.4], dtype=np.float32)).all()


def test_poisson_noise_is_that_of_counted_light():
    noisy = spoilt(GREY, ImageNoise("poisson"), np.random.default_rng(0))
    assert noisy.mean() == pytest.approx(0.4, rel=0.01)
    assert noisy.var() == pytest.approx(0.4 / 256, rel=0.05)


@pytest.mark.parametrize("kind", ["gaussian", "s_and_p", "salt", "pepper", "poisson"])
def test_noise_stays_in_range_and_comes_from_its_generator(kind):
    noise = ImageNoise(kind, sigma=0.8, amount=0.5, brightness=0.4)
    first, again = (spoilt(GREY, noise, np.random.default_rng(3)) for _ in range(2))
    assert first.dtype == np.float32
    assert first.min() >= 0
    assert first.max() <= 1
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, spoilt(GREY, noise, np.random.default_rng(4)))


# ---- records


def test_steps_come_back_from_their_file(tmp_path):
    turned = SE3(SO3.exp(np.radians([0.0, 0.0, 2.0])), np.array([0.0, 0.3, 0.4])) @ POSE
    steps = [Iteration("lm", n, 0.1 * n, turned, 1.0 / (n + 1), 99) for n in range(3)]
    write_steps(tmp_path / "steps.csv", steps, failed("lm", "why", 0.5), POSE)
    read = read_steps(tmp_path / "steps.csv")
    np.testing.assert_allclose(read.step, [0, 1, 2, 3])
    np.testing.assert_allclose(read.seconds, [0, 0.1, 0.2, 0.5])
    np.testing.assert_allclose(read.rotation_error_deg, [2, 2, 2, np.nan], atol=1e-6)
    distance = np.linalg.norm(np.asarray(turned.translation) - np.asarray(POSE.translation))
    np.testing.assert_allclose(read.translation_error, [distance] * 3 + [np.nan], rtol=1e-6)
    np.testing.assert_allclose(read.loss, [1, 1 / 2, 1 / 3, np.nan])


def test_a_failure_is_written_without_numbers_that_json_does_not_know(tmp_path):
    nowhere = SE3(SO3.identity(), np.full(3, np.nan))
    write_result(tmp_path / "result.json", failed("lm", "nothing", 0.0), nowhere, POSE)
    stored = json.loads((tmp_path / "result.json").read_text())
    assert (stored["status"], stored["T_world_camera"]) == ("failed", None)
    assert stored["start_rotation_error_deg"] is None
    assert "NaN" not in (tmp_path / "result.json").read_text()


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "step,seconds\n1,2\n", "\x00\xff"])
def test_other_files_are_no_runs(tmp_path, text):
    path = tmp_path / "x.csv"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"x\.csv: expected"):
        read_steps(path)


# ---- detections from files


def test_masks_and_poses_beside_a_photograph_are_found(tmp_path):
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[10:20, 5:9] = 200
    cv2.imwrite(str(tmp_path / "7_mask.png"), mask)
    matrix = np.asarray(POSE.matrix()).tolist()
    (tmp_path / "7_pose.json").write_text(json.dumps({"T_world_camera": matrix}))
    found = DetectionFiles().find(tmp_path / "7.png", np.zeros((48, 64, 3), np.uint8), CAMERA)
    np.testing.assert_array_equal(found.region, mask > 0)
    np.testing.assert_allclose(found.T_world_camera.matrix(), POSE.matrix(), atol=1e-9)
    nothing = DetectionFiles(tmp_path).find(tmp_path / "8.png", mask, CAMERA)
    assert (nothing.region, nothing.T_world_camera) == (None, None)


def test_objects_of_a_file_give_the_camera_through_the_scene(tmp_path):
    places = {"mug": (0.1, 0.0, 0.1), "box": (-0.2, 0.1, 0.0), "can": (0.0, -0.3, 0.05)}
    objects = tuple(
        SceneObject(label, number + 1, SE3(SO3.identity(), np.array(place)), (0.1, 0.1, 0.1))
        for number, (label, place) in enumerate(places.items())
    )
    entries = [
        {
            "label": item.label,
            "T_camera_object": np.asarray(
                (POSE.inverse() @ item.T_world_object).matrix()
            ).tolist(),
        }
        for item in objects
    ]
    path = tmp_path / "0_pose.yaml"
    path.write_text(json.dumps({"objects": entries}))
    pose = read_pose(path, CAMERA, Scene("map", objects=objects))
    np.testing.assert_allclose(pose.matrix(), POSE.matrix(), atol=1e-4)
    assert read_pose(path, CAMERA, Scene("map")) is None
    with pytest.raises(InputError, match="expected a scene file"):
        read_pose(path, CAMERA, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "expected T_world_camera or objects"),
        ("T_world_camera: 5", "T_world_camera: expected a rigid transform"),
        ("T_world_camera: [[1,0,0,0],[0,2,0,0],[0,0,1,0],[0,0,0,1]]", "rigid transform"),
        ("objects: 5", "objects: expected a list"),
        ("objects: [5]", r"objects\[0\]: expected label and T_camera_object"),
        (
            "objects: [{label: a, T_camera_object: [[1,0,0,0],[0,1,0,0],[0,0,1,-1],[0,0,0,1]]}]",
            "before the camera",
        ),
    ],
)
def test_wrong_pose_files_are_named_in_one_line(tmp_path, content, message):
    path = tmp_path / "x_pose.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_pose(path, CAMERA, Scene("map"))
    assert "x_pose.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_masks_have_the_shape_of_the_photograph(tmp_path):
    path = tmp_path / "0_mask.png"
    cv2.imwrite(str(path), np.full((96, 128), 255, dtype=np.uint8))
    assert read_mask(path, CAMERA).shape == (48, 64)
    cv2.imwrite(str(path), np.full((50, 128), 255, dtype=np.uint8))
    with pytest.raises(InputError, match="expected a mask of 64x48"):
        read_mask(path, CAMERA)
    path.write_text("no picture")
    with pytest.raises(InputError, match="picture of a mask"):
        read_mask(path, CAMERA)
