"""Does a pose explain the image? Evidence that is gathered after the fact, and its score.

The field is rendered anew at the final pose and compared with the image as a whole and block by
block; landmarks that were matched beforehand say how many of them agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.held_out import correlation
from fast_inerf_ros.inerf.landmarks import Matches
from fast_inerf_ros.inerf.photometric import SEEN, render
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.pyramid import WHOLLY_USABLE, build_pyramid

Floats = npt.NDArray[np.float32]

SIDE = 96
"""Side of a square with as many pixels as the rendering."""

BLOCK = 12
"""Side of the blocks, in pixels of the rendering."""

AGREEING = 0.5
"""Correlation from which a block agrees."""

TEXTURED = 0.02
"""Standard deviation of colours from which a block can agree or disagree."""


@dataclass(frozen=True)
class Evidence:
    """What speaks for a pose.

    correlation: of the whole image with its rendering. agreeing: share of the textured blocks
    that agree. worst: correlation that three quarters of the blocks exceed. coverage: share of
    the rays that meet the scene. landmarks: how many agree with the pose. landmark_share: of
    those that were matched; both 0 where there is no map.
    """

    correlation: float
    agreeing: float
    worst: float
    coverage: float
    landmarks: int
    landmark_share: float


def weaker(first: Evidence, second: Evidence) -> Evidence:
    """What the pictures say of two poses that depend on each other; landmarks of the first."""
    return replace(
        first,
        correlation=min(first.correlation, second.correlation),
        agreeing=min(first.agreeing, second.agreeing),
        worst=min(first.worst, second.worst),
        coverage=min(first.coverage, second.coverage),
    )


@dataclass(frozen=True, eq=False)
class Comparison:
    """The image and the field at a pose, small. image, rendered: (h, w, 3).

    usable: (h, w), what may be compared; met: of that, where the field shows something.
    points: (h, w, 3), the surface that each pixel shows, in the world, NaN where there is none.
    """

    image: Floats
    rendered: Floats
    usable: npt.NDArray[np.bool_]
    met: npt.NDArray[np.bool_]
    points: npt.NDArray[np.float64]


def compare(problem: Problem, T_world_camera: SE3) -> Comparison:
    """Render the field at a pose, beside the image."""
    level = build_pyramid(problem, problem.usable, (SIDE,))[0]
    usable = np.isfinite(level.bearings).all(axis=-1) & (level.channels[..., 3] >= WHOLLY_USABLE)
    view = render(problem, T_world_camera, level.bearings[usable])
    rendered = np.zeros_like(level.channels[..., :3])
    rendered[usable] = view.color
    met = np.zeros(usable.shape, dtype=bool)
    met[usable] = view.opacity >= SEEN
    points = np.full((*usable.shape, 3), np.nan)
    points[usable] = T_world_camera @ (level.bearings[usable] * view.depth[:, None])
    return Comparison(level.channels[..., :3], rendered, usable, met, points)


def gather(
    problem: Problem,
    comparison: Comparison,
    T_world_camera: SE3,
    matches: Matches | None,
    max_error_px: float,
) -> Evidence:
    """Evidence for a pose, from a comparison at it and from matched landmarks."""
    told = comparison.met if problem.background is None else comparison.usable
    covered = float(comparison.met.sum()) / max(int(comparison.usable.sum()), 1)
    seen = evidence_of_pictures(comparison.image, comparison.rendered, told, covered)
    n_agreeing, share = agreement(matches, problem.camera, T_world_camera, max_error_px)
    return replace(seen, landmarks=n_agreeing, landmark_share=share)


def evidence_of_pictures(
    image: Floats, rendered: Floats, told: npt.NDArray[np.bool_], coverage: float
) -> Evidence:
    """What two pictures (h, w, 3) say where ``told`` (h, w); nothing of landmarks."""
    whole = correlation(image[told], rendered[told]) if told.sum() >= 32 else 0.0
    blocks = block_correlations(image, rendered, told)
    return Evidence(
        correlation=whole,
        agreeing=float(np.mean(blocks >= AGREEING)) if len(blocks) else 0.0,
        worst=float(np.quantile(blocks, 0.25)) if len(blocks) else 0.0,
        coverage=coverage,
        landmarks=0,
        landmark_share=0.0,
    )


def block_correlations(image: Floats, rendered: Floats, usable: npt.NDArray[np.bool_]) -> Floats:
    """Correlations (n,) of brightness in the blocks (h, w, 3) that show something."""
    counted = usable.astype(np.float32)
    a, b = (_brightness(values) * counted for values in (image, rendered))
    count = np.maximum(_sums(counted), 1e-6)
    mean_a, mean_b = _sums(a) / count, _sums(b) / count
    variance_a = np.maximum(_sums(a * a) / count - mean_a**2, 0)
    variance_b = np.maximum(_sums(b * b) / count - mean_b**2, 0)
    covariance = _sums(a * b) / count - mean_a * mean_b
    # A block without texture in the rendering says nothing; one without it in the image alone
    # disagrees.
    telling = (count >= 0.5 * BLOCK**2) & (variance_b >= TEXTURED**2)
    alike = covariance / np.sqrt(np.maximum(variance_a * variance_b, 1e-12))
    return np.asarray(alike[telling])


def block_agreement(
    image: Floats, rendered: Floats, pixels: npt.NDArray[np.float64], camera: Camera
) -> tuple[float, float]:
    """The same for scattered points (n, 3) at pixels (n, 2): agreeing share, and the worst.

    Blocks are an eighth of the image wide.
    """
    side = camera.width / 8
    place = np.clip(pixels // side, 0, 63).astype(np.int64)
    _, cell = np.unique(place[:, 0] * 64 + place[:, 1], return_inverse=True)
    n_cells = int(cell.max(initial=-1)) + 1
    count = np.maximum(np.bincount(cell, minlength=n_cells), 1)
    a, b = (_brightness(values).astype(np.float64) for values in (image, rendered))
    a, b = (values - (np.bincount(cell, values, n_cells) / count)[cell] for values in (a, b))
    products = [np.bincount(cell, values, n_cells) for values in (a * b, a * a, b * b)]
    telling = (count >= 10) & (products[2] / count >= TEXTURED**2)
    if not telling.any():
        return 0.0, 0.0
    alike = products[0] / np.sqrt(np.maximum(products[1] * products[2], 1e-12))
    alike = alike[telling]
    return float(np.mean(alike >= AGREEING)), float(np.quantile(alike, 0.25))


def agreement(
    matches: Matches | None, camera: Camera, T_world_camera: SE3, max_error_px: float
) -> tuple[int, float]:
    """Number and share of the matched landmarks that a pose puts where they are seen."""
    if matches is None or len(matches) == 0:
        return 0, 0.0
    pixels = np.asarray(camera.project(T_world_camera.inverse() @ matches.points))
    with np.errstate(invalid="ignore"):
        agreeing = np.linalg.norm(pixels - matches.pixels, axis=-1) <= max_error_px
    return int(agreeing.sum()), float(agreeing.mean())


def _brightness(colors: Floats) -> Floats:
    return np.asarray(colors.mean(axis=-1), dtype=np.float32)


def _sums(values: Floats) -> Floats:
    """Sums over blocks, half a block apart."""
    sums = cv2.boxFilter(
        values, cv2.CV_32F, (BLOCK, BLOCK), anchor=(0, 0), normalize=False,
        borderType=cv2.BORDER_CONSTANT,
    )  # fmt: skip
    return np.asarray(sums[:: BLOCK // 2, :: BLOCK // 2])
