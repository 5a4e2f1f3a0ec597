"""Where else to start from, when an alignment from the given start has come to nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.inerf.held_out import correlation
from fast_inerf_ros.inerf.photometric import render
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.pyramid import WHOLLY_USABLE, ImageLevel


def turned_about(T_world_camera: SE3, distance: float, angles: Sequence[float]) -> list[SE3]:
    """Poses that look at the same point from around it, and rolled: 10 for each angle (radians).

    The camera is turned about the point at ``distance`` metres on its optical axis.
    """
    pivot = np.array([0.0, 0.0, distance])
    axes = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 0, 0), (0, -1, 0), (0, 0, -1)]
    diagonal = [(1, 1, 0), (-1, -1, 0), (1, -1, 0), (-1, 1, 0)]
    poses = []
    for angle in angles:
        for axis in np.array(axes + diagonal, dtype=np.float64):
            turn = SO3.exp(axis / np.linalg.norm(axis) * angle)
            poses.append(T_world_camera @ SE3(turn, pivot - turn @ pivot))
    return poses


def most_alike(problem: Problem, poses: Sequence[SE3], level: ImageLevel, count: int) -> list[SE3]:
    """The ``count`` poses whose rendering at one level looks most like the image there."""
    bearings = level.bearings
    usable = np.isfinite(bearings).all(axis=-1) & (level.channels[..., 3] >= WHOLLY_USABLE)
    if not usable.any():
        return list(poses[:count])
    image = level.channels[usable][:, :3]
    scores = [correlation(image, render(problem, pose, bearings[usable]).color) for pose in poses]
    return [poses[index] for index in np.argsort(scores)[::-1][:count]]
