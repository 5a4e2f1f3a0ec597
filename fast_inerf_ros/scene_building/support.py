"""How high the surface is that an object stands on, so that it is not taken for the object."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.io.scene import SceneObject
from fast_inerf_ros.scene_building.object_boxes import box_segments, corners
from fast_inerf_ros.scene_building.placed_field import PlacedField

Floats = npt.NDArray[np.float64]

SIDE = 24
REACH = 1.6
"""How far around the box is looked, as a multiple of its size."""

SHARE_OF_HEIGHT = 0.25
"""The surface is looked for this far around the foot of the box, and no more is cut off."""

LEAST_SHARE = 0.15
"""Share of the places around a box that must show a surface, or else it stands on nothing."""

CLEARANCE = 0.01
"""Share of the box's height that is cut off above the surface, which is never infinitely thin."""

DEVIATIONS = 3.0
MAD_TO_DEVIATION = 1.4826


def support_height(placed: PlacedField, item: SceneObject) -> float | None:
    """Height in the world up to which the surface around an object's foot may reach.

    Rays go straight down around the box, from the height of its top. None where there is no
    surface near the foot. World z must point up.
    """
    points = np.asarray(item.T_world_object @ corners(item))
    bottom, top = float(points[:, 2].min()), float(points[:, 2].max())
    window = max(SHARE_OF_HEIGHT * (top - bottom), 2 * placed.softness)
    origins = _places_around(points, top)
    down = np.tile([0.0, 0.0, -1.0], (len(origins), 1))
    near, far = box_segments(item, origins, down)
    origins = origins[far <= near]
    reach = np.full(len(origins), top - bottom + window)
    depth = placed.surfaces(origins, down[: len(origins)], np.zeros_like(reach), reach)
    height = top - depth.astype(np.float64)
    height = height[np.abs(height - bottom) < window]
    if len(height) < LEAST_SHARE * len(origins):
        return None
    middle = float(np.median(height))
    spread = MAD_TO_DEVIATION * float(np.median(np.abs(height - middle)))
    # What else stands around widens the spread, but no surface is softer than the field.
    rough = min(DEVIATIONS * spread, max(placed.softness, CLEARANCE * (top - bottom)))
    raised = middle + rough + CLEARANCE * (top - bottom)
    return min(raised, bottom + SHARE_OF_HEIGHT * (top - bottom))


def _places_around(points: Floats, height: float) -> Floats:
    """Points (n, 3) on a grid at a height, around and over the middle of a box's corners."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    middle, half = (low + high) / 2, (high - low) / 2 * REACH
    steps = np.linspace(-1.0, 1.0, SIDE)
    x, y = np.meshgrid(middle[0] + half[0] * steps, middle[1] + half[1] * steps)
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, height)], axis=-1)
