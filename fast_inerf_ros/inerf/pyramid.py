"""The image at several resolutions, each with its camera and with what may be used of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.inerf.problem import Problem, pixel_bearings

Floats = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

OUTSIDE = np.float32(-4.0)
"""Pixel coordinate that samples nothing."""

WHOLLY_USABLE = np.float32(0.999)


@dataclass(frozen=True, eq=False)
class ImageLevel:
    """The image at one resolution.

    camera: of this resolution, with the lens of the original: the image is never warped.
    channels: (h, w, 4), red, green, blue and the share of usable pixels.
    """

    camera: Camera
    channels: Floats

    @property
    def bearings(self) -> Float64s:
        """Unit vectors (h, w, 3) of the pixels, NaN where the lens sees nothing."""
        return pixel_bearings(self.camera)

    @cached_property
    def usable_share(self) -> float:
        """Share of the pixels that may be used."""
        return float(np.mean(self.channels[..., 3] > WHOLLY_USABLE))

    def sample(self, pixels: Float64s) -> tuple[Floats, Mask]:
        """Colours (N, 3) between pixels (N, 2), bilinear, and which of them (N,) count.

        What lies outside of the image or touches a pixel that is not usable does not.
        """
        with np.errstate(invalid="ignore"):
            places = np.clip(np.where(np.isfinite(pixels), pixels, OUTSIDE), -4.0, 1e6)
        u = np.ascontiguousarray(places[None, :, 0], dtype=np.float32)
        v = np.ascontiguousarray(places[None, :, 1], dtype=np.float32)
        found = np.asarray(_remapped(self.channels, u, v))
        return found[:, :3], np.asarray(found[:, 3] > WHOLLY_USABLE)


def build_pyramid(problem: Problem, free: Mask, sides: Sequence[int]) -> list[ImageLevel]:
    """Levels from fine to coarse; ``sides``: of a square with as many pixels, descending.

    free: (H, W), the pixels that may be used. No level is larger than the image.
    """
    channels = np.concatenate([problem.colors, free[..., None].astype(np.float32)], axis=-1)
    camera = problem.camera
    levels: list[ImageLevel] = []
    for side in sides:
        factor = min(1.0, side / np.sqrt(camera.width * camera.height))
        width, height = (max(4, round(size * factor)) for size in (camera.width, camera.height))
        if levels and width >= levels[-1].camera.width:
            continue
        channels = np.asarray(cv2.resize(channels, (width, height), interpolation=cv2.INTER_AREA))
        levels.append(ImageLevel(camera.resize(width, height), channels))
    return levels


def _remapped(channels: Floats, u: Floats, v: Floats) -> Floats:
    """Bilinear samples (N, 4); in rows of 8192, as remap takes no more than 32767."""
    pieces = [
        cv2.remap(
            channels,
            u[:, start : start + 8192],
            v[:, start : start + 8192],
            interpolation=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=0,
        )[0]
        for start in range(0, u.shape[1], 8192)
    ]
    if not pieces:
        return np.zeros((0, 4), dtype=np.float32)
    return np.asarray(pieces[0] if len(pieces) == 1 else np.concatenate(pieces))
