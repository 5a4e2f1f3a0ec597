"""Volumetric compositing of samples along rays by the quadrature of NeRF (2020), equation 3."""

from __future__ import annotations

from dataclasses import dataclass

import torch

BEYOND_LAST_SAMPLE = 1e10
"""Length of the interval behind the last sample: whatever is dense there is opaque."""


@dataclass(frozen=True)
class Composited:
    """Rays after compositing; `weights` (N, S) say how much each sample contributes.

    `depth_sum` is sum(w t), not divided by the opacity.
    """

    color: torch.Tensor  # (N, 3), nothing behind the samples
    opacity: torch.Tensor  # (N,)
    depth_sum: torch.Tensor  # (N,)
    weights: torch.Tensor  # (N, S)

    def over(self, background: torch.Tensor) -> torch.Tensor:
        """Colour (N, 3) in front of a background (3,) or (N, 3)."""
        return self.color + (1.0 - self.opacity)[:, None] * background

    def depth(self, minimum_opacity: float = 1e-3) -> torch.Tensor:
        """Expected distance (N,) = sum(w t) / opacity; NaN where the opacity is too small."""
        visible = self.opacity >= minimum_opacity
        divisor = torch.where(visible, self.opacity, torch.ones_like(self.opacity))
        missing = torch.full_like(self.depth_sum, float("nan"))
        return torch.where(visible, self.depth_sum / divisor, missing)

    def disparity(self) -> torch.Tensor:
        """1 / expected distance (N,); 0 (infinitely far) where the ray meets nothing."""
        met = self.opacity > 0
        distance = torch.where(met, self.depth_sum, torch.ones_like(self.depth_sum))
        ratio = distance / torch.where(met, self.opacity, torch.ones_like(self.opacity))
        return torch.where(met, 1.0 / ratio.clamp(min=1e-10), torch.zeros_like(ratio))


def interval_lengths(distances: torch.Tensor, direction_lengths: torch.Tensor) -> torch.Tensor:
    """Lengths (N, S) of the intervals that the samples stand for.

    distances: ascending (N, S), in multiples of the length (N,) of the ray's direction.
    """
    last = torch.full_like(distances[:, :1], BEYOND_LAST_SAMPLE)
    steps = torch.cat([distances[:, 1:] - distances[:, :-1], last], dim=-1)
    return steps * direction_lengths[:, None]


def composite(
    colors: torch.Tensor, densities: torch.Tensor, lengths: torch.Tensor, distances: torch.Tensor
) -> Composited:
    """Composite samples front to back.

    colors: (N, S, 3). densities: (N, S), >= 0, per unit of length. lengths: (N, S) of the
    intervals. distances: (N, S) of the samples, for the depth.
    """
    alphas = 1.0 - torch.exp(-densities * lengths)
    weights = alphas * _transmittance(alphas)
    return Composited(
        color=(weights[..., None] * colors).sum(dim=-2),
        opacity=weights.sum(dim=-1),
        depth_sum=(weights * distances).sum(dim=-1),
        weights=weights,
    )


def _transmittance(alphas: torch.Tensor) -> torch.Tensor:
    """Share of light (N, S) that reaches each sample; 1e-10 keeps gradients behind walls."""
    passed = torch.cumprod(1.0 - alphas + 1e-10, dim=-1)
    return torch.cat([torch.ones_like(passed[:, :1]), passed[:, :-1]], dim=-1)


def median_distance(
    weights: torch.Tensor, densities: torch.Tensor, lengths: torch.Tensor, distances: torch.Tensor
) -> torch.Tensor:
    """Distance (N,) where half of the light is absorbed; NaN where less than half ever is.

    All arguments (N, S), lengths in the unit of the distances. Density is constant in the
    interval behind each sample, so the place inside it has a closed form; the interval behind
    the last sample counts as if it ended there.
    """
    absorbed = torch.cumsum(weights, dim=-1)
    reached = absorbed >= 0.5
    index = reached.to(torch.int8).argmax(dim=-1, keepdim=True)
    arriving = (1.0 - torch.gather(absorbed - weights, 1, index)).clamp(min=0.5)
    density = torch.gather(densities, 1, index)
    inside = torch.log(2.0 * arriving) / density.clamp(min=1e-12)
    finite = torch.where(lengths < 0.1 * BEYOND_LAST_SAMPLE, lengths, torch.zeros_like(lengths))
    place = torch.gather(distances, 1, index) + torch.minimum(
        inside, torch.gather(finite, 1, index)
    )
    missing = torch.full_like(place, float("nan"))
    return torch.where(reached.any(dim=-1, keepdim=True), place, missing)[:, 0]
