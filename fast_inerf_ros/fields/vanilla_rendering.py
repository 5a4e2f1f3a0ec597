"""Coarse-to-fine rendering of rays by the networks of NeRF (2020), section 5.2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fast_inerf_ros.fields.vanilla_network import NerfNetwork, NetworkPair
from fast_inerf_ros.fields.vanilla_options import VanillaRendering
from fast_inerf_ros.rendering.compositing import (
    Composited,
    composite,
    interval_lengths,
    median_distance,
)
from fast_inerf_ros.rendering.ndc import NdcFrustum
from fast_inerf_ros.rendering.sampling import (
    interval_middles,
    inverse_cdf_samples,
    merged,
    stratified_distances,
)


@dataclass(frozen=True)
class Rays:
    """Rays between two distances, which are multiples of the length of `directions`.

    origins, directions: (N, 3). near, far: (N,). view_directions: unit (N, 3).
    """

    origins: torch.Tensor
    directions: torch.Tensor
    near: torch.Tensor
    far: torch.Tensor
    view_directions: torch.Tensor

    @classmethod
    def through(
        cls,
        origins: torch.Tensor,
        directions: torch.Tensor,
        near: torch.Tensor,
        far: torch.Tensor,
        ndc: NdcFrustum | None,
    ) -> Rays:
        """Rays that look along their directions; in normalised coordinates where `ndc`."""
        view_directions = directions / torch.linalg.vector_norm(directions, dim=-1, keepdim=True)
        if ndc is not None:
            near, far = (ndc.to_ndc_distance(limit, origins, directions) for limit in (near, far))
            origins, directions = ndc.rays(origins, directions)
        return cls(origins, directions, near, far, view_directions)

    def __len__(self) -> int:
        return self.origins.shape[0]

    def __getitem__(self, rows: slice) -> Rays:
        return Rays(
            self.origins[rows],
            self.directions[rows],
            self.near[rows],
            self.far[rows],
            self.view_directions[rows],
        )

    def points(self, distances: torch.Tensor) -> torch.Tensor:
        """Points (N, S, 3) at the distances (N, S)."""
        return self.origins[:, None] + distances[..., None] * self.directions[:, None]

    def lengths(self, distances: torch.Tensor) -> torch.Tensor:
        """Lengths (N, S) of the intervals behind the distances."""
        return interval_lengths(distances, torch.linalg.vector_norm(self.directions, dim=-1))


@dataclass(frozen=True)
class Jitter:
    """What is random while training: where samples lie, and noise of the raw density.

    perturb: whether samples move within their strata. density_noise: standard deviation.
    """

    generator: np.random.Generator
    perturb: bool
    density_noise: float

    def of_samples(self) -> np.random.Generator | None:
        """The generator where samples move."""
        return self.generator if self.perturb else None

    def noise(self, raw_density: torch.Tensor) -> torch.Tensor:
        """Noise to add to the raw density."""
        shape = tuple(raw_density.shape)
        drawn = torch.from_numpy(self.generator.standard_normal(shape, dtype=np.float32))
        return self.density_noise * drawn.to(raw_density)


@dataclass(frozen=True)
class NetworkPass:
    """Rays rendered by one network; the samples (N, S) of each and what was found there."""

    composited: Composited
    raw: torch.Tensor
    densities: torch.Tensor
    distances: torch.Tensor
    lengths: torch.Tensor

    def median_distance(self) -> torch.Tensor:
        """Distance (N,) where half of the light is absorbed, or NaN."""
        return median_distance(
            self.composited.weights, self.densities, self.lengths, self.distances
        )


def query_in_chunks(
    network: NerfNetwork, points: torch.Tensor, view_directions: torch.Tensor, limit: int
) -> torch.Tensor:
    """Raw output (N, S, C) at points (N, S, 3), at most `limit` points (or one ray) at once."""
    n_rays = max(1, limit // points.shape[1])
    if points.shape[0] <= n_rays:
        raw: torch.Tensor = network(points, view_directions)
        return raw
    pairs = zip(torch.split(points, n_rays), torch.split(view_directions, n_rays), strict=True)
    return torch.cat([network(some, directions) for some, directions in pairs])


def network_pass(
    network: NerfNetwork,
    rays: Rays,
    distances: torch.Tensor,
    options: VanillaRendering,
    jitter: Jitter | None = None,
) -> NetworkPass:
    """Render rays by one network from samples at ascending distances (N, S)."""
    points = rays.points(distances)
    raw = query_in_chunks(network, points, rays.view_directions, options.points_per_chunk)
    raw_density = raw[..., 3]
    if jitter is not None and jitter.density_noise > 0.0:
        raw_density = raw_density + jitter.noise(raw_density)
    densities, lengths = torch.relu(raw_density), rays.lengths(distances)
    composited = composite(torch.sigmoid(raw[..., :3]), densities, lengths, distances)
    return NetworkPass(composited, raw, densities, distances, lengths)


def coarse_distances(
    rays: Rays, options: VanillaRendering, jitter: Jitter | None = None
) -> torch.Tensor:
    """First samples (N, n_samples) of the rays."""
    return stratified_distances(
        rays.near,
        rays.far,
        options.n_samples,
        linear_in_disparity=options.linear_in_disparity,
        generator=None if jitter is None else jitter.of_samples(),
    )


def fine_distances(
    coarse: NetworkPass, options: VanillaRendering, jitter: Jitter | None = None
) -> torch.Tensor:
    """All samples (N, n_samples + n_importance) for the fine network; without gradient."""
    added = inverse_cdf_samples(
        interval_middles(coarse.distances).detach(),
        coarse.composited.weights[:, 1:-1].detach(),
        options.n_importance,
        None if jitter is None else jitter.of_samples(),
    )
    return merged(coarse.distances.detach(), added)


def render_rays(
    networks: NetworkPair,
    rays: Rays,
    options: VanillaRendering,
    jitter: Jitter | None = None,
) -> tuple[NetworkPass, NetworkPass | None]:
    """Render rays; returns the final pass and, where importance samples are taken, the coarse.

    Without a jitter nothing is random. Importance samples with a single network are added to
    the samples of that network.
    """
    distances = coarse_distances(rays, options, jitter)
    coarse = network_pass(networks.coarse, rays, distances, options, jitter)
    if options.n_importance == 0:
        return coarse, None
    distances = fine_distances(coarse, options, jitter)
    return network_pass(networks.best, rays, distances, options, jitter), coarse


def frozen_samples(
    networks: NetworkPair, rays: Rays, options: VanillaRendering
) -> tuple[NerfNetwork, torch.Tensor]:
    """The network and the distances (N, S) of the final pass, without gradient."""
    with torch.no_grad():
        distances = coarse_distances(rays, options)
        if options.n_importance == 0:
            return networks.coarse, distances
        coarse = network_pass(networks.coarse, rays, distances, options)
        return networks.best, fine_distances(coarse, options)
