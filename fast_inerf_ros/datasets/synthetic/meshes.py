"""Triangle meshes of the tabletop: packages, cans, crockery, hands, and meshes read from files.

Corners carry everything that shading needs, so that one renderer serves all of them and the
exported model is exactly what was rendered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Rectangle = tuple[float, float, float, float]

# Texture coordinates of the six sides of a box, in the order +x, -x, +y, -y, +z, -z.
FULL: tuple[Rectangle, ...] = ((0.0, 0.0, 1.0, 1.0),) * 6


@dataclass(frozen=True)
class Mesh:
    """A textured triangle mesh in its own frame, metres.

    vertices: (V, 3). faces: (F, 3) indices. uv: (F, 3, 2) texture coordinates of every corner,
    u right and v down, in [0, 1] over the texture. normals: (F, 3, 3) unit shading normals.
    colours: (F, 3, 3) sRGB of every corner, multiplied with the texture.
    """

    vertices: Floats
    faces: npt.NDArray[np.int32]
    uv: Floats
    normals: Floats
    colours: Floats

    @property
    def bounds(self) -> Floats:
        """(2, 3): lowest and highest coordinates."""
        return np.stack([self.vertices.min(axis=0), self.vertices.max(axis=0)])

    @property
    def triangles(self) -> Floats:
        """(F, 3, 3): the corners of every face."""
        return np.asarray(self.vertices[self.faces], dtype=np.float32)

    def transformed(self, rotation: npt.ArrayLike, translation: npt.ArrayLike) -> Mesh:
        """Move rigidly: rotation (3, 3), translation (3,)."""
        turn = np.asarray(rotation, dtype=np.float64)
        vertices = self.vertices @ turn.T + np.asarray(translation)
        return make_mesh(vertices, self.faces, self.uv, self.normals @ turn.T, self.colours)


def make_mesh(
    vertices: npt.ArrayLike,
    faces: npt.ArrayLike,
    uv: npt.ArrayLike | None = None,
    normals: npt.ArrayLike | None = None,
    colours: npt.ArrayLike | None = None,
) -> Mesh:
    """Assemble a mesh; missing texture coordinates are 0, normals flat, colours white."""
    points = np.asarray(vertices, dtype=np.float32).reshape(-1, 3)
    corners = np.asarray(faces, dtype=np.int32).reshape(-1, 3)
    shape = (len(corners), 3)
    if normals is None:
        normals = np.repeat(_face_normals(points, corners)[:, None], 3, axis=1)
    return Mesh(
        points,
        corners,
        np.zeros((*shape, 2), np.float32) if uv is None else np.asarray(uv, np.float32),
        np.asarray(normals, np.float32),
        np.ones((*shape, 3), np.float32) if colours is None else np.asarray(colours, np.float32),
    )


def concatenate(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of several."""
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([m.faces + np.int32(o) for m, o in zip(meshes, offsets, strict=True)]),
        np.concatenate([mesh.uv for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.colours for mesh in meshes]),
    )


def _face_normals(vertices: Floats, faces: npt.NDArray[np.int32]) -> Floats:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    return np.asarray(
        cross / np.maximum(np.linalg.norm(cross, axis=1), 1e-20)[:, None], np.float32
    )


def box(size: npt.ArrayLike, chamfer: float, rectangles: Sequence[Rectangle] = FULL) -> Mesh:
    """A box centred at the origin whose edges are rounded by a chamfer with smooth normals.

    size: lengths along x, y, z. rectangles: texture rectangle (left, top, right, bottom) of the
    sides +x, -x, +y, -y, +z, -z as seen from outside, upright for the four sides.
    """
    half = np.asarray(size, dtype=np.float64) / 2
    corner_ids: dict[tuple[int, int, int, int], int] = {}
    vertices: list[npt.NDArray[np.float64]] = []
    vertex_uv: list[tuple[float, float]] = []
    vertex_normals: list[npt.NDArray[np.float64]] = []
    for axis in range(3):
        for sign in (1, -1):
            for signs in _corner_signs():
                if signs[axis] != sign:
                    continue
                corner_ids[(axis, *signs)] = len(vertices)
                point = np.array(signs) * (half - chamfer)
                point[axis] = sign * half[axis]
                vertices.append(point)
                vertex_normals.append(np.eye(3)[axis] * sign)
                vertex_uv.append(_side_uv(axis, signs, rectangles[2 * axis + (sign < 0)]))
    quads = _box_quads(corner_ids)
    faces = _outward(np.array(vertices), _split(quads))
    normals = np.array(vertex_normals)[faces]
    return make_mesh(vertices, faces, _chamfer_uv(faces, np.array(vertex_uv)), normals)


def _corner_signs() -> list[tuple[int, int, int]]:
    return [(x, y, z) for x in (1, -1) for y in (1, -1) for z in (1, -1)]


def _side_uv(axis: int, signs: tuple[int, int, int], rectangle: Rectangle) -> tuple[float, float]:
    """Where a corner lies in the picture of its side, seen from outside with z (or y) up."""
    x, y, z = signs
    right = (y * x, -x * y, x)[axis]
    up = (z, z, y * z)[axis]
    left, top, right_edge, bottom = rectangle
    u = left + (right_edge - left) * (0.5 + 0.5 * right)
    v = top + (bottom - top) * (0.5 - 0.5 * up)
    return u, v


def _box_quads(ids: dict[tuple[int, int, int, int], int]) -> list[list[int]]:
    """Six sides, twelve chamfers (quads) and eight corners (triangles) of vertex indices."""
    polygons: list[list[int]] = []
    for axis in range(3):
        first, second = (a for a in range(3) if a != axis)
        ring = ((1, 1), (-1, 1), (-1, -1), (1, -1))
        for sign in (1, -1):
            polygons.append(
                [ids[(axis, *_signs(axis, sign, first, a, second, b))] for a, b in ring]
            )
        for a, b in ring:  # chamfers parallel to `axis`, between sides `first` and `second`
            low, high = (_signs(axis, s, first, a, second, b) for s in (-1, 1))
            polygons.append(
                [
                    ids[(first, *low)],
                    ids[(first, *high)],
                    ids[(second, *high)],
                    ids[(second, *low)],
                ]
            )
    polygons += [[ids[(axis, *signs)] for axis in range(3)] for signs in _corner_signs()]
    return polygons


def _signs(axis: int, sign: int, first: int, a: int, second: int, b: int) -> tuple[int, int, int]:
    values = [0, 0, 0]
    values[axis], values[first], values[second] = sign, a, b
    return values[0], values[1], values[2]


def _split(polygons: list[list[int]]) -> npt.NDArray[np.int32]:
    triangles = [[p[0], p[k], p[k + 1]] for p in polygons for k in range(1, len(p) - 1)]
    return np.array(triangles, dtype=np.int32)


def _outward(
    vertices: npt.NDArray[np.float64], faces: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
    """Turn the faces of a convex body around the origin outwards."""
    normals = _face_normals(vertices.astype(np.float32), faces)
    inward = (normals * vertices[faces].mean(axis=1)).sum(axis=1) < 0
    return np.where(inward[:, None], faces[:, ::-1], faces).astype(np.int32)


def _chamfer_uv(faces: npt.NDArray[np.int32], vertex_uv: npt.NDArray[np.float64]) -> Floats:
    """A chamfer shows the border of the side to which its first corner belongs."""
    uv = vertex_uv[faces]
    side = faces // 4  # four vertices a side
    foreign = side != side[:, :1]
    return np.where(foreign[..., None], uv[:, :1], uv).astype(np.float32)


def lathe(
    profile: Sequence[tuple[float, float]],
    v: Sequence[tuple[float, float]],
    sections: int = 64,
    u: Rectangle | tuple[float, float] = (0.0, 1.0),
    smooth: bool = False,
) -> Mesh:
    """Turn a profile around z.

    profile: (radius, z) from the bottom to the top, outside to the right of the way.
    v: texture coordinate at the start and the end of each of the profile's segments.
    u: texture coordinates where the turn starts and ends. smooth: normals blend along the
    profile (a ball) or break at its points (a can).
    """
    points = np.asarray(profile, dtype=np.float64)
    turn = np.linspace(0, 2 * np.pi, sections + 1)
    along = np.diff(points, axis=0)
    normal = np.stack([along[:, 1], -along[:, 0]], axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    start, end = normal.copy(), normal.copy()
    if smooth:
        start[1:] = end[:-1] = _unit(normal[1:] + normal[:-1])
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    parts = []
    for k in range(len(along)):
        corners = _ring_corners(ring, points[k], points[k + 1])
        normals = _ring_corners(ring, start[k], end[k])
        column = u[0] + (u[1] - u[0]) * turn / (2 * np.pi)
        uv = _ring_uv(column, v[k])
        usable = (
            np.linalg.norm(
                np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
            )
            > 1e-14
        )
        corners, normals, uv = corners[usable], normals[usable], uv[usable]
        parts.append(make_mesh(corners.reshape(-1, 3), np.arange(3 * len(corners)), uv, normals))
    return concatenate(parts)


def _unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))


def _ring_corners(
    ring: npt.NDArray[np.float64], low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Two triangles a section between two circles: (2 sections, 3, 3)."""
    bottom, top = (
        np.concatenate([ring * value[0], np.full((len(ring), 1), value[1])], axis=1)
        for value in (low, high)
    )
    a, b, c, d = bottom[:-1], bottom[1:], top[1:], top[:-1]
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])


def _ring_uv(column: npt.NDArray[np.float64], v: tuple[float, float]) -> npt.NDArray[np.float64]:
    low = np.stack([column, np.full_like(column, v[0])], axis=1)
    high = np.stack([column, np.full_like(column, v[1])], axis=1)
    a, b, c, d = low[:-1], low[1:], high[1:], high[:-1]
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])


def planar_uv(mesh: Mesh, rectangle: Rectangle, select: npt.NDArray[np.bool_]) -> Mesh:
    """Give the selected faces (F,) texture coordinates by projection along z onto a rectangle."""
    left, top, right, bottom = rectangle
    extent = np.abs(mesh.vertices[:, :2]).max()
    position = mesh.triangles[..., :2] / (2 * extent) + 0.5
    u = left + (right - left) * position[..., 0]
    v = bottom + (top - bottom) * position[..., 1]
    uv = np.where(select[:, None, None], np.stack([u, v], axis=-1), mesh.uv)
    return make_mesh(mesh.vertices, mesh.faces, uv, mesh.normals, mesh.colours)


def can(radius: float, height: float, label: Rectangle, metal: Rectangle) -> Mesh:
    """A tin: label around the wall, crimped rims, recessed lid and bottom; origin at its centre.

    label: texture rectangle of the wrap. metal: texture rectangle of lid, bottom and rims.
    """
    half, rim = height / 2, 0.0016
    recess = 0.003
    profile = [
        (0.0, -half + recess), (radius - 0.003, -half + recess), (radius - 0.0025, -half),
        (radius + rim * 0.5, -half), (radius + rim, -half + 0.0015), (radius + rim, -half + 0.003),
        (radius, -half + 0.0045), (radius, half - 0.0045), (radius + rim, half - 0.003),
        (radius + rim, half - 0.0015), (radius + rim * 0.5, half), (radius - 0.0025, half),
        (radius - 0.003, half - recess), (0.0, half - recess),
    ]  # fmt: skip
    segments = len(profile) - 1
    v = [(0.0, 0.0)] * segments
    v[6] = (label[3], label[1])
    mesh = lathe(profile, v, u=(label[0], label[2]))
    height_of_faces = mesh.triangles[..., 2]
    wall = (height_of_faces.max(axis=1) - height_of_faces.min(axis=1)) > height / 2
    return planar_uv(mesh, metal, ~wall)


def ball(radii: npt.ArrayLike, sections: int = 48) -> Mesh:
    """An ellipsoid with radii along x, y, z around the origin."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, sections // 2 + 1)
    profile = [(float(np.cos(a)), float(np.sin(a))) for a in angles]
    profile[0], profile[-1] = (0.0, -1.0), (0.0, 1.0)
    v = [(1 - (a + np.pi / 2) / np.pi, 1 - (b + np.pi / 2) / np.pi) for a, b in pairwise(angles)]
    unit = lathe(profile, v, sections, smooth=True)
    scale = np.asarray(radii, dtype=np.float64)
    normals = _unit(unit.normals.astype(np.float64) / scale)
    return make_mesh(unit.vertices * scale, unit.faces, unit.uv, normals)


def capsule(start: npt.ArrayLike, end: npt.ArrayLike, radius: float, taper: float = 1.0) -> Mesh:
    """A round-ended rod between two points; `taper` scales the radius at its end."""
    first, last = np.asarray(start, np.float64), np.asarray(end, np.float64)
    length = float(np.linalg.norm(last - first))
    angles = np.linspace(0, np.pi / 2, 7)
    low = [(radius * float(np.sin(a)), -radius * float(np.cos(a))) for a in angles]
    tip = radius * taper
    high = [(tip * float(np.cos(a)), length + tip * float(np.sin(a))) for a in angles]
    high[-1] = (0.0, length + tip)
    profile = low + high
    steps = np.linspace(1, 0, len(profile))
    v = list(zip(steps[:-1].tolist(), steps[1:].tolist(), strict=True))
    mesh = lathe(profile, v, 24, smooth=True)
    axis = (last - first) / max(length, 1e-9)
    helper = np.eye(3)[int(np.argmin(np.abs(axis)))]
    x = _unit(np.cross(helper, axis))
    return mesh.transformed(np.stack([x, np.cross(axis, x), axis], axis=1), first)
