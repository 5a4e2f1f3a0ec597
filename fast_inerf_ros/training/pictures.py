"""Renders as files: colour and disparity images, videos and GIFs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.io.atomic import atomic_path
from fast_inerf_ros.training.views import Floats

Pixels = NDArray[np.uint8]

BRIGHTEST_PERCENTILE = 99.5
"""Of the disparities that are shown white: a single near floater must not blacken the rest."""


def to_pixels(color: Floats) -> Pixels:
    """Colours (..., 3) in [0, 1] as 8 bits."""
    return np.asarray(np.rint(np.clip(color, 0.0, 1.0) * 255.0), dtype=np.uint8)


def brightest(disparities: Sequence[Floats]) -> float:
    """The disparity that is shown white, for all images of one video."""
    known = [values[values > 0] for values in disparities]
    joined = np.concatenate(known) if known else np.zeros(0)
    return float(np.percentile(joined, BRIGHTEST_PERCENTILE)) if joined.size else 1.0


def disparity_pixels(disparity: Floats, white: float) -> Pixels:
    """Disparity (h, w) as a coloured image (h, w, 3): near is red, far is blue, nothing black."""
    grey = to_pixels(disparity / np.float32(white))
    colored = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    colored[disparity <= 0] = 0
    return np.asarray(colored, dtype=np.uint8)


def write_png(path: Path, image: Pixels) -> None:
    """Write an RGB or grey image atomically."""
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")


def write_video(path: Path, frames: Sequence[Pixels], frame_rate: float) -> None:
    """Write RGB frames (h, w, 3) of one size as MP4, atomically; odd sizes lose a row or column.

    Raises InputError without frames, OSError where OpenCV cannot write videos.
    """
    height, width = _common_size(path, frames)
    even = (width - width % 2, height - height % 2)
    with atomic_path(path) as temporary:
        writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"mp4v"), frame_rate, even)
        if not writer.isOpened():
            raise OSError(f"{path}: OpenCV cannot write MP4 here; install one built with FFmpeg")
        for frame in frames:
            writer.write(cv2.cvtColor(frame[: even[1], : even[0]], cv2.COLOR_RGB2BGR))
        writer.release()
        if temporary.stat().st_size == 0:
            raise OSError(f"{path}: the video could not be written; is the disk full?")


def write_gif(path: Path, frames: Sequence[Pixels], frame_rate: float) -> None:
    """Write RGB frames of one size as an endless GIF, atomically."""
    _common_size(path, frames)
    # Browsers play GIFs with less than 20 ms a frame slowly.
    duration_ms = max(20, round(1000.0 / frame_rate))
    first, *rest = [Image.fromarray(frame).quantize(256) for frame in frames]
    with atomic_path(path) as temporary:
        first.save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=rest,
            duration=duration_ms,
            loop=0,
        )


def _common_size(path: Path, frames: Sequence[Pixels]) -> tuple[int, int]:
    sizes = {frame.shape[:2] for frame in frames}
    if len(sizes) != 1 or min(next(iter(sizes))) < 2:
        raise InputError(
            f"{path}: expected frames of one size of at least 2x2 pixels, got "
            f"{', '.join(f'{w}x{h}' for h, w in sorted(sizes)) or 'none'}; render them alike"
        )
    height, width = next(iter(sizes))
    return height, width
