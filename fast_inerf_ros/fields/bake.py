"""Baking: any radiance field as a voxel field, which renders thousands of times faster.

Space is searched coarse to fine for what is dense; there densities are taken as they are, and
the colours that the field shows in several directions are fitted by spherical harmonics of
degree 1 in logit space.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from fast_inerf_ros.config import option
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.field import Bound, Field
from fast_inerf_ros.fields.voxel import Shading, VoxelField
from fast_inerf_ros.fields.voxel_grid import (
    COLORS,
    VOXELS,
    Domain,
    VoxelGrid,
    resolution,
    voxel_places,
)
from fast_inerf_ros.rendering.reference import spherical_harmonics

logger = logging.getLogger(__name__)

Progress = Callable[[float], None]

LOGIT_LIMIT = 6.0
"""Colours are kept from exact black and white, which no finite coefficient shows."""


COARSE_MARGIN = 1.0
"""Coarse voxels between what is dense and the faces of the baked box."""


@dataclass(frozen=True)
class BakeOptions:
    """How a field is baked."""

    voxels: int = option(256, doc="Voxels along the longest axis.", minimum=16, maximum=1024)
    coarse_voxels: int = option(
        64, doc="Voxels along it where dense space is searched.", minimum=8, maximum=256
    )
    opacity: float = option(
        0.003, doc="Opacity of a voxel below which space is empty.", minimum=0.0, maximum=0.5
    )
    points_per_query: int = option(1 << 18, doc="Points queried at once.", minimum=1024)
    voxels_per_step: float = option(
        0.5, doc="Distance of samples along rays of the baked field, in voxels.", minimum=0.1
    )


@dataclass(frozen=True)
class PsnrLost:
    """Peak signal-to-noise ratios in dB against the truth, and between the two fields."""

    original: float
    baked: float
    between: float

    @property
    def lost(self) -> float:
        """How much worse the baked field is, in dB."""
        return self.original - self.baked


def bake(
    field: Field,
    options: BakeOptions | None = None,
    *,
    directions: torch.Tensor | None = None,
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
    progress: Progress | None = None,
) -> VoxelField:
    """Voxel field that looks like ``field`` within its bounds.

    directions (K, 3): unit vectors along which the colours are fitted, best those of the views
    the field was trained on; default: 14 around the sphere.

    Raises InputError where the field is empty within its bounds, or directions are too few.
    """
    options = options or BakeOptions()
    views = _sphere() if directions is None else directions.to(torch.float32).cpu()
    fit = _fit_matrix(views)
    coarse = _coarse_grid(field, options)
    if coarse.n_bricks == 0:
        raise InputError(
            "baking: expected something dense within the bounds of the field, got nothing; "
            "check its bounds, or lower the opacity below which space is empty"
        )
    logger.info("baking: %d of the coarse bricks are dense", coarse.n_bricks)
    around = coarse.occupied_domain(_threshold(coarse.domain, options), COARSE_MARGIN)
    grid = coarse.resampled(resolution(around, options.voxels))
    grid.density[1:] = _densities(field, grid, options, progress)
    grid, _ = grid.reallocated(_threshold(grid.domain, options))
    _paint(field, grid, views, fit, options, progress)
    shading = Shading(
        step=options.voxels_per_step, optical_scale=1.0, cutoff=1e-3, background=background
    )
    return VoxelField(grid, shading, field.frame)


def psnr_lost(
    field: Field,
    baked: Field,
    origins: torch.Tensor,
    directions: torch.Tensor,
    truth: torch.Tensor,
    near: Bound = 0.0,
    far: Bound = float("inf"),
    *,
    background: torch.Tensor | None = None,
) -> PsnrLost:
    """Compare a field and its baked form on rays (N, 3) whose true colours (N, 3) are known."""
    seen = [
        one.render(origins, directions, near, far, background=background).color.clamp(0.0, 1.0)
        for one in (field, baked)
    ]
    return PsnrLost(_psnr(seen[0], truth), _psnr(seen[1], truth), _psnr(seen[0], seen[1]))


def _psnr(image: torch.Tensor, truth: torch.Tensor) -> float:
    return -10.0 * math.log10(max(float((image - truth).square().mean()), 1e-12))


def _threshold(domain: Domain, options: BakeOptions) -> float:
    voxel = float((domain.unit / domain.scale).max())
    return -math.log1p(-options.opacity) / voxel


def _coarse_grid(field: Field, options: BakeOptions) -> VoxelGrid:
    """Dense parts of the field's box, with the largest of eight densities in each voxel."""
    low, high = field.bounds.double().cpu().numpy()
    center, half = (low + high) / 2, (high - low) / 2
    x, y, z = (float(v) for v in center)
    a, b, c = (float(v) for v in half)
    box = Domain((x, y, z), (a, b, c), False, (1, 1, 1))
    grid = VoxelGrid.dense(resolution(box, options.coarse_voxels), 0.0, field.device)
    offsets = [(i, j, k) for i in (-0.25, 0.25) for j in (-0.25, 0.25) for k in (-0.25, 0.25)]
    for offset in offsets:
        found = _densities(field, grid, options, None, offset)
        grid.density[1:] = torch.maximum(grid.density[1:], found)
    return grid.reallocated(_threshold(grid.domain, options))[0]


def _densities(
    field: Field,
    grid: VoxelGrid,
    options: BakeOptions,
    progress: Progress | None,
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> torch.Tensor:
    """Density of the field at every stored voxel (n, 64)."""
    out = torch.empty(grid.n_bricks, VOXELS, device=grid.device)
    bricks = max(1, options.points_per_query // VOXELS)
    for first in range(0, grid.n_bricks, bricks):
        part = slice(first, min(first + bricks, grid.n_bricks))
        points = voxel_points(grid, part, offset)
        ahead = torch.zeros_like(points)
        ahead[:, 2] = 1.0
        out[part] = field.query(points, ahead)[0].view(-1, VOXELS)
        if progress is not None:
            progress(0.3 * part.stop / grid.n_bricks)
    return out


def voxel_points(
    grid: VoxelGrid, part: slice, offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> torch.Tensor:
    """Where the voxels of some stored bricks lie, in field units (n * 64, 3)."""
    domain, device = grid.domain, grid.device
    voxels = voxel_places(grid.coordinates[1:][part])
    place = voxels + torch.tensor(offset, dtype=torch.float64, device=device)
    to_field = [domain.offset, domain.scale, domain.unit, np.asarray(domain.center)]
    shift, scale, unit, center = (torch.as_tensor(v, device=device) for v in to_field)
    return ((place - shift) / scale * unit + center).reshape(-1, 3).float()


def _paint(
    field: Field,
    grid: VoxelGrid,
    views: torch.Tensor,
    fit: torch.Tensor,
    options: BakeOptions,
    progress: Progress | None,
) -> None:
    """Fit the colours of all stored voxels, in place."""
    views, fit = views.to(grid.device), fit.to(grid.device)
    bricks = max(1, options.points_per_query // VOXELS)
    for first in range(0, grid.n_bricks, bricks):
        part = slice(first, min(first + bricks, grid.n_bricks))
        points = voxel_points(grid, part)
        logits = torch.stack(
            [_logits(field.query(points, view.expand_as(points))[1]) for view in views], -1
        )
        coefficients = logits @ fit.T
        grid.color[1:][part] = coefficients.view(-1, VOXELS, COLORS)
        if progress is not None:
            progress(0.3 + 0.7 * part.stop / grid.n_bricks)


def _logits(color: torch.Tensor) -> torch.Tensor:
    edge = 1.0 / (1.0 + math.exp(LOGIT_LIMIT))
    return torch.logit(color.clamp(edge, 1.0 - edge))


def _fit_matrix(directions: torch.Tensor) -> torch.Tensor:
    """Least-squares map (4, K) from the logits along K directions to coefficients."""
    if directions.ndim != 2 or directions.shape[1] != 3 or len(directions) < 4:
        raise InputError(
            f"directions: expected at least 4 unit vectors (K, 3), got {tuple(directions.shape)}"
        )
    basis = spherical_harmonics(torch.nn.functional.normalize(directions.double(), dim=1))
    # A little regularisation of degree 1: directions from one side alone leave it open.
    ridge = torch.diag(torch.tensor([0.0, 1.0, 1.0, 1.0], dtype=torch.float64))
    normal = basis.T @ basis + 1e-2 * len(directions) / 4 * ridge
    solution: torch.Tensor = torch.linalg.solve(normal, basis.T)
    return solution.float()


def _sphere() -> torch.Tensor:
    """Six faces and eight corners of a cube, as unit vectors (14, 3)."""
    faces = torch.cat([torch.eye(3), -torch.eye(3)])
    corners = torch.tensor([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    return torch.cat([faces, corners / math.sqrt(3.0)])
