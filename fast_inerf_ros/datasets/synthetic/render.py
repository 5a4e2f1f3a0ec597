"""Renders prepared layouts: linear colour, depth and which surface every pixel sees.

See `kernels` for the measurements behind the choice of ray caster.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.synthetic import kernels
from fast_inerf_ros.datasets.synthetic.launcher import (
    Launcher,
    download,
    matrix,
    upload,
    vector,
    wp,
    zeros,
)
from fast_inerf_ros.datasets.synthetic.layout import Layout
from fast_inerf_ros.datasets.synthetic.world import PreparedWorld, WorldBuilder
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3

Floats = npt.NDArray[np.float32]

ROOM, TABLE, OUTSIDE = -1, -2, -3
"""Surfaces that are no instance; OUTSIDE: the lens sees nothing there."""

SAMPLES = 6
"""Shadow and ambient rays at every pixel on an object."""

EDGE_SAMPLES = 1
CREASE = 0.3
OFFSETS = np.array([[-2, -1], [-1, 2], [0, 0], [1, -2], [2, 1]], dtype=np.float32) / np.float32(5)
"""Five rays a silhouette pixel, each alone in its row and column of the pixel."""


@dataclass(frozen=True, eq=False)
class Rendered:
    """What a camera sees.

    colour: (H, W, 3) linear light, 1 is white at EV 0. depth: (H, W) metres along the optical
    axis, 0 where nothing is seen. surface: (H, W) int32, index of the layout's placement, TABLE,
    ROOM or OUTSIDE (the table's legs and edge follow the placements).
    """

    colour: Floats
    depth: Floats
    surface: npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class RayTable:
    """Bearings and their change by one pixel, on the kernels' side."""

    bearings: Any
    across: Any
    down: Any
    z: Floats
    valid: npt.NDArray[np.bool_]


class Renderer:
    """Renders layouts on the CPU; `threads` is the number of processors unless given."""

    def __init__(self, threads: int | None = None) -> None:
        self._launch = Launcher(threads)
        self._builder = WorldBuilder(self._launch)
        self._rays: OrderedDict[Camera, RayTable] = OrderedDict()
        self._offsets = upload(OFFSETS, wp.vec2)

    @property
    def threads(self) -> int:
        """Threads that the kernels run on."""
        return self._launch.threads

    def prepare(self, layout: Layout) -> PreparedWorld:
        """Make a layout ready; worth keeping for all views of it."""
        return self._builder.prepare(layout)

    def render(self, world: PreparedWorld, camera: Camera, T_world_camera: SE3) -> Rendered:
        """One picture, antialiased where edges are."""
        rays = self._ray_table(camera)
        rotation, origin = _pose(T_world_camera)
        count = camera.width * camera.height
        colour = zeros(count, wp.vec3)
        distance = zeros(count, wp.float32)
        surface = zeros(count, wp.int32)
        view = [world.arrays, rotation, origin, rays.bearings, rays.across, rays.down]
        self._launch(
            kernels.cast,
            count,
            lambda start: [*view, start, SAMPLES, colour, distance, surface],
        )
        shape = (camera.height, camera.width)
        surfaces = np.where(rays.valid, download(surface).reshape(shape), OUTSIDE)
        depth = np.where(rays.valid, download(distance).reshape(shape) * rays.z, np.float32(0))
        pixels = _edges(surfaces, depth, camera.fx)
        edge = upload(pixels, wp.int32)
        self._launch(
            kernels.refine,
            len(pixels),
            lambda start: [*view, edge, self._offsets, start, EDGE_SAMPLES, colour],
        )
        image = download(colour).reshape(*shape, 3) * np.float32(world.exposure)
        image[~rays.valid] = 0.0
        return Rendered(image, depth.astype(np.float32), surfaces.astype(np.int32))

    def silhouette(
        self, world: PreparedWorld, index: int, T_world_camera: SE3, bearings: Floats
    ) -> npt.NDArray[np.bool_]:
        """Which bearings (..., 3) meet placement `index`, whatever stands before it."""
        rotation, origin = _pose(T_world_camera)
        valid = np.asarray(np.isfinite(bearings).all(axis=-1))
        flat = np.where(valid[..., None], bearings, (0.0, 0.0, -1.0)).reshape(-1, 3)
        rays = upload(flat.astype(np.float32), wp.vec3)
        inside = zeros(len(flat), wp.uint8)
        self._launch(
            kernels.silhouette,
            len(flat),
            lambda start: [world.arrays, index, rotation, origin, rays, start, inside],
        )
        return np.asarray(download(inside).reshape(valid.shape).astype(bool) & valid)

    def _ray_table(self, camera: Camera) -> RayTable:
        """Rays of a camera, kept for the last few cameras."""
        if camera not in self._rays:
            self._rays[camera] = make_ray_table(camera)
            while len(self._rays) > 4:
                self._rays.popitem(last=False)
        return self._rays[camera]


def make_ray_table(camera: Camera) -> RayTable:
    """Bearings of all pixel centres and their derivatives by central differences."""
    grid = np.asarray(camera.pixel_grid(), dtype=np.float64)
    bearings = np.asarray(camera.bearings(grid), dtype=np.float64)
    half_x, half_y = np.array([0.5, 0.0]), np.array([0.0, 0.5])
    across = camera.bearings(grid + half_x) - camera.bearings(grid - half_x)
    down = camera.bearings(grid + half_y) - camera.bearings(grid - half_y)
    valid = np.asarray(np.isfinite(bearings).all(axis=-1))
    complete = np.isfinite(across).all(axis=-1) & np.isfinite(down).all(axis=-1)
    bearings[~valid] = (0.0, 0.0, 1.0)
    across, down = (np.where(complete[..., None], change, 1e-3) for change in (across, down))
    arrays = [
        upload(a.reshape(-1, 3).astype(np.float32), wp.vec3) for a in (bearings, across, down)
    ]
    z = bearings[..., 2].astype(np.float32)
    return RayTable(arrays[0], arrays[1], arrays[2], z, valid)


def _pose(T_world_camera: SE3) -> tuple[Any, Any]:
    rotation = np.asarray(T_world_camera.rotation.matrix, dtype=np.float64)
    translation = np.asarray(T_world_camera.translation, dtype=np.float64)
    return matrix(rotation), vector(translation)


def _edges(surface: npt.NDArray[np.int32], depth: Floats, focal: float) -> npt.NDArray[np.int32]:
    """Indices of pixels at silhouettes and creases, which one ray cannot answer.

    Inverse depth is linear over the picture of a plane: where its second difference, in units
    of a slope of 45 degrees, is large there is a crease. Textures are filtered and need no
    further rays.
    """
    inverse = np.float32(focal) / np.maximum(depth, np.float32(1e-3))
    edge: npt.NDArray[np.bool_] = np.zeros(surface.shape, dtype=np.bool_)
    for across in (False, True):
        s, i, z, e = surface, inverse, depth, edge
        if across:
            s, i, z, e = s.T, i.T, z.T, e.T
        change = np.not_equal(s[1:], s[:-1])
        e[1:] |= change
        e[:-1] |= change
        e[1:-1] |= np.greater(np.abs(i[2:] - 2 * i[1:-1] + i[:-2]) * z[1:-1], CREASE)
    return np.flatnonzero(edge).astype(np.int32)


def develop_preview(image: Floats) -> npt.NDArray[np.uint8]:
    """8-bit sRGB of linear light, for quick looks without a sensor model."""
    encoded = np.clip(image, 0, 1) ** (1 / 2.2)
    return np.asarray(cv2.convertScaleAbs(encoded, alpha=255.0))
