# mypy: ignore-errors
# ruff: noqa: D103, UP018, RUF046
# Warp compiles these kernels: their bodies follow its rules, not Python's types.
"""Rendering kernels: colour, depth and opacity of rays, and their derivatives by the ray."""

import warp as wp

from fast_inerf_ros.rendering.grid import (
    Grid,
    color_of,
    corner_indices,
    corner_weights,
    interpolate_color,
    interpolate_density,
    spherical_harmonics,
)
from fast_inerf_ros.rendering.march import NOTHING, make_ray, next_probe

wp.set_module_options({"enable_backward": False, "fast_math": True})


@wp.kernel
def render_rays(
    first_ray: int,
    grid: Grid,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    views: wp.array(dtype=wp.vec3),
    near: wp.array(dtype=wp.float32),
    far: wp.array(dtype=wp.float32),
    cutoff: float,
    color: wp.array(dtype=wp.vec3),
    depth: wp.array(dtype=wp.float32),
    median: wp.array(dtype=wp.float32),
    transmittance: wp.array(dtype=wp.float32),
    n_samples: wp.array(dtype=wp.int32),
):
    ray = first_ray + wp.tid()
    line = make_ray(grid, origins[ray], directions[ray], near[ray], far[ray])
    basis = spherical_harmonics(views[ray])
    light = float(1.0)
    total = wp.vec3(0.0, 0.0, 0.0)
    distance = float(0.0)
    middle = float(-1.0)
    count = int(0)
    t = line.first + 0.5 * line.lattice
    while t < line.last:
        probe = next_probe(grid, line, t)
        t = NOTHING
        if probe.distance < NOTHING:
            t = probe.distance + probe.step
            corners = corner_indices(grid, probe.i, probe.j, probe.k, probe.slot)
            weights = corner_weights(probe.fraction)
            optical = grid.optical_step * interpolate_density(grid, corners, weights)
            count += 1
            if optical > cutoff:
                passed = wp.exp(-optical)
                weight = light * (1.0 - passed)
                total += weight * color_of(interpolate_color(grid, corners, weights), basis)
                distance += weight * probe.distance
                if light > 0.5 and light * passed <= 0.5:
                    inside = wp.log(2.0 * light) / optical
                    middle = probe.distance + (inside - 0.5) * probe.step
                light *= passed
                if light < cutoff:
                    t = NOTHING
    color[ray] = total
    depth[ray] = distance
    median[ray] = middle
    transmittance[ray] = light
    n_samples[ray] = count
