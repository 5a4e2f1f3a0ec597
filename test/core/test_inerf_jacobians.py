"""Jacobians of renderings and of projections by the pose, against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from analytic_field import AnalyticField, camera_at, photograph, small_camera

from fast_inerf_ros.fields.vanilla import VanillaField
from fast_inerf_ros.fields.vanilla_options import VanillaArchitecture, VanillaRendering
from fast_inerf_ros.fields.vanilla_setting import VanillaSetting
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.inerf.keyframe import render_keyframe
from fast_inerf_ros.inerf.photometric import (
    linearise,
    linearise_by_image,
    pixel_flow,
    render,
    samples_at,
)
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.pyramid import build_pyramid

VIEW = camera_at((1.2, -0.9, 1.0))
LENSES = {
    "none": {},
    "plumb_bob": {"distortion_model": "plumb_bob", "distortion": (-0.2, 0.05, 0.001, 0.002, 0.0)},
    "equidistant": {"distortion_model": "equidistant", "distortion": (0.05, -0.01, 0.0, 0.0)},
}


def turned_frame() -> FieldFrame:
    turn = SO3.exp(np.array([0.3, -0.5, 0.9]))
    return FieldFrame(SE3(turn, np.array([0.4, 1.0, -0.2])), 2.5, True)


def problem(field, lens="none", supersample=1) -> Problem:
    camera = small_camera(80, 60, **LENSES[lens])
    pose = field.frame.T_world_field @ SE3(
        VIEW.rotation, field.frame.metres_per_unit * VIEW.translation
    )
    return Problem(photograph(field, camera, pose, supersample), camera, field, pose)


def numerical(function, size, step):
    columns = []
    for index in range(size):
        twist = np.zeros(size)
        twist[index] = step
        columns.append((function(twist) - function(-twist)) / (2 * step))
    return np.stack(columns, axis=-1)


@pytest.mark.parametrize("frame", [FieldFrame(metric=True), turned_frame()], ids=["own", "turned"])
def test_rendering_moves_with_the_camera_as_its_jacobian_says(frame):
    scene = problem(AnalyticField(frame=frame))
    bearings = scene.bearings[::7, ::7].reshape(-1, 3)

    def colors(twist):
        return render(scene, scene.start @ SE3.exp(twist), bearings).color.astype(np.float64)

    expected = numerical(colors, 6, 2e-4)
    got = linearise(scene, scene.start, bearings).jacobian
    # A ray that crosses an edge within the step has no derivative.
    error = np.abs(got - expected).max(axis=(1, 2)) / np.abs(expected).max()
    assert np.mean(error < 0.02) > 0.95
    assert np.median(error) < 0.005


def test_a_neural_field_moves_with_the_camera_as_its_jacobian_says():
    architecture = VanillaArchitecture(
        depth=2,
        width=32,
        position_frequencies=2,
        direction_frequencies=1,
        view_directions=True,
    )
    setting = VanillaSetting(VanillaRendering(n_samples=96, n_importance=0), near=2.0, far=6.0)
    field = VanillaField.untrained(architecture, setting, np.random.default_rng(0))
    with torch.no_grad():
        field.networks.coarse.alpha_linear.bias.fill_(0.5)
        field.networks.coarse.rgb_linear.weight.mul_(6.0)
    camera = small_camera(12, 8)
    pose = camera_at((3.0, 1.5, 1.0), (0, 0, 0))
    scene = Problem(np.zeros((8, 12, 3), dtype=np.float32), camera, field, pose)
    bearings = scene.bearings.reshape(-1, 3)

    def colors(twist):
        return render(scene, pose @ SE3.exp(twist), bearings).color.astype(np.float64)

    expected = numerical(colors, 6, 2e-3)
    got = linearise(scene, pose, bearings).jacobian
    # Samples of a moved ray are placed anew, which the Jacobian leaves out.
    assert np.linalg.norm(got - expected) < 0.1 * np.linalg.norm(expected)


@pytest.mark.parametrize("lens", LENSES)
def test_pixels_flow_with_the_points_as_their_jacobian_says(lens):
    camera = small_camera(80, 60, **LENSES[lens])
    generator = np.random.default_rng(0)
    points = camera.unproject(
        generator.uniform((5, 5), (75, 55), (50, 2)), generator.uniform(1, 3, 50)
    )
    expected = numerical(lambda twist: camera.project(SE3.exp(twist) @ points), 6, 1e-5)
    np.testing.assert_allclose(pixel_flow(camera, points), expected, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("lens", LENSES)
def test_slopes_of_the_image_stand_for_those_of_the_rendering(lens):
    scene = problem(AnalyticField(frequency=10.0), lens)
    pixels = np.random.default_rng(0).integers((3, 3), (77, 57), (400, 2))
    pixels = pixels[scene.usable[pixels[:, 1], pixels[:, 0]]]
    samples = samples_at(scene, pixels)
    exact = linearise(scene, scene.start, samples.bearings).jacobian
    approximate = linearise_by_image(scene, scene.start, samples, 1.0).jacobian
    difference = np.linalg.norm(exact - approximate, axis=(1, 2))
    assert np.median(difference / np.linalg.norm(exact, axis=(1, 2))) < 0.1


def test_slopes_of_a_keyframe_are_those_of_the_rendering():
    scene = problem(AnalyticField(frequency=6.0))
    levels = build_pyramid(scene, scene.usable, [80])
    key = render_keyframe(scene, scene.start, levels, 500, np.random.default_rng(0)).levels[0]
    bearings = key.points / np.linalg.norm(key.points, axis=1, keepdims=True)
    exact = linearise(scene, scene.start, bearings).jacobian
    difference = np.linalg.norm(exact - key.slope, axis=(1, 2))
    assert np.median(difference / np.linalg.norm(exact, axis=(1, 2))) < 0.1
