"""Pixels: what is drawn is allowed, never repeats, and follows its strategy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from analytic_field import AnalyticField, camera_at, photograph, small_camera
from hypothesis import given, settings
from hypothesis import strategies as st

from fast_inerf_ros.inerf.pixels import STRATEGIES, PixelOptions, draw, select
from fast_inerf_ros.inerf.problem import Problem

HEIGHT, WIDTH = 60, 80
VIEW = camera_at((1.2, -0.9, 1.0))


def problem(image=None, **given_parts) -> Problem:
    if image is None:
        image = photograph(AnalyticField(), small_camera(WIDTH, HEIGHT), VIEW, 1)
    return Problem(image, small_camera(WIDTH, HEIGHT), AnalyticField(), VIEW, **given_parts)


def spots() -> np.ndarray:
    """A grey image with blobs that SIFT finds, at (20, 20), (60, 20), (20, 40), (60, 40)."""
    image = np.full((HEIGHT, WIDTH, 3), 0.3, dtype=np.float32)
    for u in (20, 60):
        for v in (20, 40):
            cv2.circle(image, (u, v), 4, (0.9, 0.9, 0.9), -1, cv2.LINE_AA)
    return image


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(deadline=None, derandomize=True, max_examples=15)
@given(seed=st.integers(0, 2**32), share=st.floats(0.0, 1.0), count=st.integers(6, 5000))
def test_only_allowed_pixels_are_drawn_and_none_twice(strategy, seed, share, count):
    generator = np.random.default_rng(seed)
    allowed = generator.random((HEIGHT, WIDTH)) < share
    drawn = select(PixelOptions(strategy, count), problem(spots()), allowed, generator)
    assert drawn.shape[1] == 2
    assert len(drawn) <= min(count, allowed.sum())
    assert allowed[drawn[:, 1], drawn[:, 0]].all()
    assert len(np.unique(drawn, axis=0)) == len(drawn)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nothing_allowed_draws_nothing(strategy):
    allowed = np.zeros((HEIGHT, WIDTH), dtype=bool)
    drawn = select(PixelOptions(strategy), problem(), allowed, np.random.default_rng(0))
    assert drawn.shape == (0, 2)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_equal_generators_draw_equal_pixels(strategy):
    allowed = np.ones((HEIGHT, WIDTH), dtype=bool)
    options = PixelOptions(strategy, 100)
    first, again, other = (
        select(options, problem(), allowed, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert strategy == "interest_points" or not np.array_equal(first, other)


@pytest.mark.parametrize("strategy", ["random", "mask_region", "gradient_weighted"])
def test_as_many_are_drawn_as_are_asked_for(strategy):
    allowed = np.ones((HEIGHT, WIDTH), dtype=bool)
    drawn = select(PixelOptions(strategy, 500), problem(), allowed, np.random.default_rng(0))
    assert len(drawn) == 500


def test_a_featureless_image_has_no_interest_points():
    flat = problem(np.full((HEIGHT, WIDTH, 3), 0.5, dtype=np.float32))
    allowed = np.ones((HEIGHT, WIDTH), dtype=bool)
    for strategy in ("interest_points", "interest_regions"):
        drawn = select(PixelOptions(strategy), flat, allowed, np.random.default_rng(0))
        assert len(drawn) == 0


def test_regions_contain_the_points_and_end_where_the_kernel_does():
    allowed = np.ones((HEIGHT, WIDTH), dtype=bool)
    many = {"count": HEIGHT * WIDTH}
    points = select(
        PixelOptions("interest_points", **many),
        problem(spots()),
        allowed,
        np.random.default_rng(0),
    )
    options = PixelOptions("interest_regions", kernel_size=3, iterations=2, **many)
    region = select(options, problem(spots()), allowed, np.random.default_rng(0))
    assert 1 <= len(points) < len(region)
    distance = np.abs(region[:, None] - points).max(axis=-1).min(axis=1)
    assert distance.max() == 2


def test_more_iterations_grow_larger_regions():
    allowed = np.ones((HEIGHT, WIDTH), dtype=bool)
    sizes = []
    for iterations in (0, 1, 3):
        options = PixelOptions("interest_regions", HEIGHT * WIDTH, iterations=iterations)
        drawn = select(options, problem(spots()), allowed, np.random.default_rng(0))
        sizes.append(len(drawn))
    assert sizes[0] < sizes[1] < sizes[2]


def test_mask_region_stays_around_what_the_detector_found():
    region = np.zeros((HEIGHT, WIDTH), dtype=bool)
    region[20:30, 30:45] = True
    allowed = np.ones((HEIGHT, WIDTH), dtype=bool)
    options = PixelOptions("mask_region", HEIGHT * WIDTH, kernel_size=5, iterations=1)
    drawn = select(options, problem(region=region), allowed, np.random.default_rng(0))
    assert drawn.min(axis=0).tolist() == [28, 18]
    assert drawn.max(axis=0).tolist() == [46, 31]
    assert len(drawn) == 14 * 19


def test_gradient_weighted_pixels_lie_where_the_image_changes():
    scene = problem(spots())
    allowed = np.ones((HEIGHT, WIDTH), dtype=bool)
    means = []
    for strategy in ("random", "gradient_weighted"):
        drawn = select(PixelOptions(strategy, 150), scene, allowed, np.random.default_rng(0))
        means.append(scene.gradient[drawn[:, 1], drawn[:, 0]].mean())
    assert means[1] > 4 * means[0]


def test_drawing_is_in_proportion_to_the_weights():
    weights = np.repeat(np.array([[1.0, 3.0]], dtype=np.float32), 2000, axis=0)
    drawn = draw(weights, 200, np.random.default_rng(0))
    share = np.mean(drawn[:, 0] == 1)
    assert abs(share - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 200)
