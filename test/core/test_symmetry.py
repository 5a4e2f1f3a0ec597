"""Symmetries expand into motions that keep a symmetric shape; stored poses keep their numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.geometry.stored_pose import StoredPose
from fast_inerf_ros.geometry.symmetry import Symmetry, SymmetryAxis

PROPERTY = settings(deadline=None, derandomize=True, max_examples=50)
SEEDS = st.integers(0, 2**32 - 1)


@PROPERTY
@given(SEEDS)
def test_a_stored_pose_is_the_pose_it_was_made_of(seed):
    pose = SE3.random(np.random.default_rng(seed))
    stored = StoredPose.of(pose)
    np.testing.assert_allclose(stored.matrix(), pose.matrix(), atol=1e-14)
    assert StoredPose.of(stored) is stored
    numbers = (stored.translation.tolist(), stored.quaternion_xyzw)
    again = StoredPose.from_numbers(*numbers)
    assert again == stored
    assert hash(again) == hash(stored)
    np.testing.assert_array_equal(again.matrix(), stored.matrix())


def test_a_stored_pose_is_used_like_any_pose():
    generator = np.random.default_rng(1)
    stored = StoredPose.of(SE3.random(generator))
    other = SE3.random(generator)
    expected = stored.matrix() @ other.matrix()
    np.testing.assert_allclose((stored @ other).matrix(), expected, atol=1e-14)
    np.testing.assert_allclose((stored.inverse() @ stored).matrix(), np.eye(4), atol=1e-14)


def test_stored_poses_differ_where_one_bit_differs():
    first = StoredPose.from_numbers((1.0, 2.0, 3.0), (0.0, 0.0, 0.0, 1.0))
    moved = StoredPose.from_numbers((1.0, 2.0, np.nextafter(3.0, 4.0)), (0.0, 0.0, 0.0, 1.0))
    turned = StoredPose.from_numbers((1.0, 2.0, 3.0), (0.0, 5e-324, 0.0, 1.0))
    assert len({first, moved, turned}) == 3
    assert first != "first"


def test_numbers_that_are_no_pose_are_refused():
    with pytest.raises(InputError, match="expected unit quaternions"):
        StoredPose.from_numbers((0, 0, 0), (0, 0, 0, 1.1))
    with pytest.raises(InputError, match="expected a translation of 3 finite numbers"):
        StoredPose.from_numbers((0, 0, math.nan), (0, 0, 0, 1))
    with pytest.raises(InputError, match="expected one pose, got a batch"):
        StoredPose.of(SE3.identity((1,)))


def test_without_symmetry_only_the_identity_is_left():
    assert Symmetry().trivial
    np.testing.assert_array_equal(Symmetry().transforms().matrix(), np.eye(4)[None])


@PROPERTY
@given(SEEDS, st.integers(2, 12))
def test_a_turn_about_an_axis_keeps_its_points_and_their_distances_to_it(seed, n_steps):
    generator = np.random.default_rng(seed)
    direction = generator.standard_normal(3)
    direction /= np.linalg.norm(direction)
    offset = generator.standard_normal(3)
    axis = SymmetryAxis(tuple(direction.tolist()), tuple(offset.tolist()))
    turns = axis.rotations(n_steps)
    on_axis = offset + 0.7 * direction
    np.testing.assert_allclose(turns @ on_axis, np.tile(on_axis, (n_steps, 1)), atol=1e-12)
    expected = 2 * math.pi * np.minimum(np.arange(n_steps), n_steps - np.arange(n_steps)) / n_steps
    np.testing.assert_allclose(turns.rotation.angle(), expected, atol=1e-7)


def test_axes_and_motions_combine_into_all_that_keep_the_shape():
    """A cylinder on the y axis: turns about y, and the half turn about x that swaps its ends."""
    half_turn = SE3(SO3.exp(np.array([math.pi, 0.0, 0.0])), np.zeros(3))
    symmetry = Symmetry((SymmetryAxis((0.0, 1.0, 0.0)),), (half_turn,))
    transforms = symmetry.transforms(max_step_rad=math.pi / 6)
    assert transforms.batch_shape == (24,)
    np.testing.assert_allclose(transforms[0].matrix(), np.eye(4), atol=1e-15)
    angles = np.arange(12) * math.pi / 6
    ring = np.stack([np.cos(angles), np.zeros(12), np.sin(angles)], axis=-1)
    half_height = np.array([0.0, 0.5, 0.0])
    shape = np.concatenate([ring + half_height, ring - half_height])
    moved = transforms[:, None] @ shape
    distances, _ = cKDTree(shape).query(moved.reshape(-1, 3))
    assert distances.max() < 1e-12
    assert len(np.unique(np.round(transforms.rotation.matrix, 9), axis=0)) == 24


@PROPERTY
@given(st.floats(0.05, 4.0))
def test_no_step_is_larger_than_asked(max_step):
    transforms = Symmetry((SymmetryAxis((0.0, 0.0, 1.0)),)).transforms(max_step)
    steps = (transforms[:-1].inverse() @ transforms[1:]).rotation.angle()
    assert steps.max() <= min(max_step, math.pi) + 1e-9


def test_bop_symmetries_are_read_in_metres():
    half_turn = [-1, 0, 0, 10.0, 0, -1, 0, 20.0, 0, 0, 1, 0, 0, 0, 0, 1]
    symmetry = Symmetry.from_bop(
        {
            "symmetries_continuous": [{"axis": [0, 0, 1], "offset": [0, 0, 5]}],
            "symmetries_discrete": [half_turn],
        }
    )
    assert symmetry.axes == (SymmetryAxis((0.0, 0.0, 1.0), (0.0, 0.0, 0.005)),)
    np.testing.assert_allclose(symmetry.discrete[0].translation, [0.01, 0.02, 0.0])
    assert Symmetry.from_bop({"diameter": 100.0}).trivial


@pytest.mark.parametrize("axis", [(0.0, 0.0, 0.0), (0.0, 0.0, 2.0), (0.0, math.nan, 1.0), (1.0,)])
def test_a_direction_that_is_no_unit_vector_is_refused(axis):
    with pytest.raises(InputError, match="expected a symmetry axis of length 1"):
        SymmetryAxis(axis)
    with pytest.raises(InputError, match="expected an offset of 3 finite metres"):
        SymmetryAxis((0.0, 0.0, 1.0), (0.0, math.inf, 0.0))
