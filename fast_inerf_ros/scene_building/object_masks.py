"""What a camera sees of each object of a scene, as the radiance field knows it.

A pixel belongs to an object where at least half of its light is absorbed within the object's
box, and what lies before the box absorbs less than half. The first alone is the silhouette with
its hidden parts. Boxes are grown by the softness of the field, or else its soft surfaces would
be cut in halves. Nothing hangs on a single depth, which mixes near and far at soft edges.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.pose_set_writer import (
    EMPTY,
    Box,
    InstanceTruth,
    bounding_box,
    placed_mask,
)
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.io.scene import SceneObject
from fast_inerf_ros.scene_building.object_boxes import box_segments, corners, grown
from fast_inerf_ros.scene_building.placed_field import PlacedField
from fast_inerf_ros.scene_building.support import support_height

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

HALF = 0.5


class ObjectLabeller:
    """Labels images of a scene. World z must point up.

    Raises:
        InputError: no objects.
    """

    def __init__(self, placed: PlacedField, objects: Sequence[SceneObject]) -> None:
        if not objects:
            raise InputError("objects: expected objects in the scene file, got none: add boxes")
        self.placed = placed
        self.objects = tuple(objects)
        self._floors = [support_height(placed, item) for item in self.objects]
        self._boxes = [grown(item, placed.softness) for item in self.objects]

    def labels(
        self, camera: Camera, T_world_camera: SE3
    ) -> tuple[tuple[SceneObject, InstanceTruth], ...]:
        """The objects of which a camera without lens distortion can see something, in order.

        Silhouettes are counted on a canvas that reaches half an image beyond each border, as in
        BOP. Left out are objects whose origin is behind the camera.
        """
        found = []
        for item, box, floor in zip(self.objects, self._boxes, self._floors, strict=True):
            T_camera_object = T_world_camera.inverse() @ item.T_world_object
            if T_camera_object.translation[2] <= 0:
                continue
            truth = self._truth(box, floor, camera, T_world_camera)
            if truth.n_all:
                found.append((item, truth))
        return tuple(found)

    def _truth(
        self, item: SceneObject, floor: float | None, camera: Camera, T_world_camera: SE3
    ) -> InstanceTruth:
        T_camera_object = T_world_camera.inverse() @ item.T_world_object
        left, top, right, bottom = _rectangle(camera, np.asarray(T_camera_object @ corners(item)))
        shape = (camera.height, camera.width)
        if right <= left or bottom <= top:
            nothing = np.zeros(shape, dtype=bool)
            return InstanceTruth(T_camera_object, nothing, nothing, 0, EMPTY, EMPTY)
        grid = np.stack(np.meshgrid(np.arange(left, right), np.arange(top, bottom)), axis=-1)
        bearings = np.asarray(camera.bearings(grid.astype(np.float64)))
        silhouette, before = self._seen(item, floor, bearings, T_world_camera)
        mask = placed_mask(silhouette, left, top, shape)
        visible = placed_mask(silhouette & ~before, left, top, shape)
        box = bounding_box(silhouette)
        if box != EMPTY:
            box = (box[0] + left, box[1] + top, box[2], box[3])
        n_all = int(silhouette.sum())
        return InstanceTruth(T_camera_object, mask, visible, n_all, box, bounding_box(visible))

    def _seen(
        self, item: SceneObject, floor: float | None, bearings: Floats, T_world_camera: SE3
    ) -> tuple[Mask, Mask]:
        """Which bearings (..., 3) meet the object, and before which something else stands."""
        directions = np.asarray(T_world_camera.rotation @ bearings).reshape(-1, 3)
        origin = np.asarray(T_world_camera.translation, dtype=np.float64)
        near, far = box_segments(item, origin, directions, floor)
        silhouette, before = np.zeros((2, len(directions)), dtype=bool)
        rays = np.flatnonzero(far > near)
        own = self.placed.opacity(origin, directions[rays], near[rays], far[rays])
        rays = rays[own >= HALF]
        silhouette[rays] = True
        front = self.placed.opacity(origin, directions[rays], np.zeros(len(rays)), near[rays])
        before[rays] = front >= HALF
        shape = bearings.shape[:-1]
        return silhouette.reshape(shape), before.reshape(shape)


def _rectangle(camera: Camera, points_camera: Floats) -> Box:
    """Pixels x0, y0, x1, y1 (end excluded) of the canvas that a box's corners (8, 3) span."""
    across, down = camera.width // 2, camera.height // 2
    low = np.array([-across, -down])
    high = np.array([camera.width + across, camera.height + down])
    pixels = np.asarray(camera.project(points_camera))
    if not np.isfinite(pixels).all():
        return tuple(int(value) for value in (*low, *high))  # type: ignore[return-value]
    first = np.clip(np.floor(pixels.min(axis=0)), low, high)
    last = np.clip(np.ceil(pixels.max(axis=0)) + 1, low, high)
    return tuple(int(value) for value in (*first, *last))  # type: ignore[return-value]
