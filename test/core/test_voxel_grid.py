"""Bricks are stored where something is or may grow, and resampling keeps the field."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import voxel_scenes as scenes

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.voxel_grid import Domain, VoxelGrid, resolution


def sphere(bricks=(8, 8, 8), radius=0.5, contracted=False):
    grid = VoxelGrid.dense(scenes.domain(contracted, bricks), 0.0)
    axes = [(torch.arange(n * 4) + 0.5) / (n * 2) - 1.0 for n in bricks]
    place = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    volume = 5.0 * (radius - place.norm(dim=-1, keepdim=True))
    grid.density[1:] = scenes.to_bricks(volume, bricks)[..., 0]
    grid.color[1:] = scenes.to_bricks(place.repeat(1, 1, 1, 4), bricks)
    return grid


def test_pruning_keeps_every_positive_voxel_and_its_neighbours():
    grid = sphere()
    before = scenes.dense_values(grid, grid.density[..., None])[..., 0]
    kept, source = grid.reallocated(0.0)
    assert 0 < kept.n_bricks < grid.n_bricks
    stored = (kept.table > 0).reshape(8, 8, 8)
    voxels = stored.repeat_interleave(4, 0).repeat_interleave(4, 1).repeat_interleave(4, 2)
    positive = (before > 0).float()[None, None]
    grown = torch.nn.functional.max_pool3d(positive, 3, 1, 1)[0, 0] > 0
    assert not (grown & ~voxels).any()
    blocks = torch.nn.functional.max_pool3d(grown.float()[None, None], 4)[0, 0] > 0
    assert torch.equal(blocks, stored)
    after = scenes.dense_values(kept, kept.density[..., None])[..., 0]
    assert torch.equal(after[voxels], before[voxels])
    assert (source[1:] > 0).all()


def test_pruned_space_grows_back_where_the_surface_reaches_it():
    grid = sphere(radius=0.3)
    small, _ = grid.reallocated(0.0)
    small.density[1:] += 0.9  # the surface moves outwards by 0.18, more than two voxels
    small.density[0] = 0.0
    grown, source = small.reallocated(0.0)
    assert grown.n_bricks > small.n_bricks
    new = source == 0
    new[0] = False
    assert (grown.density[new] == 0).all()


def test_cell_mask_marks_the_cells_with_a_positive_corner():
    grid = sphere(bricks=(4, 4, 4))
    grid, _ = grid.reallocated(0.1)
    density = scenes.dense_values(grid, grid.density[..., None])[..., 0]
    corners = torch.nn.functional.max_pool3d(density[None, None].float(), 2, 1)[0, 0] > 0.1
    expected = torch.zeros(16, 16, 16, dtype=torch.bool)
    expected[:15, :15, :15] = corners
    bits = (grid.mask[:, None] >> torch.arange(64)) & 1
    got = scenes.dense_values(grid, bits[..., None]).bool()[..., 0]
    assert torch.equal(got[:15, :15, :15], expected[:15, :15, :15])


def test_table_holds_the_distance_to_the_nearest_brick():
    grid, _ = sphere(radius=0.2).reallocated(0.0)
    table = grid.table.reshape(8, 8, 8).numpy()
    stored = np.argwhere(table > 0)
    for place in np.argwhere(table <= 0):
        nearest = np.abs(stored - place).max(1).min()
        assert table[tuple(place)] == -nearest


@pytest.mark.parametrize("contracted", [False, True])
def test_refined_grid_holds_the_same_field(contracted):
    grid, _ = sphere(contracted=contracted).reallocated(0.0)
    fine = grid.resampled(resolution(grid.domain, 64))
    assert fine.domain.bricks == (16, 16, 16)
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(500, 3, generator=generator) * 1.2 - 0.6 + torch.tensor(scenes.CENTER)
    views = torch.nn.functional.normalize(torch.rand(500, 3, generator=generator) - 0.5, dim=1)
    coarse_density, coarse_color = scenes.field_of(grid).query(points, views)
    fine_density, fine_color = scenes.field_of(fine).query(points, views)
    inside = coarse_density > 0.2 * coarse_density.max()
    assert inside.sum() > 20
    error = (coarse_density - fine_density).abs()[inside]
    assert error.max() < 0.1 * coarse_density.max()
    assert (coarse_color - fine_color).abs()[inside].max() < 0.02


def test_cropping_keeps_what_is_in_the_box():
    grid, _ = sphere(radius=0.4).reallocated(0.0)
    low, high = grid.occupied_box(0.0)
    middle, half = (low + high) / 2, (high - low) / 2
    assert half.max() < 0.7
    domain = Domain(tuple(middle), tuple(half), False, (1, 1, 1))
    cropped = grid.resampled(resolution(domain, 40))
    field, small = scenes.field_of(grid), scenes.field_of(cropped)
    rays = scenes.random_rays(0, 200, spread=0.3)
    difference = (field.render(*rays).opacity - small.render(*rays).opacity).abs()
    assert difference.mean() < 0.02


def test_contracted_grids_refuse_another_box():
    grid = sphere(contracted=True)
    other = replace(grid.domain, center=(0.0, 0.0, 0.0))
    with pytest.raises(InputError, match="inner box"):
        grid.resampled(other)


@pytest.mark.parametrize(
    "change",
    [{"half_size": (1.0, 0.0, 1.0)}, {"center": (np.nan, 0.0, 0.0)}, {"bricks": (0, 4, 4)}],
)
def test_impossible_boxes_are_refused(change):
    with pytest.raises(InputError):
        replace(scenes.domain(), **change)


def test_queried_density_is_what_rendering_absorbs():
    grid, _ = sphere(radius=0.6).reallocated(0.0)
    field = scenes.field_of(grid, cutoff=0.0, step=0.25)
    origin = torch.tensor([[0.1, -0.2, -3.0]])
    direction = torch.tensor([[0.0, 0.0, 1.0]])
    t = torch.linspace(0, 6, 4001)[:, None]
    density, _ = field.query(origin + t * direction, direction.expand(len(t), 3))
    optical = float(density.sum() * 6 / 4000)
    opacity = field.render(origin, direction).opacity.item()
    assert -np.log1p(-opacity) == pytest.approx(optical, rel=0.02)
