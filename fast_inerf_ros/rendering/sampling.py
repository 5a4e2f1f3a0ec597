"""Where to sample a ray: stratified first, then by the weights that were found there.

Distances are in multiples of the length of the ray's direction.
"""

from __future__ import annotations

import numpy as np
import torch


def uniform_like(
    shape: tuple[int, ...], like: torch.Tensor, generator: np.random.Generator
) -> torch.Tensor:
    """Uniform numbers in [0, 1) in the dtype and on the device of `like`."""
    return torch.from_numpy(generator.random(shape, dtype=np.float32)).to(like)


def stratified_distances(
    near: torch.Tensor,
    far: torch.Tensor,
    n_samples: int,
    *,
    linear_in_disparity: bool = False,
    generator: np.random.Generator | None = None,
) -> torch.Tensor:
    """Return ascending distances (N, n_samples) from `near` (N,) to `far` (N,), both included.

    They are evenly spaced in distance, or in 1/distance where `linear_in_disparity`. With a
    generator each one moves at random within its own stratum, which reaches half way to its
    neighbours: NeRF (2020), equation 2.
    """
    fractions = torch.linspace(0.0, 1.0, n_samples, dtype=near.dtype, device=near.device)
    start, end = near[:, None], far[:, None]
    if linear_in_disparity:
        distances = 1.0 / (1.0 / start * (1.0 - fractions) + 1.0 / end * fractions)
    else:
        distances = start * (1.0 - fractions) + end * fractions
    return distances if generator is None else _jittered(distances, generator)


def _jittered(distances: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
    middles = interval_middles(distances)
    upper = torch.cat([middles, distances[:, -1:]], dim=-1)
    lower = torch.cat([distances[:, :1], middles], dim=-1)
    return lower + (upper - lower) * uniform_like(tuple(distances.shape), distances, generator)


def interval_middles(distances: torch.Tensor) -> torch.Tensor:
    """Middles (N, S - 1) of the intervals between ascending distances (N, S)."""
    return 0.5 * (distances[:, 1:] + distances[:, :-1])


def inverse_cdf_samples(
    edges: torch.Tensor,
    weights: torch.Tensor,
    n_samples: int,
    generator: np.random.Generator | None = None,
) -> torch.Tensor:
    """Draw distances (N, n_samples) from a piecewise-constant density: NeRF (2020), section 5.2.

    edges: ascending (N, B + 1). weights: unnormalised probability (N, B) of each bin, >= 0;
    1e-5 is added to each, so that a ray that met nothing is sampled everywhere.
    generator: without one, the quantiles at even spacing from 0 to 1 are returned.
    """
    probabilities = weights + 1e-5
    probabilities = probabilities / probabilities.sum(dim=-1, keepdim=True)
    cumulative = torch.cumsum(probabilities, dim=-1)
    cumulative = torch.cat([torch.zeros_like(cumulative[:, :1]), cumulative], dim=-1)
    quantiles = _quantiles(cumulative, n_samples, generator)
    return _interpolated(edges, cumulative, quantiles)


def _quantiles(
    cumulative: torch.Tensor, n_samples: int, generator: np.random.Generator | None
) -> torch.Tensor:
    shape = (cumulative.shape[0], n_samples)
    if generator is not None:
        return uniform_like(shape, cumulative, generator)
    even = torch.linspace(0.0, 1.0, n_samples, dtype=cumulative.dtype, device=cumulative.device)
    return even.expand(shape).contiguous()


def _interpolated(
    edges: torch.Tensor, cumulative: torch.Tensor, quantiles: torch.Tensor
) -> torch.Tensor:
    """Invert the piecewise-linear cumulative distribution at the quantiles."""
    above = torch.searchsorted(cumulative, quantiles, right=True)
    below = (above - 1).clamp(min=0)
    above = above.clamp(max=cumulative.shape[-1] - 1)
    low, high = torch.gather(cumulative, 1, below), torch.gather(cumulative, 1, above)
    start, end = torch.gather(edges, 1, below), torch.gather(edges, 1, above)
    rise = high - low
    rise = torch.where(rise < 1e-5, torch.ones_like(rise), rise)  # an empty bin has no inside
    return start + (quantiles - low) / rise * (end - start)


def merged(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Both sets of distances (N, A) and (N, B) as one ascending set (N, A + B)."""
    return torch.sort(torch.cat([first, second], dim=-1), dim=-1).values
