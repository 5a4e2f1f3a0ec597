"""Objects of the scene that no longer stand where it says, found by consistency.

The field shows the scene as it was. Where the pose explains the image, but not the pixels whose
rendered surface lies in the box of an object, that object has moved or is hidden; it is left out
of the pose and reported. So is one that PoseCNN sees elsewhere, and nowhere near its place, if its
pixels do not say clearly that it is there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.estimator.estimate import ObjectEstimate
from fast_inerf_ros.estimator.verification import Comparison
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.held_out import correlation
from fast_inerf_ros.io.scene import SceneObject
from fast_inerf_ros.posecnn.detection import Detection

Mask = npt.NDArray[np.bool_]

GROWN = 1.1
"""Boxes reach a little further than their objects, for the field's surfaces are soft."""

FEWEST_PIXELS = 24
"""Of the small rendering, from which an object can be judged."""

UNLIKE = 0.35
"""Correlation of an object's pixels below which it is not there any more."""

LIKE = 0.8
"""Correlation of an object's pixels from which it is there, whatever else looks like it."""

SEEN_CLEARLY = 0.6
"""Score of a detection from which it says that an object is elsewhere."""

SIGMAS = 3.0
"""How far off, in standard deviations, a detection of an object at its place may be."""


def object_estimates(
    comparison: Comparison,
    T_world_camera: SE3,
    objects: Sequence[SceneObject],
    detections: Sequence[Detection],
) -> tuple[tuple[ObjectEstimate, ...], Mask]:
    """Objects that are in view, and the pixels (h, w) of those that have moved."""
    found, gone = [], np.zeros(comparison.met.shape, dtype=bool)
    numbers: dict[str, int] = {}
    for item in objects:
        instance = numbers[item.label] = numbers.get(item.label, -1) + 1
        shown = pixels_of(comparison, item)
        if int(shown.sum()) < FEWEST_PIXELS:
            continue
        alike = correlation(comparison.image[shown], comparison.rendered[shown])
        absent = alike < LIKE and _is_elsewhere(item, T_world_camera, objects, detections)
        moved = alike < UNLIKE or absent
        gone |= shown & moved
        pose = _seen_pose(item, T_world_camera, detections)
        score = float(np.clip(alike, 0.0, 1.0))
        found.append(ObjectEstimate(item.label, instance, pose, moved, score))
    return tuple(found), gone


def _is_elsewhere(
    item: SceneObject,
    T_world_camera: SE3,
    objects: Sequence[SceneObject],
    detections: Sequence[Detection],
) -> bool:
    """Whether the class of an object is seen clearly, but not at its place or at another's."""
    seen = [d for d in detections if d.label == item.label and d.score >= SEEN_CLEARLY]
    alike = [other for other in objects if other.label == item.label]
    T_camera_world = T_world_camera.inverse()
    if any(_is_at(d, T_camera_world, item) for d in seen):
        return False
    return any(not any(_is_at(d, T_camera_world, other) for other in alike) for d in seen)


def _is_at(detection: Detection, T_camera_world: SE3, item: SceneObject) -> bool:
    """Whether a detection may be of an object at its place: within half of its size.

    Along the line of sight there is also the doubt about the depth.
    """
    there = np.asarray((T_camera_world @ item.T_world_object).translation)
    found = np.asarray(detection.T_camera_object.translation)
    along = found / max(float(np.linalg.norm(found)), 1e-9)
    offset = found - there
    far = float(offset @ along)
    aside = float(np.linalg.norm(offset - far * along))
    margin = 0.5 * max(item.extent)
    deviation = detection.log_depth_deviation * max(detection.depth, 1e-9)
    return aside <= margin and abs(far) <= margin + SIGMAS * deviation


def pixels_of(comparison: Comparison, item: SceneObject) -> Mask:
    """Pixels (h, w) whose rendered surface lies in the box of an object."""
    local = item.T_world_object.inverse() @ comparison.points
    with np.errstate(invalid="ignore"):
        offset = np.abs(local - np.array(item.box_centre))
        inside = (offset <= 0.5 * GROWN * np.array(item.extent)).all(axis=-1)
    return np.asarray(inside & comparison.met)


def _seen_pose(item: SceneObject, T_world_camera: SE3, detections: Sequence[Detection]) -> SE3:
    """Where the object is seen, the nearest of its class; where it should be if it is not."""
    expected = np.asarray(item.T_world_object.translation)
    poses = [T_world_camera @ d.T_camera_object for d in detections if d.label == item.label]
    if not poses:
        return item.T_world_object
    distances = [float(np.linalg.norm(np.asarray(p.translation) - expected)) for p in poses]
    return poses[int(np.argmin(distances))]
