"""Landmarks in the least-squares problem pull where they should, by what they are worth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from analytic_field import AnalyticField, camera_at, disturbed, photograph, small_camera

from fast_inerf_ros.config import replace
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.anchors import Anchors
from fast_inerf_ros.inerf.brightness import BrightnessModel
from fast_inerf_ros.inerf.held_out import HeldOut, HeldOutOptions
from fast_inerf_ros.inerf.normal_equations import NormalEquations
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.solvers.keyframe import KeyframeSolver, Options

pytestmark = pytest.mark.usefixtures("one_thread")

CAMERA = small_camera(96, 72, distortion_model="plumb_bob", distortion=(-0.1, 0.02, 0.001, 0.0))
VIEW = camera_at((1.2, -0.9, 1.0))


def anchors(count=60, noise_px=0.0, seed=0, weight=1.0):
    """Landmarks anywhere in view, and where they are seen."""
    generator = np.random.default_rng(seed)
    pixels = generator.uniform([5, 5], [90, 66], (count, 2))
    depth = generator.uniform(0.8, 2.0, count)
    points = VIEW @ CAMERA.unproject(pixels, depth)
    noise = noise_px * generator.standard_normal(pixels.shape)
    return Anchors(points, pixels + noise, 0.5, weight)


def nothing():
    return NormalEquations(np.zeros((8, 8)), np.zeros(8), 0.0, 10, 1.0)


def test_the_gradient_is_that_of_the_loss():
    found, scale = anchors(noise_px=0.3, weight=3.0), 0.02
    pose = VIEW @ SE3.exp(np.array([0.004, -0.003, 0.002, 0.002, 0.001, -0.003]))
    equations = found.added(nothing(), CAMERA, pose, scale)
    for axis in range(6):
        step = 1e-6 * np.eye(6)[axis]
        ahead, behind = (found.loss(CAMERA, pose @ SE3.exp(sign * step)) for sign in (1.0, -1.0))
        slope = (ahead - behind) / 2e-6 * scale**2
        assert equations.gradient[axis] == pytest.approx(slope, rel=0.02, abs=1e-3)
    assert equations.loss == pytest.approx(found.loss(CAMERA, pose) / 10, rel=1e-5)


def test_a_step_leads_to_the_pose():
    found = anchors()
    start = VIEW @ SE3.exp(np.array([0.003, 0.002, -0.004, 0.002, -0.002, 0.001]))
    for _ in range(5):
        step = found.added(nothing(), CAMERA, start, 1.0).hessian[:6, :6]
        gradient = found.added(nothing(), CAMERA, start, 1.0).gradient[:6]
        start = start @ SE3.exp(-np.linalg.solve(step, gradient))
    assert np.allclose(start.matrix(), VIEW.matrix(), atol=1e-9)


def test_wrong_landmarks_have_no_say():
    found = anchors(40)
    pixels = found.pixels.copy()
    pixels[:10] += 30.0
    wrong = Anchors(found.points, pixels, 0.5)
    gradient = wrong.added(nothing(), CAMERA, VIEW, 1.0).gradient
    assert np.allclose(gradient, 0, atol=1e-6)


def test_landmarks_behind_the_camera_count_as_wrong():
    found = anchors(8)
    behind = VIEW @ SE3.exp(np.array([0.0, 0, 0, 0, np.pi, 0]))
    assert found.cost(CAMERA, behind) == 16.0
    assert np.isfinite(found.added(nothing(), CAMERA, behind, 1.0).hessian).all()


def test_held_out_landmarks_can_refuse_what_pixels_accept():
    field = AnalyticField()
    image = photograph(field, CAMERA, VIEW)
    problem = Problem(image, CAMERA, field, VIEW, anchors=anchors(200, noise_px=0.1))
    split = HeldOut.split(
        problem, HeldOutOptions(), BrightnessModel("affine"), np.random.default_rng(0)
    )
    assert len(split.anchors) + len(split.free_anchors) == 200
    assert 20 < len(split.anchors) < 80
    right = split.agreement(VIEW)
    wrong = split.agreement(VIEW @ SE3.exp(np.array([0.0, 0, 0, 0.01, 0, 0])))
    assert split.accepts(right, right, right)
    blamed = type(wrong)(right.cost, right.correlation, right.coverage, wrong.anchor_cost)
    assert not split.accepts(right, right, blamed)


def test_what_wins_landmarks_back_may_lose_what_colours_had_gained():
    problem = Problem(
        photograph(AnalyticField(), CAMERA, VIEW), CAMERA, AnalyticField(),
        VIEW, anchors=anchors(200),
    )  # fmt: skip
    split = HeldOut.split(
        problem, HeldOutOptions(), BrightnessModel("affine"), np.random.default_rng(0)
    )
    start = split.start
    led_away = dataclasses.replace(start, cost=0.8 * start.cost, anchor_cost=1.0)
    back = dataclasses.replace(start, cost=0.9 * start.cost, anchor_cost=0.0)
    lowest = dataclasses.replace(start, cost=led_away.cost, anchor_cost=0.0)
    assert split.accepts(lowest, led_away, back)
    not_enough = dataclasses.replace(back, anchor_cost=0.9)
    assert not split.accepts(lowest, led_away, not_enough)
    worse_than_the_start = dataclasses.replace(back, cost=1.1 * start.cost)
    assert not split.accepts(lowest, led_away, worse_than_the_start)


def test_landmarks_keep_a_pose_where_the_field_is_a_little_wrong():
    """The image is of a place that differs from the field: colours pull the wrong way."""
    field = AnalyticField()
    shifted = AnalyticField(boxes=tuple(
        tuple((x + 0.01, y, z) for x, y, z in box) for box in field.boxes
    ))  # fmt: skip
    image = photograph(shifted, CAMERA, VIEW)
    solver = KeyframeSolver(replace(Options(), "restarts", 0))
    errors = []
    for seed in range(8):
        start = disturbed(VIEW, 0.1, 0.001, np.random.default_rng(seed))
        landmarks = anchors(150, noise_px=0.2, weight=16.0, seed=seed)
        errors.append([])
        for given in (None, landmarks):
            problem = Problem(image, CAMERA, field, start, anchors=given)
            result = solver.solve(problem, np.random.default_rng(seed))
            assert result.status.refined, result.reason
            errors[-1].append(float(pose_errors(result.T_world_camera, VIEW).translation))
    without, with_landmarks = np.median(errors, axis=0)
    assert with_landmarks < 0.2 * without
