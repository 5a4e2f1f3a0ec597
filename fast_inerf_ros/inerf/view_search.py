"""Where to begin when nothing else is known: views rendered beforehand, and successive halving.

A small image is compared with all views at once. The most alike are aligned with it, ever fewer
of them with ever more work (Karnin, Koren and Somekh, "Almost optimal exploration in multi-armed
bandits", 2013): first by the view's own depth, then by renderings from where that led.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.alignment import AlignmentOptions, align
from fast_inerf_ros.inerf.brightness import BrightnessModel
from fast_inerf_ros.inerf.held_out import correlation
from fast_inerf_ros.inerf.keyframe import GrowingKeyframe, Keyframe
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.pyramid import ImageLevel, build_pyramid
from fast_inerf_ros.inerf.robust import LossOptions

Floats = npt.NDArray[np.float32]

SIDES = (30, 15)
"""Levels of a view: sides of squares with as many pixels."""

POINTS = 500
FEWEST_VISIBLE = 0.3


@dataclass(frozen=True, eq=False)
class _View:
    """A keyframe and its picture, flat, zero-mean and of unit length."""

    frame: Keyframe
    picture: Floats


class ViewSearch:
    """Views from given poses, rendered at the first use with a camera."""

    def __init__(self, T_world_camera: SE3, n_aligned: int, n_kept: int) -> None:
        self.T_world_camera = T_world_camera
        self.n_aligned, self.n_kept = n_aligned, n_kept
        self._camera: Camera | None = None
        self._views: list[_View] = []

    def search(self, problem: Problem, generator: np.random.Generator) -> list[SE3]:
        """Poses from which the field looks like the image, the most alike first."""
        levels = build_pyramid(problem, problem.usable, SIDES)
        if self._camera != problem.camera:
            self._render(problem, levels, generator)
        picture = normalised(levels[0].channels[..., :3])
        scores = np.array([float(view.picture @ picture) for view in self._views])
        best = [self._views[index].frame for index in np.argsort(-scores)[: self.n_aligned]]
        found = _best_aligned(best, levels, max(self.n_kept, self.n_aligned // 4))
        again = [rendered(problem, pose, levels, generator) for pose in found]
        return _best_aligned([key for key in again if key is not None], levels, self.n_kept)

    def _render(
        self, problem: Problem, levels: Sequence[ImageLevel], generator: np.random.Generator
    ) -> None:
        self._views, self._camera = [], problem.camera
        for index in range(self.T_world_camera.batch_shape[0]):
            growing = GrowingKeyframe(self.T_world_camera[index], levels)
            growing.grow(problem, growing.n_rays)
            frame = growing.finished(POINTS, generator)
            if np.isfinite(frame.median_depth):
                self._views.append(_View(frame, normalised(growing.picture())))


def rendered(
    problem: Problem, pose: SE3, levels: Sequence[ImageLevel], generator: np.random.Generator
) -> Keyframe | None:
    """A keyframe from a pose, None where nothing is seen from there."""
    growing = GrowingKeyframe(pose, levels)
    growing.grow(problem, growing.n_rays)
    frame = growing.finished(POINTS, generator)
    return frame if np.isfinite(frame.median_depth) else None


def normalised(picture: Floats) -> Floats:
    """A picture (h, w, 3) as a vector of mean 0 and length 1."""
    flat = picture.reshape(-1) - picture.mean()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-6))


def _best_aligned(
    frames: Sequence[Keyframe], levels: Sequence[ImageLevel], count: int
) -> list[SE3]:
    """Poses after an alignment, those with the highest correlation first."""
    scored = []
    for frame in frames:
        pose, alike = _aligned(frame, levels)
        scored.append((alike, pose))
    scored.sort(key=lambda item: -item[0])
    return [pose for _, pose in scored[:count]]


def _aligned(frame: Keyframe, levels: Sequence[ImageLevel]) -> tuple[SE3, float]:
    """Pose of the image by one keyframe, and the correlation there."""
    fixed = BrightnessModel("none")
    T_image_key, brightness = SE3.identity(), None
    for key, image in zip(reversed(frame.levels), reversed(levels), strict=True):
        found = align(
            key,
            image,
            T_image_key,
            brightness,
            BrightnessModel("affine"),
            fixed,
            LossOptions(),
            AlignmentOptions(max_steps=10, minimum_visible=FEWEST_VISIBLE, minimum_points=30),
        )
        if found.failure is None:
            T_image_key, brightness = found.T_image_key, found.brightness
    finest = frame.levels[0]
    pixels = np.asarray(levels[0].camera.project(T_image_key @ finest.points))
    colors, visible = levels[0].sample(pixels)
    alike = 0.0
    if visible.mean() >= FEWEST_VISIBLE:
        alike = correlation(colors[visible], finest.colors[visible])
    return frame.T_world_key @ T_image_key.inverse(), alike
