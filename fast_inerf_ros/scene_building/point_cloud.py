"""Points on the surfaces of a radiance field, as the photographs' cameras see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.scene_building.labelled_images import without_distortion
from fast_inerf_ros.scene_building.placed_field import PlacedField

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

OPAQUE = 0.9
LEAST_POINTS = 100
EDGE = 0.05
"""Change of depth between neighbouring pixels, in that of the nearer, that is an edge."""


@dataclass(frozen=True, eq=False)
class PointCloud:
    """points: (n, 3) in the world. colors: (n, 3) in [0, 1]. view: (n,) which camera saw each."""

    points: Floats
    colors: npt.NDArray[np.float32]
    view: Integers

    def __getitem__(self, rows: npt.NDArray[np.generic]) -> PointCloud:
        return PointCloud(self.points[rows], self.colors[rows], self.view[rows])

    def moved(self, T_new_world: SE3) -> PointCloud:
        """The same points in another world of the same scale."""
        return PointCloud(np.asarray(T_new_world @ self.points), self.colors, self.view)


def surface_points(
    placed: PlacedField, posed: PosedImages, n_views: int, width: int
) -> PointCloud:
    """Points where half of the light of training views is absorbed, but for pixels at edges.

    Raises:
        InputError: the field shows no surface to any of the cameras.
    """
    train = posed.splits.train
    chosen = train[np.unique(np.linspace(0, len(train) - 1, n_views).round().astype(int))]
    parts = [
        _seen_points(placed, without_distortion(posed.cameras[i], width), posed.T_world_camera[i])
        for i in chosen
    ]
    points, colors = (np.concatenate(column) for column in zip(*parts, strict=True))
    view = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    if len(points) < LEAST_POINTS:
        raise InputError("field: expected surfaces before the cameras, got none: train it longer")
    return PointCloud(points, colors, view)


def _seen_points(
    placed: PlacedField, camera: Camera, T_world_camera: SE3
) -> tuple[Floats, npt.NDArray[np.float32]]:
    """Points (n, 3) in the world and their colours (n, 3)."""
    view = placed.view(camera, T_world_camera)
    bearings = np.asarray(camera.bearings(camera.pixel_grid())).reshape(-1, 3)
    directions = np.asarray(T_world_camera.rotation @ bearings)
    origin = np.asarray(T_world_camera.translation, dtype=np.float64)
    nothing, everything = np.zeros(len(directions)), np.full(len(directions), np.inf)
    distance = placed.surfaces(origin, directions, nothing, everything).reshape(view.depth.shape)
    known = np.isfinite(distance) & (view.opacity >= OPAQUE) & ~_edges(distance)
    points = origin + distance.reshape(-1, 1) * directions
    return points[known.ravel()], view.color[known]


def confirmed(cloud: PointCloud, cell: float, least_views: int) -> PointCloud:
    """The points whose cell of space (an edge length) so many views show, against floaters."""
    places = np.floor(cloud.points / cell).astype(np.int64)
    _, index = np.unique(places, axis=0, return_inverse=True)
    seen = np.unique(np.stack([index.ravel(), cloud.view]), axis=1)[0]
    views = np.bincount(seen, minlength=int(index.max(initial=0)) + 1)
    return cloud[views[index.ravel()] >= least_views]


def _edges(depth: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Pixels (H, W) beside a jump of depth."""
    filled = np.nan_to_num(depth, nan=1e9)
    edge = np.zeros(depth.shape, dtype=bool)
    for first, second, a, b in (
        (filled[1:], filled[:-1], edge[1:], edge[:-1]),
        (filled[:, 1:], filled[:, :-1], edge[:, 1:], edge[:, :-1]),
    ):
        jump = np.abs(first - second) > EDGE * np.minimum(first, second)
        a |= jump
        b |= jump
    return edge
