# mypy: ignore-errors
# Warp compiles these functions itself: annotations are Warp's types, not Python's.
"""What the ray-casting kernels are handed, and what they hand to each other."""

from __future__ import annotations

import warp as wp

Texel = wp.types.vector(4, wp.uint8)
NO_HIT = wp.constant(-3)
TABLE = wp.constant(-2)
ROOM = wp.constant(-1)
FAR = wp.constant(100.0)
MIRROR_FROM = wp.constant(0.28)  # cardboard below it reflects the room too faintly to pay
FLOOR_REPEATS = wp.constant(2.0)
AMBIENT_REACH = wp.constant(0.3)


@wp.struct
class Texture:
    """Where the levels of a mip-mapped texture lie in the array of texels."""

    offset: int
    width: int
    height: int
    levels: int


@wp.struct
class Instance:
    """One placed mesh. `dye`: what its linear albedo is multiplied with. `bounce`: the mean."""

    mesh: wp.uint64
    rotation: wp.mat33  # R_object_world
    origin: wp.vec3
    low: wp.vec3
    high: wp.vec3
    face_offset: int
    texture: int
    dye: wp.mat33
    bounce: wp.vec3


@wp.struct
class Light:
    """A round lamp. `power`: irradiance at one metre, facing it."""

    position: wp.vec3
    radius: float
    power: wp.vec3


@wp.struct
class World:
    """Everything that a ray can meet, and the light that falls on it."""

    instances: wp.array[Instance]
    spheres: wp.array[wp.vec4]  # centre and radius of each, apart because every ray reads them
    lights: wp.array[Light]
    uv: wp.array[wp.vec2]
    normals: wp.array[wp.vec3]
    colours: wp.array[wp.vec3]
    gradients: wp.array[wp.vec3]
    texels: wp.array[Texel]
    textures: wp.array[Texture]
    decode: wp.array[wp.float32]
    disc: wp.array[wp.vec2]
    hemisphere: wp.array[wp.vec3]
    table_half: wp.vec2
    table_texture: int
    table_bounce: wp.vec3
    room_low: wp.vec3
    room_high: wp.vec3
    room_texture: int
    room_radiance: wp.array[wp.vec3]
    emission: float
    visibility: wp.array2d[wp.vec3]
    ambient: wp.array2d[wp.vec3]


@wp.struct
class Hit:
    """Distance along the ray, surface (instance, TABLE or ROOM), face and barycentrics."""

    distance: float
    surface: int
    face: int
    u: float
    v: float


@wp.struct
class Surface:
    """What shading needs to know of a point: position, normal, albedo, gloss."""

    position: wp.vec3
    normal: wp.vec3
    albedo: wp.vec3
    gloss: float


@wp.struct
class Sample:
    """Linear colour, distance and surface that a ray saw."""

    colour: wp.vec3
    distance: float
    surface: int
