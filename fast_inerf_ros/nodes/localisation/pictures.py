"""The picture for people: what the pose claims, drawn on the image it was found from."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.estimator.estimate import Estimate, TrackingState
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.io.scene import Scene, SceneObject
from fast_inerf_ros.posecnn.detection import Detection

Image = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

GREEN: Colour = (60, 220, 90)
ORANGE: Colour = (255, 170, 40)
RED: Colour = (240, 60, 50)
BLUE: Colour = (80, 160, 255)
AXES: tuple[Colour, ...] = (RED, GREEN, BLUE)
AXIS_M = 0.1
STATE_COLOUR = {
    TrackingState.TRACKING: GREEN,
    TrackingState.INITIALISING: ORANGE,
    TrackingState.LOST: RED,
}
NEAREST_M = 0.02
SEGMENTS = 8
"""Straight pieces of an edge, so that it bends with the lens."""

# Corners of a box by the bits of their number; edges join corners that differ in one bit.
CORNERS = np.array([[(index >> axis) & 1 for axis in range(3)] for index in range(8)]) - 0.5
EDGES = [(a, a | bit) for a in range(8) for bit in (1, 2, 4) if not a & bit]


def overlay(
    image: Image, camera: Camera, scene: Scene, state: TrackingState, estimate: Estimate
) -> Image:
    """Draw the scene's boxes and the world's axes where the pose says that they are seen.

    What was found of objects is tinted; without a pose only the state is written.

    Args:
        image: (H, W, 3) RGB; it is not changed.
        camera: Of the image.
        scene: Its objects.
        state: Of the tracker after this image.
        estimate: The answer to this image.
    """
    drawn = _tinted(image, estimate.detections)
    if estimate.T_world_camera is not None:
        T_camera_world = estimate.T_world_camera.inverse()
        moved = {item.label for item in estimate.objects if item.moved}
        for item in scene.objects:
            colour = RED if item.label in moved else BLUE
            _draw_box(drawn, camera, T_camera_world, item, colour)
        for axis, colour in enumerate(AXES):
            ends = np.zeros((2, 3))
            ends[1, axis] = AXIS_M
            _draw_segments(drawn, camera, (T_camera_world @ ends)[None], colour)
    _write(drawn, _sentence(state, estimate), STATE_COLOUR[state])
    return drawn


def class_mask(image: Image, detections: Sequence[Detection]) -> Image:
    """Return (H, W) with the class number of each pixel, 0 where nothing was found.

    Numbers beyond 255 do not fit and become 255. The best detection lies on top.
    """
    height, width = image.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    for detection in sorted(detections, key=lambda item: item.score):
        mask[detection.full_mask(width, height)] = min(detection.class_id, 255)
    return mask


def _tinted(image: Image, detections: Sequence[Detection]) -> Image:
    drawn = image.copy()
    for detection in detections:
        x, y, width, height = detection.box
        part = drawn[y : y + height, x : x + width]
        tint = np.array(_class_colour(detection.class_id), np.float32)
        part[detection.mask] = (0.6 * part[detection.mask] + 0.4 * tint).astype(np.uint8)
    return drawn


def _class_colour(class_id: int) -> Colour:
    hue = np.uint8((class_id * 47) % 180)
    pixel = np.array([[[hue, 200, 255]]], np.uint8)
    red, green, blue = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0]
    return int(red), int(green), int(blue)


def _draw_box(
    drawn: Image, camera: Camera, T_camera_world: SE3, item: SceneObject, colour: Colour
) -> None:
    corners = CORNERS * np.asarray(item.extent) + np.asarray(item.box_centre)
    seen = T_camera_world @ item.T_world_object @ corners
    _draw_segments(drawn, camera, seen[np.array(EDGES)], colour)


def _draw_segments(
    drawn: Image, camera: Camera, ends: npt.NDArray[np.float64], colour: Colour
) -> None:
    """Draw what is before the camera of segments (n, 2, 3) of its frame."""
    portions = np.linspace(0.0, 1.0, SEGMENTS + 1)[:, None]
    points = ends[:, :1] * (1.0 - portions) + ends[:, 1:] * portions
    pixels = np.asarray(camera.project(points))
    with np.errstate(invalid="ignore"):
        shown = (points[..., 2] > NEAREST_M) & (np.abs(pixels) < 1e4).all(axis=-1)
    paths = [
        np.rint(path[use] * 16).astype(np.int32).reshape(-1, 1, 2)
        for path, use in zip(pixels, shown, strict=True)
        if np.count_nonzero(use) > 1
    ]
    cv2.polylines(drawn, paths, False, colour, 2, cv2.LINE_AA, shift=4)


def _sentence(state: TrackingState, estimate: Estimate) -> str:
    text = f"{state.value.upper()}  score {estimate.score:.2f}"
    if state is TrackingState.TRACKING:
        return f"{text}  {estimate.seconds * 1e3:.0f} ms"
    return f"{text}  {estimate.reason}"


def _write(drawn: Image, text: str, colour: Colour) -> None:
    scale = max(0.35, drawn.shape[1] / 1280)
    line = round(36 * scale)
    drawn[:line] //= 3
    position = (line // 3, round(line * 0.72))
    cv2.putText(drawn, text, position, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
