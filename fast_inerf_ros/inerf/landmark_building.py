"""Making landmarks: features of posed photographs, tracked, triangulated, or put on the field.

Features that several photographs share are triangulated from the rays of all of them. Those
that nothing matches lie where the field says their ray ends, and come last where there are too
many. Without photographs the field's own renderings stand in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fast_inerf_ros.config import option
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.field import Field, render_world
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.similarity import Similarity
from fast_inerf_ros.inerf.features.feature import Extractor, Features
from fast_inerf_ros.inerf.landmark_tracks import (
    Floats,
    Integers,
    Sightings,
    epipolar,
    matched,
    neighbours,
    triangulate,
)
from fast_inerf_ros.inerf.landmarks import Landmarks

Picture = Callable[[int], npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class BuildOptions:
    """How landmarks are made."""

    n_features: int = option(2000, doc="Features of each photograph, at most.", minimum=16)
    n_neighbours: int = option(
        8, doc="Photographs that each one is matched with.", minimum=1, maximum=64
    )
    max_error_px: float = option(
        1.5, doc="Largest reprojection error of a triangulated landmark.", unit="px", minimum=0.1
    )
    min_angle_deg: float = option(
        1.0, doc="Least angle between the rays of a triangulated one.", unit="deg", minimum=0.0
    )
    max_descriptors: int = option(
        200_000, doc="Descriptors that are kept; 128 bytes each.", minimum=100, maximum=400_000
    )
    min_opacity: float = option(
        0.8, doc="Opacity of the field from which its depth is believed.", minimum=0.0, maximum=1.0
    )


def build_landmarks(
    picture: Picture,
    cameras: Sequence[Camera],
    T_world_camera: SE3,
    field: Field,
    field_id: str,
    extractor: Extractor,
    options: BuildOptions | None = None,
) -> Landmarks:
    """Landmarks of n photographs.

    picture: gives photograph i, (H, W, 3) uint8 RGB. cameras: n. T_world_camera: batch (n,).

    Raises:
        InputError: the photographs have no features that the field or others confirm.
    """
    options = BuildOptions() if options is None else options
    found = [extractor.extract(picture(i), options.n_features) for i in range(len(cameras))]
    rays = _rays(found, cameras, T_world_camera)
    on_field = _on_field(rays, field, options.min_opacity)
    links = _links(found, rays, neighbours(rays, on_field, len(found), options.n_neighbours))
    tracks = triangulate(
        rays, links, max_error_px=options.max_error_px, min_angle_deg=options.min_angle_deg
    )
    points, owner = _completed(tracks.points, tracks.owner, on_field)
    if not (owner >= 0).any():
        raise InputError(
            "expected photographs with features that others or the field confirm, got none; "
            "landmarks need texture: leave 'landmarks' out of the scene"
        )
    descriptors = np.concatenate([features.descriptors for features in found])
    chosen = _chosen(points, owner, rays, descriptors, field, options)
    return Landmarks(
        **chosen,
        viewpoints=_in_field(T_world_camera, field),
        extractor=extractor.name,
        field_id=field_id,
    )


def _in_field(T_world_camera: SE3, field: Field) -> Floats:
    """Poses (n, 4, 4) in the coordinates of the field."""
    similarity = Similarity(field.frame.T_world_field, field.frame.metres_per_unit)
    return np.asarray(similarity.pose_to_source(T_world_camera).matrix(), dtype=np.float64)


def _rays(found: Sequence[Features], cameras: Sequence[Camera], poses: SE3) -> Sightings:
    images, origins, directions, sizes = [], [], [], []
    for number, (features, camera) in enumerate(zip(found, cameras, strict=True)):
        pose = poses[number]
        bearings = np.asarray(camera.bearings(features.pixels))
        directions.append(bearings @ np.asarray(pose.rotation.matrix).T)
        origins.append(np.broadcast_to(np.asarray(pose.translation), bearings.shape))
        images.append(np.full(len(features), number, dtype=np.int64))
        sizes.append(np.full(len(features), 1.0 / np.sqrt(camera.fx * camera.fy)))
    direction = np.nan_to_num(np.concatenate(directions))
    return Sightings(
        np.concatenate(images), np.concatenate(origins), direction, np.concatenate(sizes)
    )


def _on_field(rays: Sightings, field: Field, min_opacity: float) -> Floats:
    """Where the field says each ray ends (m, 3), NaN where it ends nowhere."""
    pieces = []
    for start in range(0, len(rays), 1 << 16):
        chosen = slice(start, start + (1 << 16))
        seen = render_world(
            field,
            torch.from_numpy(rays.origin[chosen].astype(np.float32)).to(field.device),
            torch.from_numpy(rays.direction[chosen].astype(np.float32)).to(field.device),
        )
        depth = seen.median_depth.cpu().numpy().astype(np.float64)
        depth[seen.opacity.cpu().numpy() < min_opacity] = np.nan
        pieces.append(rays.origin[chosen] + depth[:, None] * rays.direction[chosen])
    return np.concatenate(pieces) if pieces else np.zeros((0, 3))


def _links(
    found: Sequence[Features], rays: Sightings, pairs: Sequence[tuple[int, int]]
) -> Integers:
    """Pairs (k, 2) of sightings that match and that the poses allow."""
    starts = np.concatenate([[0], np.cumsum([len(features) for features in found])])
    links = [np.zeros((0, 2), dtype=np.int64)]
    for first, second in pairs:
        indices = matched(found[first], found[second]) + starts[[first, second]]
        links.append(indices[epipolar(rays, indices)])
    return np.concatenate(links)


def _completed(points: Floats, owner: Integers, on_field: Floats) -> tuple[Floats, Integers]:
    """Tracks, and then a landmark of its own for each sighting that only the field places."""
    alone = np.flatnonzero((owner < 0) & np.isfinite(on_field).all(axis=-1))
    owner = owner.copy()
    owner[alone] = len(points) + np.arange(len(alone))
    return np.concatenate([points, on_field[alone]]), owner


def _chosen(
    points: Floats,
    owner: Integers,
    rays: Sightings,
    descriptors: npt.NDArray[np.uint8],
    field: Field,
    options: BuildOptions,
) -> dict[str, npt.NDArray[Any]]:
    """The landmarks that most photographs share, as many as descriptors fit."""
    n_seen = np.bincount(owner[owner >= 0], minlength=len(points))
    rank = np.argsort(-n_seen, kind="stable")
    kept = rank[np.cumsum(n_seen[rank]) <= options.max_descriptors]
    number_of = np.full(len(points) + 1, -1)
    number_of[kept] = np.arange(len(kept))
    owner = number_of[owner]  # the last entry is that of -1, no landmark
    rows = np.flatnonzero(owner >= 0)
    towards = rays.origin[rows] - points[kept][owner[rows]]
    towards /= np.maximum(np.linalg.norm(towards, axis=-1, keepdims=True), 1e-12)
    views = np.zeros((len(kept), 3))
    np.add.at(views, owner[rows], towards)
    views /= np.maximum(np.linalg.norm(views, axis=-1, keepdims=True), 1e-12)
    matrix = field.frame.matrix()
    in_field = (points[kept] - matrix[:3, 3]) @ matrix[:3, :3] / field.frame.metres_per_unit
    return {
        "points": in_field.astype(np.float32),
        "views": (views @ matrix[:3, :3]).astype(np.float32),
        "n_seen": n_seen[kept].astype(np.int32),
        "descriptors": descriptors[rows],
        "owner": owner[rows].astype(np.int32),
    }
