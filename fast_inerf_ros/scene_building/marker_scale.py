"""The scale of photographs from printed markers of a known size that they show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.inerf.landmark_tracks import Sightings, triangulate
from fast_inerf_ros.scene_building.markers import find_markers

Floats = npt.NDArray[np.float64]

MAX_ERROR_PX = 3.0
MIN_ANGLE_DEG = 3.0
MOST_UNEQUAL = 0.1
"""Edges of one marker differ by less than this share of their mean, or it is none."""


@dataclass(frozen=True)
class MarkerScale:
    """metres_per_unit: of the data set. n_markers: that were used. n_photographs: with markers.

    spread: greatest difference of a marker's size from the median, as a share of it.
    """

    metres_per_unit: float
    n_markers: int
    n_photographs: int
    spread: float


def scale_of_markers(posed: PosedImages, edge_m: float) -> MarkerScale:
    """Find the sheet's markers in the training photographs and compare them with their edge.

    edge_m: length of a marker's edge in metres, as measured on the print.

    Raises:
        InputError: no marker whose corners photographs from different places agree on.
    """
    seen = {
        int(index): find_markers(posed.image(int(index))[..., :3])
        for index in tqdm(posed.splits.train, "markers", unit="image", disable=None)
    }
    corners = marker_corners(posed, seen)
    sizes = np.array([size for size in map(_size, corners.values()) if size is not None])
    n_photographs = sum(bool(found) for found in seen.values())
    if not sizes.size:
        raise InputError(
            "aruco: expected markers of the sheet (--aruco-sheet) seen from different places, got "
            f"{len({number for found in seen.values() for number in found})} in {n_photographs} "
            "of the photographs and none that fits: photograph the whole sheet from nearby"
        )
    middle = float(np.median(sizes))
    spread = float(np.abs(sizes / middle - 1.0).max())
    return MarkerScale(edge_m / middle, len(sizes), n_photographs, spread)


def marker_corners(posed: PosedImages, seen: dict[int, dict[int, Floats]]) -> dict[int, Floats]:
    """Corners (4, 3) in the world of the data set, by number of the marker.

    seen: by photograph, then by marker: pixels (4, 2). Markers that are not seen from two places
    at least 3° apart are left out.
    """
    keys = [(m, corner) for found in seen.values() for m in found for corner in range(4)]
    if not keys:
        return {}
    rays = _rays(posed, seen)
    found = triangulate(rays, _links(keys), max_error_px=MAX_ERROR_PX, min_angle_deg=MIN_ANGLE_DEG)
    places: dict[tuple[int, int], Floats] = {}
    for key, owner in zip(keys, found.owner, strict=True):
        if owner >= 0:
            places[key] = found.points[owner]
    whole = {marker for marker, _ in keys if all((marker, c) in places for c in range(4))}
    return {m: np.stack([places[m, c] for c in range(4)]) for m in sorted(whole)}


def _links(keys: list[tuple[int, int]]) -> npt.NDArray[np.int64]:
    """Pairs (k, 2) of consecutive sightings of the same corner."""
    last: dict[tuple[int, int], int] = {}
    links = []
    for place, key in enumerate(keys):
        if key in last:
            links.append((last[key], place))
        last[key] = place
    return np.array(links, dtype=np.int64).reshape(-1, 2)


def _rays(posed: PosedImages, seen: dict[int, dict[int, Floats]]) -> Sightings:
    images, origins, directions, sizes = [], [], [], []
    for index, found in seen.items():
        camera, pose = posed.cameras[index], posed.T_world_camera[index]
        for pixels in found.values():
            bearings = np.nan_to_num(np.asarray(camera.bearings(pixels)))
            directions.append(bearings @ np.asarray(pose.rotation.matrix).T)
            origins.append(np.broadcast_to(np.asarray(pose.translation), (4, 3)))
            images.append(np.full(4, index, dtype=np.int64))
            sizes.append(np.full(4, 1.0 / np.sqrt(camera.fx * camera.fy)))
    return Sightings(*(np.concatenate(part) for part in (images, origins, directions, sizes)))


def _size(corners: Floats) -> float | None:
    """Mean edge of a marker (4, 3), None where its sides or diagonals are not a square's."""
    edges = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=-1)
    diagonals = np.linalg.norm(corners[:2] - corners[2:], axis=-1) / np.sqrt(2.0)
    lengths = np.concatenate([edges, diagonals])
    mean = float(edges.mean())
    return mean if mean > 0 and np.abs(lengths / mean - 1.0).max() < MOST_UNEQUAL else None
