# mypy: ignore-errors
# ruff: noqa: SIM102
# Warp compiles these functions itself: annotations are Warp's types, not Python's.
"""Ray-casting kernels of the tabletop, written for NVIDIA Warp and run on the CPU.

Measured before the choice, for 307 200 primary rays on 8 objects, table and room, two shared
CPU cores: embree through `embreex` 9-10 M rays/s on one thread, but it holds the GIL (6-7 M on
two threads) and leaves all shading to array code; one Warp mesh of the whole scene 4.5 M rays/s
a thread; one Warp mesh an object behind a bounding-box test, table and room analytic, 7.5-9.2 M
rays/s a thread with three scanned meshes of 16 000 triangles among them, and launches from two
threads run side by side. A closed-form box in place of a mesh of twelve triangles gained
nothing. So: one mesh an object, in the object's frame, and shading inside the kernel.

Every pixel is computed alone, from its own inputs: the picture does not depend on the number of
threads, bit by bit.
"""

from __future__ import annotations

import warp as wp

from fast_inerf_ros.datasets.synthetic.kernel_light import (
    ambient_light,
    map_position,
    visible_share,
)
from fast_inerf_ros.datasets.synthetic.kernel_rays import entry_of_box
from fast_inerf_ros.datasets.synthetic.kernel_shading import look
from fast_inerf_ros.datasets.synthetic.kernel_types import FAR, TABLE, World


@wp.kernel(enable_backward=False)
def cast(
    world: World,
    rotation: wp.mat33,
    origin: wp.vec3,
    bearings: wp.array[wp.vec3],
    across: wp.array[wp.vec3],
    down: wp.array[wp.vec3],
    start: int,
    samples: int,
    colour: wp.array[wp.vec3],
    distance: wp.array[wp.float32],
    surface: wp.array[wp.int32],
):
    """One ray through the centre of each pixel from `start` on; rotation: R_world_camera."""
    pixel = start + wp.tid()
    sample = look(
        world,
        origin,
        rotation * bearings[pixel],
        rotation * across[pixel],
        rotation * down[pixel],
        0,
        samples,
    )
    colour[pixel] = sample.colour
    distance[pixel] = sample.distance
    surface[pixel] = sample.surface


@wp.kernel(enable_backward=False)
def refine(
    world: World,
    rotation: wp.mat33,
    origin: wp.vec3,
    bearings: wp.array[wp.vec3],
    across: wp.array[wp.vec3],
    down: wp.array[wp.vec3],
    pixels: wp.array[wp.int32],
    offsets: wp.array[wp.vec2],
    start: int,
    samples: int,
    colour: wp.array[wp.vec3],
):
    """Replace the colour of the listed pixels by the mean over `offsets` (pixels)."""
    pixel = pixels[start + wp.tid()]
    dx = rotation * across[pixel]
    dy = rotation * down[pixel]
    middle = rotation * bearings[pixel]
    total = wp.vec3(0.0, 0.0, 0.0)
    for k in range(offsets.shape[0]):
        direction = wp.normalize(middle + dx * offsets[k][0] + dy * offsets[k][1])
        # A different part of the sampling patterns for every ray, so that the mean has all.
        sample = look(world, origin, direction, dx * 0.5, dy * 0.5, k * samples, samples)
        # Bounded, or one highlight would outweigh the pixel.
        total = total + wp.min(sample.colour, wp.vec3(4.0, 4.0, 4.0))
    colour[pixel] = total / float(offsets.shape[0])


@wp.kernel(enable_backward=False)
def map_visibility(
    world: World,
    coarse: wp.array2d[wp.vec3],
    columns: int,
    start: int,
    samples: int,
    out: wp.array2d[wp.vec3],
):
    """Visible share of up to three lamps over the table top.

    Texels amid a 3x3 neighbourhood of the coarse map that agrees take its value unexamined.
    """
    index = start + wp.tid()
    row = index / columns
    column = index % columns
    x = ((float(column) + 0.5) / float(columns) * 2.0 - 1.0) * world.table_half[0]
    y = ((float(row) + 0.5) / float(out.shape[0]) * 2.0 - 1.0) * world.table_half[1]
    position = wp.vec3(x, y, 1.0e-4)
    place = map_position(world, x, y, coarse.shape[0], coarse.shape[1])
    low = wp.vec3(1.0, 1.0, 1.0)
    high = wp.vec3(0.0, 0.0, 0.0)
    for i in range(3):
        for j in range(3):
            value = coarse[
                wp.clamp(int(place[1] + 0.5) + i - 1, 0, coarse.shape[0] - 1),
                wp.clamp(int(place[0] + 0.5) + j - 1, 0, coarse.shape[1] - 1),
            ]
            low = wp.min(low, value)
            high = wp.max(high, value)
    shares = wp.vec3(1.0, 1.0, 1.0)
    for k in range(world.lights.shape[0]):
        if low[k] == high[k] and (low[k] == 0.0 or low[k] == 1.0):
            shares[k] = low[k]
        else:
            shares[k] = visible_share(world, world.lights[k], position, 0, samples, 5)
    out[row, column] = shares


@wp.kernel(enable_backward=False)
def map_ambient(world: World, columns: int, start: int, samples: int, out: wp.array2d[wp.vec3]):
    """Ambient light over the table top."""
    index = start + wp.tid()
    row = index / columns
    column = index % columns
    x = ((float(column) + 0.5) / float(columns) * 2.0 - 1.0) * world.table_half[0]
    y = ((float(row) + 0.5) / float(out.shape[0]) * 2.0 - 1.0) * world.table_half[1]
    out[row, column] = ambient_light(
        world, wp.vec3(x, y, 1.0e-4), wp.vec3(0.0, 0.0, 1.0), 0, samples, TABLE
    )


@wp.kernel(enable_backward=False)
def silhouette(
    world: World,
    index: int,
    rotation: wp.mat33,
    origin: wp.vec3,
    bearings: wp.array[wp.vec3],
    start: int,
    inside: wp.array[wp.uint8],
):
    """Whether each ray meets instance `index`, whatever stands before it."""
    ray = start + wp.tid()
    instance = world.instances[index]
    begin = instance.rotation * (origin - instance.origin)
    heading = instance.rotation * (rotation * bearings[ray])
    inside[ray] = wp.uint8(0)
    if entry_of_box(instance.low, instance.high, begin, heading) >= 0.0:
        if wp.mesh_query_ray_anyhit(instance.mesh, begin, heading, FAR):
            inside[ray] = wp.uint8(1)
