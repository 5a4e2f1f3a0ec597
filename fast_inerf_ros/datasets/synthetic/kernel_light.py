# mypy: ignore-errors
# ruff: noqa: UP018, RUF046
# Warp compiles these functions itself: annotations are Warp's types, not Python's, and int(0)
# declares a variable that a loop may change, which a bare 0 does not.
"""Lamps, ambient light, light maps of the table and the room, in kernels."""

from __future__ import annotations

import warp as wp

from fast_inerf_ros.datasets.synthetic.kernel_rays import blocked, trace, trace_boxes
from fast_inerf_ros.datasets.synthetic.kernel_textures import filtered, trilinear
from fast_inerf_ros.datasets.synthetic.kernel_types import (
    AMBIENT_REACH,
    FLOOR_REPEATS,
    NO_HIT,
    ROOM,
    TABLE,
    Hit,
    Light,
    Sample,
    World,
)


@wp.func
def tangent_frame(normal: wp.vec3) -> wp.mat33:
    """Columns: two tangents and the normal (Duff et al. 2017, branchless basis)."""
    sign = 1.0
    if normal[2] < 0.0:
        sign = -1.0
    a = -1.0 / (sign + normal[2])
    b = normal[0] * normal[1] * a
    x = wp.vec3(1.0 + sign * normal[0] * normal[0] * a, sign * b, -sign * normal[0])
    y = wp.vec3(b, sign + normal[1] * normal[1] * a, -normal[1])
    return wp.matrix_from_cols(x, y, normal)


@wp.func
def irradiance(light: Light, position: wp.vec3, normal: wp.vec3) -> wp.vec3:
    """Unshadowed light of one lamp on a surface."""
    to_light = light.position - position
    squared = wp.dot(to_light, to_light)
    cosine = wp.max(wp.dot(normal, to_light) / wp.sqrt(squared), 0.0)
    return light.power * (cosine / squared)


@wp.func
def visible_share(
    world: World, light: Light, position: wp.vec3, first: int, samples: int, enough: int
) -> float:
    """Which part of a lamp a point sees: soft shadows.

    Where the first `enough` rays, spread over the lamp, agree, the rest are not cast.
    """
    frame = tangent_frame(wp.normalize(light.position - position))
    open_rays = float(0.0)
    for k in range(samples):
        if k == enough and (open_rays == 0.0 or open_rays == float(enough)):
            return open_rays / float(enough)
        place = world.disc[(first + k) % 16] * light.radius
        aim = light.position + frame * wp.vec3(place[0], place[1], 0.0) - position
        length = wp.length(aim)
        if not blocked(world, position, aim / length, length):
            open_rays += 1.0
    return open_rays / float(samples)


@wp.func
def environment(world: World, direction: wp.vec3) -> wp.vec3:
    """Mean radiance of the room in a direction (an ambient cube of its six sides)."""
    total = wp.vec3(0.0, 0.0, 0.0)
    for axis in range(3):
        side = 2 * axis
        if direction[axis] < 0.0:
            side = side + 1
        total = total + world.room_radiance[side] * (direction[axis] * direction[axis])
    return total


@wp.func
def map_position(world: World, x: float, y: float, rows: int, columns: int) -> wp.vec2:
    """Column and row, with fractions, of a point of the table in a map."""
    column = (x / world.table_half[0] * 0.5 + 0.5) * float(columns) - 0.5
    row = (y / world.table_half[1] * 0.5 + 0.5) * float(rows) - 0.5
    return wp.vec2(
        wp.clamp(column, 0.0, float(columns) - 1.001), wp.clamp(row, 0.0, float(rows) - 1.001)
    )


@wp.func
def light_map(world: World, values: wp.array2d[wp.vec3], x: float, y: float) -> wp.vec3:
    """Bilinear look-up of a map over the table top."""
    place = map_position(world, x, y, values.shape[0], values.shape[1])
    column = int(place[0])
    row = int(place[1])
    a = place[0] - float(column)
    b = place[1] - float(row)
    top = wp.lerp(values[row, column], values[row, column + 1], a)
    bottom = wp.lerp(values[row + 1, column], values[row + 1, column + 1], a)
    return wp.lerp(top, bottom, b)


@wp.func
def table_irradiance(world: World, position: wp.vec3) -> wp.vec3:
    """Light on the table top, from the maps computed beforehand."""
    share = light_map(world, world.visibility, position[0], position[1])
    total = light_map(world, world.ambient, position[0], position[1])
    for k in range(world.lights.shape[0]):
        lamp = irradiance(world.lights[k], position, wp.vec3(0.0, 0.0, 1.0))
        total = total + lamp * share[k]
    return total


@wp.func
def ambient_light(
    world: World, position: wp.vec3, normal: wp.vec3, first: int, samples: int, own: int
) -> wp.vec3:
    """Light from the room, shaded and tinted by what stands near (one bounce).

    own: the instance that the point is on, or TABLE.
    """
    frame = tangent_frame(normal)
    total = wp.vec3(0.0, 0.0, 0.0)
    for k in range(samples):
        direction = frame * world.hemisphere[(first + k) % world.hemisphere.shape[0]]
        hit = Hit()
        if own == TABLE:
            hit = trace(world, position, direction, AMBIENT_REACH)
        else:
            hit = trace_boxes(world, position, direction, AMBIENT_REACH, own)
        if hit.surface == NO_HIT:
            total = total + environment(world, direction)
        elif hit.surface >= 0:
            bounce = world.instances[hit.surface].bounce
            total = total + wp.cw_mul(bounce, environment(world, -direction)) * 0.7
        elif own != TABLE:
            lit = table_irradiance(world, position + direction * hit.distance)
            total = total + wp.cw_mul(world.table_bounce, lit)
    return total / float(samples)


@wp.func
def room_light(world: World, position: wp.vec3, normal: wp.vec3) -> wp.vec3:
    """Light on walls, floor and ceiling: no shadows but the table's own on the floor."""
    total = environment(world, normal) * 0.8
    for k in range(world.lights.shape[0]):
        total = total + irradiance(world.lights[k], position, normal)
    if normal[2] > 0.5:
        dx = wp.max(wp.abs(position[0]) - world.table_half[0], 0.0)
        dy = wp.max(wp.abs(position[1]) - world.table_half[1], 0.0)
        reach = wp.clamp(wp.sqrt(dx * dx + dy * dy) / 0.6, 0.0, 1.0)
        total = total * (0.25 + 0.75 * reach * reach * (3.0 - 2.0 * reach))
    return total


@wp.func
def room_colour(
    world: World, origin: wp.vec3, direction: wp.vec3, dx: wp.vec3, dy: wp.vec3, blur: float
) -> Sample:
    """The inside of the room along a ray."""
    inverse = wp.vec3(1.0 / direction[0], 1.0 / direction[1], 1.0 / direction[2])
    far = wp.max(
        wp.cw_mul(world.room_low - origin, inverse), wp.cw_mul(world.room_high - origin, inverse)
    )
    axis = int(0)
    if far[1] < far[0]:
        axis = int(1)
    if far[2] < far[axis]:
        axis = int(2)
    sample = Sample()
    sample.distance = far[axis]
    sample.surface = ROOM
    position = origin + direction * far[axis]
    first = int(0)
    second = int(2)
    if axis == 0:
        first = int(1)
    if axis == 2:
        second = int(1)
    side = 2 * axis
    normal = wp.vec3(0.0, 0.0, 0.0)
    normal[axis] = -1.0
    if direction[axis] < 0.0:
        side = side + 1
        normal[axis] = 1.0
    size = world.room_high - world.room_low
    step_x = (dx - direction * (dx[axis] / direction[axis])) * far[axis]
    step_y = (dy - direction * (dy[axis] / direction[axis])) * far[axis]
    uv = wp.vec2(
        (position[first] - world.room_low[first]) / size[first],
        1.0 - (position[second] - world.room_low[second]) / size[second],
    )
    across = wp.vec2(step_x[first] / size[first], step_x[second] / size[second])
    down = wp.vec2(step_y[first] / size[first], step_y[second] / size[second])
    if side == 5:
        uv = uv * FLOOR_REPEATS
        across = across * FLOOR_REPEATS
        down = down * FLOOR_REPEATS
    value = wp.vec4(0.0, 0.0, 0.0, 0.0)
    if blur > 0.0:
        texture = world.textures[world.room_texture + side]
        value = trilinear(
            world, texture, uv[0], uv[1], wp.log2(wp.max(blur * float(texture.width), 1.0))
        )
    else:
        value = filtered(world, world.room_texture + side, uv, across, down)
    albedo = wp.vec3(value[0], value[1], value[2])
    lit = wp.cw_mul(albedo, room_light(world, position, normal))
    sample.colour = wp.lerp(lit, albedo * world.emission, value[3])
    return sample
