# mypy: ignore-errors
# ruff: noqa: SIM108
# Warp compiles these functions itself: annotations are Warp's types, not Python's.
"""What a ray sees: texture, diffuse light, highlights and reflections, in kernels."""

from __future__ import annotations

import warp as wp

from fast_inerf_ros.datasets.synthetic.kernel_light import (
    ambient_light,
    environment,
    irradiance,
    light_map,
    room_colour,
    visible_share,
)
from fast_inerf_ros.datasets.synthetic.kernel_rays import trace
from fast_inerf_ros.datasets.synthetic.kernel_textures import filtered
from fast_inerf_ros.datasets.synthetic.kernel_types import (
    FAR,
    MIRROR_FROM,
    NO_HIT,
    TABLE,
    Hit,
    Light,
    Sample,
    Surface,
    World,
)


@wp.func
def specular(
    world: World, point: Surface, light: Light, view: wp.vec3, fresnel: wp.vec3, share: float
) -> wp.vec3:
    """Normalised Blinn-Phong highlight of one lamp."""
    half = wp.normalize(wp.normalize(light.position - point.position) + view)
    metal = wp.clamp((point.gloss - 0.75) * 5.0, 0.0, 1.0)
    # Tinplate is brushed: wide, dim highlights instead of a mirror's.
    exponent = 6.0 + 160.0 * point.gloss * point.gloss * (1.0 - 0.85 * metal)
    peak = wp.pow(wp.max(wp.dot(point.normal, half), 0.0), exponent) * (exponent + 8.0) / 8.0
    return wp.cw_mul(irradiance(light, point.position, point.normal), fresnel) * (peak * share)


@wp.func
def reflectance(point: Surface, view: wp.vec3) -> wp.vec3:
    """Schlick's Fresnel term: 4 % for paper and lacquer, the own colour for bare metal."""
    metal = wp.clamp((point.gloss - 0.75) * 5.0, 0.0, 1.0)
    base = wp.lerp(wp.vec3(0.04, 0.04, 0.04) * point.gloss, point.albedo * 0.75, metal)
    grazing = 1.0 - wp.clamp(wp.dot(point.normal, view), 0.0, 1.0)
    rise = grazing * grazing * grazing * grazing * grazing
    return base + (wp.vec3(1.0, 1.0, 1.0) - base) * (rise * point.gloss * 0.5)


@wp.func
def leave_surface(
    world: World, point: Surface, view: wp.vec3, diffuse: wp.vec3, shine: wp.vec3, ambient: wp.vec3
) -> wp.vec3:
    """Colour towards the camera from the light that arrived."""
    fresnel = reflectance(point, view)
    metal = wp.clamp((point.gloss - 0.75) * 5.0, 0.0, 1.0)
    colour = wp.cw_mul(point.albedo, diffuse) * (1.0 - 0.6 * metal) + shine
    if point.gloss > MIRROR_FROM:
        mirror = 2.0 * wp.dot(view, point.normal) * point.normal - view
        blur = wp.lerp(0.35, 0.04, point.gloss)
        seen = room_colour(world, point.position, mirror, mirror, mirror, blur)
        open_part = wp.clamp(
            wp.length(ambient) / wp.max(wp.length(environment(world, point.normal)), 1.0e-4),
            0.0,
            1.0,
        )
        colour = colour + wp.cw_mul(fresnel, seen.colour) * open_part
    return colour


@wp.func
def table_point(world: World, position: wp.vec3, dx: wp.vec3, dy: wp.vec3) -> Surface:
    """The table top at a position; dx, dy: how the position changes by one pixel."""
    point = Surface()
    point.position = position
    point.normal = wp.vec3(0.0, 0.0, 1.0)
    texture = world.textures[world.table_texture]
    width = 2.0 * world.table_half[0]
    height = width * float(texture.height) / float(texture.width)
    uv = wp.vec2(
        (position[0] + world.table_half[0]) / width,
        (world.table_half[1] - position[1]) / height,
    )
    value = filtered(
        world,
        world.table_texture,
        uv,
        wp.vec2(dx[0] / width, -dx[1] / height),
        wp.vec2(dy[0] / width, -dy[1] / height),
    )
    point.albedo = wp.vec3(value[0], value[1], value[2])
    point.gloss = value[3]
    return point


@wp.func
def instance_point(
    world: World, hit: Hit, position: wp.vec3, direction: wp.vec3, dx: wp.vec3, dy: wp.vec3
) -> Surface:
    """Position, shading normal and filtered texture of a hit; dx, dy: ray differentials."""
    instance = world.instances[hit.surface]
    face = instance.face_offset + hit.face
    w0 = hit.u
    w1 = hit.v
    w2 = 1.0 - hit.u - hit.v
    point = Surface()
    local = (
        world.normals[3 * face] * w0
        + world.normals[3 * face + 1] * w1
        + world.normals[3 * face + 2] * w2
    )
    normal = wp.normalize(wp.transpose(instance.rotation) * local)
    facing = wp.dot(normal, direction)
    if facing > 0.0:
        # Seen from behind (an open bowl) or a bent shading normal at the silhouette.
        if facing > 0.35:
            normal = -normal
        else:
            normal = wp.normalize(normal - direction * facing)
    slope = wp.min(wp.dot(normal, direction), -0.05)
    step_x = instance.rotation * ((dx - direction * (wp.dot(normal, dx) / slope)) * hit.distance)
    step_y = instance.rotation * ((dy - direction * (wp.dot(normal, dy) / slope)) * hit.distance)
    gradient_u = world.gradients[2 * face]
    gradient_v = world.gradients[2 * face + 1]
    uv = world.uv[3 * face] * w0 + world.uv[3 * face + 1] * w1 + world.uv[3 * face + 2] * w2
    value = filtered(
        world,
        instance.texture,
        uv,
        wp.vec2(wp.dot(gradient_u, step_x), wp.dot(gradient_v, step_x)),
        wp.vec2(wp.dot(gradient_u, step_y), wp.dot(gradient_v, step_y)),
    )
    tint = (
        world.colours[3 * face] * w0
        + world.colours[3 * face + 1] * w1
        + world.colours[3 * face + 2] * w2
    )
    point.position = position + normal * 2.0e-4
    point.normal = normal
    own = wp.cw_mul(wp.vec3(value[0], value[1], value[2]), tint)
    none = wp.vec3(0.0, 0.0, 0.0)
    point.albedo = wp.min(wp.max(instance.dye * own, none), wp.vec3(1.0, 1.0, 1.0))
    point.gloss = value[3]
    return point


@wp.func
def shade_table(world: World, point: Surface, view: wp.vec3) -> wp.vec3:
    """Colour of the table towards `view`, from the light maps."""
    shares = light_map(world, world.visibility, point.position[0], point.position[1])
    ambient = light_map(world, world.ambient, point.position[0], point.position[1])
    diffuse = ambient
    shine = wp.vec3(0.0, 0.0, 0.0)
    fresnel = reflectance(point, view)
    for k in range(world.lights.shape[0]):
        diffuse = diffuse + irradiance(world.lights[k], point.position, point.normal) * shares[k]
        shine = shine + specular(world, point, world.lights[k], view, fresnel, shares[k])
    return leave_surface(world, point, view, diffuse, shine, ambient)


@wp.func
def shade_instance(
    world: World, point: Surface, view: wp.vec3, own: int, first: int, samples: int
) -> wp.vec3:
    """Colour of instance `own` towards `view`, from rays to the lamps and all around."""
    ambient = ambient_light(world, point.position, point.normal, first, samples, own)
    diffuse = ambient
    shine = wp.vec3(0.0, 0.0, 0.0)
    fresnel = reflectance(point, view)
    for k in range(world.lights.shape[0]):
        light = world.lights[k]
        if wp.dot(light.position - point.position, point.normal) > 0.0:
            share = visible_share(world, light, point.position, first, samples, 3)
            diffuse = diffuse + irradiance(light, point.position, point.normal) * share
            shine = shine + specular(world, point, light, view, fresnel, share)
    return leave_surface(world, point, view, diffuse, shine, ambient)


@wp.func
def look(
    world: World,
    origin: wp.vec3,
    direction: wp.vec3,
    dx: wp.vec3,
    dy: wp.vec3,
    first: int,
    samples: int,
) -> Sample:
    """What a ray with differentials dx, dy (change of direction a pixel) sees."""
    hit = trace(world, origin, direction, FAR)
    if hit.surface == NO_HIT:
        return room_colour(world, origin, direction, dx, dy, 0.0)
    sample = Sample()
    sample.distance = hit.distance
    sample.surface = hit.surface
    position = origin + direction * hit.distance
    if hit.surface == TABLE:
        step_x = (dx - direction * (dx[2] / direction[2])) * hit.distance
        step_y = (dy - direction * (dy[2] / direction[2])) * hit.distance
        point = table_point(world, position, step_x, step_y)
        sample.colour = shade_table(world, point, -direction)
    else:
        point = instance_point(world, hit, position, direction, dx, dy)
        sample.colour = shade_instance(world, point, -direction, hit.surface, first, samples)
    return sample
