"""The kernels agree with a plain float64 renderer, and with what light does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import voxel_scenes as scenes

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.voxel_grid import VoxelGrid
from fast_inerf_ros.rendering import reference

KINDS = pytest.mark.parametrize("contracted", [False, True])


def rendered_twice(contracted, cutoff=1e-4, seed=0):
    field = scenes.field_of(scenes.random_grid(seed, contracted), cutoff=cutoff)
    rays = scenes.random_rays(seed + 1, 300, distance=3.0 if not contracted else 1.5)
    background = torch.rand(300, 3, generator=torch.Generator().manual_seed(seed))
    seen = field.render(*rays, background=background)
    expected = reference.render(
        scenes.dense_twin(field),
        rays[0].double(),
        rays[1].double(),
        *scenes.samples(field, *rays),
        background.double(),
        cutoff,
    )
    return seen, expected


@KINDS
@pytest.mark.parametrize("seed", range(3))
def test_kernel_renders_what_the_reference_renders(contracted, seed):
    seen, expected = rendered_twice(contracted, seed=seed)
    assert expected.opacity.max() > 0.9
    torch.testing.assert_close(seen.color.double(), expected.color, atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.opacity.double(), expected.opacity, atol=1e-4, rtol=0)
    hit = expected.opacity > 0.05
    torch.testing.assert_close(seen.depth[hit].double(), expected.depth[hit], atol=1e-3, rtol=0)


def test_samples_cover_every_occupied_cell_on_one_lattice():
    field = scenes.field_of(scenes.random_grid(5))
    origins, directions = scenes.random_rays(6, 100)
    distances, _, valid = scenes.samples(field, origins, directions)
    lattice = field.shading.step / (np.asarray(field.grid.domain.scale)[0])
    twin = scenes.dense_twin(field)
    for ray in range(100):
        found = distances[ray][valid[ray]]
        if len(found) == 0:
            continue
        shift = (found - found[0]) / lattice
        torch.testing.assert_close(shift, shift.round(), atol=5e-3, rtol=0)
        every = found[0] + lattice * torch.arange(-200, 200)
        points = origins[ray].double() + every[:, None] * directions[ray].double()
        place = (points - twin.center) / twin.unit * twin.scale + twin.offset
        inside = ((place >= 0.02) & (place <= 4 * 4 - 1.02)).all(-1)
        density = reference.trilinear(twin.density[..., None], place)[:, 0]
        positive = every[inside & (density > 1e-2)]
        gaps = (positive[:, None] - found[None]).abs().min(1).values
        assert gaps.max() < 0.01 * lattice if len(gaps) else True


def slab_field(density, contracted=False, bricks=(8, 8, 8)):
    """One density, grey, for |z - center| < 0.5; the rest is empty."""
    grid = VoxelGrid.dense(scenes.domain(contracted, bricks), 0.0)
    z = torch.arange(bricks[2] * 4, dtype=torch.float32)
    z = (z - grid.domain.offset[2]) / grid.domain.scale[2]
    volume = torch.where(z.abs() < 0.5, density, 0.0).expand(bricks[0] * 4, bricks[1] * 4, -1)
    grid.density[1:] = scenes.to_bricks(volume[..., None], bricks)[..., 0]
    grid, _ = grid.reallocated(1e-4)
    return scenes.field_of(grid, optical_scale=1.0, cutoff=1e-6, step=0.5)


@pytest.mark.parametrize("density", [0.3, 1.0, 3.0])
def test_slab_of_constant_density_absorbs_as_beer_and_lambert_say(density):
    field = slab_field(density)
    origins = torch.tensor([[0.1, -0.2, -2.0], [0.15, -0.25, 3.0]])
    directions = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    seen = field.render(origins, directions, background=torch.ones(3))
    opacity = 1.0 - np.exp(-density * 1.0)
    np.testing.assert_allclose(seen.opacity, opacity, atol=0.01)
    np.testing.assert_allclose(seen.color, 1.0 - 0.5 * opacity * np.ones((2, 3)), atol=0.01)


@KINDS
def test_opaque_wall_renders_wall_depth(contracted):
    field = slab_field(2000.0, contracted)
    voxel = 1.0 / field.grid.domain.scale[2]
    origins = torch.tensor([[0.1, -0.2, -1.5], [0.3, -0.1, -1.5]])
    directions = torch.tensor([[0.0, 0.0, 1.0], [0.1, 0.0, 0.995]])
    directions = directions / directions.norm(dim=1, keepdim=True)
    seen = field.render(origins, directions)
    wall = (0.3 - 0.5 + 1.5) / directions[:, 2]
    np.testing.assert_allclose(seen.opacity, 1.0, atol=1e-4)
    np.testing.assert_allclose(seen.depth, wall, atol=1.2 * voxel)
    np.testing.assert_allclose(seen.median_depth, wall, atol=1.2 * voxel)


def test_empty_field_renders_the_background_and_no_depth():
    grid = VoxelGrid.dense(scenes.domain(), 0.0)
    grid, _ = grid.reallocated(1e-3)
    assert grid.n_bricks == 0
    field = scenes.field_of(grid, background=(0.2, 0.4, 0.6))
    rays = scenes.random_rays(0, 50)
    seen = field.render(*rays)
    np.testing.assert_allclose(seen.color, np.tile([0.2, 0.4, 0.6], (50, 1)), atol=1e-6)
    assert torch.isnan(seen.depth).all()
    assert torch.isnan(seen.median_depth).all()
    behind = torch.rand(50, 3)
    torch.testing.assert_close(field.render(*rays, background=behind).color, behind)


def test_near_and_far_cut_the_scene():
    field = slab_field(2000.0)
    origin, direction = torch.tensor([[0.1, -0.2, -1.5]]), torch.tensor([[0.0, 0.0, 1.0]])
    assert field.render(origin, direction, far=1.0).opacity.item() == 0.0
    assert field.render(origin, direction, near=2.5).opacity.item() == 0.0
    inside = field.render(origin, direction, near=torch.tensor([1.7]))
    assert inside.depth.item() == pytest.approx(1.7, abs=0.1)


def test_bad_rays_are_refused_in_one_line():
    field = scenes.field_of(scenes.random_grid(0))
    origins, directions = scenes.random_rays(0, 5)
    with pytest.raises(InputError, match=r"origins: expected shape \(N, 3\)"):
        field.render(origins[:, :2], directions)
    with pytest.raises(InputError, match="as many directions as origins"):
        field.render(origins[:3], directions)
    with pytest.raises(InputError, match="near or far"):
        field.render(origins, directions, torch.zeros(3))
    with pytest.raises(InputError, match="background"):
        field.render(origins, directions, background=torch.zeros(2))


@pytest.mark.parametrize("count", [1, 2, 1023, 1024, 5000, 20000])
def test_any_number_of_threads_renders_the_same(count):
    rays = scenes.random_rays(3, count)
    seen = []
    for threads in (1, 2, 5):
        field = scenes.field_of(scenes.random_grid(5, threads=threads))
        seen.append(field.render(*rays))
        assert len(seen[-1].color) == count
    for other in seen[1:]:
        for name in ("color", "depth", "median_depth", "opacity"):
            one, two = getattr(seen[0], name), getattr(other, name)
            assert torch.equal(torch.nan_to_num(one, -1.0), torch.nan_to_num(two, -1.0))


def test_training_shows_in_a_field_that_was_already_rendered():
    field, rays = scenes.field_of(scenes.random_grid(5)), scenes.random_rays(3, 500)
    before = field.render(*rays).opacity
    field.grid.density.zero_()
    assert before.max() > 0.5
    assert field.render(*rays).opacity.max() == 0.0
