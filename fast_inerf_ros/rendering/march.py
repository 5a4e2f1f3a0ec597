# mypy: ignore-errors
# ruff: noqa: UP018, RUF046
# Warp compiles these functions: their bodies follow its rules, not Python's types.
"""Walking a ray through the occupied cells of a grid.

Samples are a fixed number of voxels apart in contracted space. What is empty is skipped by whole
steps, so that (within the inner box) samples stay on one lattice per ray whatever is occupied.
"""

import warp as wp

from fast_inerf_ros.rendering.grid import Grid, clamp_to_grid, grid_velocity, to_grid

wp.set_module_options({"enable_backward": False, "fast_math": True})

vec11 = wp.types.vector(length=11, dtype=wp.float32)
"""A ray in one piece: box origin and direction, viewing direction, near and far."""

MAX_PROBES = wp.constant(4096)
NOTHING = wp.constant(1.0e30)
STEEP = wp.constant(1.0e9)


@wp.struct
class Ray:
    """A ray, in box and in grid coordinates, and the part of it that is marched."""

    origin: wp.vec3
    direction: wp.vec3
    grid_origin: wp.vec3
    grid_direction: wp.vec3
    inverse: wp.vec3  # 1 / grid_direction, bounded
    ahead: wp.vec3  # 1 where grid_direction is positive, else 0
    first: wp.float32
    last: wp.float32
    inner_first: wp.float32  # the part within the inner box, which is not contracted
    inner_last: wp.float32
    lattice: wp.float32  # step there, in ray parameter
    inverse_lattice: wp.float32


@wp.struct
class Probe:
    """The next sample of a ray: where it is, and the brick that holds it."""

    distance: wp.float32  # ray parameter; NOTHING when the ray has left
    step: wp.float32  # length of the sample in ray parameter
    slot: wp.int32
    i: wp.int32
    j: wp.int32
    k: wp.int32
    fraction: wp.vec3


@wp.func
def clip(origin: float, inverse: float, half: float, first: float, last: float):
    """Part of the interval [first, last] of a ray between the planes -half and half."""
    a = (-half - origin) * inverse
    b = (half - origin) * inverse
    return wp.max(first, wp.min(a, b)), wp.min(last, wp.max(a, b))


@wp.func
def bounded_inverse(x: float) -> float:
    """1 / x, with a large number in place of infinity."""
    if wp.abs(x) < 1.0e-9:
        return wp.where(x < 0.0, -STEEP, STEEP)
    return 1.0 / x


@wp.func
def make_ray(grid: Grid, origin: wp.vec3, direction: wp.vec3, near: float, far: float) -> Ray:
    """Prepare a ray, given in box coordinates, for marching between near and far."""
    ray = Ray()
    ray.origin = origin
    ray.direction = direction
    limit = grid.box_limit
    x = bounded_inverse(direction[0])
    y = bounded_inverse(direction[1])
    z = bounded_inverse(direction[2])
    first, last = clip(origin[0], x, limit[0], near, far)
    first, last = clip(origin[1], y, limit[1], first, last)
    first, last = clip(origin[2], z, limit[2], first, last)
    ray.first = first
    ray.last = last
    if grid.contracted != 0:
        first, last = clip(origin[0], x, 1.0, first, last)
        first, last = clip(origin[1], y, 1.0, first, last)
        first, last = clip(origin[2], z, 1.0, first, last)
    ray.inner_first = first
    ray.inner_last = last
    ray.grid_origin = wp.cw_mul(origin, grid.scale) + grid.offset
    velocity = wp.cw_mul(direction, grid.scale)
    ray.grid_direction = velocity
    ray.inverse = wp.vec3(
        bounded_inverse(velocity[0]), bounded_inverse(velocity[1]), bounded_inverse(velocity[2])
    )
    ray.ahead = wp.vec3(
        wp.where(velocity[0] >= 0.0, 1.0, 0.0),
        wp.where(velocity[1] >= 0.0, 1.0, 0.0),
        wp.where(velocity[2] >= 0.0, 1.0, 0.0),
    )
    ray.inverse_lattice = wp.length(velocity) / grid.step
    ray.lattice = 1.0 / ray.inverse_lattice
    return ray


@wp.func
def viewing_direction(row: vec11) -> wp.vec3:
    """Direction in the field of a ray that came in one piece."""
    return wp.vec3(row[6], row[7], row[8])


@wp.func
def unpack_ray(grid: Grid, row: vec11) -> Ray:
    """Prepare a ray that came in one piece."""
    origin = wp.vec3(row[0], row[1], row[2])
    direction = wp.vec3(row[3], row[4], row[5])
    return make_ray(grid, origin, direction, row[9], row[10])


@wp.func
def cube_exit(
    position: wp.vec3, i: int, j: int, k: int, margin: float, inverse: wp.vec3, ahead: wp.vec3
) -> float:
    """Time until a point leaves the cube of bricks within ``margin`` voxels of its own."""
    size = 4.0 + 2.0 * margin
    x = (float(i & -4) - margin + ahead[0] * size - position[0]) * inverse[0]
    y = (float(j & -4) - margin + ahead[1] * size - position[1]) * inverse[1]
    z = (float(k & -4) - margin + ahead[2] * size - position[2]) * inverse[2]
    return wp.min(wp.min(x, y), z)


@wp.func
def outer_skip(
    grid: Grid, ray: Ray, t: float, position: wp.vec3, i: int, j: int, k: int, margin: float
) -> float:
    """Time that is safely empty at a point of contracted space.

    Curves are followed along their tangent. Velocities fall on the way out; on the way in they
    grow, by less than a half within the limit.
    """
    box = ray.origin + t * ray.direction
    velocity = grid_velocity(grid, box, ray.direction)
    inverse = wp.vec3(
        bounded_inverse(velocity[0]), bounded_inverse(velocity[1]), bounded_inverse(velocity[2])
    )
    ahead = wp.vec3(
        wp.where(velocity[0] >= 0.0, 1.0, 0.0),
        wp.where(velocity[1] >= 0.0, 1.0, 0.0),
        wp.where(velocity[2] >= 0.0, 1.0, 0.0),
    )
    radius = wp.max(wp.max(wp.abs(box[0]), wp.abs(box[1])), wp.abs(box[2]))
    limit = 0.25 * radius / wp.length(ray.direction)
    return wp.min(cube_exit(position, i, j, k, margin, inverse, ahead), limit)


@wp.func
def outer_position(grid: Grid, ray: Ray, t: float):
    """Grid coordinates and length of a step at a point of contracted space."""
    box = ray.origin + t * ray.direction
    position = clamp_to_grid(grid, to_grid(grid, box))
    return position, grid.step / wp.length(grid_velocity(grid, box, ray.direction))


@wp.func
def next_probe(grid: Grid, ray: Ray, start: float) -> Probe:
    """First sample at or after ``start`` in an occupied cell."""
    probe = Probe()
    probe.distance = NOTHING
    t = start
    count = int(0)
    while t < ray.last and count < MAX_PROBES:
        count += 1
        step = ray.lattice
        position = ray.grid_origin + t * ray.grid_direction
        inside = t >= ray.inner_first and t <= ray.inner_last
        if not inside:
            position, step = outer_position(grid, ray, t)
        i = int(position[0])
        j = int(position[1])
        k = int(position[2])
        entry = grid.table[((i >> 2) * grid.bricks[1] + (j >> 2)) * grid.bricks[2] + (k >> 2)]
        if entry > 0:
            bit = ((i & 3) << 4) | ((j & 3) << 2) | (k & 3)
            if ((grid.mask[entry] >> wp.uint64(bit)) & wp.uint64(1)) != wp.uint64(0):
                probe.distance = t
                probe.step = step
                probe.slot = entry
                probe.i = i
                probe.j = j
                probe.k = k
                probe.fraction = position - wp.vec3(float(i), float(j), float(k))
                return probe
            t += step
        else:
            margin = float(-entry - 1) * 4.0
            if inside:
                time = cube_exit(position, i, j, k, margin, ray.inverse, ray.ahead)
                t += wp.max(wp.ceil(time * ray.inverse_lattice), 1.0) * step
            else:
                time = outer_skip(grid, ray, t, position, i, j, k, margin)
                t += wp.max(wp.ceil(time / step), 1.0) * step
    return probe
