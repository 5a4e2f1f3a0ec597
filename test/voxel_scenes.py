"""Small voxel grids for the tests of kernels, and their dense float64 twins."""

from __future__ import annotations

import numpy as np
import torch
from ball_scene import RADIUS

from fast_inerf_ros.fields.voxel import VoxelField
from fast_inerf_ros.fields.voxel_grid import Domain, VoxelGrid
from fast_inerf_ros.rendering.reference import DenseGrid

CENTER = (0.1, -0.2, 0.3)


def domain(contracted=False, bricks=(4, 4, 4), half_size=(1.0, 1.0, 1.0)):
    return Domain(CENTER, half_size, contracted, bricks)


def random_grid(seed, contracted=False, bricks=(4, 4, 4), threads=1, mean=0.0, spread=2.0):
    """Grid of smooth random density, about half of it empty, and random colours."""
    generator = np.random.default_rng(seed)
    grid = VoxelGrid.dense(domain(contracted, bricks), 0.0, threads=threads)
    coarse = torch.tensor(generator.normal(mean, spread, (1, 1, 5, 5, 5)), dtype=torch.float32)
    size = [n * 4 for n in bricks]
    smooth = torch.nn.functional.interpolate(coarse, size, mode="trilinear")[0, 0]
    grid.density[1:] = to_bricks(smooth[..., None], bricks)[..., 0]
    grid.color[1:] = torch.tensor(generator.normal(0, 1, grid.color[1:].shape)).float()
    grid, _ = grid.reallocated(1e-3)
    return grid


def to_bricks(volume, bricks):
    x, y, z = bricks
    cut = volume.reshape(x, 4, y, 4, z, 4, -1).permute(0, 2, 4, 1, 3, 5, 6)
    return cut.reshape(x * y * z, 64, -1)


def dense_values(grid, values):
    """Volume (X, Y, Z, C) of values (n + 1, 64, C) stored in bricks; zero where none is."""
    bricks = grid.domain.bricks
    rows = values[grid.table.clamp(min=0).long()]
    rows = rows.reshape(*bricks, 4, 4, 4, -1).permute(0, 3, 1, 4, 2, 5, 6)
    return rows.reshape(*(4 * n for n in bricks), -1).double()


def dense_twin(field):
    """The same field for the reference renderer, in float64."""
    grid, shading = field.grid, field.shading
    place = grid.domain
    return DenseGrid(
        density=dense_values(grid, grid.density[..., None])[..., 0],
        color=dense_values(grid, grid.color),
        center=torch.tensor(place.center, dtype=torch.float64),
        unit=torch.tensor(place.unit),
        scale=torch.tensor(place.scale),
        offset=torch.tensor(place.offset),
        contracted=place.contracted,
        optical_step=place.optical_step(shading.step, shading.optical_scale),
    )


def random_rays(seed, count, distance=3.0, spread=0.6):
    """Rays from a sphere around the centre towards points near it."""
    generator = np.random.default_rng(seed)
    origins = generator.normal(size=(count, 3))
    origins *= distance / np.linalg.norm(origins, axis=1, keepdims=True)
    targets = generator.uniform(-spread, spread, (count, 3))
    directions = targets - origins
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return (
        torch.tensor(origins + CENTER, dtype=torch.float32),
        torch.tensor(directions, dtype=torch.float32),
    )


def samples(field, origins, directions, jitter=0.5, capacity=512, near=0.0, far=1e10):
    """Distances, lengths and validity (N, S) of the samples that the kernels take."""
    import warp as wp

    from fast_inerf_ros.rendering.derivative_kernels import sample_distances

    count = len(origins)
    distances = torch.zeros(count, capacity)
    steps = torch.zeros(count, capacity)
    found = torch.zeros(count, dtype=torch.int32)
    start = torch.full((count,), jitter) if isinstance(jitter, float) else jitter
    inputs = [0, field.struct, field.kernel_rays(origins, directions, near, far)]
    inputs += [wp.from_torch(t) for t in (start, distances, steps, found)]
    wp.launch(sample_distances, dim=count, inputs=inputs, device="cpu")
    assert int(found.max()) < capacity
    valid = torch.arange(capacity)[None] < found[:, None]
    return distances.double(), steps.double(), valid


def field_of(grid, **shading):
    from fast_inerf_ros.fields.voxel import Shading

    return VoxelField(grid, Shading(**{"optical_scale": 8.0, "cutoff": 1e-4, **shading}))


def ball_field():
    """The ball of `ball_scene` as a voxel field."""
    bricks = (12, 12, 12)
    grid = VoxelGrid.dense(Domain((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), False, bricks), 0.0, threads=1)
    places = (torch.arange(48) + 0.5) / 24 - 1
    x, y, z = torch.meshgrid(places, places, places, indexing="ij")
    inside = RADIUS - (x**2 + y**2 + z**2).sqrt()
    grid.density[1:] = to_bricks((100 * inside)[..., None], bricks)[..., 0]
    return VoxelField(grid)
