"""Keyframes: the field rendered once, as points with colours that the image can be aligned to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.photometric import SEEN, pixel_flow, render
from fast_inerf_ros.inerf.pixels import draw
from fast_inerf_ros.inerf.problem import Problem, image_slopes
from fast_inerf_ros.inerf.pyramid import ImageLevel

Floats = npt.NDArray[np.float32]

EDGE = 1.1
"""Ratio of depths of neighbours from which one occludes the other."""


@dataclass(frozen=True, eq=False)
class KeyframeLevel:
    """A keyframe at one resolution, as the N points that are aligned.

    points: (N, 3) in the frame of its camera. colors: (N, 3) as rendered. flow: (N, 2, 6),
    motion of their pixels by the twist x, points moved by SE3.exp(x). slope: (N, 3, 6), change
    of the colour that is seen where they were. pixels: (N, 2), where they were. confidence: (N,).
    """

    points: npt.NDArray[np.float64]
    colors: Floats
    flow: Floats
    slope: Floats
    pixels: npt.NDArray[np.float64]
    confidence: Floats

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, chosen: npt.NDArray[np.int64]) -> KeyframeLevel:
        return KeyframeLevel(
            self.points[chosen],
            self.colors[chosen],
            self.flow[chosen],
            self.slope[chosen],
            self.pixels[chosen],
            self.confidence[chosen],
        )


@dataclass(frozen=True, eq=False)
class Keyframe:
    """The field as seen from a pose: levels from fine to coarse.

    coverage: share of the rays that met the scene. median_depth: metres, NaN where none did.
    """

    T_world_key: SE3
    levels: tuple[KeyframeLevel, ...]
    coverage: float
    median_depth: float


def render_keyframe(
    problem: Problem,
    T_world_key: SE3,
    levels: Sequence[ImageLevel],
    max_points: int,
    generator: np.random.Generator,
) -> Keyframe:
    """Render at the resolution of the first level, through the lens of the camera."""
    growing = GrowingKeyframe(T_world_key, levels)
    growing.grow(problem)
    return growing.finished(max_points, generator)


class GrowingKeyframe:
    """A keyframe whose rays are rendered a few at a time, so that no image of a stream waits.

    own_colors: it has the colours of the image of the levels, taken from there, and only the depth
    of the field. Otherwise the levels say no more than which rays there are.
    """

    def __init__(
        self, T_world_key: SE3, levels: Sequence[ImageLevel], *, own_colors: bool = False
    ) -> None:
        self.T_world_key, self._levels, self.own_colors = T_world_key, levels, own_colors
        bearings = levels[0].bearings
        self._valid = np.isfinite(bearings).all(axis=-1)
        self._bearings = bearings[self._valid]
        self._color = np.zeros((self.n_rays, 3), dtype=np.float32)
        self._depth = np.full(self.n_rays, np.inf, dtype=np.float32)
        self._opacity = np.zeros(self.n_rays, dtype=np.float32)
        self.n_done = 0

    @property
    def n_rays(self) -> int:
        """Rays in all."""
        return len(self._bearings)

    @property
    def complete(self) -> bool:
        """Whether all rays are rendered."""
        return self.n_done >= self.n_rays

    @property
    def image(self) -> Floats:
        """Colours (h, w, 3) of the image of the levels, at the finest."""
        return self._levels[0].channels[..., :3]

    def grow(self, problem: Problem, n_rays: int | None = None) -> None:
        """Render the next rays; all of them where no number is given."""
        n_rays = self.n_rays if n_rays is None else n_rays
        chosen = slice(self.n_done, self.n_done + n_rays)
        view = render(problem, self.T_world_key, self._bearings[chosen])
        self._color[chosen], self._opacity[chosen] = view.color, view.opacity
        self._depth[chosen] = np.where(np.isfinite(view.depth), view.depth, np.inf)
        self.n_done += n_rays

    def picture(self) -> Floats:
        """Colours (h, w, 3) of the field so far, black where the lens sees nothing."""
        color = np.zeros((*self._valid.shape, 3), dtype=np.float32)
        color[self._valid] = self._color
        return color

    def met(self) -> npt.NDArray[np.bool_]:
        """Where (h, w) the field shows something, of what was rendered so far."""
        shown = np.zeros(self._valid.shape, dtype=bool)
        shown[self._valid] = self._opacity >= SEEN
        return shown

    def finished(self, max_points: int, generator: np.random.Generator) -> Keyframe:
        """The keyframe, with up to ``max_points`` points at each level."""
        shape = self._valid.shape
        depth = np.full(shape, np.inf, dtype=np.float32)
        opacity = np.zeros(shape, dtype=np.float32)
        depth[self._valid], opacity[self._valid] = self._depth, self._opacity
        color = self._levels[0].channels[..., :3] if self.own_colors else self.picture()
        view = (color, depth, opacity)
        return _keyframe(self.T_world_key, self._levels, view, max_points, generator)


def _keyframe(
    T_world_key: SE3,
    levels: Sequence[ImageLevel],
    view: tuple[Floats, Floats, Floats],
    max_points: int,
    generator: np.random.Generator,
) -> Keyframe:
    """Points of all levels from colour, depth and opacity at the finest."""
    color, depth, opacity = view
    seen = np.isfinite(depth)
    made = []
    for level in levels:
        size = (level.camera.width, level.camera.height)
        color = _resized(color, size, cv2.INTER_AREA)
        opacity = _resized(opacity, size, cv2.INTER_AREA)
        depth = _foreground(depth, size)
        made.append(_level(level, color, depth, opacity, max_points, generator))
    return Keyframe(
        T_world_key,
        tuple(made),
        coverage=float(np.mean(opacity >= SEEN)),
        median_depth=float(np.median(depth[np.isfinite(depth)])) if seen.any() else float("nan"),
    )


def _foreground(depth: Floats, size: tuple[int, int]) -> Floats:
    """Depth at a coarser size; what stands before an edge also gets its pixels beyond it.

    A silhouette moves with what is in front, and so does the colour just outside of it.
    """
    kernel = np.ones((3, 3), dtype=np.uint8)
    nearest, farthest = cv2.erode(depth, kernel), cv2.dilate(depth, kernel)
    edge = ~(farthest * np.float32(1 / EDGE) <= nearest)
    grown = np.where(edge, nearest, depth)
    if size == (depth.shape[1], depth.shape[0]):
        return grown
    smooth = _resized(np.where(np.isfinite(grown), grown, 0), size, cv2.INTER_AREA)
    broken = _resized(edge.astype(np.float32), size, cv2.INTER_AREA) > 0
    return np.where(broken, _resized(grown, size, cv2.INTER_NEAREST), smooth)


def _level(
    level: ImageLevel,
    color: Floats,
    depth: Floats,
    opacity: Floats,
    max_points: int,
    generator: np.random.Generator,
) -> KeyframeLevel:
    slopes = image_slopes(color)
    usable = np.isfinite(depth) & (depth > 0) & np.isfinite(level.bearings).all(axis=-1)
    magnitude = np.sqrt((slopes**2).sum(axis=(-2, -1)))
    weight = np.where(usable, magnitude + 0.1 * magnitude.mean() + 1e-9, 0)
    chosen = draw(weight.astype(np.float32), max_points, generator)
    u, v = chosen[:, 0], chosen[:, 1]
    points = level.bearings[v, u] * depth[v, u, None].astype(np.float64)
    flow = pixel_flow(level.camera, points)
    return KeyframeLevel(
        points=points,
        colors=color[v, u],
        flow=flow,
        slope=np.matmul(slopes[v, u], flow),
        pixels=chosen.astype(np.float64),
        confidence=np.where(opacity[v, u] >= SEEN, np.float32(1), np.float32(0.5)),
    )


def _resized(image: Floats, size: tuple[int, int], interpolation: int) -> Floats:
    if size == (image.shape[1], image.shape[0]):
        return image
    return np.asarray(cv2.resize(image, size, interpolation=interpolation))
