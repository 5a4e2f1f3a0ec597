"""A plain float64 torch renderer of a voxel grid: the oracle that the kernels must agree with.

Everything is dense and differentiable by autograd: with respect to the voxels, and with respect
to the rays at given sample distances. It is slow and shares no code with the kernels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class DenseGrid:
    """A whole grid: density (X, Y, Z), color (X, Y, Z, 12), and how space maps to it.

    center and unit (3,) bring field coordinates to box coordinates, scale and offset (3,) bring
    (contracted) box coordinates to the grid; optical_step is the optical depth of one sample.
    """

    density: torch.Tensor
    color: torch.Tensor
    center: torch.Tensor
    unit: torch.Tensor
    scale: torch.Tensor
    offset: torch.Tensor
    contracted: bool
    optical_step: float


@dataclass(frozen=True)
class Composite:
    """Renderings of rays and the terms of their losses."""

    color: torch.Tensor  # (N, 3)
    depth: torch.Tensor  # (N,) sum(w t) / opacity
    opacity: torch.Tensor  # (N,)
    weights: torch.Tensor  # (N, S)
    distortion: torch.Tensor  # (N,)


def contract(points: torch.Tensor) -> torch.Tensor:
    """Contraction of Mip-NeRF 360 (equation 10) with the maximum norm; points (..., 3)."""
    radius = points.abs().amax(-1, keepdim=True).clamp(min=1e-9)
    outside = (2.0 - 1.0 / radius) * points / radius
    return torch.where(radius > 1.0, outside, points)


def trilinear(volume: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """Value (..., C) of a volume (X, Y, Z, C) at grid coordinates (..., 3) inside its hull."""
    size = torch.tensor(volume.shape[:3], device=position.device)
    position = torch.maximum(position, position.new_zeros(3))
    position = torch.minimum(position, (size - 1.001).to(position))
    low = position.detach().floor().long()
    fraction = position - low
    total = position.new_zeros((*position.shape[:-1], volume.shape[-1]))
    for corner in range(8):
        bits = torch.tensor([corner >> 2 & 1, corner >> 1 & 1, corner & 1], device=position.device)
        index = low + bits
        weight = torch.where(bits.bool(), fraction, 1.0 - fraction).prod(-1, keepdim=True)
        total = total + weight * volume[index[..., 0], index[..., 1], index[..., 2]]
    return total


def spherical_harmonics(directions: torch.Tensor) -> torch.Tensor:
    """Real spherical harmonics of degrees 0 and 1: (..., 3) -> (..., 4)."""
    constant = torch.full_like(directions[..., :1], 0.28209479177387814)
    return torch.cat([constant, 0.4886025119029199 * directions], -1)


def render(
    grid: DenseGrid,
    origins: torch.Tensor,
    directions: torch.Tensor,
    distances: torch.Tensor,
    steps: torch.Tensor,
    valid: torch.Tensor,
    background: torch.Tensor,
    cutoff: float = 0.0,
) -> Composite:
    """Render rays (N, 3), in field coordinates, at frozen samples.

    distances, steps, valid: (N, S) sample distances, their lengths, and which exist.
    background: (N, 3). cutoff: as in the kernels, samples of less optical depth are left out and
    a ray ends when less than this share of its light is left.
    """
    points = origins[:, None] + distances[..., None] * directions[:, None]
    box = (points - grid.center) / grid.unit
    place = (contract(box) if grid.contracted else box) * grid.scale + grid.offset
    volume = torch.cat([grid.density[..., None], grid.color], -1)
    values = trilinear(volume, place)
    optical = torch.relu(values[..., 0]) * grid.optical_step
    optical = optical * (valid & (optical > cutoff))
    light = torch.exp(-torch.cumsum(optical, -1))
    before = torch.cat([torch.ones_like(light[:, :1]), light[:, :-1]], -1)
    alive = before.detach() >= cutoff
    weights = (before - light) * alive
    coefficients = values[..., 1:].reshape(*values.shape[:-1], 3, 4)
    basis = spherical_harmonics(directions)[:, None, None]
    colors = torch.sigmoid((coefficients * basis).sum(-1))
    opacity = weights.sum(-1)
    color = (weights[..., None] * colors).sum(1) + (1.0 - opacity)[:, None] * background
    depth = (weights * distances).sum(-1) / opacity.clamp(min=1e-12)
    return Composite(color, depth, opacity, weights, distortion(weights, distances, steps))


def distortion(
    weights: torch.Tensor, distances: torch.Tensor, steps: torch.Tensor
) -> torch.Tensor:
    """Distortion loss of Mip-NeRF 360 (equation 15) on the places t / (1 + t), (N,)."""
    place = distances / (1.0 + distances)
    width = steps * (1.0 - place) ** 2
    apart = (place[:, :, None] - place[:, None, :]).abs()
    pairs = (weights[:, :, None] * weights[:, None, :] * apart).sum((1, 2))
    return pairs + (weights**2 * width).sum(-1) / 3.0
