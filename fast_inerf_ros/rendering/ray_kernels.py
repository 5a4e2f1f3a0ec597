# mypy: ignore-errors
# ruff: noqa: UP018, RUF046
# Warp compiles these kernels: their bodies follow its rules, not Python's types.
"""Kernels that look up rays of photographs and what these saw."""

import warp as wp

wp.set_module_options({"enable_backward": False, "fast_math": True})


@wp.kernel
def gather_rays(
    first_ray: int,
    chosen: wp.array(dtype=wp.int64),
    first_pixel: wp.array(dtype=wp.int64),
    first_bearing: wp.array(dtype=wp.int64),
    poses: wp.array(dtype=wp.mat44),
    bearings: wp.array(dtype=wp.vec3),
    pixels: wp.array2d(dtype=wp.uint8),
    background: wp.array(dtype=wp.vec3),
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    target: wp.array(dtype=wp.vec3),
):
    """Rays, in the frame of the poses, of chosen pixels; colours are laid over the background."""
    ray = first_ray + wp.tid()
    pixel = chosen[ray]
    low = int(0)
    high = int(first_pixel.shape[0] - 1)
    while high - low > 1:
        middle = (low + high) // 2
        if first_pixel[middle] <= pixel:
            low = middle
        else:
            high = middle
    pose = poses[low]
    bearing = bearings[int(first_bearing[low] + pixel - first_pixel[low])]
    origins[ray] = wp.vec3(pose[0, 3], pose[1, 3], pose[2, 3])
    directions[ray] = wp.transform_vector(pose, bearing)
    row = int(pixel)
    seen = wp.vec3(float(pixels[row, 0]), float(pixels[row, 1]), float(pixels[row, 2])) * (
        1.0 / 255.0
    )
    if pixels.shape[1] > 3:
        alpha = float(pixels[row, 3]) * (1.0 / 255.0)
        seen = alpha * seen + (1.0 - alpha) * background[ray]
    target[ray] = seen
