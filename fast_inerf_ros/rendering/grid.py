# mypy: ignore-errors
# ruff: noqa: UP018, RUF046
# Warp compiles these functions: their bodies follow its rules, not Python's types.
"""The sparse voxel grid as kernels see it: looking up bricks, interpolating, contracting space.

A grid of resolution (4 Bx, 4 By, 4 Bz) is cut into bricks of 4^3 voxels. ``table`` holds one
entry per brick: a positive slot (where its voxels are stored), or minus the Chebyshev distance,
in bricks, to the nearest stored brick. Slot 0 is empty and stays zero, so that a neighbour that
is not stored reads as nothing. The cell (i, j, k) lies between the voxels (i, j, k) and
(i+1, j+1, k+1); bit ``local_index`` of ``mask`` says whether anything can be seen in it.

Coordinates: rays come in "box" coordinates, in which the inner box is [-1, 1]^3; contraction
(Mip-NeRF 360, equation 10, with the maximum norm) brings the space around it into [-2, 2]^3;
grid coordinates put voxel (i, j, k) at (i, j, k).
"""

import warp as wp

wp.set_module_options({"enable_backward": False, "fast_math": True})

vec12 = wp.types.vector(length=12, dtype=wp.float32)
vec8 = wp.types.vector(length=8, dtype=wp.float32)
vec8i = wp.types.vector(length=8, dtype=wp.int32)
vec12b = wp.types.vector(length=12, dtype=wp.uint8)

SH0 = wp.constant(0.28209479177387814)
SH1 = wp.constant(0.4886025119029199)
NO_CODE = wp.constant(wp.uint8(255))


@wp.struct
class Grid:
    """A sparse voxel grid; see the module for the layout."""

    table: wp.array(dtype=wp.int32)
    mask: wp.array(dtype=wp.uint64)
    density: wp.array(dtype=wp.float32)
    color: wp.array(dtype=vec12)  # where coded is 0
    coded: wp.int32
    codes: wp.array(dtype=vec12b)  # else: color = code_low + code * code_step, 0 at NO_CODE
    code_low: vec12
    code_step: vec12
    bricks: wp.vec3i
    scale: wp.vec3  # grid = contracted * scale + offset
    offset: wp.vec3
    box_limit: wp.vec3  # half sizes, in box coordinates, of all that is marched through
    contracted: wp.int32
    step: wp.float32  # distance between samples, in voxels
    optical_step: wp.float32  # optical depth of one sample of density 1


@wp.func
def to_grid(grid: Grid, box: wp.vec3) -> wp.vec3:
    """Grid coordinates of a point in box coordinates."""
    factor = float(1.0)
    if grid.contracted != 0:
        radius = wp.max(wp.max(wp.abs(box[0]), wp.abs(box[1])), wp.abs(box[2]))
        if radius > 1.0:
            factor = (2.0 - 1.0 / radius) / radius
    return wp.cw_mul(box * factor, grid.scale) + grid.offset


@wp.func
def farthest_axis(box: wp.vec3) -> int:
    """Axis of the largest coordinate, the first of equals: the one that contraction acts on."""
    axis = int(0)
    if wp.abs(box[1]) > wp.abs(box[axis]):
        axis = 1
    if wp.abs(box[2]) > wp.abs(box[axis]):
        axis = 2
    return axis


@wp.func
def grid_velocity(grid: Grid, box: wp.vec3, direction: wp.vec3) -> wp.vec3:
    """Derivative of the grid coordinates along a ray, per unit of its parameter."""
    velocity = direction
    if grid.contracted != 0:
        axis = farthest_axis(box)
        radius = wp.abs(box[axis])
        if radius > 1.0:
            inverse = 1.0 / radius
            growth = wp.sign(box[axis]) * direction[axis]
            velocity = direction * ((2.0 - inverse) * inverse) + box * (
                2.0 * growth * inverse * inverse * (inverse - 1.0)
            )
    return wp.cw_mul(velocity, grid.scale)


@wp.func
def pull_back(grid: Grid, box: wp.vec3, gradient: wp.vec3) -> wp.vec3:
    """Gradient in grid coordinates -> gradient in box coordinates (transposed Jacobian)."""
    scaled = wp.cw_mul(gradient, grid.scale)
    if grid.contracted != 0:
        axis = farthest_axis(box)
        radius = wp.abs(box[axis])
        if radius > 1.0:
            inverse = 1.0 / radius
            along = wp.dot(box, scaled) * 2.0 * inverse * inverse * (inverse - 1.0)
            scaled = scaled * ((2.0 - inverse) * inverse)
            scaled[axis] = scaled[axis] + wp.sign(box[axis]) * along
    return scaled


@wp.func
def clamp_to_grid(grid: Grid, position: wp.vec3) -> wp.vec3:
    """Position moved into the hull of the voxel centres, just inside its last cell."""
    return wp.vec3(
        wp.clamp(position[0], 0.0, float(grid.bricks[0] * 4) - 1.001),
        wp.clamp(position[1], 0.0, float(grid.bricks[1] * 4) - 1.001),
        wp.clamp(position[2], 0.0, float(grid.bricks[2] * 4) - 1.001),
    )


@wp.func
def brick_index(grid: Grid, i: int, j: int, k: int) -> int:
    """Row of the brick table for a voxel."""
    return ((i >> 2) * grid.bricks[1] + (j >> 2)) * grid.bricks[2] + (k >> 2)


@wp.func
def local_index(i: int, j: int, k: int) -> int:
    """Index of a voxel within its brick."""
    return ((i & 3) << 4) | ((j & 3) << 2) | (k & 3)


@wp.func
def voxel_index(grid: Grid, i: int, j: int, k: int) -> int:
    """Where a voxel is stored; a row of slot 0 where it is not."""
    slot = wp.max(grid.table[brick_index(grid, i, j, k)], 0)
    return slot * 64 + local_index(i, j, k)


@wp.func
def corner_indices(grid: Grid, i: int, j: int, k: int, slot: int) -> vec8i:
    """Where the eight corners of a cell of the brick in ``slot`` are stored."""
    if ((i & 3) < 3) and ((j & 3) < 3) and ((k & 3) < 3):
        base = slot * 64 + local_index(i, j, k)
        return vec8i(
            base, base + 1, base + 4, base + 5, base + 16, base + 17, base + 20, base + 21
        )
    return vec8i(
        slot * 64 + local_index(i, j, k),
        voxel_index(grid, i, j, k + 1),
        voxel_index(grid, i, j + 1, k),
        voxel_index(grid, i, j + 1, k + 1),
        voxel_index(grid, i + 1, j, k),
        voxel_index(grid, i + 1, j, k + 1),
        voxel_index(grid, i + 1, j + 1, k),
        voxel_index(grid, i + 1, j + 1, k + 1),
    )


@wp.func
def corner_weights(f: wp.vec3) -> vec8:
    """Trilinear weights of the eight corners at a fraction of a cell."""
    x0 = 1.0 - f[0]
    y0 = 1.0 - f[1]
    z0 = 1.0 - f[2]
    a = x0 * y0
    b = x0 * f[1]
    c = f[0] * y0
    d = f[0] * f[1]
    return vec8(a * z0, a * f[2], b * z0, b * f[2], c * z0, c * f[2], d * z0, d * f[2])


@wp.func
def interpolate_density(grid: Grid, corners: vec8i, weights: vec8) -> float:
    """Density between eight corners, before the rectifier."""
    total = float(0.0)
    for c in range(8):
        total += weights[c] * grid.density[corners[c]]
    return total


@wp.func
def voxel_color(grid: Grid, index: int) -> vec12:
    """Spherical-harmonic coefficients of a voxel."""
    if grid.coded == 0:
        return grid.color[index]
    codes = grid.codes[index]
    color = vec12()
    if codes[0] != NO_CODE:
        for n in range(12):
            color[n] = grid.code_low[n] + float(codes[n]) * grid.code_step[n]
    return color


@wp.func
def interpolate_color(grid: Grid, corners: vec8i, weights: vec8) -> vec12:
    """Spherical-harmonic coefficients between eight corners."""
    total = weights[0] * voxel_color(grid, corners[0])
    for c in range(1, 8):
        total += weights[c] * voxel_color(grid, corners[c])
    return total


@wp.func
def spherical_harmonics(direction: wp.vec3) -> wp.vec4:
    """Real spherical harmonics of degrees 0 and 1."""
    return wp.vec4(SH0, SH1 * direction[0], SH1 * direction[1], SH1 * direction[2])


@wp.func
def sigmoid(x: float) -> float:
    """Logistic function."""
    return 1.0 / (1.0 + wp.exp(-x))


@wp.func
def color_of(coefficients: vec12, basis: wp.vec4) -> wp.vec3:
    """Colour that the coefficients show along the direction of the basis."""
    c = coefficients
    red = c[0] * basis[0] + c[1] * basis[1] + c[2] * basis[2] + c[3] * basis[3]
    green = c[4] * basis[0] + c[5] * basis[1] + c[6] * basis[2] + c[7] * basis[3]
    blue = c[8] * basis[0] + c[9] * basis[1] + c[10] * basis[2] + c[11] * basis[3]
    return wp.vec3(sigmoid(red), sigmoid(green), sigmoid(blue))
