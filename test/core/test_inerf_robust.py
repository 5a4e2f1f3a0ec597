"""Losses, scales, brightness and normal equations, against what they are defined to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.brightness import Brightness, BrightnessModel
from fast_inerf_ros.inerf.held_out import correlation, held_out_blocks
from fast_inerf_ros.inerf.normal_equations import TWIST, build, moved
from fast_inerf_ros.inerf.result import covariance
from fast_inerf_ros.inerf.robust import LossOptions, costs, robust_scale, weights

KINDS = ["none", "huber", "tukey"]
PROPERTY = settings(deadline=None, derandomize=True, max_examples=30)
seeds = st.integers(0, 2**32)


@pytest.mark.parametrize("kind", KINDS)
@PROPERTY
@given(e=st.floats(0.01, 20.0), threshold=st.floats(0.5, 5.0))
def test_weight_is_the_slope_of_the_cost_over_the_residual(kind, e, threshold):
    loss = LossOptions(kind, threshold)
    step = 1e-5
    around = costs(loss, np.array([e - step, e + step]))
    slope = (around[1] - around[0]) / (2 * step)
    assert weights(loss, np.array([e]))[0] * e == pytest.approx(slope, abs=1e-4, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_costs_grow_and_small_residuals_cost_half_their_square(kind):
    e = np.linspace(0, 30, 500)
    cost = costs(LossOptions(kind, 2.0), e)
    assert (np.diff(cost) >= 0).all()
    assert cost[1] == pytest.approx(0.5 * e[1] ** 2, rel=1e-2)


def test_scale_is_the_standard_deviation_in_spite_of_outliers():
    generator = np.random.default_rng(0)
    residuals = generator.normal(0, 0.05, 20000)
    assert robust_scale(residuals) == pytest.approx(0.05, rel=0.03)
    residuals[:4000] = 1.0
    assert robust_scale(residuals) == pytest.approx(0.05, rel=0.35)


def test_scale_of_nothing_is_a_number():
    assert robust_scale(np.zeros((0, 3))) > 0
    assert robust_scale(np.zeros((10, 3))) > 0


@PROPERTY
@given(seed=seeds, gain=st.floats(0.3, 3.0), bias=st.floats(-0.3, 0.3))
def test_brightness_is_recovered_in_spite_of_outliers(seed, gain, bias):
    generator = np.random.default_rng(seed)
    rendered = generator.uniform(0, 1, (500, 3)).astype(np.float32)
    image = (gain * rendered + bias).astype(np.float32)
    image[:50] = generator.uniform(0, 1, (50, 3))
    found = BrightnessModel("affine").fit(image, rendered)
    assert found.gain == pytest.approx(gain, abs=0.08)
    assert found.bias == pytest.approx(bias, abs=0.05)


@pytest.mark.parametrize("kind", ["none", "gain", "affine"])
def test_brightness_columns_are_the_derivatives_of_the_residuals(kind):
    generator = np.random.default_rng(1)
    predicted = generator.uniform(0, 1, (20, 3)).astype(np.float32)
    model = BrightnessModel(kind)
    columns = model.columns(predicted)
    assert columns.shape == (20, 3, model.n_parameters)
    for index in range(model.n_parameters):
        step = np.zeros(model.n_parameters)
        step[index] = 0.25
        change = Brightness().apply(predicted) - model.moved(Brightness(), step).apply(predicted)
        np.testing.assert_allclose(columns[..., index], change / 0.25, atol=1e-5)


@PROPERTY
@given(seed=seeds)
def test_undamped_step_is_the_weighted_least_squares_solution(seed):
    generator = np.random.default_rng(seed)
    jacobian = generator.normal(size=(100, 3, 6)).astype(np.float32)
    predicted = generator.uniform(0, 1, (100, 3)).astype(np.float32)
    residuals = generator.normal(size=(100, 3)).astype(np.float32)
    confidence = generator.uniform(0, 1, 100).astype(np.float32)
    model = BrightnessModel("affine")
    equations = build(residuals, jacobian, predicted, model, LossOptions("none"), 1.0, confidence)
    columns = np.concatenate([jacobian, model.columns(predicted)], axis=-1).reshape(-1, 8)
    root = np.sqrt(np.repeat(confidence, 3))
    expected = np.linalg.lstsq(columns * root[:, None], -residuals.ravel() * root, rcond=None)[0]
    np.testing.assert_allclose(equations.step(0.0), expected, rtol=2e-3, atol=2e-4)


def test_pose_information_is_what_remains_when_brightness_is_unknown():
    generator = np.random.default_rng(3)
    jacobian = generator.normal(size=(100, 3, 6)).astype(np.float32)
    predicted = generator.uniform(0, 1, (100, 3)).astype(np.float32)
    residuals = generator.normal(size=(100, 3)).astype(np.float32)
    equations = build(
        residuals, jacobian, predicted, BrightnessModel("affine"), LossOptions("none"), 1.0
    )
    marginal = np.linalg.inv(equations.hessian)[:TWIST, :TWIST]
    np.testing.assert_allclose(np.linalg.inv(equations.pose_information()), marginal, rtol=1e-6)


def test_equations_without_structure_have_no_step():
    zero = np.zeros((50, 3, 6), dtype=np.float32)
    flat = np.full((50, 3), 0.5, dtype=np.float32)
    equations = build(flat, zero, flat, BrightnessModel("affine"), LossOptions(), 1.0)
    assert equations.step(1e-3) is None
    assert covariance(equations.pose_information(), 0.1) is None


@PROPERTY
@given(seed=seeds)
def test_moving_is_right_multiplication_to_first_order(seed):
    generator = np.random.default_rng(seed)
    pose = SE3.random(generator)
    step = 1e-4 * generator.standard_normal(8)
    exact = pose @ SE3.exp(step[:6])
    np.testing.assert_allclose(moved(pose, step).matrix(), exact.matrix(), atol=1e-7)


def test_covariance_is_the_scaled_inverse_and_none_where_singular():
    generator = np.random.default_rng(5)
    root = generator.normal(size=(20, 6)) * [1, 1, 1, 100, 100, 100]
    information = root.T @ root
    np.testing.assert_allclose(
        covariance(information, 0.1), 0.01 * np.linalg.inv(information), rtol=1e-8
    )
    information[2] = information[:, 2] = 0
    assert covariance(information, 0.1) is None
    assert covariance(np.full((6, 6), np.nan), 0.1) is None


@PROPERTY
@given(seed=seeds, gain=st.floats(0.1, 5.0), bias=st.floats(-2.0, 2.0))
def test_correlation_does_not_depend_on_brightness(seed, gain, bias):
    generator = np.random.default_rng(seed)
    image, other = generator.random((2, 200, 3)).astype(np.float32)
    changed = (gain * other + bias).astype(np.float32)
    assert correlation(image, changed) == pytest.approx(correlation(image, other), abs=1e-3)
    assert correlation(changed, other) == pytest.approx(1.0, abs=1e-3)
    assert correlation(image, np.full_like(image, 0.3)) == 0.0


def test_about_the_asked_share_of_blocks_is_held_out():
    blocks = held_out_blocks(np.ones((240, 320), dtype=bool), 0.25, np.random.default_rng(0))
    assert blocks.shape == (240, 320)
    assert blocks.mean() == pytest.approx(0.25, abs=0.1)
    assert (
        blocks.reshape(15, 16, 20, 16).transpose(0, 2, 1, 3).reshape(300, -1).std(1) == 0
    ).all()


def test_a_small_mask_has_blocks_of_its_own_size():
    usable = np.zeros((240, 320), dtype=bool)
    usable[100:140, 50:70] = True
    blocks = held_out_blocks(usable, 0.25, np.random.default_rng(0))
    assert blocks[usable].mean() == pytest.approx(0.25, abs=0.1)
