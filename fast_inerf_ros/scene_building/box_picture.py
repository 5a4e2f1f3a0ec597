"""A scene from above and from the side, with a grid of coordinates and its objects' boxes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.io.scene import SceneObject
from fast_inerf_ros.scene_building.object_boxes import corners
from fast_inerf_ros.scene_building.point_cloud import PointCloud

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

SIDE = 760
MARGIN = 46
PAPER = 250
GRID = (205, 205, 205)
INK = (40, 40, 40)
BOX = (220, 30, 30)
N_LINES = 10
NAMES = "xyz"


def scene_picture(cloud: PointCloud, objects: Sequence[SceneObject]) -> Pixels:
    """RGB picture: from above (x, y) and from the sides (x, z) and (y, z), grids in metres."""
    low, high = np.percentile(cloud.points, (0.5, 99.5), axis=0)
    middle, half = (low + high) / 2, float((high - low).max()) / 2 * 1.05
    panels = [_panel(cloud, objects, axes, middle, half) for axes in ((0, 1), (0, 2), (1, 2))]
    return np.concatenate(panels, axis=1)


def _panel(
    cloud: PointCloud,
    objects: Sequence[SceneObject],
    axes: tuple[int, int],
    middle: Floats,
    half: float,
) -> Pixels:
    picture: Pixels = np.full((SIDE, SIDE, 3), PAPER, np.uint8)
    chosen = list(axes)
    low = middle[chosen] - half
    scale = (SIDE - 2 * MARGIN) / (2 * half)

    def pixels(points: Floats) -> npt.NDArray[np.int64]:
        across = MARGIN + (points[..., chosen] - low) * scale
        across[..., 1] = SIDE - across[..., 1]
        return np.asarray(np.round(across), dtype=np.int64)

    _draw_points(picture, cloud, pixels, 3 - sum(axes))
    _draw_grid(picture, low, half, scale, axes)
    for item in objects:
        outline = cv2.convexHull(
            pixels(np.asarray(item.T_world_object @ corners(item))).astype(np.int32)
        )
        cv2.polylines(picture, [outline], True, BOX, 2, cv2.LINE_AA)
        place = tuple(int(value) for value in outline.reshape(-1, 2).min(axis=0) - [0, 5])
        cv2.putText(picture, item.label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, BOX, 1, cv2.LINE_AA)
    return picture


def _draw_points(picture: Pixels, cloud: PointCloud, pixels: object, along: int) -> None:
    """Points in the order in which the viewer sees them, the nearest last."""
    assert callable(pixels)
    # Seen from above z grows towards the viewer, from the front y grows away from him.
    nearness = cloud.points[:, along] * (-1.0 if along == 1 else 1.0)
    order = np.argsort(nearness, kind="stable")
    places = pixels(cloud.points[order])
    inside = ((places >= MARGIN) & (places < SIDE - MARGIN)).all(axis=-1)
    columns, rows = places[inside].T
    colours = np.round(cloud.colors[order][inside] * 255).astype(np.uint8)
    for down in (0, 1):
        for right in (0, 1):
            picture[rows + down, columns + right] = colours


def _draw_grid(
    picture: Pixels, low: Floats, half: float, scale: float, axes: tuple[int, int]
) -> None:
    step = _round_step(2 * half / N_LINES)
    digits = max(0, -int(np.floor(np.log10(step))))
    for axis in (0, 1):
        first = np.ceil(low[axis] / step)
        for number in np.arange(first, np.floor((low[axis] + 2 * half) / step) + 1):
            place = round(MARGIN + (number * step - low[axis]) * scale)
            text = f"{number * step:.{digits}f}"
            if axis == 0:
                start, end, label = (
                    (place, MARGIN),
                    (place, SIDE - MARGIN),
                    (place - 14, SIDE - 24),
                )
            else:
                place = SIDE - place
                start, end = (MARGIN, place), (SIDE - MARGIN, place)
                label = (4, place + 4)
            cv2.line(picture, start, end, GRID, 1)
            cv2.putText(picture, text, label, cv2.FONT_HERSHEY_SIMPLEX, 0.4, INK, 1, cv2.LINE_AA)
    title = f"{NAMES[axes[0]]} to the right, {NAMES[axes[1]]} up"
    cv2.putText(picture, title, (MARGIN, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.55, INK, 1, cv2.LINE_AA)


def _round_step(step: float) -> float:
    """1, 2 or 5 times a power of ten, not less than a step."""
    power = 10.0 ** np.floor(np.log10(step))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step))
