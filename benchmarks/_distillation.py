"""A vanilla field that learns from a voxel field: along rays of photographs, and at their points.

Points around the surface of a ray and before it learn density and colour of the voxel field
there, and what is composited of them the colour of the ray. Either alone is slow: points do not
tell which of their errors are seen, and pixels not where along their ray something is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.fields.vanilla import VanillaField
from fast_inerf_ros.fields.vanilla_options import VanillaArchitecture, VanillaRendering
from fast_inerf_ros.fields.vanilla_setting import VanillaSetting
from fast_inerf_ros.fields.voxel import VoxelField
from fast_inerf_ros.rendering.compositing import composite, interval_lengths
from fast_inerf_ros.training.voxel_scene import ray_bank

STUDENT = VanillaArchitecture(depth=4, width=256, view_directions=True)
STUDENT_RENDERING = VanillaRendering(n_samples=384, white_background=True)
NEAR, FAR = 2.0, 6.0
"""Depths of lego's cameras between which everything lies, as in its data set."""

POOL = 1_500_000
"""Rays of photographs that are rendered once, to be drawn from."""

RAYS, MISSING = 512, 64
"""Rays of a step, and how many of them meet nothing."""

AROUND, BEFORE = 10, 6
"""Points of a ray around its surface and before that; a ray without surface has as many."""

SURFACE = 0.06
"""Field units before and behind a surface that count as around it."""

OPAQUE = 0.03
"""Field units along which the colour of a point counts by its opacity."""

LONGEST = 0.024
"""Field units that a point stands for at most."""

EMPTY_MARGIN = 0.1
"""Of the raw density below zero, where there is nothing."""

DENSEST = 100.0
"""Density per field unit from which more is as good."""

DENSITY_WEIGHT, COLOR_WEIGHT = 0.2, 3.0
"""Of points, against the colours of rays."""

LEARNING_RATE, LAST_SHARE, WARM_UP = 5e-3, 0.05, 200
"""Adam's at first, what remains of it, and steps until it is reached: colours saturate else."""


def distilled(teacher: VoxelField, training: PosedImages, steps: int) -> VanillaField:
    """Vanilla field that has learnt a voxel field of lego."""
    low, high = (tuple(map(float, corner)) for corner in teacher.bounds)
    setting = VanillaSetting(STUDENT_RENDERING, near=NEAR, far=FAR, box=(low, high))
    student = VanillaField.untrained(STUDENT, setting, np.random.default_rng(0), teacher.frame)
    optimizer = torch.optim.Adam(student.networks.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / WARM_UP) * LAST_SHARE ** (step / steps)
    )
    pool = TaughtRays.of(teacher, training)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        rays = pool.drawn(generator)
        loss = _loss(student, teacher, rays, rays.distances(generator))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return student


@dataclass(frozen=True)
class TaughtRays:
    """Rays, unit directions (N, 3); distance (N,) of their surface or NaN, and their colour."""

    origins: torch.Tensor
    directions: torch.Tensor
    surface: torch.Tensor
    color: torch.Tensor

    @staticmethod
    def of(teacher: VoxelField, training: PosedImages) -> TaughtRays:
        """Random pixels of photographs, as a field shows them; those without surface come last."""
        bank = ray_bank(training, torch.device("cpu"))
        drawn = torch.randint(len(bank), (POOL,), generator=torch.Generator().manual_seed(0))
        rays = bank.gather(drawn, torch.zeros(POOL, 3))
        directions = torch.nn.functional.normalize(rays.directions, dim=1)
        seen = teacher.render(rays.origins, directions)
        met = torch.isfinite(seen.median_depth)
        order = met.long().argsort(descending=True, stable=True)
        columns = (rays.origins, directions, seen.median_depth, seen.color)
        return TaughtRays(*(column[order] for column in columns))

    @cached_property
    def n_met(self) -> int:
        """Rays that have a surface."""
        return int(torch.isfinite(self.surface).sum())

    def drawn(self, generator: torch.Generator) -> TaughtRays:
        """Rays of one step."""
        met = torch.randint(self.n_met, (RAYS - MISSING,), generator=generator)
        missing = torch.randint(self.n_met, len(self.surface), (MISSING,), generator=generator)
        rows = torch.cat([met, missing])
        columns = (self.origins, self.directions, self.surface, self.color)
        return TaughtRays(*(column[rows] for column in columns))

    def distances(self, generator: torch.Generator) -> torch.Tensor:
        """Ascending distances (N, S) of points: stratified around surfaces, random before."""
        count = len(self.surface)
        met = torch.isfinite(self.surface)[:, None]
        strata = (torch.arange(AROUND) + torch.rand(count, AROUND, generator=generator)) / AROUND
        around = self.surface[:, None] + SURFACE * (2.0 * strata - 1.0)
        end = torch.where(met, self.surface[:, None] - SURFACE, FAR)
        before = NEAR + (end - NEAR) * torch.rand(count, AROUND + BEFORE, generator=generator)
        before[:, :AROUND] = torch.where(met, around, before[:, :AROUND])
        return before.sort(dim=1).values


def _loss(
    student: VanillaField, teacher: VoxelField, rays: TaughtRays, distances: torch.Tensor
) -> torch.Tensor:
    count, n_points = distances.shape
    points = rays.origins[:, None] + distances[..., None] * rays.directions[:, None]
    views = rays.directions[:, None].expand(count, n_points, 3)
    density, color = teacher.query(points.reshape(-1, 3), views.reshape(-1, 3))
    density, color = density.view(count, n_points).clamp(max=DENSEST), color.view(points.shape)
    with torch.autocast("cpu", torch.bfloat16):  # half the time, where a CPU has it
        raw = student.networks.coarse(points, rays.directions).float()
    found_color = torch.sigmoid(raw[..., :3])
    opacity = 1.0 - torch.exp(-OPAQUE * density)
    of_points = (opacity * (found_color - color).square().sum(-1)).mean()
    lengths = interval_lengths(distances, torch.ones(count)).clamp(max=LONGEST)
    seen = composite(found_color, torch.relu(raw[..., 3]), lengths, distances)
    of_rays = seen.over(torch.ones(3)) - rays.color
    wrong = _wrong_density(raw[..., 3], density)
    return of_rays.abs().mean() + DENSITY_WEIGHT * wrong.mean() + COLOR_WEIGHT * of_points


def _wrong_density(raw: torch.Tensor, density: torch.Tensor) -> torch.Tensor:
    # Raw densities, not their opacity: it hardly changes with the little that fog needs.
    found, wanted = torch.asinh(raw), torch.asinh(density)
    wrong = torch.where(density < DENSEST, found - wanted, torch.relu(wanted - found))
    return torch.where(density > 0.0, wrong, torch.relu(found + EMPTY_MARGIN)).abs()
