"""Paths of a virtual camera for videos: circle, spiral, or the test photographs' own poses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fast_inerf_ros.datasets.bounds import focus_point
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.se3 import SE3, SO3

Floats = NDArray[np.float64]

SPIRAL_TURNS = 2
SPIRAL_RISE = 0.5
SPIRAL_RADIUS_PERCENTILE = 90
SPIRAL_NEARER, SPIRAL_FARTHER = 0.9, 5.0
SPIRAL_FAR_WEIGHT = 0.75


def camera_path(posed: PosedImages, kind: str, n_frames: int) -> SE3:
    """Poses T_field_camera (n,) of a path: "circle", "spiral", "test" or "auto".

    auto is a spiral for scenes that face forward, else a circle. Raises InputError for the test
    path of a data set without test photographs.
    """
    if kind == "auto":
        kind = "spiral" if posed.ndc else "circle"
    if kind == "circle":
        return circle(posed.T_field_camera, n_frames)
    if kind == "spiral":
        return spiral(posed.T_field_camera, posed.field_bounds, n_frames)
    if kind != "test":
        raise InputError(f"path: expected auto, circle, spiral or test, got {kind!r}")
    if not len(posed.splits.test):
        raise InputError(
            f"{posed.name}: expected test photographs for the test path, got none; hold some out "
            "(dataset.hold_out) or choose another path"
        )
    return posed.T_field_camera[posed.splits.test]


def circle(T_field_camera: SE3, n_frames: int) -> SE3:
    """Around what the cameras look at, at their mean height and distance, looking at it."""
    origins, up = _origins(T_field_camera), _up(T_field_camera)
    focus = focus_point(T_field_camera)
    if focus is None:  # parallel axes: no middle to go around, so around one straight ahead
        focus = origins.mean(0) + _mean_axis(T_field_camera, 2) * max(np.ptp(origins, axis=0))
    outwards = origins - focus
    height = float((outwards @ up).mean())
    across = outwards - (outwards @ up)[:, None] * up
    radius = float(np.linalg.norm(across, axis=-1).mean())
    first = _unit(across[int(np.argmax(np.linalg.norm(across, axis=-1)))])
    second = np.cross(up, first)
    angles = np.linspace(0.0, 2.0 * np.pi, n_frames, endpoint=False)[:, None]
    around = radius * (np.cos(angles) * first + np.sin(angles) * second)
    return _looking(focus + height * up + around, np.broadcast_to(focus, around.shape), up)


def spiral(T_field_camera: SE3, field_bounds: Floats, n_frames: int) -> SE3:
    """The spiral of nerf-pytorch for LLFF scenes: two turns about the average pose.

    The views meet at the mean disparity of the scene; the radii are those of the cameras.
    """
    origins, up = _origins(T_field_camera), _up(T_field_camera)
    near, far = SPIRAL_NEARER * field_bounds.min(), SPIRAL_FARTHER * field_bounds.max()
    meeting = 1.0 / ((1.0 - SPIRAL_FAR_WEIGHT) / near + SPIRAL_FAR_WEIGHT / far)
    center, ahead = origins.mean(axis=0), _mean_axis(T_field_camera, 2)
    right = _unit(np.cross(ahead, up))
    axes = np.stack([right, np.cross(right, ahead), -ahead])  # right, up, back
    radii = np.percentile(np.abs((origins - center) @ axes.T), SPIRAL_RADIUS_PERCENTILE, axis=0)
    angles = np.linspace(0.0, 2.0 * np.pi * SPIRAL_TURNS, n_frames, endpoint=False)
    offsets = np.stack([np.cos(angles), -np.sin(angles), -np.sin(angles * SPIRAL_RISE)], axis=-1)
    target = center + meeting * ahead
    places = center + (radii * offsets) @ axes
    return _looking(places, np.broadcast_to(target, places.shape), up)


def _looking(origins: Floats, targets: Floats, up: Floats) -> SE3:
    """Poses (n,) at origins that look at targets, upright; OpenCV axes."""
    z = _unit(targets - origins)
    x = _unit(np.cross(z, up))
    return SE3(SO3(np.stack([x, np.cross(z, x), z], axis=-1)), origins)


def _origins(T_field_camera: SE3) -> Floats:
    return np.asarray(T_field_camera.translation, dtype=np.float64)


def _up(T_field_camera: SE3) -> Floats:
    return -_mean_axis(T_field_camera, 1)


def _mean_axis(T_field_camera: SE3, axis: int) -> Floats:
    matrices = np.asarray(T_field_camera.rotation.matrix, dtype=np.float64)
    return _unit(matrices[:, :, axis].mean(axis=0))


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not (lengths > 1e-9).all():
        raise InputError(
            "path of the camera: expected cameras with a common upright direction, got ones "
            "whose axes cancel; choose the test path"
        )
    return np.asarray(vectors / lengths)
