"""Umeyama's similarity: recovery, optimality, degenerate input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.registration import Similarity, umeyama
from fast_inerf_ros.geometry.se3 import SE3

POINTS = np.random.default_rng(0).standard_normal((20, 3))


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.floats(1e-3, 1e3), st.integers(3, 20))
def test_a_known_similarity_is_recovered(seed, scale, count):
    known = Similarity(SE3.random(np.random.default_rng(seed)), scale)
    found = umeyama(POINTS[:count], known @ POINTS[:count])
    assert found.scale == pytest.approx(scale, rel=1e-9)
    np.testing.assert_allclose(found.transform.matrix(), known.transform.matrix(), atol=1e-8)


def test_points_in_a_plane_are_enough():
    known = Similarity(SE3.random(np.random.default_rng(1)), 2.0)
    flat = POINTS * [1, 1, 0]
    found = umeyama(flat, known @ flat)
    np.testing.assert_allclose(found.transform.matrix(), known.transform.matrix(), atol=1e-12)


def test_mirrored_points_still_give_a_rotation():
    found = umeyama(POINTS, POINTS * [1, 1, -1])
    assert np.linalg.det(found.transform.rotation.matrix) == pytest.approx(1.0)


@pytest.mark.parametrize("with_scale", [True, False])
def test_no_other_similarity_has_a_smaller_error(with_scale):
    generator = np.random.default_rng(2)
    known = Similarity(SE3.random(generator), 1.7)
    target = known @ POINTS + 0.1 * generator.standard_normal(POINTS.shape)
    weights = generator.uniform(0.1, 2, len(POINTS))
    found = umeyama(POINTS, target, weights=weights, with_scale=with_scale)
    assert with_scale or found.scale == 1.0

    def cost(change):
        moved = Similarity(
            SE3.exp(change[:6]) @ found.transform,
            found.scale * np.exp(change[6] if with_scale else 0.0),
        )
        return weights @ np.sum((moved @ POINTS - target) ** 2, axis=-1)

    assert minimize(cost, np.zeros(7)).fun == pytest.approx(cost(np.zeros(7)), rel=1e-9)


def test_pairs_without_weight_do_not_count():
    target = POINTS * 2.0
    target[0] = [100, 100, 100]
    weights = np.r_[0.0, np.ones(19)]
    found = umeyama(POINTS, target, weights=weights)
    assert found.scale == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (POINTS[:2], POINTS[:2], "three or more points"),
        (POINTS[:, :2], POINTS[:, :2], "three or more points"),
        (POINTS, POINTS[:5], "as many source as target"),
        (np.full((4, 3), np.nan), POINTS[:4], "NaN"),
        (np.outer(np.arange(5.0), [1, 2, 3]), POINTS[:5], "source points that span a plane"),
        (POINTS[:5], np.outer(np.arange(5.0), [1, 2, 3]) + 1e3, "target points that span"),
        (np.ones((5, 3)), POINTS[:5], "one line or in one place"),
        (np.zeros((5, 3)), POINTS[:5], "one line or in one place"),
    ],
)
def test_degenerate_points_are_refused(source, target, message):
    with pytest.raises(InputError, match=message):
        umeyama(source, target)


def test_points_that_do_not_correspond_are_refused():
    # The correlation of this pairing has rank one: a whole circle of rotations fits it.
    square = np.array([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]])
    with pytest.raises(InputError, match="correspond"):
        umeyama(square, square[[2, 0, 3, 1]])


@pytest.mark.parametrize("weights", [[1.0], np.full(20, -1.0), np.r_[1.0, 1.0, np.zeros(18)]])
def test_weights_that_cannot_be_are_refused(weights):
    with pytest.raises(InputError, match="weight"):
        umeyama(POINTS, POINTS, weights=weights)
