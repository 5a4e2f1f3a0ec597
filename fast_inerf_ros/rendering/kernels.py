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
from fast_inerf_ros.rendering.march import (
    NOTHING,
    next_probe,
    unpack_ray,
    vec11,
    viewing_direction,
)

wp.set_module_options({"enable_backward": False, "fast_math": True})

vec7 = wp.types.vector(length=7, dtype=wp.float32)
"""What is seen along a ray: colour, sum of weight * distance, median, light left, samples."""


@wp.kernel
def render_rays(
    first_ray: int,
    grid: Grid,
    rays: wp.array(dtype=vec11),
    cutoff: float,
    seen: wp.array(dtype=vec7),
):
    ray = first_ray + wp.tid()
    row = rays[ray]
    line = unpack_ray(grid, row)
    basis = spherical_harmonics(viewing_direction(row))
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
    seen[ray] = vec7(total[0], total[1], total[2], distance, middle, light, float(count))
