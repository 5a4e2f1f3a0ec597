"""PnP: recovery through every lens, outliers, honest failure, honest covariance."""

from __future__ import annotations

import numpy as np
import pytest

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.registration import pnp_near, refine_pnp, solve_pnp
from fast_inerf_ros.geometry.se3 import SE3

NUMBERS = (640, 480, 502.3, 498.7, 317.4, 244.9)
CAMERAS = {
    "pinhole": Camera(*NUMBERS),
    "plumb_bob": Camera(*NUMBERS, "plumb_bob", (-0.28, 0.07, 0.001, -0.0005, 0.01)),
    "rational": Camera(
        *NUMBERS, "rational_polynomial", (0.4, 0.1, 0.001, -0.0005, 0.01, 0.6, 0.2, 0.02)
    ),
    "tilted": Camera(*NUMBERS, "rational_polynomial", (-0.2, 0.1) + (0.0,) * 10 + (0.03, -0.05)),
    "fisheye": Camera(640, 480, 291.0, 288.0, 317.4, 244.9, "equidistant", (0.05, -0.01, 0, 0)),
}


@pytest.fixture(params=CAMERAS)
def camera(request):
    return CAMERAS[request.param]


def scene(camera, count, *, noise_px=0.0, outliers=0.0, seed=0):
    """World points, their pixels, the true pose, and which pixels are wrong."""
    generator = np.random.default_rng(seed)
    T_camera_world = SE3.random(generator)
    pixels = generator.uniform([0, 0], [639, 479], (count, 2))
    points = camera.unproject(pixels, generator.uniform(1, 4, count))
    pixels = pixels + noise_px * generator.standard_normal((count, 2))
    wrong = np.arange(count) < outliers * count
    pixels[wrong] = generator.uniform([0, 0], [639, 479], (np.count_nonzero(wrong), 2))
    return T_camera_world.inverse() @ points, pixels, T_camera_world, wrong


def errors(pose, truth):
    twist = (pose @ truth.inverse()).log()
    return np.array([np.linalg.norm(twist[3:]), np.linalg.norm(twist[:3])])


@pytest.mark.parametrize("count", [6, 20, 200])
def test_exact_points_give_the_exact_pose(camera, count):
    points, pixels, truth, _ = scene(camera, count)
    result = solve_pnp(points, pixels, camera)
    np.testing.assert_allclose(result.T_camera_world.matrix(), truth.matrix(), atol=1e-7)
    assert result.inliers.all()
    assert result.error_px < 1e-6


def test_many_wrong_pixels_do_not_matter(camera):
    points, pixels, truth, wrong = scene(camera, 300, noise_px=0.5, outliers=0.7)
    result = solve_pnp(points, pixels, camera)
    angle, distance = errors(result.T_camera_world, truth)
    assert angle < 0.005
    assert distance < 0.01
    assert result.inliers[~wrong].all()
    assert result.inliers[wrong].mean() < 0.05


def test_refinement_reaches_the_least_squares_optimum(camera):
    points, pixels, _, _ = scene(camera, 50, noise_px=0.5)
    result = solve_pnp(points, pixels, camera, max_error_px=10.0)
    pose = result.T_camera_world

    def cost(twist):
        return np.sum((camera.project(SE3.exp(twist) @ pose @ points) - pixels) ** 2)

    for step in 1e-4 * np.concatenate([np.eye(6), -np.eye(6)]):
        assert cost(step) > cost(np.zeros(6))


def test_the_covariance_predicts_the_errors(camera):
    normalised = []
    for seed in range(60):
        points, pixels, truth, _ = scene(camera, 40, noise_px=0.7, seed=seed)
        result = solve_pnp(points, pixels, camera)
        # Body twist of T_world_camera: T_true = T_estimate @ exp(x).
        error = (result.T_camera_world @ truth.inverse()).log()
        normalised.append(error @ np.linalg.solve(result.covariance, error))
    # Mean of a chi-squared of 6 degrees of freedom (F of 6 and 74: 6.17).
    assert 4.8 < np.mean(normalised) < 7.8


def test_points_in_a_plane_are_enough(camera):
    generator = np.random.default_rng(3)
    truth = SE3.exp([0.1, -0.2, 2.0, 0.3, -0.4, 0.2])
    points = np.concatenate([generator.uniform(-0.6, 0.6, (40, 2)), np.zeros((40, 1))], axis=-1)
    result = solve_pnp(points, camera.project(truth @ points), camera)
    np.testing.assert_allclose(result.T_camera_world.matrix(), truth.matrix(), atol=1e-6)


def test_rows_that_are_not_finite_are_outliers(camera):
    points, pixels, truth, _ = scene(camera, 30)
    points[3], pixels[7] = np.nan, np.inf
    result = solve_pnp(points, pixels, camera)
    assert np.flatnonzero(~result.inliers).tolist() == [3, 7]
    np.testing.assert_allclose(result.T_camera_world.matrix(), truth.matrix(), atol=1e-7)


def test_pixels_that_do_not_fit_give_none(camera):
    generator = np.random.default_rng(0)
    for _ in range(5):
        points = generator.standard_normal((60, 3))
        assert solve_pnp(points, generator.uniform(0, 480, (60, 2)), camera) is None


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_too_few_points_give_none(camera, count):
    points, pixels, _, _ = scene(camera, count)
    assert solve_pnp(points, pixels, camera) is None


def test_four_points_are_enough_if_asked_for(camera):
    points, pixels, truth, _ = scene(camera, 4, seed=5)
    result = solve_pnp(points, pixels, camera, min_inliers=4)
    assert (errors(result.T_camera_world, truth) < 1e-4).all()


@pytest.mark.parametrize("direction", [(0.0, 0, 1), (0.3, 0.2, 0.1)])
def test_points_on_a_line_or_in_one_place_give_none(camera, direction):
    points = np.linspace(-1, 1, 20)[:, None] * direction + [0.05, 0.02, 4.0]
    assert solve_pnp(points, camera.project(points), camera) is None
    place = np.broadcast_to(points[0], (20, 3))
    assert solve_pnp(place, camera.project(place), camera) is None


def test_pixels_that_are_all_nan_give_none(camera):
    points, pixels, _, _ = scene(camera, 30)
    assert solve_pnp(points, np.full_like(pixels, np.nan), camera) is None


def test_the_same_generator_gives_the_same_pose(camera):
    points, pixels, _, _ = scene(camera, 100, noise_px=1.0, outliers=0.5)
    first, second = (
        solve_pnp(points, pixels, camera, generator=np.random.default_rng(3)) for _ in range(2)
    )
    assert (first.T_camera_world.matrix() == second.T_camera_world.matrix()).all()


def test_refinement_from_a_prior_pose(camera):
    points, pixels, truth, _ = scene(camera, 60, noise_px=0.5, outliers=0.2)
    near = SE3.exp([0.01, -0.01, 0.005, 0.004, -0.003, 0.005]) @ truth
    result = refine_pnp(points, pixels, camera, near, max_error_px=12.0)
    assert (errors(result.T_camera_world, truth) < [0.01, 0.02]).all()
    far = SE3.exp([1.0, 0, 0, 1.0, 0, 0]) @ truth
    assert refine_pnp(points, pixels, camera, far) is None


@pytest.mark.parametrize(
    ("points", "pixels", "options", "message"),
    [
        (np.zeros((5, 2)), np.zeros((5, 2)), {}, r"points \(n, 3\)"),
        (np.zeros((5, 3)), np.zeros((4, 2)), {}, "correspond"),
        (np.zeros((5, 3)), np.zeros((5, 2)), {"max_error_px": 0.0}, "max_error_px"),
        (np.zeros((5, 3)), np.zeros((5, 2)), {"min_inliers": 3}, "min_inliers"),
    ],
)
def test_arguments_that_cannot_be_are_refused(points, pixels, options, message):
    with pytest.raises(InputError, match=message):
        solve_pnp(points, pixels, CAMERAS["pinhole"], **options)


def test_tensors_with_gradients_are_taken():
    torch = pytest.importorskip("torch")
    points, pixels, truth, _ = scene(CAMERAS["plumb_bob"], 30)
    tensors = (torch.tensor(array, requires_grad=True) for array in (points, pixels))
    result = solve_pnp(*tensors, CAMERAS["plumb_bob"])
    np.testing.assert_allclose(result.T_camera_world.matrix(), truth.matrix(), atol=1e-7)


@pytest.mark.parametrize("outliers", [0.0, 0.2])
def test_from_nearby_the_pose_is_found_without_sampling(camera, outliers):
    points, pixels, truth, wrong = scene(camera, 150, noise_px=0.3, outliers=outliers, seed=4)
    start = SE3.exp(np.array([0.05, -0.04, 0.03, 0.03, -0.05, 0.04])) @ truth
    found = pnp_near(points, pixels, camera, start)
    sampled = solve_pnp(points, pixels, camera)
    assert max(errors(found.T_camera_world, sampled.T_camera_world)) < 1e-4
    assert np.mean(found.inliers[~wrong]) > 0.99


def test_from_far_away_there_is_no_answer_or_the_right_one(camera):
    points, pixels, truth, _ = scene(camera, 60, noise_px=0.3)
    generator = np.random.default_rng(1)
    for _ in range(20):
        found = pnp_near(points, pixels, camera, SE3.random(generator), min_inliers=30)
        assert found is None or max(errors(found.T_camera_world, truth)) < 0.01
