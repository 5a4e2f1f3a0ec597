"""Hough voting: centres to a fraction of a pixel, whatever the directions, in bounded memory."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fast_inerf_ros.posecnn import voting
from fast_inerf_ros.posecnn.legacy_voting import legacy_votes
from fast_inerf_ros.posecnn.prediction import cell_pixels
from fast_inerf_ros.posecnn.voting import VoteMaps, VotingConfig, vote

SHAPE = (120, 160)


def maps_of(discs, *, shape=SHAPE, noise=0.0, with_offset=False, seed=0) -> VoteMaps:
    """Draw discs (class, x, y, radius, centre x, centre y, depth) that know their centre."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    labels = np.zeros(shape, dtype=np.int64)
    direction, offset = np.zeros((2, *shape)), np.zeros((2, *shape))
    depth = np.ones(shape)
    for class_id, x, y, radius, centre_x, centre_y, z in discs:
        inside = np.hypot(columns - x, rows - y) <= radius
        labels[inside] = class_id
        to_centre = np.stack([centre_x - columns, centre_y - rows])
        angle = np.arctan2(to_centre[1], to_centre[0]) + generator.normal(0, noise, shape)
        for axis, values in enumerate((np.cos(angle), np.sin(angle))):
            direction[axis][inside] = values[inside]
            offset[axis][inside] = to_centre[axis][inside]
        depth[inside] = z
    as_float = [torch.from_numpy(a.astype(np.float32)) for a in (direction, depth, offset)]
    return VoteMaps(
        torch.from_numpy(labels),
        torch.ones(shape),
        as_float[0],
        as_float[1],
        as_float[2] if with_offset else None,
        cell_pixels(shape, 1, torch.zeros(())),
        1.0,
    )


def centres_of(maps: VoteMaps, n_classes=5, **options):
    return vote(maps, n_classes, VotingConfig(**options))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    x=st.floats(30, 130),
    y=st.floats(30, 90),
    shift=st.tuples(st.floats(-15, 15), st.floats(-15, 15)),
    with_offset=st.booleans(),
)
def test_exact_votes_give_the_exact_centre(x, y, shift, with_offset):
    disc = (2, x, y, 12, x + shift[0], y + shift[1], 0.8)
    found = centres_of(maps_of([disc], with_offset=with_offset))
    assert found.label.tolist() == [2]
    assert found.fit.centre[0].tolist() == pytest.approx([disc[4], disc[5]], abs=0.02)
    assert float(found.fit.depth[0]) == pytest.approx(0.8, rel=1e-5)
    assert float(found.fit.inlier_share[0]) == pytest.approx(1.0)


def test_vertical_and_horizontal_directions_are_votes_like_any_other():
    # Two bars: all pixels of one look straight down or up, of the other left or right.
    maps = maps_of([])
    labels, direction = maps.labels.clone(), maps.direction.clone()
    labels[20:60, 80] = 1
    direction[:, 20:60, 80] = torch.tensor([0.0, 1.0])[:, None]
    labels[70, 100:140] = 1
    direction[:, 70, 100:140] = torch.tensor([-1.0, 0.0])[:, None]
    found = centres_of(
        VoteMaps(labels, maps.weights, direction, maps.depth, None, maps.pixels, 1.0)
    )
    assert found.fit.centre[0].tolist() == pytest.approx([80, 70], abs=0.05)


def test_pixels_vote_towards_the_centre_only():
    # Behind the disc, where lines drawn both ways would cross as often, there is nothing.
    maps = maps_of([(1, 60, 60, 15, 100, 60, 1.0)], noise=0.05)
    found = centres_of(maps)
    assert found.label.tolist() == [1]
    assert found.fit.centre[0].tolist() == pytest.approx([100, 60], abs=2.0)
    away = VoteMaps(maps.labels, maps.weights, -maps.direction, maps.depth, None, maps.pixels, 1.0)
    assert float(centres_of(away).fit.inlier_share.max()) < 0.1


def test_a_centre_outside_of_the_image_is_found():
    found = centres_of(maps_of([(1, 5, 60, 14, -8, 63, 1.2)], noise=0.03))
    assert found.fit.centre[0].tolist() == pytest.approx([-8, 63], abs=1.5)


@pytest.mark.parametrize("with_offset", [False, True])
def test_several_instances_of_a_class_are_told_apart(with_offset):
    discs = [(3, 35, 40, 14, 36, 42, 0.7), (3, 110, 80, 14, 108, 79, 1.1)]
    maps = maps_of(discs, noise=0.05, with_offset=with_offset)
    found = centres_of(maps)
    assert found.label.tolist() == [3, 3]
    order = torch.argsort(found.fit.centre[:, 0])
    for index, disc in zip(order.tolist(), discs, strict=True):
        assert found.fit.centre[index].tolist() == pytest.approx(disc[4:6], abs=1.0)
        assert float(found.fit.depth[index]) == pytest.approx(disc[6], rel=1e-5)
        own = found.member == index
        assert bool(own[disc[2], disc[1]])
    assert int((found.member >= 0).sum()) == int((maps.labels > 0).sum())


def test_more_instances_than_allowed_are_left_out():
    discs = [(3, 35, 40, 14, 36, 42, 0.7), (3, 110, 80, 14, 108, 79, 1.1)]
    assert len(centres_of(maps_of(discs), max_instances=1).label) == 1


def test_a_confused_blob_does_not_move_the_centre():
    discs = [(1, 50, 60, 16, 52, 61, 0.9), (1, 120, 30, 8, 120, 30, 3.0)]
    found = centres_of(maps_of(discs, noise=0.05))
    nearest = (found.fit.centre - torch.tensor([52.0, 61.0])).norm(dim=1)
    best = int(nearest.argmin())
    assert float(nearest[best]) < 0.7
    assert float(found.fit.depth[best]) == pytest.approx(0.9)


def test_noise_is_averaged_to_less_than_a_pixel_and_the_covariance_covers_it():
    squared = []
    for seed in range(20):
        disc = (1, 70, 60, 20, 74.3, 57.6, 1.0)
        found = centres_of(maps_of([disc], noise=0.15, seed=seed))
        error = found.fit.centre[0].double() - torch.tensor([74.3, 57.6])
        assert float(error.norm()) < 1.5
        squared.append(float(error @ torch.linalg.solve(found.fit.covariance[0].double(), error)))
    # Independent noise, while the covariance allows for neighbours that err alike.
    assert np.median(squared) < 1.4


def test_nothing_to_vote_gives_nothing():
    found = centres_of(maps_of([]))
    assert len(found.label) == 0
    assert bool((found.member == -1).all())


def test_a_speck_of_three_pixels_does_not_crash():
    found = centres_of(maps_of([(4, 80.5, 60, 1, 82, 61, 1.0)]))
    assert len(found.label) <= 1
    assert bool(torch.isfinite(found.fit.centre).all())


def test_depths_that_make_no_sense_are_left_out():
    maps = maps_of([(1, 70, 60, 12, 70, 60, 0.9)])
    depth = maps.depth.clone()
    depth[:60] = float("nan")
    depth[60, ::2] = -1.0
    found = centres_of(
        VoteMaps(maps.labels, maps.weights, maps.direction, depth, None, maps.pixels, 1.0)
    )
    assert float(found.fit.depth[0]) == pytest.approx(0.9)


def test_memory_of_votes_stays_within_the_budget_at_full_hd(monkeypatch):
    shape = (1080, 1920)
    discs = [
        (k + 1, 300 + 150 * k, 200 + 70 * k, 130, 300 + 150 * k, 220 + 70 * k, 1) for k in range(9)
    ]
    maps = maps_of(discs, shape=shape, noise=0.1)
    largest = 0
    count = torch.bincount

    def watched(values, weights=None, minlength=0):
        nonlocal largest
        if weights is not None:
            # What exists at that moment: rays (x and y), their cells, places and weights.
            largest = max(largest, values.numel() * voting.BYTES_PER_VOTE)
        return count(values, weights, minlength)

    monkeypatch.setattr(torch, "bincount", watched)
    found = vote(maps, 9, VotingConfig(memory_mb=2, samples_per_class=1000))
    assert found.label.tolist() == list(range(1, 10))
    assert 0 < largest <= 2 * 2**20
    votes = voting.BYTES_PER_VOTE * 9 * 1000 * math.hypot(64 * 1.5, 36 * 1.5)
    assert votes > 10 * 2**20  # otherwise this test would show nothing


def test_voting_of_the_seed_takes_vertical_directions_and_many_pixels():
    maps = maps_of([(1, 80, 60, 25, 84, 60, 0.8)])
    votes = legacy_votes(maps.labels, torch.cat([maps.direction, maps.depth[None]])[None])
    assert votes.centres[0].tolist() == [84, 60]
    assert float(votes.depths[0]) == pytest.approx(0.8)
