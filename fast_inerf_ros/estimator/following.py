"""Following a camera from image to image: few renderings, many alignments.

A keyframe serves many images: each is aligned with it from where motion says that it is. Points of
the keyframe that no alignment looks at say whether the pose holds. Depth is rendered from the
field, anew only where the view has changed too much. Colours are those of an image whose pose is
known, where there is one: two photographs agree better than a photograph and a field, and what is
wrong with the field's colours moves nothing. Errors add up from keyframe to keyframe, until
landmarks are asked again. Otherwise the colours are rendered, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.config import option, section
from fast_inerf_ros.estimator.verification import (
    AGREEING,
    Evidence,
    block_agreement,
    evidence_of_pictures,
    weaker,
)
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.alignment import Alignment, AlignmentOptions, align
from fast_inerf_ros.inerf.brightness import Brightness, BrightnessModel
from fast_inerf_ros.inerf.held_out import correlation
from fast_inerf_ros.inerf.keyframe import GrowingKeyframe, Keyframe
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.pyramid import ImageLevel
from fast_inerf_ros.inerf.robust import LossOptions

Floats = npt.NDArray[np.float64]

WANTED = 0.5
"""Wear of a keyframe from which the next one is rendered."""

HASTE = 1.5
"""How much sooner than the present keyframe is worn the next one is to be complete."""


@dataclass(frozen=True)
class FollowOptions:
    """How images of a stream are followed."""

    enabled: bool = option(True, doc="Follow; otherwise every image is estimated in full.")
    sides: tuple[int, ...] = option(
        (128, 64, 32),
        doc="Levels, fine to coarse: sides of squares with as many pixels.",
        unit="px",
        minimum=8,
    )
    max_points: int = option(2000, doc="Points aligned at each level, at most.", minimum=50)
    n_checked: int = option(800, doc="Other points, which say whether a pose holds.", minimum=50)
    rays_per_image: int = option(
        2000,
        doc="Rays of the next keyframe that are rendered with each image, once one is wanted.",
        minimum=64,
    )
    wanted_share: float = option(
        0.06,
        doc="Mean motion of pixels since the keyframe, in image widths, from which the next one "
        "is wanted.",
        minimum=0.0,
    )
    worn_share: float = option(
        0.3,
        doc="Mean motion of pixels since the keyframe, in image widths, from which an image waits "
        "for the next one.",
        minimum=0.0,
    )
    wanted_angle_deg: float = option(
        2.0,
        doc="Change of the direction in which the scene is seen from which the next is wanted.",
        unit="deg",
        minimum=0.0,
    )
    loss: LossOptions = section(LossOptions, kind="huber", threshold=1.5)
    alignment: AlignmentOptions = section(AlignmentOptions, max_steps=8, minimum_visible=0.35)


@dataclass(frozen=True, eq=False)
class Followed:
    """An image that was aligned. information: JᵀWJ (6, 6) of body twists over scale²."""

    T_world_camera: SE3
    evidence: Evidence
    information: Floats


@dataclass(frozen=True, eq=False)
class _Key:
    """A keyframe in use: points (n, 3) in its camera, their colours, and where they were seen.

    evidence: for its own pose, None where it was rendered and has no pose to prove.
    """

    camera: Camera
    frame: Keyframe
    points: Floats
    colors: npt.NDArray[np.float32]
    evidence: Evidence | None


@dataclass(frozen=True, eq=False)
class _Next:
    """A keyframe in the making, and the evidence for its pose as of ``_Key``.

    judged: the field is to say what there is for its pose, once it has been rendered.
    """

    keyframe: GrowingKeyframe
    evidence: Evidence | None
    judged: bool = False


class Follower:
    """Keeps the keyframe of a stream. One caller at a time."""

    def __init__(self, options: FollowOptions, generator: np.random.Generator) -> None:
        self.options, self._generator = options, generator
        self._key: _Key | None = None
        self._next: _Next | None = None
        self._brightness: Brightness | None = None

    def forget(self) -> None:
        """Leave the keyframe."""
        self._key = self._next = self._brightness = None

    def follow(self, problem: Problem, *, anew: bool = False) -> Followed | str:
        """Align an image from the problem's start, a prediction; or why that cannot be done.

        anew: with a keyframe that is rendered at the prediction, independent of all before.
        """
        levels = stream_pyramid(problem, self.options.sides)
        change = float("inf") if anew else self._change(problem)
        fresh = change > 1.0
        key = self._rendered(problem, levels) if fresh else self._grown(problem)
        if key is None:
            return "the field does not cover the predicted view"
        found = self._aligned(key, levels, problem.start)
        if isinstance(found, str) and not fresh:
            # Another keyframe may see what this one does not.
            key = self._rendered(problem, levels)
            found = "the field does not cover the predicted view"
            if key is not None:
                found = self._aligned(key, levels, problem.start)
        elif not isinstance(found, str) and change >= WANTED:
            self._want_next(levels, found.T_world_camera, found.evidence)
        return found

    def examine(self, problem: Problem) -> Evidence:
        """What an image says of its pose, the problem's start, where that is known already."""
        change = self._change(problem)
        key = None if change > 1.0 else self._grown(problem, (change - WANTED) / (1.0 - WANTED))
        if key is None:
            return self.adopt(problem)
        level = stream_pyramid(problem, self.options.sides[:1])[0]
        evidence = _evidence(key, level, problem.start.inverse() @ key.frame.T_world_key)
        # Nothing is aligned with it: a keyframe that is merely not of the best need not go yet.
        if change > WANTED and self._next is None:
            levels = stream_pyramid(problem, self.options.sides)
            self._want_next(levels, problem.start, evidence)
        return evidence

    def _want_next(self, levels: Sequence[ImageLevel], pose: SE3, evidence: Evidence) -> None:
        """Begin the next keyframe with an image, if none is on its way."""
        if self._next is None and evidence.agreeing >= AGREEING:
            self._next = _Next(GrowingKeyframe(pose, levels, own_colors=True), evidence)

    def adopt(self, problem: Problem) -> Evidence:
        """Take an image whose pose, the problem's start, is known for a keyframe.

        Returns what the field says of that pose, beside landmarks.
        """
        levels = stream_pyramid(problem, self.options.sides)
        growing = GrowingKeyframe(problem.start, levels, own_colors=True)
        growing.grow(problem)
        evidence = _judged(growing)
        self._taken(problem, _Next(growing, evidence))
        return evidence

    def renew(self, problem: Problem) -> None:
        """As ``adopt``, but rendered bit by bit while the next images are looked at."""
        levels = stream_pyramid(problem, self.options.sides)
        growing = GrowingKeyframe(problem.start, levels, own_colors=True)
        self._next = _Next(growing, None, judged=True)

    def _change(self, problem: Problem) -> float:
        """How worn the keyframe is: beyond 1 it is of no use, from ``WANTED`` on of little."""
        key = self._key
        if key is None or key.camera != problem.camera:
            return float("inf")
        options, depth = self.options, key.frame.median_depth
        T_key_camera = key.frame.T_world_key.inverse() @ problem.start
        some = key.points[:: max(1, len(key.points) // 100)]
        before = np.asarray(problem.camera.project(some))
        after = np.asarray(problem.camera.project(T_key_camera.inverse() @ some))
        moved = np.linalg.norm(after - before, axis=-1)
        seen = np.isfinite(moved)
        if seen.mean() < 0.7:
            return float("inf")
        share = float(moved[seen].mean()) / problem.camera.width
        angle = np.degrees(np.arctan2(np.linalg.norm(T_key_camera.translation), depth))
        wanted = share > options.wanted_share or angle > options.wanted_angle_deg
        return max(share / options.worn_share, WANTED if wanted else 0.0)

    def _grown(self, problem: Problem, share: float = 0.0) -> _Key | None:
        """The keyframe in use, while the next one is rendered bit by bit.

        share: of the next one that ought to be done by now.
        """
        if self._next is not None:
            growing = self._next.keyframe
            behind = round(min(1.0, HASTE * share) * growing.n_rays) - growing.n_done
            growing.grow(problem, max(self.options.rays_per_image, behind))
            if growing.complete:
                return self._taken(problem, self._next)
        return self._key

    def _rendered(self, problem: Problem, levels: Sequence[ImageLevel]) -> _Key | None:
        """A keyframe from here, at once."""
        growing = GrowingKeyframe(problem.start, levels)
        growing.grow(problem)
        return self._taken(problem, _Next(growing, None))

    def _taken(self, problem: Problem, made: _Next) -> _Key | None:
        options = self.options
        self._next = self._brightness = None
        frame = made.keyframe.finished(options.max_points + options.n_checked, self._generator)
        if not np.isfinite(frame.median_depth):
            self._key = None
            return None
        finest = frame.levels[0]
        order = self._generator.permutation(len(finest))
        checked, aligned = np.split(order, [min(options.n_checked, len(order) // 3)])
        kept = [finest[np.sort(aligned)]]
        for level in frame.levels[1:]:
            chosen = self._generator.permutation(len(level))[: options.max_points]
            kept.append(level[np.sort(chosen)])
        frame = Keyframe(frame.T_world_key, tuple(kept), frame.coverage, frame.median_depth)
        points, colors = finest.points[checked], finest.colors[checked]
        evidence = _judged(made.keyframe) if made.judged else made.evidence
        self._key = _Key(problem.camera, frame, points, colors, evidence)
        return self._key

    def _aligned(self, key: _Key, levels: Sequence[ImageLevel], predicted: SE3) -> Followed | str:
        model = BrightnessModel("affine")
        T_image_key = predicted.inverse() @ key.frame.T_world_key
        brightness, last = self._brightness, None
        failure = "there are no levels"
        for rendered, image in zip(reversed(key.frame.levels), reversed(levels), strict=True):
            found = align(
                rendered,
                image,
                T_image_key,
                brightness,
                model,
                model,
                self.options.loss,
                self.options.alignment,
            )
            if found.failure is not None:
                failure = found.failure
                continue
            T_image_key, brightness, last = found.T_image_key, found.brightness, found
        if last is None:
            return failure
        self._brightness = brightness
        return self._checked(key, levels[0], last)

    def _checked(self, key: _Key, image: ImageLevel, found: Alignment) -> Followed:
        """Evidence at points that were not aligned."""
        # T_image_key @ exp(x) is the camera's body twist -Ad(T_image_key) x.
        back = np.asarray(found.T_image_key.inverse().adjoint())
        information = back.T @ found.information @ back
        pose = key.frame.T_world_key @ found.T_image_key.inverse()
        return Followed(pose, _evidence(key, image, found.T_image_key), information)


def _judged(made: GrowingKeyframe) -> Evidence:
    """What the field says of the pose of an image that has become a keyframe."""
    met = made.met()
    coverage = float(met.sum()) / max(made.n_rays, 1)
    return evidence_of_pictures(made.image, made.picture(), met, coverage)


def _evidence(key: _Key, image: ImageLevel, T_image_key: SE3) -> Evidence:
    """What an image says of its pose, and the keyframe's image of the keyframe's own."""
    pixels = np.asarray(image.camera.project(T_image_key @ key.points))
    colors, visible = image.sample(pixels)
    colors, shown = colors[visible], key.colors[visible]
    whole = correlation(colors, shown) if len(shown) >= 32 else 0.0
    agreeing, worst = block_agreement(colors, shown, pixels[visible], image.camera)
    evidence = Evidence(whole, agreeing, worst, key.frame.coverage, 0, 0.0)
    return evidence if key.evidence is None else weaker(evidence, key.evidence)


def stream_pyramid(problem: Problem, sides: Sequence[int]) -> list[ImageLevel]:
    """Levels of an 8-bit image, fine to coarse, all of it usable; quick."""
    camera, levels = problem.camera, list[ImageLevel]()
    image: npt.NDArray[Any] = problem.image
    for side in sides:
        factor = min(1.0, side / np.sqrt(camera.width * camera.height))
        width, height = (max(4, round(size * factor)) for size in (camera.width, camera.height))
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
        channels = np.ones((height, width, 4), dtype=np.float32)
        channels[..., :3] = image.astype(np.float32) / np.float32(255)
        levels.append(ImageLevel(camera.resize(width, height), channels))
    return levels
