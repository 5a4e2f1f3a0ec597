"""Tracks: the same place seen in several photographs of known poses, and where it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fast_inerf_ros.inerf.features.feature import Features

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

RATIO = 0.85
"""Distance of the nearest over that of the second nearest descriptor (Lowe, 2004)."""

MOST_EPIPOLAR = 3e-3
"""Radians between a ray and the plane through the other ray and both cameras."""

N_ROUNDS = 6


@dataclass(frozen=True, eq=False)
class Sightings:
    """All features of all photographs as rays in the world.

    image: (m,) which photograph. origin: (m, 3), direction: (m, 3) unit. radian_per_px: (m,).
    """

    image: Integers
    origin: Floats
    direction: Floats
    radian_per_px: Floats

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True, eq=False)
class Triangulated:
    """Points (k, 3) of tracks. owner: (m,) track of each sighting, -1 for none."""

    points: Floats
    owner: Integers


def neighbours(
    rays: Sightings, points: Floats, n_images: int, count: int
) -> list[tuple[int, int]]:
    """Pairs of photographs that show the same things, from not quite the same place.

    points: (m, 3), about where each sighting is, NaN where unknown. The worth of a pair falls
    with the angle between the views beyond 25 degrees and below 3.
    """
    middles, centres = np.full((n_images, 3), np.nan), np.zeros((n_images, 3))
    for number in range(n_images):
        own = rays.image == number
        known = own & np.isfinite(points).all(axis=-1)
        if own.any():
            centres[number] = rays.origin[own][0]
        if known.any():
            middles[number] = np.median(points[known], axis=0)
    pairs: set[tuple[int, int]] = set()
    for number in range(n_images):
        if not np.isfinite(middles[number]).all():
            continue
        to_own, to_others = centres[number] - middles[number], centres - middles[number]
        lengths = np.linalg.norm(to_others, axis=-1) * np.linalg.norm(to_own)
        angle = np.degrees(
            np.arccos(np.clip(to_others @ to_own / np.maximum(lengths, 1e-9), -1, 1))
        )
        apart = np.linalg.norm(middles - middles[number], axis=-1) / np.linalg.norm(to_own)
        cost = np.maximum(angle / 25.0, 3.0 / np.maximum(angle, 0.3)) + 2.0 * apart
        cost[number] = np.inf
        cost[~np.isfinite(cost)] = np.inf
        for other in np.argsort(cost)[:count]:
            if np.isfinite(cost[other]):
                pairs.add((min(number, int(other)), max(number, int(other))))
    return sorted(pairs)


def matched(first: Features, second: Features) -> Integers:
    """Indices (k, 2) of features that are each other's nearest, by far."""
    if min(len(first), len(second)) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    a, b = (f.descriptors.astype(np.float32) for f in (first, second))
    squared = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2.0 * (a @ b.T)
    rows = np.arange(len(a))
    nearest = squared.argmin(axis=1)
    best = squared[rows, nearest]
    mutual = squared.argmin(axis=0)[nearest] == rows
    squared[rows, nearest] = np.inf
    clear = np.maximum(best, 0) < RATIO**2 * squared.min(axis=1)
    kept = mutual & clear
    return np.stack([rows[kept], nearest[kept]], axis=-1).astype(np.int64)


def epipolar(rays: Sightings, links: Integers) -> npt.NDArray[np.bool_]:
    """Which pairs of sightings (k, 2) can be of one point, by the poses of the cameras."""
    first, second = links[:, 0], links[:, 1]
    base = rays.origin[second] - rays.origin[first]
    normal = np.cross(base, rays.direction[first])
    lengths = np.linalg.norm(normal, axis=-1)
    off = np.abs((normal * rays.direction[second]).sum(-1)) / np.maximum(lengths, 1e-12)
    return np.asarray((off < MOST_EPIPOLAR) & (lengths > 1e-9))


def triangulate(
    rays: Sightings, links: Integers, *, max_error_px: float, min_angle_deg: float
) -> Triangulated:
    """Points of connected sightings, by reweighted intersection of their rays.

    A track needs two sightings in different photographs that agree within ``max_error_px`` and
    see the point from directions at least ``min_angle_deg`` apart.
    """
    m = len(rays)
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(m, m))
    _, label = connected_components(graph, directed=False)
    n_tracks = int(label.max(initial=-1)) + 1
    weight = (np.bincount(label, minlength=n_tracks)[label] > 1).astype(np.float64)
    points = np.zeros((n_tracks, 3))
    error = np.full(m, np.inf)
    for number in range(N_ROUNDS):
        points = _intersection(rays, label, weight, n_tracks)
        error = _error_px(rays, points[label])
        bend = max_error_px * (4.0 if number < 3 else 1.0)
        usable = weight > 0 if number < N_ROUNDS - 1 else np.zeros(m, dtype=bool)
        weight = np.where(usable, 1.0 / (1.0 + (error / bend) ** 2) ** 2 + 1e-9, weight)
    agreeing = (error < max_error_px) & (weight > 0)
    seen = np.bincount(label[agreeing], minlength=n_tracks)
    good = (seen >= 2) & (_spread_deg(rays, points, label, agreeing) >= min_angle_deg)
    number_of = np.where(good, np.cumsum(good) - 1, -1)
    owner = np.where(agreeing, number_of[label], -1)
    return Triangulated(points[good], owner)


def _intersection(rays: Sightings, label: Integers, weight: Floats, n_tracks: int) -> Floats:
    """Points nearest to the weighted rays of each track: sum w (I - d dᵀ)(p - o) = 0."""
    across = np.eye(3) - rays.direction[:, :, None] * rays.direction[:, None, :]
    across *= weight[:, None, None]
    pulled = (across @ rays.origin[..., None])[..., 0]
    matrix, vector = np.zeros((n_tracks, 9)), np.zeros((n_tracks, 3))
    for column in range(9):
        matrix[:, column] = np.bincount(label, across.reshape(-1, 9)[:, column], n_tracks)
    for column in range(3):
        vector[:, column] = np.bincount(label, pulled[:, column], n_tracks)
    damped = matrix.reshape(-1, 3, 3) + 1e-12 * np.eye(3)
    return np.asarray(np.linalg.solve(damped, vector[..., None])[..., 0])


def _error_px(rays: Sightings, points: Floats) -> Floats:
    """Angle between rays and points in pixels; infinite behind the camera."""
    towards = points - rays.origin
    along = (towards * rays.direction).sum(-1)
    beside = np.linalg.norm(np.cross(towards, rays.direction), axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.arctan2(beside, along) / rays.radian_per_px
    return np.where(along > 0, error, np.inf)


def _spread_deg(
    rays: Sightings, points: Floats, label: Integers, agreeing: npt.NDArray[np.bool_]
) -> Floats:
    """About the greatest angle between the directions of each point's sightings, degrees."""
    chosen = np.flatnonzero(agreeing)
    towards = rays.origin[chosen] - points[label[chosen]]
    towards /= np.maximum(np.linalg.norm(towards, axis=-1, keepdims=True), 1e-12)
    first = np.zeros((len(points), 3))
    first[label[chosen][::-1]] = towards[::-1]
    angle = np.degrees(np.arccos(np.clip((towards * first[label[chosen]]).sum(-1), -1, 1)))
    widest = np.zeros(len(points))
    np.maximum.at(widest, label[chosen], angle)
    return widest
