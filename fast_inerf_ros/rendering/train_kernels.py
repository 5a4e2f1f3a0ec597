# mypy: ignore-errors
# ruff: noqa: D103, UP018, RUF046
# Warp compiles these kernels: their bodies follow its rules, not Python's types.
"""Training kernels: rendering, loss and gradients of a ray in one pass, and the update.

``find_first_samples`` says where each ray first meets something. In the order of these places rays
share the voxels that their neighbours have brought into the cache; in the order of the draw every
access is a miss.

``train_rays`` marches a ray once, remembers its samples in a scratch row, and walks them back to
front to scatter the gradients. A row is reused by the next ray of the same thread, so that on a
CPU it stays in the cache; on a GPU every ray has its own. Each launch scatters into its own
gradient buffer: on a CPU a buffer belongs to one thread, on a GPU the additions are atomic.
"""

import warp as wp

from fast_inerf_ros.rendering.grid import (
    Grid,
    color_of,
    corner_indices,
    corner_weights,
    interpolate_color,
    interpolate_density,
    spherical_harmonics,
    vec8,
    vec8i,
    vec12,
    voxel_index,
)
from fast_inerf_ros.rendering.march import NOTHING, make_ray, next_probe

wp.set_module_options({"enable_backward": False, "fast_math": True})

vec16 = wp.types.vector(length=16, dtype=wp.float32)

MAX_SAMPLES = 384
TINY = wp.constant(1.0e-30)


@wp.struct
class Scratch:
    """Samples of rays on their way from the forward to the backward walk; (rows, samples)."""

    corners: wp.array2d(dtype=vec8i)
    weights: wp.array2d(dtype=vec8)
    color: wp.array2d(dtype=wp.vec3)
    state: wp.array2d(dtype=wp.vec4)  # weight, light behind, optical step factor, place


@wp.struct
class Gradients:
    """Sums of the gradients over the rays of one launch, and which voxels were touched.

    A voxel's twelve colour coefficients and its density (entry 12) share one cache line.
    """

    voxel: wp.array(dtype=vec16)
    touched: wp.array(dtype=wp.uint64)  # one bit per voxel of a brick


@wp.struct
class Batch:
    """Rays and what they should see."""

    origins: wp.array(dtype=wp.vec3)
    directions: wp.array(dtype=wp.vec3)
    views: wp.array(dtype=wp.vec3)
    near: wp.array(dtype=wp.float32)
    far: wp.array(dtype=wp.float32)
    jitter: wp.array(dtype=wp.float32)  # in [0, 1): offset of the samples within their steps
    target: wp.array(dtype=wp.vec3)
    background: wp.array(dtype=wp.vec3)


@wp.struct
class Results:
    """What the rays saw."""

    color: wp.array(dtype=wp.vec3)
    stats: wp.array(dtype=wp.vec3)  # light left, distortion, number of samples


@wp.struct
class Loss:
    """Weights of the terms of the loss, and the cut-offs."""

    color_scale: wp.float32  # 1 / (number of rays * 3)
    distortion: wp.float32  # weight of the distortion loss, already divided by the rays
    nearness: wp.float32  # weight of light that ends near the camera, likewise
    reach: wp.float32  # distance from where it costs nothing, in ray parameter
    huber: wp.float32  # residual of a colour from which it counts by its size
    cutoff_optical: wp.float32
    cutoff_light: wp.float32


@wp.func
def sample_gradient(
    color: wp.vec3, gradient: wp.vec3, weight: float, basis: wp.vec4, density: float
) -> vec16:
    """Gradient of a sample's coefficients and density from that of the colour of its ray."""
    r = weight * gradient[0] * color[0] * (1.0 - color[0])
    g = weight * gradient[1] * color[1] * (1.0 - color[1])
    b = weight * gradient[2] * color[2] * (1.0 - color[2])
    return vec16(
        r * basis[0], r * basis[1], r * basis[2], r * basis[3],
        g * basis[0], g * basis[1], g * basis[2], g * basis[3],
        b * basis[0], b * basis[1], b * basis[2], b * basis[3],
        density, 0.0, 0.0, 0.0,
    )  # fmt: skip


@wp.func
def spread_bits(x: int) -> int:
    """The ten lowest bits of x, two zeros after each."""
    y = (x | (x << 16)) & 0x030000FF
    y = (y | (y << 8)) & 0x0300F00F
    y = (y | (y << 4)) & 0x030C30C3
    return (y | (y << 2)) & 0x09249249


@wp.kernel
def find_first_samples(
    first_ray: int,
    grid: Grid,
    batch: Batch,
    start: wp.array(dtype=wp.float32),
    place: wp.array(dtype=wp.int32),
    out: Results,
):
    """Ray parameter and Morton code of the cell of the first sample; -1 where there is none.

    What rays without samples see is entered here.
    """
    ray = first_ray + wp.tid()
    line = make_ray(
        grid, batch.origins[ray], batch.directions[ray], batch.near[ray], batch.far[ray]
    )
    probe = next_probe(grid, line, line.first + batch.jitter[ray] * line.lattice)
    start[ray] = probe.distance
    if probe.distance < NOTHING:
        place[ray] = (
            (spread_bits(probe.i) << 2) | (spread_bits(probe.j) << 1) | spread_bits(probe.k)
        )
    else:
        place[ray] = -1
        out.color[ray] = batch.background[ray]
        out.stats[ray] = wp.vec3(1.0, 0.0, 0.0)


@wp.kernel
def train_rays(
    first_ray: int,
    grid: Grid,
    batch: Batch,
    order: wp.array(dtype=wp.int64),
    start: wp.array(dtype=wp.float32),
    loss: Loss,
    scratch: Scratch,
    gradients: Gradients,
    out: Results,
):
    ray = int(order[first_ray + wp.tid()])
    row = wp.tid() % scratch.state.shape[0]
    capacity = scratch.state.shape[1]
    direction = batch.directions[ray]
    line = make_ray(grid, batch.origins[ray], direction, batch.near[ray], batch.far[ray])
    basis = spherical_harmonics(batch.views[ray])
    speed = wp.length(direction)
    light = float(1.0)
    total = wp.vec3(0.0, 0.0, 0.0)
    mass = float(0.0)
    moment = float(0.0)
    count = int(0)
    t = start[ray]
    while t < line.last:
        probe = next_probe(grid, line, t)
        t = NOTHING
        if probe.distance < NOTHING:
            t = probe.distance + probe.step
            corners = corner_indices(grid, probe.i, probe.j, probe.k, probe.slot)
            weights = corner_weights(probe.fraction)
            optical = grid.optical_step * interpolate_density(grid, corners, weights)
            if optical > loss.cutoff_optical:
                passed = wp.exp(-optical)
                weight = light * (1.0 - passed)
                light *= passed
                color = color_of(interpolate_color(grid, corners, weights), basis)
                total += weight * color
                distance = probe.distance * speed
                place = distance / (1.0 + distance)
                mass += weight
                moment += weight * place
                scratch.corners[row, count] = corners
                scratch.weights[row, count] = weights
                scratch.color[row, count] = color
                scratch.state[row, count] = wp.vec4(weight, light, place, probe.step * speed)
                count += 1
                if light < loss.cutoff_light or count >= capacity:
                    t = NOTHING
    total += light * batch.background[ray]
    residual = total - batch.target[ray]
    limit = wp.vec3(loss.huber, loss.huber, loss.huber)
    gradient = wp.min(wp.max(residual, -limit), limit) * (2.0 * loss.color_scale)
    behind = light * wp.dot(batch.background[ray], gradient)
    mass_before = mass
    moment_before = moment
    distortion = float(0.0)
    for step in range(count):
        s = count - 1 - step
        state = scratch.state[row, s]
        weight = state[0]
        place = state[2]
        color = scratch.color[row, s]
        mass_before -= weight
        moment_before -= weight * place
        mass_after = mass - mass_before - weight
        moment_after = moment - moment_before - weight * place
        spread = place * (mass_before - mass_after) - (moment_before - moment_after)
        width = state[3] * (1.0 - place) * (1.0 - place)
        distortion += weight * (spread + weight * width / 3.0)
        worth = wp.dot(color, gradient) + 2.0 * loss.distortion * (spread + weight * width / 3.0)
        distance = place / ((1.0 - place) * speed)
        worth += loss.nearness * wp.max(0.0, 1.0 - distance / loss.reach)
        d_density = grid.optical_step * (state[1] * worth - behind)
        behind += weight * worth
        change = sample_gradient(color, gradient, weight, basis, d_density)
        corners = scratch.corners[row, s]
        weights = scratch.weights[row, s]
        for c in range(8):
            index = corners[c]
            slot = index >> 6
            if slot > 0:
                wp.atomic_add(gradients.voxel, index, weights[c] * change)
                wp.atomic_or(gradients.touched, slot, wp.uint64(1) << wp.uint64(index & 63))
    out.color[ray] = total
    out.stats[ray] = wp.vec3(light, distortion, float(count))


@wp.struct
class UpdateOptions:
    """Learning rates and regularisation of the update."""

    density_rate: wp.float32
    color_rate: wp.float32
    decay: wp.float32  # of the second moments
    color_smoothing: wp.float32  # pull towards the neighbours' colours, per unit of the rate
    side: wp.int32  # which neighbours: those before (-1) or behind (1)
    n_buffers: wp.int32


@wp.func
def color_part(v: vec16) -> vec12:
    """The twelve colour coefficients of a gradient."""
    return vec12(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11])


@wp.func
def second_moment(before: float, square: float, decay: float) -> float:
    """Running mean of squares that starts with its first value: no bias to correct."""
    if before == 0.0:
        return square
    return decay * before + (1.0 - decay) * square


@wp.func
def color_bend(grid: Grid, own: vec12, i: int, j: int, k: int, side: int) -> vec12:
    """Sum of the differences of a voxel's coefficients to those of its neighbours on one side."""
    bend = vec12()
    for axis in range(3):
        x = wp.clamp(i + wp.where(axis == 0, side, 0), 0, grid.bricks[0] * 4 - 1)
        y = wp.clamp(j + wp.where(axis == 1, side, 0), 0, grid.bricks[1] * 4 - 1)
        z = wp.clamp(k + wp.where(axis == 2, side, 0), 0, grid.bricks[2] * 4 - 1)
        other = voxel_index(grid, x, y, z)
        if other >= 64:
            bend += own - grid.color[other]
    return bend


@wp.func
def planned(color: vec12, density: float) -> vec16:
    """The change of a voxel in the layout of a gradient."""
    c = color
    return vec16(
        c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9], c[10], c[11],
        density, 0.0, 0.0, 0.0,
    )  # fmt: skip


@wp.kernel
def plan_changes(
    first_slot: int,
    grid: Grid,
    coordinates: wp.array(dtype=wp.vec3i),
    options: UpdateOptions,
    gradient: wp.array2d(dtype=vec16),
    touched: wp.array2d(dtype=wp.uint64),
    moments: wp.array(dtype=wp.vec2),
):
    """Put the changes of the touched voxels into the first buffer, and clear the others.

    No voxel moves yet: all see their neighbours as they were, whatever thread comes first.
    """
    slot = first_slot + wp.tid()
    seen = wp.uint64(0)
    for buffer in range(options.n_buffers):
        seen = seen | touched[buffer, slot]
    place = coordinates[slot] * 4
    left = seen
    voxel = int(0)
    while left != wp.uint64(0):
        if (left & wp.uint64(1)) != wp.uint64(0):
            index = slot * 64 + voxel
            total = vec16()
            for buffer in range(options.n_buffers):
                if ((touched[buffer, slot] >> wp.uint64(voxel)) & wp.uint64(1)) != wp.uint64(0):
                    total += gradient[buffer, index]
                    gradient[buffer, index] = vec16()
            d = total[12]
            c = color_part(total)
            moment = moments[index]
            m = second_moment(moment[0], d * d, options.decay)
            n = second_moment(moment[1], wp.dot(c, c) * (1.0 / 12.0), options.decay)
            moments[index] = wp.vec2(m, n)
            change = c * (1.0 / wp.sqrt(n + TINY))
            if options.color_smoothing > 0.0:
                i = place[0] + (voxel >> 4)
                j = place[1] + ((voxel >> 2) & 3)
                k = place[2] + (voxel & 3)
                bend = color_bend(grid, grid.color[index], i, j, k, options.side)
                change += options.color_smoothing * bend
            gradient[0, index] = planned(
                options.color_rate * change, options.density_rate * d / wp.sqrt(m + TINY)
            )
        left = left >> wp.uint64(1)
        voxel += 1
    for buffer in range(1, options.n_buffers):
        touched[buffer, slot] = wp.uint64(0)
    touched[0, slot] = seen


@wp.kernel
def apply_changes(
    first_slot: int,
    grid: Grid,
    change: wp.array2d(dtype=vec16),
    touched: wp.array2d(dtype=wp.uint64),
):
    """Subtract the planned changes from the touched voxels; clears the first buffer."""
    slot = first_slot + wp.tid()
    left = touched[0, slot]
    voxel = int(0)
    while left != wp.uint64(0):
        if (left & wp.uint64(1)) != wp.uint64(0):
            index = slot * 64 + voxel
            total = change[0, index]
            change[0, index] = vec16()
            grid.density[index] = grid.density[index] - total[12]
            grid.color[index] = grid.color[index] - color_part(total)
        left = left >> wp.uint64(1)
        voxel += 1
    touched[0, slot] = wp.uint64(0)
