# mypy: ignore-errors
# Warp compiles these functions itself: annotations are Warp's types, not Python's.
"""Rays against the table top and the placed meshes, in kernels."""

from __future__ import annotations

import warp as wp

from fast_inerf_ros.datasets.synthetic.kernel_types import NO_HIT, TABLE, Hit, World


@wp.func
def entry_of_box(low: wp.vec3, high: wp.vec3, origin: wp.vec3, direction: wp.vec3) -> float:
    """Distance at which a ray enters a box (0 from inside), or -1."""
    inverse = wp.vec3(1.0 / direction[0], 1.0 / direction[1], 1.0 / direction[2])
    a = wp.cw_mul(low - origin, inverse)
    b = wp.cw_mul(high - origin, inverse)
    near = wp.min(a, b)
    far = wp.max(a, b)
    entry = wp.max(wp.max(near[0], near[1]), wp.max(near[2], 0.0))
    leave = wp.min(far[0], wp.min(far[1], far[2]))
    if entry > leave:
        return -1.0
    return entry


@wp.func
def near_sphere(sphere: wp.vec4, origin: wp.vec3, direction: wp.vec3, limit: float) -> bool:
    """Whether a ray comes near an instance's bounding sphere before `limit`."""
    to_centre = wp.vec3(sphere[0] - origin[0], sphere[1] - origin[1], sphere[2] - origin[2])
    along = wp.dot(to_centre, direction)
    if along < -sphere[3] or along - sphere[3] > limit:
        return False
    return wp.dot(to_centre, to_centre) - along * along <= sphere[3] * sphere[3]


@wp.func
def trace(world: World, origin: wp.vec3, direction: wp.vec3, limit: float) -> Hit:
    """The nearest of instances and table top; surface NO_HIT where there is none."""
    hit = Hit()
    hit.distance = limit
    hit.surface = NO_HIT
    height = -origin[2] / direction[2]
    if height > 0.0 and height < limit:
        point = origin + direction * height
        if wp.abs(point[0]) < world.table_half[0] and wp.abs(point[1]) < world.table_half[1]:
            hit.distance = height
            hit.surface = TABLE
    for k in range(world.instances.shape[0]):
        if near_sphere(world.spheres[k], origin, direction, hit.distance):
            instance = world.instances[k]
            start = instance.rotation * (origin - instance.origin)
            heading = instance.rotation * direction
            entry = entry_of_box(instance.low, instance.high, start, heading)
            if entry >= 0.0 and entry < hit.distance:
                query = wp.mesh_query_ray(instance.mesh, start, heading, hit.distance)
                if query.result:
                    hit.distance = query.t
                    hit.surface = k
                    hit.face = query.face
                    hit.u = query.u
                    hit.v = query.v
    return hit


@wp.func
def trace_boxes(world: World, origin: wp.vec3, direction: wp.vec3, limit: float, own: int) -> Hit:
    """As `trace`, with bounding boxes for the instances and without instance `own`.

    Good enough for ambient light, where meshes would take most of the time of a picture.
    """
    hit = Hit()
    hit.distance = limit
    hit.surface = NO_HIT
    height = -origin[2] / direction[2]
    if height > 0.0 and height < limit:
        point = origin + direction * height
        if wp.abs(point[0]) < world.table_half[0] and wp.abs(point[1]) < world.table_half[1]:
            hit.distance = height
            hit.surface = TABLE
    for k in range(world.instances.shape[0]):
        if k != own and near_sphere(world.spheres[k], origin, direction, hit.distance):
            instance = world.instances[k]
            start = instance.rotation * (origin - instance.origin)
            entry = entry_of_box(instance.low, instance.high, start, instance.rotation * direction)
            if entry >= 0.0 and entry < hit.distance:
                hit.distance = entry
                hit.surface = k
    return hit


@wp.func
def blocked(world: World, origin: wp.vec3, direction: wp.vec3, limit: float) -> bool:
    """Whether any instance lies between a point and a light."""
    for k in range(world.instances.shape[0]):
        if near_sphere(world.spheres[k], origin, direction, limit):
            instance = world.instances[k]
            start = instance.rotation * (origin - instance.origin)
            heading = instance.rotation * direction
            entry = entry_of_box(instance.low, instance.high, start, heading)
            if (
                entry >= 0.0
                and entry < limit
                and wp.mesh_query_ray_anyhit(instance.mesh, start, heading, limit)
            ):
                return True
    return False
