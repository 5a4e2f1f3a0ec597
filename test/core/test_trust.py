"""The score of a pose: monotone in its evidence, sure of good poses and of bad ones."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fast_inerf_ros.estimator.config import TrustOptions
from fast_inerf_ros.estimator.trust import score_of
from fast_inerf_ros.estimator.verification import Evidence

LEAST = TrustOptions().min_score
NOTHING = Evidence(0.0, 0.0, -0.2, 1.0, 0, 0.0)
LIKE_A_PICTURE = Evidence(0.95, 0.95, 0.85, 1.0, 0, 0.0)


def any_evidence(generator):
    return Evidence(
        correlation=generator.uniform(-1, 1),
        agreeing=generator.uniform(0, 1),
        worst=generator.uniform(-1, 1),
        coverage=generator.uniform(0, 1),
        landmarks=int(generator.integers(0, 400)),
        landmark_share=generator.uniform(0, 1),
    )


@pytest.mark.parametrize(
    "part", ["correlation", "agreeing", "worst", "coverage", "landmarks", "landmark_share"]
)
def test_more_evidence_never_lowers_the_score(part):
    generator = np.random.default_rng(0)
    for _ in range(200):
        first, second = any_evidence(generator), any_evidence(generator)
        low, high = sorted([getattr(first, part), getattr(second, part)])
        less, more = (dataclasses.replace(first, **{part: value}) for value in (low, high))
        assert 0.0 <= score_of(less) <= score_of(more) <= 1.0


@pytest.mark.parametrize("part", ["correlation", "agreeing", "landmarks", "landmark_share"])
def test_every_part_counts(part):
    middling = Evidence(0.6, 0.4, 0.1, 1.0, 20, 0.3)
    better = dataclasses.replace(middling, **{part: 1.5 * getattr(middling, part)})
    if part == "landmarks":
        better = dataclasses.replace(middling, landmarks=30)
    assert score_of(better) > score_of(middling)


def test_without_evidence_nothing_is_believed():
    # Far from believed; how far the fit decides, as the score is no probability.
    assert score_of(NOTHING) < 0.1 * LEAST
    assert score_of(Evidence(0.0, 0.0, 0.0, 0.0, 0, 0.0)) < LEAST


def test_where_the_field_is_hardly_in_view_nothing_is_believed():
    assert score_of(dataclasses.replace(LIKE_A_PICTURE, coverage=0.01, landmarks=300)) == 0.0


def test_pictures_that_agree_everywhere_are_enough_without_landmarks():
    assert score_of(LIKE_A_PICTURE) > LEAST


def test_landmarks_alone_are_not_believed_against_the_picture():
    """Many landmarks on one thing that was moved: all else disagrees."""
    assert score_of(dataclasses.replace(NOTHING, landmarks=60, landmark_share=0.2)) < LEAST
