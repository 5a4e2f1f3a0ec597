"""Hands a layout to the kernels: meshes, textures, room and light, and the light on the table."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.synthetic import kernel_types, kernels
from fast_inerf_ros.datasets.synthetic.clutter import table_frame
from fast_inerf_ros.datasets.synthetic.launcher import (
    Launcher,
    download,
    matrix,
    share,
    triangle_mesh,
    upload,
    upload_structs,
    vector,
    wp,
    zeros,
)
from fast_inerf_ros.datasets.synthetic.layout import TABLE_HALF, Layout, Placement
from fast_inerf_ros.datasets.synthetic.meshes import Mesh
from fast_inerf_ros.datasets.synthetic.objects import ObjectModel
from fast_inerf_ros.datasets.synthetic.room import Room, make_room
from fast_inerf_ros.datasets.synthetic.texture_store import DECODE, TextureStore
from fast_inerf_ros.datasets.synthetic.textures import table_texture, to_uint8
from fast_inerf_ros.geometry.se3 import SE3

Floats = npt.NDArray[np.float32]

TABLE_TEXTURE_SHAPE = (768, 1024)
VISIBILITY_STEP, COARSE_STEP, AMBIENT_STEP = 0.005, 0.010, 0.016
GREY = 0.5
"""Linear value that a surface of albedo 0.5 on the table has in the picture at EV 0."""


@dataclass(frozen=True, eq=False)
class StoredMesh:
    """A mesh in the kernels' arrays."""

    mesh: Any  # wp.Mesh; kept alive here
    face_offset: int
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class PreparedWorld:
    """A layout ready to be looked at.

    exposure: factor from radiance to the linear picture at EV 0. surfaces of instance k are k.
    """

    layout: Layout
    arrays: Any  # kernel_types.World
    exposure: float


class WorldBuilder:
    """Keeps meshes and textures between layouts and prepares layouts for rendering."""

    def __init__(self, launcher: Launcher) -> None:
        self._launch = launcher
        self._textures = TextureStore()
        self._meshes: dict[str, StoredMesh] = {}
        self._attributes: dict[str, list[Floats]] = {
            name: [] for name in ("uv", "normals", "colours", "gradients")
        }
        self._faces = 0
        self._packed: dict[str, Any] = {}

    def prepare(self, layout: Layout) -> PreparedWorld:
        """Upload what is new, place the instances and compute the light on the table."""
        room = make_room(layout.room_seed)
        placements = [*layout.placements, self._frame(layout)]
        world = kernel_types.World()
        instances = [self._instance(placement) for placement in placements]
        self._set_surroundings(world, layout, room)
        self._set_arrays(world)
        world.instances = upload_structs(instances, kernel_types.Instance)
        world.spheres = upload([_sphere(placement) for placement in placements], wp.vec4)
        self._light_table(world)
        return PreparedWorld(layout, world, _exposure(layout, world))

    def _frame(self, layout: Layout) -> Placement:
        key = f"table{layout.table_seed}"
        if key not in self._textures:
            image, gloss = table_texture(layout.table_seed, TABLE_TEXTURE_SHAPE)
            pixels = np.empty((*TABLE_TEXTURE_SHAPE, 4), np.uint8)
            pixels[..., :3] = to_uint8(image)
            pixels[..., 3] = round(255 * gloss)
            self._textures.add(key, pixels)
        return Placement(_frame_model(), SE3.identity())

    def _instance(self, placement: Placement) -> Any:
        model = placement.model
        stored = self._stored_mesh(model)
        texture = self._textures.add(model.key, model.texture)
        rotation = np.asarray(placement.T_world_object.rotation.matrix, dtype=np.float64)
        origin = np.asarray(placement.T_world_object.translation, dtype=np.float64)
        instance = kernel_types.Instance()
        instance.mesh = stored.mesh.id
        instance.rotation = matrix(rotation.T)
        instance.origin = vector(origin)
        instance.low = vector(stored.low)
        instance.high = vector(stored.high)
        instance.face_offset = stored.face_offset
        instance.texture = texture.index
        tint = model.mesh.colours.mean(axis=(0, 1))
        dye = np.asarray(placement.dye, dtype=np.float64)
        instance.dye = matrix(dye)
        instance.bounce = vector(np.clip(dye @ (texture.mean[:3] * tint), 0.0, 1.0))
        return instance

    def _stored_mesh(self, model: ObjectModel) -> StoredMesh:
        if model.key in self._meshes:
            return self._meshes[model.key]
        mesh = model.mesh
        device_mesh = triangle_mesh(mesh.vertices, mesh.faces)
        low, high = mesh.bounds
        margin = np.float32(1e-5)
        stored = StoredMesh(device_mesh, self._faces, low - margin, high + margin)
        self._faces += len(mesh.faces)
        self._attributes["uv"].append(mesh.uv.reshape(-1, 2))
        self._attributes["normals"].append(mesh.normals.reshape(-1, 3))
        self._attributes["colours"].append(mesh.colours.reshape(-1, 3))
        self._attributes["gradients"].append(texture_gradients(mesh).reshape(-1, 3))
        self._packed.pop("uv", None)
        self._meshes[model.key] = stored
        return stored

    def _set_arrays(self, world: Any) -> None:
        """Arrays shared by all layouts, packed again when something was added."""
        packed = self._packed
        if "uv" not in packed:
            for name, parts in self._attributes.items():
                kind = wp.vec2 if name == "uv" else wp.vec3
                packed[name] = upload(np.concatenate(parts), kind)
        entries = self._textures.entries
        if packed.get("n_textures") != len(entries):
            packed["n_textures"] = len(entries)
            packed["textures"] = _texture_table(entries)
            packed["texels"] = share(self._textures.texels, kernel_types.Texel)
        for name in ("uv", "normals", "colours", "gradients", "textures", "texels"):
            setattr(world, name, packed[name])
        world.decode, world.disc, world.hemisphere = _constant_arrays()

    def _set_surroundings(self, world: Any, layout: Layout, room: Room) -> None:
        table = self._textures[f"table{layout.table_seed}"]
        world.table_half = vector(TABLE_HALF)
        world.table_texture = table.index
        world.table_bounce = vector(table.mean[:3])
        sides = [self._textures.add(f"{room.key}/{k}", side) for k, side in enumerate(room.sides)]
        world.room_low = vector(room.low)
        world.room_high = vector(room.high)
        world.room_texture = sides[0].index
        world.emission = layout.window
        world.lights = _lights(layout)
        means = np.stack([side.mean for side in sides])
        world.room_radiance = upload(room_radiance(layout, room, means), wp.vec3)

    def _light_table(self, world: Any) -> None:
        """Fill the maps of lamp visibility and ambient light over the table top."""
        unknown = upload(np.full((2, 2, 3), 0.5, np.float32), wp.vec3)
        world.visibility, world.ambient = unknown, unknown
        coarse = self._visibility(world, unknown, COARSE_STEP, 8)
        fine = self._visibility(world, coarse, VISIBILITY_STEP, 16)
        rows, columns = _map_shape(AMBIENT_STEP)
        ambient = zeros((rows, columns), wp.vec3)
        self._launch(
            kernels.map_ambient,
            rows * columns,
            lambda start: [world, columns, start, 48, ambient],
        )
        world.visibility = _smoothed(fine, 0.8)
        world.ambient = _smoothed(ambient, 0.8)

    def _visibility(self, world: Any, coarse: Any, step: float, samples: int) -> Any:
        rows, columns = _map_shape(step)
        out = zeros((rows, columns), wp.vec3)
        self._launch(
            kernels.map_visibility,
            rows * columns,
            lambda start: [world, coarse, columns, start, samples, out],
        )
        return out


def _sphere(placement: Placement) -> Floats:
    """(4,): centre and radius of a ball around a placed model."""
    centre = placement.T_world_object @ placement.model.box_centre
    radius = np.linalg.norm(placement.model.extent) / 2 + 1e-4
    return np.append(centre, radius).astype(np.float32)


@functools.cache
def _frame_model() -> ObjectModel:
    texture = np.full((2, 2, 4), (70, 52, 38, 60), np.uint8)
    return table_frame(TABLE_HALF, 0.03, texture)


def texture_gradients(mesh: Mesh) -> Floats:
    """(F, 2, 3): gradients of u and v over position on every face, in the mesh's frame."""
    a, b, c = (mesh.triangles[:, k].astype(np.float64) for k in range(3))
    e1, e2 = b - a, c - a
    d1, d2 = (mesh.uv[:, k].astype(np.float64) - mesh.uv[:, 0] for k in (1, 2))
    g11, g12, g22 = (e1 * e1).sum(1), (e1 * e2).sum(1), (e2 * e2).sum(1)
    determinant = np.maximum(g11 * g22 - g12 * g12, 1e-24)
    # Dual basis of the edges: gradients of the barycentric coordinates.
    n1 = (g22[:, None] * e1 - g12[:, None] * e2) / determinant[:, None]
    n2 = (g11[:, None] * e2 - g12[:, None] * e1) / determinant[:, None]
    return np.asarray(d1[:, :, None] * n1[:, None] + d2[:, :, None] * n2[:, None], np.float32)


def room_radiance(layout: Layout, room: Room, means: Floats) -> Floats:
    """(6, 3): mean radiance of each side; means: (6, 4) mean linear colour and window share."""
    middle = (np.array(room.low) + np.array(room.high)) / 2
    radiance = np.zeros((6, 3), np.float32)
    for side in range(6):
        axis, positive = side // 2, side % 2 == 0
        centre = middle.copy()
        centre[axis] = (room.high if positive else room.low)[axis]
        inward = np.zeros(3)
        inward[axis] = -1.0 if positive else 1.0
        light = np.array(layout.ambient)
        for lamp in layout.lamps:
            to_lamp = np.array(lamp.position) - centre
            squared = float(to_lamp @ to_lamp)
            light = light + np.array(lamp.power) * max(
                float(to_lamp @ inward) / (squared * np.sqrt(squared)), 0.0
            )
        share = means[side, 3]
        radiance[side] = means[side, :3] * ((1 - share) * light + share * layout.window)
    return radiance


def _lights(layout: Layout) -> Any:
    lights = []
    for lamp in layout.lamps:
        light = kernel_types.Light()
        light.position = vector(lamp.position)
        light.radius = lamp.radius
        light.power = vector(lamp.power)
        lights.append(light)
    return upload_structs(lights, kernel_types.Light)


def _texture_table(entries: list[Any]) -> Any:
    table = []
    for entry in entries:
        texture = kernel_types.Texture()
        texture.offset, texture.width, texture.height = entry.offset, entry.width, entry.height
        texture.levels = entry.levels
        table.append(texture)
    return upload_structs(table, kernel_types.Texture)


def _map_shape(step: float) -> tuple[int, int]:
    return round(2 * TABLE_HALF[1] / step), round(2 * TABLE_HALF[0] / step)


def _smoothed(values: Any, sigma: float) -> Any:
    """Blur a map by about a texel: hides the steps of the few samples behind it."""
    blurred = cv2.GaussianBlur(download(values), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return upload(blurred, wp.vec3)


@functools.cache
def _constant_arrays() -> tuple[Any, Any, Any]:
    """Decoding table, 16 points of a disc and 64 cosine-weighted directions.

    Both patterns are interleaved, so that any few in a row cover the whole domain.
    """
    golden = np.pi * (3 - np.sqrt(5))
    k = np.arange(16)
    order = (k * 7) % 16
    radius = np.sqrt((order + 0.5) / 16)
    disc = np.stack([radius * np.cos(order * golden), radius * np.sin(order * golden)], axis=1)
    n = 64
    order = (np.arange(n) * 27) % n
    radius = np.sqrt((order + 0.5) / n)
    hemisphere = np.stack(
        [radius * np.cos(order * golden), radius * np.sin(order * golden), np.sqrt(1 - radius**2)],
        axis=1,
    )
    return (
        upload(DECODE.astype(np.float32), wp.float32),
        upload(disc.astype(np.float32), wp.vec2),
        upload(hemisphere.astype(np.float32), wp.vec3),
    )


def _exposure(layout: Layout, world: Any) -> float:
    """Expose for the table's light, as a camera set once for a scene would."""
    light = float(download(world.ambient).mean())
    shares = download(world.visibility).mean(axis=(0, 1))
    for share_seen, lamp in zip(shares, layout.lamps, strict=False):
        distance = float(np.linalg.norm(lamp.position))
        light += share_seen * float(np.mean(lamp.power)) * lamp.position[2] / distance**3
    return float(GREY / (0.5 * max(light, 1e-6)))
