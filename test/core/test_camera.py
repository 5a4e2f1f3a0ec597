"""Cameras: agreement with OpenCV, round trips, no false pixel, resizing, bad input."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.arrays import namespace, to_like
from fast_inerf_ros.geometry.camera import Camera

NUMPY_1 = np.lib.NumpyVersion(np.__version__) < "2.0.0"
NUMBERS = (640, 480, 502.3, 498.7, 317.4, 244.9)

CAMERAS = {
    "pinhole": Camera(*NUMBERS),
    "barrel": Camera(*NUMBERS, "plumb_bob", (-0.28, 0.07, 0.001, -0.0005, 0.01)),
    "four coefficients": Camera(*NUMBERS, "plumb_bob", (-0.2, 0.03, 0.0007, -0.0011)),
    "pincushion": Camera(*NUMBERS, "plumb_bob", (0.15, 0.02, -0.002, 0.001, 0.0)),
    "rational": Camera(
        *NUMBERS, "rational_polynomial", (0.4, 0.1, 0.001, -0.0005, 0.01, 0.6, 0.2, 0.02)
    ),
    "thin prism": Camera(
        *NUMBERS,
        "rational_polynomial",
        (-0.3, 0.1, 0.001, -0.001, 0.01, 0.05, 0.02, 0.01, 0.002, -0.001, 0.001, 0.0005),
    ),
    "tilted sensor": Camera(
        *NUMBERS,
        "rational_polynomial",
        (-0.2, 0.1, 0.001, 0.0, 0.0, 0.0, 0.0, 0.0, 0.001, 0.0, 0.0, 0.0005, 0.03, -0.05),
    ),
    "only tilted": Camera(*NUMBERS, "rational_polynomial", (0.0,) * 12 + (0.04, 0.02)),
    "fisheye": Camera(
        640, 480, 291.0, 288.0, 317.4, 244.9, "equidistant", (0.05, -0.01, 0.003, -0.0006)
    ),
    "ideal fisheye": Camera(640, 480, 291.0, 288.0, 317.4, 244.9, "equidistant", (0.0,) * 4),
}


@pytest.fixture(params=CAMERAS)
def camera(request):
    return CAMERAS[request.param]


def opencv_project(camera, points):
    zero = np.zeros(3)
    coefficients = np.array(camera.distortion)
    points = np.ascontiguousarray(points[:, None])
    if camera.distortion_model == "equidistant":
        pixels, _ = cv2.fisheye.projectPoints(points, zero, zero, camera.matrix(), coefficients)
    else:
        pixels, _ = cv2.projectPoints(points, zero, zero, camera.matrix(), coefficients)
    return pixels[:, 0]


def test_projection_agrees_with_opencv(camera):
    generator = np.random.default_rng(0)
    points = camera.unproject(
        generator.uniform([0, 0], [639, 479], (500, 2)), generator.uniform(0.3, 9, 500)
    )
    np.testing.assert_allclose(
        camera.project(points), opencv_project(camera, points), rtol=0, atol=1e-9
    )


def test_undistorted_points_agree_with_opencv(camera):
    pixels = np.random.default_rng(0).uniform([0, 0], [639, 479], (300, 2))
    coefficients, matrix = np.array(camera.distortion), camera.matrix()
    if camera.distortion_model == "equidistant":
        expected = cv2.fisheye.undistortPoints(pixels[:, None], matrix, coefficients)
    else:
        criteria = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 500, 1e-14)
        expected = cv2.undistortPointsIter(
            pixels[:, None], matrix, coefficients, None, None, criteria
        )
    np.testing.assert_allclose(camera.normalise(pixels), expected[:, 0], rtol=0, atol=1e-8)


def test_every_pixel_survives_the_round_trip(camera):
    grid = camera.pixel_grid()
    bearings = camera.bearings(grid)
    assert np.abs(camera.project(bearings) - grid).max() < 1e-9
    assert (
        np.abs(camera.project(camera.unproject(grid, np.full((480, 640), 3.0))) - grid).max()
        < 1e-9
    )
    np.testing.assert_allclose(np.linalg.norm(bearings, axis=-1), 1.0, atol=1e-14)


def test_results_keep_kind_dtype_and_batch_shape(camera, like):
    for shape in [(), (4,), (2, 3), (0,)]:
        generator = np.random.default_rng(0)
        pixels = to_like(generator.uniform([100, 100], [500, 400], (*shape, 2)), like)
        depth = to_like(generator.uniform(1, 2, shape), like)
        points = camera.unproject(pixels, depth)
        bearings, back = camera.bearings(pixels), camera.project(points)
        again, jacobian = camera.project_with_jacobian(points)
        for array, trailing in [
            (points, (3,)),
            (bearings, (3,)),
            (back, (2,)),
            (again, (2,)),
            (jacobian, (2, 3)),
            (camera.contains(pixels), ()),
        ]:
            assert namespace(array) is namespace(like)
            assert tuple(array.shape) == (*shape, *trailing)
        # numpy 1 takes 0-d float32 for a Python number, and answers in float64.
        if shape or not NUMPY_1:
            assert bearings.dtype == points.dtype == back.dtype == jacobian.dtype == like.dtype
        tolerance = 1e-9 if "64" in str(like.dtype) else 1e-3
        np.testing.assert_allclose(np.asarray(back), np.asarray(pixels), atol=tolerance)


def test_unproject_gives_the_depth_along_the_axis(camera):
    points = camera.unproject(np.array([[10.0, 20.0], [600.0, 400.0]]), np.array([2.0, 5.0]))
    np.testing.assert_allclose(points[:, 2], [2.0, 5.0], atol=1e-14)


COEFFICIENTS = {
    "plumb_bob": [0.5, 0.3, 0.01, 0.01, 0.2],
    "rational_polynomial": [0.5, 0.3, 0.01, 0.01, 0.2, 0.5, 0.3, 0.2],
    "equidistant": [0.15, 0.08, 0.03, 0.01],
}


@st.composite
def any_camera(draw):
    model = draw(st.sampled_from(sorted(COEFFICIENTS)))
    coefficients = tuple(draw(st.floats(-bound, bound)) for bound in COEFFICIENTS[model])
    return Camera(640, 480, 400.0, 420.0, 320.0, 240.0, model, coefficients)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(any_camera(), st.integers(0, 1000))
def test_a_pixel_is_never_seen_from_two_directions(camera, seed):
    generator = np.random.default_rng(seed)
    angle, turn = generator.uniform(0, 1.57, 300), generator.uniform(0, 2 * np.pi, 300)
    directions = np.stack(
        [np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle)], axis=-1
    )
    pixels = camera.project(directions)
    seen = np.isfinite(pixels).all(axis=-1)
    assert (np.isfinite(pixels).any(axis=-1) == seen).all()
    back = camera.bearings(pixels[seen])
    found = np.isfinite(back).all(axis=-1)
    np.testing.assert_allclose(back[found], directions[seen][found], atol=1e-6)
    assert np.count_nonzero(~found) <= 0.01 * max(100, len(found))


@settings(deadline=None, derandomize=True, max_examples=200)
@given(any_camera(), st.integers(0, 1000))
def test_a_bearing_always_projects_to_its_pixel(camera, seed):
    pixels = np.random.default_rng(seed).uniform([-200, -200], [840, 680], (300, 2))
    bearings = camera.bearings(pixels)
    seen = np.isfinite(bearings).all(axis=-1)
    np.testing.assert_allclose(camera.project(bearings[seen]), pixels[seen], atol=1e-6)


def test_points_behind_the_camera_have_no_pixel(camera):
    points = np.array(
        [[0.1, 0.2, -1.0], [0.1, 0.2, 0.0], [0, 0, 0], [np.nan, 0, 1], [np.inf, 0, 1]]
    )
    assert np.isnan(camera.project(points)).all()
    assert np.isnan(camera.project_with_jacobian(points)[0]).all()


def test_pixels_that_are_not_finite_have_no_bearing(camera):
    pixels = np.array([[np.nan, 3.0], [3.0, np.inf], [-np.inf, np.nan]])
    assert np.isnan(camera.bearings(pixels)).all()


def test_points_beyond_the_fold_of_a_barrel_lens_have_no_false_pixel():
    camera = Camera(*NUMBERS, "plumb_bob", (-0.28, 0.0, 0.0, 0.0, 0.0))
    fold = 1 / np.sqrt(3 * 0.28)
    inside, outside = camera.project(np.array([[0.99 * fold, 0, 1], [1.2 * fold, 0, 1]]))
    assert np.isfinite(inside).all()
    assert np.isnan(outside).all()
    # OpenCV puts it back inside the image.
    false_pixel = opencv_project(camera, np.array([[1.2 * fold, 0, 1]]))[0]
    assert false_pixel[0] < inside[0]
    farthest = camera.cx + camera.fx * fold * (1 - 0.28 * fold**2)
    assert np.isnan(camera.bearings(np.array([farthest + 0.5, camera.cy]))).all()
    assert np.isfinite(camera.bearings(np.array([farthest - 0.5, camera.cy]))).all()


def test_the_pole_of_a_rational_lens_ends_its_domain():
    camera = Camera(*NUMBERS, "rational_polynomial", (0, 0, 0, 0, 0, -0.5, 0, 0))
    pole = np.sqrt(2.0)
    pixels = camera.project(np.array([[0.95 * pole, 0, 1], [1.05 * pole, 0, 1]]))
    assert np.isfinite(pixels[0]).all()
    assert np.isnan(pixels[1]).all()


def test_an_ideal_fisheye_is_linear_in_the_angle():
    camera = CAMERAS["ideal fisheye"]
    angle = np.array([0.0, 1e-9, 0.3, 1.0, 1.5])
    pixels = camera.project(np.stack([np.sin(angle), 0 * angle, np.cos(angle)], axis=-1))
    np.testing.assert_allclose(pixels[:, 0], camera.cx + camera.fx * angle, atol=1e-9)


def test_gradients_are_right(camera):
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    pixels = torch.tensor(generator.uniform(50, 430, (4, 2)), requires_grad=True)
    points = camera.unproject(pixels, torch.ones(4, dtype=torch.float64)).detach()
    points.requires_grad_()
    assert torch.autograd.gradcheck(camera.bearings, pixels)
    assert torch.autograd.gradcheck(camera.project, points)


def test_gradients_on_the_axis_are_right(camera):
    torch = pytest.importorskip("torch")
    point = torch.tensor([0.0, 0.0, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(camera.project, point)


def test_invalid_points_leave_the_gradient_of_the_others_finite(camera):
    torch = pytest.importorskip("torch")
    points = torch.tensor(
        [[0.1, 0.1, 1.0], [0.1, 0.1, 0.0], [1e30, 0.0, 1e-30], [0.0, 0.0, -1.0]],
        dtype=torch.float64,
        requires_grad=True,
    )
    pixels = camera.project(points)
    pixels[torch.isfinite(pixels)].sum().backward()
    assert torch.isfinite(points.grad).all()
    assert points.grad[0].abs().sum() > 0


def test_jacobian_is_the_derivative_of_the_projection(camera):
    points = camera.unproject(
        np.random.default_rng(0).uniform(50, 430, (20, 2)), np.linspace(1, 4, 20)
    )
    pixels, jacobian = camera.project_with_jacobian(points)
    step = 1e-6 * np.eye(3)
    columns = (
        camera.project(points[:, None] + step) - camera.project(points[:, None] - step)
    ) / 2e-6
    np.testing.assert_allclose(np.swapaxes(columns, -1, -2), jacobian, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(pixels, camera.project(points), atol=0)


def test_undistort_maps_agree_with_opencv(camera):
    matrix, coefficients = camera.matrix(), np.array(camera.distortion)
    size = (camera.width, camera.height)
    if camera.distortion_model == "equidistant":
        init = cv2.fisheye.initUndistortRectifyMap
    else:
        init = cv2.initUndistortRectifyMap
    expected = init(matrix, coefficients, np.eye(3), matrix, size, cv2.CV_32FC1)
    for got, wanted in zip(camera.undistort_maps(), expected, strict=True):
        assert got.dtype == np.float32
        assert got.shape == (480, 640)
        np.testing.assert_allclose(got, wanted, atol=2e-4)


def test_undistorting_a_picture_of_straight_lines_makes_them_straight():
    camera = CAMERAS["barrel"]
    bearings = camera.bearings(camera.pixel_grid())
    # A plane at depth 1 with a smooth brightness ramp across.
    picture = (bearings[..., 0] / bearings[..., 2]).astype(np.float32)
    rectified = camera.undistort(picture)
    x = np.broadcast_to((np.arange(640) - camera.cx) / camera.fx, (480, 640))
    middle = (slice(40, 440), slice(40, 600))
    np.testing.assert_allclose(rectified[middle], x[middle], atol=1e-3)


def test_what_the_lens_cannot_see_becomes_black():
    camera = Camera(*NUMBERS, "plumb_bob", (-0.5, 0.0, 0.0, 0.0, 0.0))
    wide = Camera(640, 480, 100.0, 100.0, 320.0, 240.0)
    image = np.full((480, 640, 3), 255, np.uint8)
    undistorted = camera.undistort(image, wide)
    assert undistorted[0, 0].tolist() == [0, 0, 0]
    assert undistorted[240, 320].tolist() == [255, 255, 255]
    assert np.isfinite(camera.undistort_maps(wide)).all()


def test_undistorting_an_image_of_another_size_is_refused(camera):
    with pytest.raises(InputError, match="640 x 480 pixels, got 320 x 240"):
        camera.undistort(np.zeros((240, 320), np.uint8))


@pytest.mark.parametrize("size", [(320, 240), (1280, 960), (213, 300), (1, 1)])
def test_resizing_scales_pixel_areas(camera, size):
    small = camera.resize(*size)
    direction = np.array([[0.1, -0.2, 1.0], [-0.3, 0.1, 2.0]])
    factor = np.array(size) / [640, 480]
    # A position as part of the image is (pixel + 0.5) / size in both.
    expected = (camera.project(direction) + 0.5) * factor - 0.5
    np.testing.assert_allclose(small.project(direction), expected, atol=1e-9)
    assert (small.width, small.height) == size


def test_resizing_agrees_with_area_averaging():
    camera = Camera(64, 48, 50.0, 50.0, 31.2, 22.7)
    grid = camera.pixel_grid()
    averaged = cv2.resize(grid, (16, 24), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(
        camera.resize(16, 24).bearings(camera.resize(16, 24).pixel_grid()),
        camera.bearings(averaged),
        atol=1e-12,
    )


def test_cropping_shifts_pixels(camera):
    part = camera.crop(100, 50, 200, 300)
    direction = np.array([0.1, -0.1, 1.0])
    np.testing.assert_allclose(part.project(direction), camera.project(direction) - [100, 50])
    assert (part.width, part.height) == (200, 300)


def test_contains_ends_with_the_outer_pixels():
    camera = CAMERAS["pinhole"]
    pixels = np.array(
        [[-0.5, -0.5], [639.49, 479.49], [639.5, 0], [0, 479.5], [-0.51, 0], [np.nan, 0]]
    )
    assert camera.contains(pixels).tolist() == [True, True, False, False, False, False]


def test_pixel_grid_holds_u_v_by_row_and_column(like):
    grid = CAMERAS["pinhole"].pixel_grid(like)
    assert tuple(grid.shape) == (480, 640, 2)
    assert grid.dtype == like.dtype
    assert np.asarray(grid[2, 5]).tolist() == [5.0, 2.0]


def test_undistorted_keeps_everything_but_the_lens(camera):
    flat = camera.undistorted()
    assert flat.distortion_model == "none"
    np.testing.assert_array_equal(flat.matrix(), camera.matrix())
    pixels = flat.project(np.array([0.2, 0.1, 2.0]))
    np.testing.assert_allclose(pixels, (camera.matrix() @ [0.1, 0.05, 1.0])[:2])


def test_cameras_compare_by_value_and_can_be_keys():
    again = Camera(*NUMBERS, "plumb_bob", [-0.28, 0.07, 0.001, -0.0005, 0.01])
    assert again == CAMERAS["barrel"]
    assert {again: 1}[CAMERAS["barrel"]] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "positive image size"),
        ({"height": -4}, "positive image size"),
        ({"fx": 0.0}, "positive focal lengths"),
        ({"fy": -500.0}, "positive focal lengths"),
        ({"cx": float("nan")}, "finite intrinsics"),
        ({"distortion_model": "fov", "distortion": (0.9,)}, "none, plumb_bob, rational"),
        ({"distortion_model": "plumb_bob", "distortion": (0.1,)}, "4 or 5 coefficients"),
        ({"distortion_model": "equidistant", "distortion": ()}, "4 coefficients"),
        ({"distortion": (0.1, 0.0, 0.0, 0.0)}, "0 coefficients for none"),
        (
            {"distortion_model": "plumb_bob", "distortion": (0, 0, 0, float("inf"))},
            "finite intrinsics",
        ),
    ],
)
def test_cameras_that_cannot_be_are_refused(changes, message):
    values = dict(zip(("width", "height", "fx", "fy", "cx", "cy"), NUMBERS, strict=True))
    with pytest.raises(InputError, match=message) as error:
        Camera(**{**values, **changes})
    assert "\n" not in str(error.value)


def test_arrays_of_another_shape_are_refused(camera):
    for call in (camera.project, camera.project_with_jacobian):
        with pytest.raises(InputError, match="points"):
            call(np.zeros((5, 2)))
    for call in (camera.bearings, camera.contains):
        with pytest.raises(InputError, match="pixels"):
            call(np.zeros((5, 3)))
