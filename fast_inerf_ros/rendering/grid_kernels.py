# mypy: ignore-errors
# ruff: noqa: UP018, RUF046
# Warp compiles these kernels: their bodies follow its rules, not Python's types.
"""Kernels that maintain a grid: what is occupied, and sampling it at points."""

import warp as wp

from fast_inerf_ros.rendering.grid import (
    Grid,
    clamp_to_grid,
    color_of,
    corner_indices,
    corner_weights,
    interpolate_color,
    interpolate_density,
    spherical_harmonics,
    to_grid,
    vec12,
    voxel_index,
)

wp.set_module_options({"enable_backward": False, "fast_math": True})


@wp.func
def cells_around(i: int, j: int, k: int) -> wp.uint64:
    """Bits of the cells of a brick that have the corner (i, j, k), each 0 to 4."""
    bits = wp.uint64(0)
    for a in range(wp.max(i - 1, 0), wp.min(i + 1, 4)):
        for b in range(wp.max(j - 1, 0), wp.min(j + 1, 4)):
            for c in range(wp.max(k - 1, 0), wp.min(k + 1, 4)):
                bits = bits | (wp.uint64(1) << wp.uint64(a * 16 + b * 4 + c))
    return bits


@wp.func
def neighbours_around(i: int, j: int, k: int) -> int:
    """Bits of the bricks within one voxel of the voxel (i, j, k) of a brick."""
    reached = int(0)
    for a in range((i + 3) // 4, (i + 1) // 4 + 2):
        for b in range((j + 3) // 4, (j + 1) // 4 + 2):
            for c in range((k + 3) // 4, (k + 1) // 4 + 2):
                reached = reached | (1 << (a * 9 + b * 3 + c))
    return reached


@wp.kernel
def occupied_cells(
    first_slot: int,
    grid: Grid,
    coordinates: wp.array(dtype=wp.vec3i),
    threshold: float,
    mask: wp.array(dtype=wp.uint64),
    reach: wp.array(dtype=wp.int32),
):
    """Mask of the cells with a corner above the threshold, and the neighbours a brick reaches.

    Bit 9 (x+1) + 3 (y+1) + (z+1) of ``reach`` is set where a voxel above the threshold is next
    to the neighbour (x, y, z): the surface may grow into it.
    """
    slot = first_slot + wp.tid()
    brick = coordinates[slot]
    bits = wp.uint64(0)
    reached = int(0)
    for corner in range(125):
        i = corner // 25
        j = (corner // 5) % 5
        k = corner % 5
        x = wp.min(brick[0] * 4 + i, grid.bricks[0] * 4 - 1)
        y = wp.min(brick[1] * 4 + j, grid.bricks[1] * 4 - 1)
        z = wp.min(brick[2] * 4 + k, grid.bricks[2] * 4 - 1)
        if grid.density[voxel_index(grid, x, y, z)] > threshold:
            bits = bits | cells_around(i, j, k)
            if i < 4 and j < 4 and k < 4:
                reached = reached | neighbours_around(i, j, k)
    mask[slot] = bits
    reach[slot] = reached


@wp.kernel
def resample_bricks(
    first_slot: int,
    grid: Grid,
    coordinates: wp.array(dtype=wp.vec3i),
    ratio: wp.vec3,
    shift: wp.vec3,
    density: wp.array(dtype=wp.float32),
    color: wp.array(dtype=vec12),
):
    """Fill the bricks of another grid, whose voxel v lies at v * ratio + shift in this one."""
    slot = first_slot + wp.tid()
    brick = coordinates[slot]
    for voxel in range(64):
        place = wp.vec3(
            float(brick[0] * 4 + (voxel >> 4)),
            float(brick[1] * 4 + ((voxel >> 2) & 3)),
            float(brick[2] * 4 + (voxel & 3)),
        )
        position = clamp_to_grid(grid, wp.cw_mul(place, ratio) + shift)
        i = int(position[0])
        j = int(position[1])
        k = int(position[2])
        b = ((i >> 2) * grid.bricks[1] + (j >> 2)) * grid.bricks[2] + (k >> 2)
        corners = corner_indices(grid, i, j, k, wp.max(grid.table[b], 0))
        weights = corner_weights(position - wp.vec3(float(i), float(j), float(k)))
        density[slot * 64 + voxel] = interpolate_density(grid, corners, weights)
        color[slot * 64 + voxel] = interpolate_color(grid, corners, weights)


@wp.kernel
def sample_points(
    first_point: int,
    grid: Grid,
    points: wp.array(dtype=wp.vec3),
    views: wp.array(dtype=wp.vec3),
    density: wp.array(dtype=wp.float32),
    color: wp.array(dtype=wp.vec3),
):
    """Density (after the rectifier, per voxel of the grid) and colour at points of the box."""
    point = first_point + wp.tid()
    box = points[point]
    position = clamp_to_grid(grid, to_grid(grid, box))
    i = int(position[0])
    j = int(position[1])
    k = int(position[2])
    b = ((i >> 2) * grid.bricks[1] + (j >> 2)) * grid.bricks[2] + (k >> 2)
    slot = wp.max(grid.table[b], 0)
    corners = corner_indices(grid, i, j, k, slot)
    weights = corner_weights(position - wp.vec3(float(i), float(j), float(k)))
    inside = float(1.0)
    for axis in range(3):
        if wp.abs(box[axis]) > grid.box_limit[axis]:
            inside = 0.0
    basis = spherical_harmonics(views[point])
    density[point] = inside * wp.max(interpolate_density(grid, corners, weights), 0.0)
    color[point] = color_of(interpolate_color(grid, corners, weights), basis)
