"""Encoding, sampling, compositing and normalised device coordinates of the vanilla field."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.rendering.compositing import composite, interval_lengths, median_distance
from fast_inerf_ros.rendering.encoding import encoded_size, positional_encoding
from fast_inerf_ros.rendering.ndc import NdcFrustum
from fast_inerf_ros.rendering.sampling import (
    interval_middles,
    inverse_cdf_samples,
    merged,
    stratified_distances,
)

SEEDS = st.integers(0, 2**32 - 1)
FRUSTUM = NdcFrustum(width=64, height=48, focal=50.0, near=0.5)


def limits(near: float, far: float, n_rays: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    shape, kind = (n_rays,), torch.float64
    return torch.full(shape, near, dtype=kind), torch.full(shape, far, dtype=kind)


# ---- encoding


def test_the_encoding_of_a_number_is_itself_then_sines_and_cosines_by_octave():
    value = torch.tensor([0.3], dtype=torch.float64)
    expected = [0.3]
    for octave in range(3):
        expected += [math.sin(2**octave * 0.3), math.cos(2**octave * 0.3)]
    np.testing.assert_allclose(positional_encoding(value, 3), expected)


@given(SEEDS, st.integers(0, 12))
@settings(deadline=None, derandomize=True, max_examples=25)
def test_the_first_channels_of_an_encoding_are_the_input(seed, n_frequencies):
    points = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, 5, 3)))
    encoded = positional_encoding(points, n_frequencies)
    assert encoded.shape == (2, 5, encoded_size(n_frequencies))
    assert torch.equal(encoded[..., :3], points)
    assert float(encoded[..., 3:].abs().sum(-1).min() if n_frequencies else 1.0) > 0.0


# ---- stratified samples


@pytest.mark.parametrize("in_disparity", [False, True])
def test_samples_reach_from_near_to_far(in_disparity):
    near, far = limits(2.0, 6.0)
    found = stratified_distances(near, far, 9, linear_in_disparity=in_disparity)
    np.testing.assert_allclose(found[:, 0], near)
    np.testing.assert_allclose(found[:, -1], far)
    spaced = 1.0 / found if in_disparity else found
    steps = torch.diff(spaced, dim=-1)
    np.testing.assert_allclose(steps, steps[0, 0].expand(steps.shape))


@given(SEEDS, st.booleans(), st.integers(2, 40))
@settings(deadline=None, derandomize=True, max_examples=40)
def test_jittered_samples_stay_in_their_strata_and_in_order(seed, in_disparity, n_samples):
    near, far = limits(0.5, 7.0)
    even = stratified_distances(near, far, n_samples, linear_in_disparity=in_disparity)
    moved = stratified_distances(
        near,
        far,
        n_samples,
        linear_in_disparity=in_disparity,
        generator=np.random.default_rng(seed),
    )
    middles = interval_middles(even)
    assert bool((torch.diff(moved, dim=-1) >= 0).all())
    assert bool((moved[:, 1:] >= middles).all())
    assert bool((moved[:, :-1] <= middles).all())
    assert bool(((moved >= near[:, None]) & (moved <= far[:, None])).all())


def test_jitter_fills_each_stratum_evenly():
    near, far = limits(0.0, 1.0, n_rays=20_000)
    moved = stratified_distances(near, far, 3, generator=np.random.default_rng(1))
    strata = [(0.0, 0.25), (0.25, 0.75), (0.75, 1.0)]
    for index, (low, high) in enumerate(strata):
        ranks = (moved[:, index] - low) / (high - low)
        counts = np.histogram(ranks.numpy(), bins=10, range=(0.0, 1.0))[0]
        assert counts.sum() == 20_000
        assert abs(counts - 2000).max() < 5 * math.sqrt(2000)


# ---- inverse-CDF samples


def test_the_histogram_of_random_samples_follows_the_weights():
    edges = torch.tensor([[0.0, 1.0, 1.5, 4.0, 5.0]], dtype=torch.float64)
    weights = torch.tensor([[0.1, 0.6, 0.0, 0.3]], dtype=torch.float64)
    drawn = inverse_cdf_samples(edges, weights, 100_000, np.random.default_rng(3))[0]
    counts, _ = np.histogram(drawn.numpy(), bins=edges[0].numpy())
    expected = 100_000 * weights[0].numpy()
    assert abs(counts - expected).max() < 5 * math.sqrt(100_000 * 0.25) + 5
    assert counts[2] <= 10  # 1e-5 of the light may be anywhere


def test_samples_inside_a_bin_are_spread_evenly():
    edges = torch.tensor([[2.0, 6.0]], dtype=torch.float64)
    drawn = inverse_cdf_samples(edges, torch.ones(1, 1).double(), 50_000, np.random.default_rng(4))
    counts, _ = np.histogram(drawn.numpy(), bins=8, range=(2.0, 6.0))
    assert abs(counts - 6250).max() < 5 * math.sqrt(6250)


@given(SEEDS, st.integers(2, 30), st.integers(1, 50))
@settings(deadline=None, derandomize=True, max_examples=50)
def test_quantiles_ascend_within_the_edges(seed, n_bins, n_samples):
    generator = np.random.default_rng(seed)
    edges = torch.from_numpy(np.sort(generator.uniform(0, 10, (4, n_bins + 1)), axis=-1))
    weights = torch.from_numpy(generator.exponential(size=(4, n_bins)) ** 3)
    found = inverse_cdf_samples(edges, weights, n_samples)
    assert bool((torch.diff(found, dim=-1) >= -1e-9).all())
    assert bool(((found >= edges[:, :1] - 1e-9) & (found <= edges[:, -1:] + 1e-9)).all())


def test_quantiles_invert_the_cumulative_distribution():
    edges = torch.linspace(0, 1, 6, dtype=torch.float64)[None]
    weights = torch.tensor([[1.0, 2.0, 3.0, 2.0, 1.0]], dtype=torch.float64)
    found = inverse_cdf_samples(edges, weights, 101)[0].numpy()
    cumulative = np.concatenate([[0.0], np.cumsum(weights[0].numpy()) / 9.0])
    reached = np.interp(found, edges[0].numpy(), cumulative)
    np.testing.assert_allclose(reached, np.linspace(0, 1, 101), atol=1e-4)


def test_rays_that_met_nothing_are_sampled_everywhere():
    edges = torch.linspace(1, 5, 5, dtype=torch.float64)[None]
    found = inverse_cdf_samples(edges, torch.zeros(1, 4).double(), 5)
    np.testing.assert_allclose(found[0], [1, 2, 3, 4, 5], atol=1e-6)


def test_merged_samples_are_all_there_in_order():
    first, second = torch.tensor([[1.0, 4.0]]), torch.tensor([[3.0, 0.5, 9.0]])
    assert merged(first, second).tolist() == [[0.5, 1.0, 3.0, 4.0, 9.0]]


# ---- compositing


def slab(density: float, n_samples: int = 4000):
    """A slab of constant density between 2 and 3 on rays from 1 to 5; colour changes with t."""
    distances = torch.linspace(1.0, 5.0, n_samples, dtype=torch.float64)[None]
    inside = ((distances >= 2.0) & (distances < 3.0)).double()
    colors = torch.stack([torch.ones_like(distances), distances / 5.0, 0 * distances], dim=-1)
    lengths = interval_lengths(distances, torch.ones(1, dtype=torch.float64))
    return colors, density * inside, lengths, distances


@pytest.mark.parametrize("density", [0.1, 1.0, 4.0])
def test_a_slab_has_the_opacity_and_depth_of_the_closed_form(density):
    colors, densities, lengths, distances = slab(density)
    seen = composite(colors, densities, lengths, distances)
    opacity = 1.0 - math.exp(-density)
    depth = 2.0 + 1.0 / density - math.exp(-density) / opacity
    assert float(seen.opacity) == pytest.approx(opacity, abs=2e-3)
    assert float(seen.depth()) == pytest.approx(depth, abs=2e-3)
    assert float(seen.disparity()) == pytest.approx(1.0 / depth, abs=2e-3)
    assert float(seen.color[0, 0]) == pytest.approx(opacity, abs=2e-3)
    assert float(seen.color[0, 1]) == pytest.approx(opacity * depth / 5.0, abs=2e-3)
    white = seen.over(torch.ones(3, dtype=torch.float64))
    assert float(white[0, 2]) == pytest.approx(1.0 - opacity, abs=2e-3)


@pytest.mark.parametrize("density", [1.0, 4.0])
@pytest.mark.parametrize("n_samples", [41, 4001])
def test_half_of_the_light_is_absorbed_at_the_median(density, n_samples):
    _, densities, lengths, distances = slab(density, n_samples)
    weights = composite(
        torch.zeros(1, n_samples, 3).double(), densities, lengths, distances
    ).weights
    found = float(median_distance(weights, densities, lengths, distances))
    assert found == pytest.approx(2.0 + math.log(2.0) / density, abs=1e-6)


def test_no_median_where_less_than_half_of_the_light_is_absorbed():
    colors, densities, lengths, distances = slab(0.6)
    weights = composite(colors, densities, lengths, distances).weights
    assert math.isnan(float(median_distance(weights, densities, lengths, distances)))


def test_an_opaque_wall_gives_its_own_depth_and_colour():
    colors, densities, lengths, distances = slab(1e6)
    seen = composite(colors, densities, lengths, distances)
    assert float(seen.opacity) == pytest.approx(1.0)
    assert float(seen.depth()) == pytest.approx(2.0, abs=2e-3)
    median = median_distance(seen.weights, densities, lengths, distances)
    assert float(median) == pytest.approx(2.0, abs=2e-3)


def test_an_empty_ray_has_no_depth_and_no_disparity_and_shows_the_background():
    colors, densities, lengths, distances = slab(0.0)
    seen = composite(colors, densities, lengths, distances)
    behind = torch.tensor([0.2, 0.4, 0.6], dtype=torch.float64)
    assert math.isnan(float(seen.depth()))
    assert float(seen.disparity()) == 0.0
    np.testing.assert_allclose(seen.over(behind)[0], behind)


@given(SEEDS)
@settings(deadline=None, derandomize=True, max_examples=30)
def test_weights_are_shares_of_the_light(seed):
    generator = np.random.default_rng(seed)
    densities = torch.from_numpy(generator.exponential(size=(5, 20)) * generator.uniform(0, 20))
    distances = torch.from_numpy(np.sort(generator.uniform(0, 3, (5, 20)), axis=-1))
    lengths = interval_lengths(distances, torch.ones(5).double())
    weights = composite(torch.ones(5, 20, 3).double(), densities, lengths, distances).weights
    assert bool((weights >= 0).all())
    assert bool((weights.sum(-1) <= 1.0 + 1e-7).all())


def test_longer_directions_make_the_same_medium_denser():
    distances = torch.tensor([[1.0, 2.0]])
    lengths = interval_lengths(distances, torch.tensor([3.0]))
    assert float(lengths[0, 0]) == 3.0


def test_gradients_of_compositing_are_those_of_finite_differences():
    generator = np.random.default_rng(5)
    colors = torch.from_numpy(generator.uniform(size=(2, 6, 3))).requires_grad_()
    densities = torch.from_numpy(generator.uniform(0.1, 2, (2, 6))).requires_grad_()
    distances = torch.from_numpy(np.sort(generator.uniform(0, 3, (2, 6)), axis=-1))
    lengths = torch.diff(distances, append=distances[:, -1:] + 0.3)

    def outputs(colors, densities):
        seen = composite(colors, densities, lengths, distances)
        return seen.color, seen.opacity, seen.depth(), seen.disparity()

    assert torch.autograd.gradcheck(outputs, (colors, densities))


def test_empty_rays_have_finite_gradients():
    colors, densities, lengths, distances = slab(0.0, 50)
    densities.requires_grad_()
    seen = composite(colors, densities, lengths, distances)
    (torch.nan_to_num(seen.depth()) + seen.disparity() + seen.opacity).sum().backward()
    assert bool(torch.isfinite(densities.grad).all())


# ---- normalised device coordinates


def rays_into_the_frustum(seed: int, n_rays: int = 20):
    generator = np.random.default_rng(seed)
    origins = torch.from_numpy(generator.uniform(-0.3, 0.3, (n_rays, 3)))
    sideways = generator.uniform(-0.3, 0.3, (n_rays, 2))
    directions = torch.from_numpy(np.concatenate([sideways, -np.ones((n_rays, 1))], axis=-1))
    return origins, directions * torch.from_numpy(generator.uniform(0.5, 2, (n_rays, 1)))


@given(SEEDS, st.floats(2.0, 50.0))
@settings(deadline=None, derandomize=True, max_examples=40)
def test_straight_rays_stay_straight_and_meet_the_mapped_points(seed, distance):
    origins, directions = rays_into_the_frustum(seed)
    far = torch.full((20,), distance, dtype=torch.float64)
    mapped = FRUSTUM.points(origins + distance * directions)
    start, step = FRUSTUM.rays(origins, directions)
    along = FRUSTUM.to_ndc_distance(far, origins, directions)
    np.testing.assert_allclose(start + along[:, None] * step, mapped, atol=1e-9)


@given(SEEDS, st.floats(2.0, 50.0))
@settings(deadline=None, derandomize=True, max_examples=40)
def test_normalised_distances_are_inverted(seed, distance):
    origins, directions = rays_into_the_frustum(seed)
    far = torch.full((20,), distance, dtype=torch.float64)
    there = FRUSTUM.to_ndc_distance(far, origins, directions)
    back = FRUSTUM.from_ndc_distance(there, origins, directions)
    np.testing.assert_allclose(back, far, rtol=1e-9)


def test_rays_start_on_the_near_plane_and_end_at_infinity():
    origins, directions = rays_into_the_frustum(3)
    start, step = FRUSTUM.rays(origins, directions)
    np.testing.assert_allclose(start[:, 2], -1.0)
    np.testing.assert_allclose((start + step)[:, 2], 1.0)
    infinity = torch.full((20,), torch.inf).double()
    np.testing.assert_allclose(FRUSTUM.to_ndc_distance(infinity, origins, directions), 1.0)


def test_corners_of_the_image_are_corners_of_the_cube():
    corner = torch.tensor([[32 / 50, 24 / 50, -1.0]], dtype=torch.float64) * 0.5
    np.testing.assert_allclose(FRUSTUM.points(corner), [[1.0, 1.0, -1.0]])


def test_stretching_is_the_length_of_a_mapped_small_step():
    origins, directions = rays_into_the_frustum(8)
    points = origins + 3.0 * directions
    step = 1e-6
    moved = (FRUSTUM.points(points + step * directions) - FRUSTUM.points(points)) / step
    expected = torch.linalg.vector_norm(moved, dim=-1)
    np.testing.assert_allclose(FRUSTUM.stretched(points, directions), expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["width", "height", "focal", "near"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_degenerate_frustum_is_refused(name, value):
    with pytest.raises(InputError, match=f"NDC {name}: expected a positive number"):
        NdcFrustum(**{"width": 10, "height": 10, "focal": 10.0, "near": 1.0, name: value})
