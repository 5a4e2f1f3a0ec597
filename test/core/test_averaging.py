"""Robust pose averages: exact cases, outliers, weights, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.registration import average_poses
from fast_inerf_ros.geometry.se3 import SE3

SCALES = {"rotation_scale": 0.1, "translation_scale": 0.05}
LOSSES = ["squared", "huber", "geman_mcclure"]


def noisy_poses(truth, count, seed=0, size=1.0):
    generator = np.random.default_rng(seed)
    noise = SE3.random(generator, (count,))
    turn = noise.rotation.log() * 0.01 * size
    shift = noise.translation * 0.005 * size
    return SE3(truth.rotation @ type(truth.rotation).exp(turn), truth.translation + shift)


def concatenated(*batches):
    return SE3.stack([pose for batch in batches for pose in batch])


def errors(pose, truth):
    return (
        float((truth.rotation.inverse() @ pose.rotation).angle()),
        float(np.linalg.norm(pose.translation - truth.translation)),
    )


@pytest.fixture
def truth():
    return SE3.random(np.random.default_rng(9))


@pytest.mark.parametrize("loss", LOSSES)
def test_one_pose_is_its_own_mean(truth, loss):
    average = average_poses(truth[None], loss=loss, **SCALES)
    np.testing.assert_allclose(average.pose.matrix(), truth.matrix(), atol=1e-14)
    assert average.inliers.tolist() == [True]


@pytest.mark.parametrize("loss", LOSSES)
def test_the_mean_of_two_poses_lies_half_way(truth, loss):
    # Closer than Geman-McClure's point of no return, so that both keep their say.
    other = truth @ SE3.exp([0.0, 0.0, 0.0, 0.02, 0.0, 0.01])
    average = average_poses(SE3.stack([truth, other]), loss=loss, **SCALES)
    np.testing.assert_allclose(
        average.pose.matrix(), truth.interpolate(other, 0.5).matrix(), atol=1e-9
    )
    assert average.converged


@pytest.mark.parametrize("loss", LOSSES)
def test_the_mean_of_many_beats_each_one(truth, loss):
    average = average_poses(noisy_poses(truth, 400), loss=loss, **SCALES)
    angle, distance = errors(average.pose, truth)
    assert angle < 0.01 * np.pi / np.sqrt(400)
    assert distance < 3 * 0.005 * np.sqrt(3) / np.sqrt(400)
    assert average.inliers.mean() > 0.95


def test_nearly_half_of_the_poses_may_be_wrong(truth):
    good, bad = noisy_poses(truth, 30), SE3.random(np.random.default_rng(4), (25,))
    average = average_poses(concatenated(bad, good), **SCALES)
    alone = average_poses(good, **SCALES)
    angle, distance = errors(average.pose, alone.pose)
    assert angle < 2e-3
    assert distance < 1e-3
    assert not average.inliers[:25].any()
    assert average.inliers[25:].all()
    assert average.weights[:25].max() < 1e-2 < average.weights[25:].min()


def test_a_cluster_of_wrong_poses_loses_against_a_larger_one(truth):
    flipped = truth @ SE3.exp([0.0, 0.0, 0.0, 0.0, np.pi, 0.0])
    average = average_poses(
        concatenated(noisy_poses(flipped, 8, 1), noisy_poses(truth, 12, 2)), **SCALES
    )
    assert average.inliers.tolist() == [False] * 8 + [True] * 12


def test_a_plain_mean_is_led_astray_where_a_robust_one_is_not(truth):
    poses = concatenated(noisy_poses(truth, 20), SE3.random(np.random.default_rng(4), (10,)))
    plain = errors(average_poses(poses, loss="squared", **SCALES).pose, truth)
    huber = errors(average_poses(poses, loss="huber", **SCALES).pose, truth)
    redescending = errors(average_poses(poses, **SCALES).pose, truth)
    assert plain[0] > 0.1
    assert huber[0] < plain[0]
    assert redescending[0] < 0.01


def test_wrong_in_rotation_alone_is_wrong(truth):
    wrong = truth @ SE3.exp([0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    average = average_poses(concatenated(noisy_poses(truth, 5), wrong[None]), **SCALES)
    assert average.inliers.tolist() == [True] * 5 + [False]


def test_a_weight_counts_like_a_repetition(truth):
    poses = noisy_poses(truth, 4)
    weighted = average_poses(poses, weights=[3.0, 1.0, 1.0, 2.0], **SCALES)
    repeated = average_poses(poses[np.array([0, 0, 0, 1, 2, 3, 3])], **SCALES)
    np.testing.assert_allclose(weighted.pose.matrix(), repeated.pose.matrix(), atol=1e-9)


def test_a_pose_without_weight_is_ignored(truth):
    poses = concatenated(noisy_poses(truth, 3), SE3.random(np.random.default_rng(4), (1,)))
    average = average_poses(poses, weights=[1.0, 1, 1, 0], loss="squared", **SCALES)
    alone = average_poses(poses[:3], loss="squared", **SCALES)
    np.testing.assert_allclose(average.pose.matrix(), alone.pose.matrix(), atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_average_moves_with_its_frames(truth, loss):
    T_new_old, poses = SE3.random(np.random.default_rng(7)), noisy_poses(truth, 9, size=3.0)
    here = average_poses(poses, loss=loss, **SCALES)
    there = average_poses(T_new_old @ poses, loss=loss, **SCALES)
    np.testing.assert_allclose(there.pose.matrix(), (T_new_old @ here.pose).matrix(), atol=1e-8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rotation_scale": 0.0}, "positive scales"),
        ({"translation_scale": float("nan")}, "positive scales"),
        ({"loss": "tukey"}, "squared, huber, geman_mcclure"),
        ({"weights": [1.0, 2.0]}, "3 weights"),
        ({"weights": [1.0, 2.0, -1.0]}, "weights >= 0"),
        ({"weights": [0.0, 0.0, 0.0]}, "not all zero"),
    ],
)
def test_options_that_cannot_be_are_refused(truth, options, message):
    with pytest.raises(InputError, match=message):
        average_poses(noisy_poses(truth, 3), **{**SCALES, **options})


def test_poses_that_cannot_be_averaged_are_refused(truth):
    with pytest.raises(InputError, match=r"SE3\.stack"):
        average_poses(truth, **SCALES)
    with pytest.raises(InputError, match="one or more"):
        average_poses(SE3.identity((0,)), **SCALES)
    with pytest.raises(InputError, match="NaN"):
        average_poses(SE3(truth.rotation[None], np.full((1, 3), np.nan)), **SCALES)
