# mypy: ignore-errors
# Warp compiles these functions itself: annotations are Warp's types, not Python's.
"""Texture filtering in kernels: trilinear mip-mapping with several taps along a footprint."""

from __future__ import annotations

import warp as wp

from fast_inerf_ros.datasets.synthetic.kernel_types import Texture, World


@wp.func
def texel(world: World, index: int) -> wp.vec4:
    """One texel: linear RGB and the fourth channel."""
    value = world.texels[index]
    return wp.vec4(
        world.decode[int(value[0])],
        world.decode[int(value[1])],
        world.decode[int(value[2])],
        float(value[3]) * 0.00392156863,
    )


@wp.func
def bilinear(world: World, texture: Texture, level: int, u: float, v: float) -> wp.vec4:
    """Interpolate one mip level, wrapping around (integer remainders would cost more)."""
    offset = texture.offset
    width = texture.width
    height = texture.height
    for _ in range(level):
        offset = offset + width * height
        width = wp.max(width >> 1, 1)
        height = wp.max(height >> 1, 1)
    x = (u - wp.floor(u)) * float(width) - 0.5
    y = (v - wp.floor(v)) * float(height) - 0.5
    left = int(wp.floor(x))
    upper = int(wp.floor(y))
    a = x - float(left)
    b = y - float(upper)
    if left < 0:
        left = width - 1
    if upper < 0:
        upper = height - 1
    right = left + 1
    if right >= width:
        right = 0
    lower = upper + 1
    if lower >= height:
        lower = 0
    top = wp.lerp(
        texel(world, offset + upper * width + left),
        texel(world, offset + upper * width + right),
        a,
    )
    bottom = wp.lerp(
        texel(world, offset + lower * width + left),
        texel(world, offset + lower * width + right),
        a,
    )
    return wp.lerp(top, bottom, b)


@wp.func
def trilinear(world: World, texture: Texture, u: float, v: float, lod: float) -> wp.vec4:
    """Interpolate within and between two mip levels."""
    bounded = wp.clamp(lod, 0.0, float(texture.levels) - 1.001)
    level = int(wp.floor(bounded))
    share = bounded - float(level)
    value = bilinear(world, texture, level, u, v)
    if share > 0.02 and level + 1 < texture.levels:
        value = wp.lerp(value, bilinear(world, texture, level + 1, u, v), share)
    return value


@wp.func
def filtered(world: World, index: int, uv: wp.vec2, across: wp.vec2, down: wp.vec2) -> wp.vec4:
    """Average a texture over a pixel's footprint: taps along its longer axis, mips across."""
    texture = world.textures[index]
    size = wp.vec2(float(texture.width), float(texture.height))
    a = wp.length(wp.cw_mul(across, size))
    b = wp.length(wp.cw_mul(down, size))
    axis = across
    longest = a
    if b > a:
        axis = down
        longest = b
    shortest = wp.max(wp.min(a, b), wp.max(longest / 8.0, 1.0e-6))
    taps = wp.clamp(int(wp.ceil(longest / shortest - 0.3)), 1, 8)
    if longest < 1.0:
        taps = 1
    lod = wp.log2(wp.max(longest / float(taps), wp.max(shortest, 1.0e-6)))
    total = wp.vec4(0.0, 0.0, 0.0, 0.0)
    for tap in range(taps):
        shift = (float(tap) + 0.5) / float(taps) - 0.5
        total = total + trilinear(
            world, texture, uv[0] + axis[0] * shift, uv[1] + axis[1] * shift, lod
        )
    return total / float(taps)
