"""Boxes around what stands on a plane, or hangs on a wall."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fast_inerf_ros.config import option
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.io.scene import SceneObject
from fast_inerf_ros.scene_building.point_cloud import PointCloud
from fast_inerf_ros.scene_building.support_plane import Plane

Floats = npt.NDArray[np.float64]
Cells = npt.NDArray[np.int64]

NEAR = 0.05
"""Share of the cameras' distance within which points tell how rough the plane is."""

DEVIATIONS = 3.0
MAD_TO_DEVIATION = 1.4826


@dataclass(frozen=True)
class ProposalOptions:
    """What is taken for an object. Lengths are shares of the cameras' distance from the scene."""

    tolerance: float = option(0.012, doc="Roughness of the plane.", minimum=1e-4, maximum=0.2)
    cell: float = option(
        0.015, doc="Things that are this near to each other are one.", minimum=1e-4, maximum=0.2
    )
    least_height: float = option(
        0.03, doc="Lower things are part of the plane.", minimum=1e-3, maximum=1.0
    )
    least_width: float = option(0.03, doc="Narrower things are noise.", minimum=1e-3, maximum=1.0)
    least_views: int = option(
        3, doc="Views that must show a place, or else it is a floater.", minimum=1
    )
    most: int = option(12, doc="Boxes at most, the largest first.", minimum=1)


def propose(
    cloud: PointCloud, plane: Plane, up: Floats, distance: float, options: ProposalOptions
) -> tuple[SceneObject, ...]:
    """Boxes that stand on the plane (or reach back to it, if it is a wall), the largest first.

    cloud: points around the scene's middle in a world whose z axis is `up`. plane: its normal
    points to the cameras. distance: typical, of the cameras from the scene.
    """
    heights = plane.heights(cloud.points)
    above = cloud[heights > _roughness(heights, distance, options)]
    axes = _axes(plane, up)
    flat = above.points @ axes[:2].T
    groups = _groups(flat, above.view, options.cell * distance, options.least_views)
    boxes = []
    for number in range(1, int(groups.max(initial=0)) + 1):
        rows = groups == number
        box = _box(above.points[rows], plane, up, axes, distance, options)
        if box is not None:
            boxes.append(box)
    boxes.sort(key=lambda box: -float(np.prod(box[1])))
    return tuple(
        SceneObject(f"object_{k + 1}", k + 1, pose, tuple(extent.tolist()))
        for k, (pose, extent) in enumerate(boxes[: options.most])
    )


def _roughness(heights: Floats, distance: float, options: ProposalOptions) -> float:
    """Height up to which points belong to the plane, whose surface may be noisy or bent."""
    near = np.abs(heights[np.abs(heights) < NEAR * distance])
    spread = MAD_TO_DEVIATION * float(np.median(near)) if len(near) else 0.0
    return max(options.tolerance * distance, DEVIATIONS * spread)


def _axes(plane: Plane, up: Floats) -> Floats:
    """Two axes in the plane and its normal, rows of (3, 3); the second is up along a wall."""
    level = _is_level(plane, up)
    hint = np.array([0.0, 1.0, 0.0]) if level else up
    if abs(hint @ plane.normal) > 0.95:
        hint = np.array([1.0, 0.0, 0.0])
    second = hint - (hint @ plane.normal) * plane.normal
    second /= np.linalg.norm(second)
    return np.stack([np.cross(second, plane.normal), second, plane.normal])


def _is_level(plane: Plane, up: Floats) -> bool:
    return bool(plane.normal @ up > np.cos(np.radians(45.0)))


def _groups(flat: Floats, view: Cells, cell: float, least_views: int) -> Cells:
    """Which connected group of cells each point (n, 2) lies in, from 1; 0 for none."""
    if not len(flat):
        return np.zeros(0, dtype=np.int64)
    places = np.floor((flat - flat.min(axis=0)) / cell).astype(np.int64)
    shape = tuple((places.max(axis=0) + 1).tolist())
    index = np.ravel_multi_index((places[:, 0], places[:, 1]), shape)
    seen = np.unique(np.stack([index, view]), axis=1)[0]
    views = np.bincount(seen, minlength=shape[0] * shape[1]).reshape(shape)
    numbers, _ = ndimage.label(views >= least_views, structure=np.ones((3, 3)))
    return np.asarray(numbers.ravel()[index], dtype=np.int64)


def _box(
    points: Floats,
    plane: Plane,
    up: Floats,
    axes: Floats,
    distance: float,
    options: ProposalOptions,
) -> tuple[SE3, Floats] | None:
    """Pose and extent (3,) of the box around points (n, 3); None where it is too small."""
    local = points @ axes.T
    height = float(np.percentile(local[:, 2], 98.0)) - plane.offset
    if _is_level(plane, up):
        middle, size, angle = cv2.minAreaRect(_trimmed(local[:, :2]).astype(np.float32))
        turn = np.radians(angle)
    else:
        low, high = np.percentile(local[:, :2], (1.0, 99.0), axis=0)
        middle, size, turn = (low + high) / 2, high - low, 0.0
    if height < options.least_height * distance or min(size) < options.least_width * distance:
        return None
    along = np.cos(turn) * axes[0] + np.sin(turn) * axes[1]
    frame = np.stack([along, np.cross(axes[2], along), axes[2]], axis=1)
    centre = np.array([*middle, plane.offset + height / 2]) @ axes
    extent = np.array([*size, height])
    if not _is_level(plane, up):
        # Columns of a wall's box: along it, up, away from it. z must be up.
        frame, extent = frame[:, [2, 0, 1]], extent[[2, 0, 1]]
    return SE3(SO3.nearest(frame), centre), extent


def _trimmed(flat: Floats) -> Floats:
    """Points (n, 2) without the farthest hundredth from their middle."""
    away = np.linalg.norm(flat - np.median(flat, axis=0), axis=-1)
    return np.asarray(flat[away <= np.percentile(away, 99.0)], dtype=np.float64)
