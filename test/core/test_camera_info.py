"""Cameras from CameraInfo numbers: binning, regions, rectified images, bad input."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera

K = (500.0, 0.0, 321.0, 0.0, 510.0, 243.0, 0.0, 0.0, 1.0)
P = (450.0, 0.0, 330.0, 0.0, 0.0, 455.0, 250.0, 0.0, 0.0, 0.0, 1.0, 0.0)
D = (-0.28, 0.07, 0.001, -0.0005, 0.01)
GOOD = {"width": 640, "height": 480, "distortion_model": "plumb_bob", "d": D, "k": K, "p": P}
DIRECTIONS = np.array([[0.1, -0.2, 1.0], [-0.3, 0.1, 2.0], [0.0, 0.0, 1.0]])


def from_info(**changes):
    return Camera.from_camera_info(**{**GOOD, **changes})


def test_raw_images_use_k_and_d():
    camera = from_info()
    assert camera == Camera(640, 480, 500.0, 510.0, 321.0, 243.0, "plumb_bob", D)


def test_rectified_images_use_p_and_no_distortion():
    assert from_info(rectified=True) == Camera(640, 480, 450.0, 455.0, 330.0, 250.0)


@pytest.mark.parametrize(("model", "d"), [("plumb_bob", ()), ("", ()), ("plumb_bob", (0.0,) * 5)])
def test_no_or_zero_coefficients_mean_no_distortion(model, d):
    assert from_info(distortion_model=model, d=d).distortion_model == "none"


def test_a_fisheye_with_zero_coefficients_stays_a_fisheye():
    camera = from_info(distortion_model="equidistant", d=(0.0,) * 4)
    assert camera.distortion_model == "equidistant"


@pytest.mark.parametrize(
    ("model", "d"),
    [
        ("plumb_bob", (0.1, 0.0, 0.0, 0.0)),
        ("rational_polynomial", (0.1,) * 8),
        ("rational_polynomial", (0.01,) * 12),
        ("rational_polynomial", (0.01,) * 14),
        ("equidistant", (0.1, 0.0, 0.0, 0.0)),
    ],
)
def test_every_model_of_ros_is_taken(model, d):
    camera = from_info(distortion_model=model, d=d)
    assert (camera.distortion_model, camera.distortion) == (model, d)


def test_zero_binning_means_none():
    assert from_info(binning_x=0, binning_y=1) == from_info()


def test_binning_averages_blocks_of_pixels():
    full, binned = from_info(), from_info(binning_x=2, binning_y=4)
    assert (binned.width, binned.height) == (320, 120)
    # The centre of block i is at full pixel 2 i + 0.5.
    pixels = binned.project(DIRECTIONS)
    expected = (full.project(DIRECTIONS) - [0.5, 1.5]) / [2, 4]
    np.testing.assert_allclose(pixels, expected, atol=1e-10)


def test_a_region_is_cut_out_of_the_full_sensor_before_binning():
    part = from_info(roi=(100, 40, 400, 300, False), binning_x=2, binning_y=2)
    assert (part.width, part.height) == (200, 150)
    expected = (from_info().project(DIRECTIONS) - [100, 40] - 0.5) / 2
    np.testing.assert_allclose(part.project(DIRECTIONS), expected, atol=1e-10)


def test_a_region_of_zeros_is_the_full_image():
    assert from_info(roi=(0, 0, 0, 0, True)) == from_info()
    assert from_info(roi=(0, 0, 640, 480, True), rectified=True) == from_info(rectified=True)


def test_a_rectified_region_is_taken_as_given_without_do_rectify():
    part = from_info(roi=(100, 40, 400, 300, False), rectified=True)
    assert part == from_info(rectified=True).crop(100, 40, 400, 300)


def test_a_rectified_region_is_that_of_the_raw_one_with_do_rectify():
    turn = cv2.Rodrigues(np.array([0.01, -0.02, 0.005]))[0]
    region = (100, 40, 400, 300)
    part = from_info(roi=(*region, True), r=turn.ravel(), rectified=True)
    matrix, projection = np.reshape(K, (3, 3)), np.reshape(P, (3, 4))
    corners = np.array([[100, 40], [500, 40], [500, 340], [100, 340]], float)[:, None]
    corners = cv2.undistortPoints(corners, matrix, np.array(D), None, turn, projection)[:, 0]
    x, y = np.ceil(np.minimum(corners[0], [corners[3, 0], corners[1, 1]]))
    end_x = np.floor(max(corners[1, 0], corners[2, 0]))
    end_y = np.floor(max(corners[2, 1], corners[3, 1]))
    expected = from_info(rectified=True).crop(x, y, int(end_x - x), int(end_y - y))
    assert part == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": (0.0,) * 9}, "not calibrated: run `ros2 run camera_calibration"),
        ({"p": (0.0,) * 12, "rectified": True}, "not calibrated"),
        ({"width": 0, "height": 0}, "positive size"),
        ({"k": (-500.0, *K[1:])}, "positive focal lengths in K"),
        ({"k": (float("nan"), *K[1:])}, "positive focal lengths in K"),
        ({"k": (500.0, 3.0, *K[2:])}, "skew"),
        ({"k": K[:4]}, "9 numbers in K, got 4"),
        ({"p": K, "rectified": True}, "12 numbers in P, got 9"),
        ({"d": D[:3]}, "4 or 5 coefficients for plumb_bob, got 3"),
        ({"d": (float("nan"),) * 5}, "finite distortion"),
        ({"distortion_model": "rational_polynomial"}, "8 or 12 or 14 coefficients"),
        ({"distortion_model": "equidistant", "d": ()}, "4 coefficients for equidistant, got 0"),
        ({"distortion_model": "fisheye"}, "none, plumb_bob, rational_polynomial, equidistant"),
        ({"distortion_model": "fisheye", "d": ()}, "got 'fisheye'"),
        ({"distortion_model": "none"}, "got ''"),
        ({"binning_x": -1}, "binning"),
        ({"roi": (400, 0, 400, 300, False)}, "region inside 640 x 480"),
        ({"roi": (-1, 0, 40, 30, False)}, "region inside"),
        ({"roi": (10, 0, 0, 0, False)}, "region with a size"),
        ({"roi": (10, 0, 0, 30, False)}, "region inside"),
        ({"roi": (0, 0, 3, 3, False), "binning_x": 4}, "positive image size"),
        (
            {"r": (1.0,) * 9, "roi": (9, 9, 99, 99, True), "rectified": True},
            "rotation matrix in R",
        ),
    ],
)
def test_camera_info_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(InputError, match=message) as error:
        from_info(**changes)
    assert "\n" not in str(error.value)


def test_region_outside_of_the_lens_domain_is_refused():
    with pytest.raises(InputError, match="domain"):
        from_info(d=(-2.0, 0, 0, 0, 0), roi=(0, 0, 600, 400, True), rectified=True)
