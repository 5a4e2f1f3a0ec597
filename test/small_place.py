"""A small place to localise in, with exact truth: textured boxes in a room, and its landmarks."""

from __future__ import annotations

import functools

import numpy as np
from analytic_field import AnalyticField, camera_at, photograph, small_camera

from fast_inerf_ros.config import replace
from fast_inerf_ros.estimator.config import EstimatorConfig
from fast_inerf_ros.estimator.observation import Observation
from fast_inerf_ros.estimator.pose_estimator import PoseEstimator
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.features.registry import make_extractor
from fast_inerf_ros.inerf.landmark_building import build_landmarks
from fast_inerf_ros.inerf.landmarks import LandmarkMap, Landmarks, MatchOptions
from fast_inerf_ros.io.scene import Scene

PLACE = AnalyticField(frequency=60.0)
CAMERA = small_camera(160, 120)
VIEW = camera_at((1.2, -0.9, 1.0))
SECOND = 1_000_000_000


def picture(T_world_camera: SE3, place=PLACE, camera=CAMERA) -> np.ndarray:
    """What the camera sees (H, W, 3), uint8."""
    return (photograph(place, camera, T_world_camera) * 255).round().astype(np.uint8)


def viewpoints() -> list[SE3]:
    """Where the photographs were taken."""
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    return [
        camera_at((1.3 * np.cos(angle), 1.3 * np.sin(angle), height))
        for angle in angles
        for height in (0.7, 1.1)
    ]


@functools.cache
def photographs() -> list[np.ndarray]:
    return [picture(pose) for pose in viewpoints()]


@functools.cache
def landmarks() -> Landmarks:
    return build_landmarks(
        lambda index: photographs()[index],
        [CAMERA] * len(photographs()),
        SE3.stack(viewpoints()),
        PLACE,
        "this place",
        make_extractor(),
    )


@functools.cache
def landmark_map() -> LandmarkMap:
    return LandmarkMap(landmarks(), PLACE.frame, MatchOptions())


def estimator(
    config: EstimatorConfig | None = None, with_landmarks: bool = True, scene: Scene | None = None
) -> PoseEstimator:
    """An estimator; without a search of views, which takes seconds here, unless asked for."""
    found = landmark_map() if with_landmarks else None
    quick = replace(EstimatorConfig(), "views.enabled", False)
    return PoseEstimator(scene or Scene("map"), PLACE, config or quick, found)


def observation(image: np.ndarray, stamp_ns: int = 0, camera=CAMERA) -> Observation:
    return Observation(image, camera, stamp_ns, "camera")
