"""The sensor does what it is told: exposure, noise, blur, tone curve."""

from __future__ import annotations

import numpy as np
import pytest
from core.tabletop import CAMERA, DISTORTED, VIEW, renderer, world
from hypothesis import given, settings
from hypothesis import strategies as st

from fast_inerf_ros.datasets.synthetic.sensor import (
    Motion,
    Sensor,
    develop,
    inverse_tone_curve,
    motion_blur,
    motion_flow,
    motion_for_blur,
    tone_curve,
)
from fast_inerf_ros.errors import InputError

PLAIN = {"softness_px": 0.0, "vignetting": 0.0}


@settings(deadline=None, derandomize=True)
@given(st.floats(0, 1.6))
def test_tone_curve_rises_and_has_an_inverse(light):
    value = tone_curve(light)
    assert 0 <= value < 1
    assert tone_curve(light + 0.01) > value
    assert inverse_tone_curve(value) == pytest.approx(light, abs=2e-4)


@pytest.mark.parametrize("stops", [-0.7, 0.0, 0.5])
def test_exposure_scales_light_by_powers_of_two(stops):
    light = np.full((64, 64, 3), 0.3, np.float32)
    image = develop(light, Sensor(exposure_ev=stops, **PLAIN), np.random.default_rng(0))
    measured = np.log2(inverse_tone_curve(image / 255.0).mean() / 0.3)
    assert measured == pytest.approx(stops, abs=0.03)


@pytest.mark.parametrize("shot_share", [0.0, 0.5])
def test_noise_has_the_requested_deviation_at_mid_grey(shot_share):
    light = np.full((128, 128, 3), 0.5**2.2, np.float32)
    sensor = Sensor(noise_sigma=0.02, shot_share=shot_share, **PLAIN)
    image = develop(light, sensor, np.random.default_rng(1)) / 255.0
    assert image.std() == pytest.approx(0.02, rel=0.03)
    assert image.mean() == pytest.approx(0.5, abs=0.003)


def test_noise_follows_its_generator():
    light = np.full((16, 16, 3), 0.3, np.float32)
    sensor = Sensor(noise_sigma=0.05)
    images = [develop(light, sensor, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(images[0], images[1])
    assert (images[0] != images[2]).any()


def test_black_and_blinding_light_stay_within_the_image():
    light = np.array([[[0.0, 0.5, 1e6]]], np.float32)
    image = develop(light, Sensor(noise_sigma=0.1, **PLAIN), np.random.default_rng(0))
    assert image.dtype == np.uint8
    assert image[0, 0, 2] > 150


@pytest.mark.parametrize("camera", [CAMERA, DISTORTED], ids=lambda c: c.distortion_model)
@pytest.mark.parametrize("length", [1.0, 3.0, 7.0])
def test_motion_blur_has_the_commanded_length(camera, length):
    rendered = renderer().render(world(), camera, VIEW)
    motion = motion_for_blur(rendered, camera, [0.2, -0.1, 0.05, 0.3, 0.5, 0.1], length)
    _, measured = motion_blur(rendered, camera, motion)
    assert measured == pytest.approx(length, rel=0.05)


def test_blur_length_is_the_angle_swept_times_the_focal_length():
    rendered = renderer().render(world(), CAMERA, VIEW)
    motion = Motion.from_velocity([0, 0, 0, 0, np.radians(90), 0], 0.02)
    length = motion_flow(rendered, CAMERA, motion)[2]
    centre = length[55:65, 75:85]
    np.testing.assert_allclose(centre, np.radians(90) * 0.02 * CAMERA.fx, rtol=0.01)


def test_motion_blur_resembles_the_mean_of_renders_along_the_way():
    rendered = renderer().render(world(), CAMERA, VIEW)
    motion = motion_for_blur(rendered, CAMERA, [0.3, 0.1, 0.0, 0.1, 0.5, 0.4], 5.0)
    blurred, _ = motion_blur(rendered, CAMERA, motion)
    times = (np.arange(15) + 0.5) / 15
    truth = np.mean(
        [
            renderer()
            .render(world(), CAMERA, VIEW @ motion.T_mid_start.interpolate(motion.T_mid_end, t))
            .colour
            for t in times
        ],
        axis=0,
    )
    inner = (slice(8, -8), slice(8, -8))
    error = np.abs(blurred - truth)[inner].mean()
    unblurred = np.abs(rendered.colour - truth)[inner].mean()
    wrong_way = motion_blur(
        rendered, CAMERA, motion_for_blur(rendered, CAMERA, [0.3, 0.1, 0.0, 0.5, -0.1, 0.4], 5.0)
    )[0]
    assert error < 0.3 * unblurred
    assert error < 0.3 * np.abs(wrong_way - truth)[inner].mean()


def test_no_motion_leaves_the_image_as_it_is():
    rendered = renderer().render(world(), CAMERA, VIEW)
    blurred, length = motion_blur(rendered, CAMERA, Motion.from_velocity(np.zeros(6), 0.01))
    np.testing.assert_array_equal(blurred, rendered.colour)
    assert length == pytest.approx(0, abs=1e-3)


def test_bad_sensor_input_is_refused():
    from fast_inerf_ros.datasets.synthetic.trajectories import hand_held

    with pytest.raises(InputError, match="positive duration"):
        hand_held(np.random.default_rng(0), 0.0)
