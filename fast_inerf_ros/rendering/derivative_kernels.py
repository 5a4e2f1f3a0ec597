# mypy: ignore-errors
# ruff: noqa: D103, UP018, RUF046
# Warp compiles these kernels: their bodies follow its rules, not Python's types.
"""Kernels for pose refinement: rays with their Jacobians, and where their samples lie.

With optical depths a_i, light T_i before and T_{i+1} after sample i, weights w_i = T_i - T_{i+1}
and C = sum(w_j c_j) + T_end * background, the derivative of the colour by an optical depth is
T_{i+1} c_i - (C - sum_{j <= i} w_j c_j). It is summed in one walk, front to back, by keeping the
part that multiplies the yet unknown C apart.
"""

import warp as wp

from fast_inerf_ros.rendering.grid import (
    SH1,
    Grid,
    corner_indices,
    corner_weights,
    interpolate_color,
    pull_back,
    sigmoid,
    spherical_harmonics,
    vec8i,
    vec12,
    voxel_color,
)
from fast_inerf_ros.rendering.march import (
    NOTHING,
    next_probe,
    unpack_ray,
    vec11,
    viewing_direction,
)

wp.set_module_options({"enable_backward": False, "fast_math": True})


@wp.struct
class Jacobians:
    """Rendering and Jacobians of every ray; see ``RayDerivatives``."""

    color: wp.array(dtype=wp.vec3)
    depth: wp.array(dtype=wp.float32)  # sum of weight * distance
    median: wp.array(dtype=wp.float32)
    light: wp.array(dtype=wp.float32)
    color_origin: wp.array(dtype=wp.mat33)
    color_direction: wp.array(dtype=wp.mat33)
    depth_origin: wp.array(dtype=wp.vec3)
    depth_direction: wp.array(dtype=wp.vec3)


@wp.func
def appearance(coefficients: vec12, density: float, basis: wp.vec4) -> wp.vec4:
    """Logits of the colour seen along the direction of the basis, and the density."""
    c = coefficients
    return wp.vec4(
        c[0] * basis[0] + c[1] * basis[1] + c[2] * basis[2] + c[3] * basis[3],
        c[4] * basis[0] + c[5] * basis[1] + c[6] * basis[2] + c[7] * basis[3],
        c[8] * basis[0] + c[9] * basis[1] + c[10] * basis[2] + c[11] * basis[3],
        density,
    )


@wp.func
def trilinear_gradient(grid: Grid, corners: vec8i, f: wp.vec3, basis: wp.vec4):
    """Derivatives of ``appearance`` by the three grid coordinates."""
    a = appearance(voxel_color(grid, corners[0]), grid.density[corners[0]], basis)
    b = appearance(voxel_color(grid, corners[1]), grid.density[corners[1]], basis)
    c = appearance(voxel_color(grid, corners[2]), grid.density[corners[2]], basis)
    d = appearance(voxel_color(grid, corners[3]), grid.density[corners[3]], basis)
    e = appearance(voxel_color(grid, corners[4]), grid.density[corners[4]], basis)
    g = appearance(voxel_color(grid, corners[5]), grid.density[corners[5]], basis)
    h = appearance(voxel_color(grid, corners[6]), grid.density[corners[6]], basis)
    k = appearance(voxel_color(grid, corners[7]), grid.density[corners[7]], basis)
    x0 = 1.0 - f[0]
    y0 = 1.0 - f[1]
    z0 = 1.0 - f[2]
    by_x = y0 * (z0 * (e - a) + f[2] * (g - b)) + f[1] * (z0 * (h - c) + f[2] * (k - d))
    by_y = x0 * (z0 * (c - a) + f[2] * (d - b)) + f[0] * (z0 * (h - e) + f[2] * (k - g))
    by_z = x0 * (y0 * (b - a) + f[1] * (d - c)) + f[0] * (y0 * (g - e) + f[1] * (k - h))
    return by_x, by_y, by_z


@wp.func
def view_gradient(coefficients: vec12, slope: wp.vec3) -> wp.mat33:
    """Derivative of the colour by the viewing direction."""
    c = coefficients
    s = slope * SH1
    return wp.mat33(
        s[0] * c[1], s[0] * c[2], s[0] * c[3],
        s[1] * c[5], s[1] * c[6], s[1] * c[7],
        s[2] * c[9], s[2] * c[10], s[2] * c[11],
    )  # fmt: skip


@wp.kernel
def differentiate_rays(
    first_ray: int,
    grid: Grid,
    inverse_unit: wp.vec3,
    rays: wp.array(dtype=vec11),
    background: wp.array(dtype=wp.vec3),
    cutoff: float,
    out: Jacobians,
):
    ray = first_ray + wp.tid()
    row = rays[ray]
    line = unpack_ray(grid, row)
    basis = spherical_harmonics(viewing_direction(row))
    light = float(1.0)
    color = wp.vec3()
    distance = float(0.0)
    middle = float(-1.0)
    by_origin = wp.mat33()
    by_direction = wp.mat33()
    by_view = wp.mat33()
    sum_origin = wp.vec3()  # sums of the gradients of the optical depths
    sum_direction = wp.vec3()
    depth_origin = wp.vec3()
    depth_direction = wp.vec3()
    t = line.first + 0.5 * line.lattice
    while t < line.last:
        probe = next_probe(grid, line, t)
        t = NOTHING
        if probe.distance < NOTHING:
            s = probe.distance
            t = s + probe.step
            corners = corner_indices(grid, probe.i, probe.j, probe.k, probe.slot)
            weights = corner_weights(probe.fraction)
            density = float(0.0)
            for c in range(8):
                density += weights[c] * grid.density[corners[c]]
            optical = grid.optical_step * density
            if optical > cutoff:
                coefficients = interpolate_color(grid, corners, weights)
                logits = appearance(coefficients, density, basis)
                seen = wp.vec3(sigmoid(logits[0]), sigmoid(logits[1]), sigmoid(logits[2]))
                slope = wp.cw_mul(seen, wp.vec3(1.0, 1.0, 1.0) - seen)
                passed = wp.exp(-optical)
                weight = light * (1.0 - passed)
                if light > 0.5 and light * passed <= 0.5:
                    middle = s + (wp.log(2.0 * light) / optical - 0.5) * probe.step
                light *= passed
                color += weight * seen
                distance += weight * s
                by_x, by_y, by_z = trilinear_gradient(grid, corners, probe.fraction, basis)
                box = line.origin + s * line.direction
                red = pull_back(grid, box, wp.vec3(by_x[0], by_y[0], by_z[0]))
                green = pull_back(grid, box, wp.vec3(by_x[1], by_y[1], by_z[1]))
                blue = pull_back(grid, box, wp.vec3(by_x[2], by_y[2], by_z[2]))
                depth = pull_back(grid, box, wp.vec3(by_x[3], by_y[3], by_z[3]))
                gradient = grid.optical_step * depth
                shift = wp.matrix_from_rows(slope[0] * red, slope[1] * green, slope[2] * blue)
                change = wp.outer(light * seen + color, gradient) + weight * shift
                by_origin += change
                by_direction += s * change
                by_view += weight * view_gradient(coefficients, slope)
                sum_origin += gradient
                sum_direction += s * gradient
                depth_origin += (light * s + distance) * gradient
                depth_direction += s * (light * s + distance) * gradient
                if light < cutoff:
                    t = NOTHING
    color += light * background[ray]
    unit = wp.diag(inverse_unit)
    out.color_origin[ray] = (by_origin - wp.outer(color, sum_origin)) * unit
    out.color_direction[ray] = (by_direction - wp.outer(color, sum_direction)) * unit + by_view
    opacity = 1.0 - light
    if opacity > 1.0e-3:
        # depth = distance / opacity, and opacity falls with light * sum of optical depths
        loss = distance + distance / opacity * light
        out.depth_origin[ray] = wp.cw_mul(depth_origin - loss * sum_origin, inverse_unit) / opacity
        out.depth_direction[ray] = (
            wp.cw_mul(depth_direction - loss * sum_direction, inverse_unit) / opacity
        )
    out.color[ray] = color
    out.depth[ray] = distance
    out.median[ray] = middle
    out.light[ray] = light


@wp.kernel
def sample_distances(
    first_ray: int,
    grid: Grid,
    rays: wp.array(dtype=vec11),
    jitter: wp.array(dtype=wp.float32),
    distances: wp.array2d(dtype=wp.float32),
    steps: wp.array2d(dtype=wp.float32),
    count: wp.array(dtype=wp.int32),
):
    """Distances and lengths of the samples of every ray, up to the columns there are."""
    ray = first_ray + wp.tid()
    line = unpack_ray(grid, rays[ray])
    t = line.first + jitter[ray] * line.lattice
    n = int(0)
    while t < line.last and n < distances.shape[1]:
        probe = next_probe(grid, line, t)
        t = NOTHING
        if probe.distance < NOTHING:
            distances[ray, n] = probe.distance
            steps[ray, n] = probe.step
            n += 1
            t = probe.distance + probe.step
    count[ray] = n
