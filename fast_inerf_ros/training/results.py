"""Results of a training on the disk: test renders with their likeness, videos along a path."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.training.camera_paths import camera_path
from fast_inerf_ros.training.options import VideoOptions
from fast_inerf_ros.training.pictures import (
    brightest,
    disparity_pixels,
    to_pixels,
    write_gif,
    write_png,
    write_video,
)
from fast_inerf_ros.training.validation import Background, Scores, evaluate
from fast_inerf_ros.training.views import View, render_view

METRICS = "metrics.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoFiles:
    """Where the parts of a video go: ``<stem>_rgb.mp4`` and ``<stem>_disp.mp4``."""

    folder: Path
    stem: str

    def path(self, what: str, suffix: str) -> Path:
        """File of "rgb" or "disp"."""
        return self.folder / f"{self.stem}_{what}{suffix}"


def render_test_set(
    field: Field,
    posed: PosedImages,
    background: Background,
    folder: Path,
    frames: list[NDArray[np.uint8]] | None = None,
) -> Scores:
    """Render the test photographs' views into numbered images; write and return their likeness.

    frames: where given, the views are added to it, and no disparities are written.
    Raises InputError for a data set without test photographs.
    """
    test = posed.splits.test
    if not len(test):
        raise InputError(
            f"{posed.name}: expected test photographs, got none; hold some out "
            "(dataset.hold_out, llffhold)"
        )
    folder.mkdir(parents=True, exist_ok=True)
    number = {int(index): place for place, index in enumerate(test)}

    def write(index: int, view: View) -> None:
        stem = f"{number[index]:03d}"
        write_png(folder / f"{stem}.png", to_pixels(view.color))
        if frames is not None:
            frames.append(to_pixels(view.color))
        else:
            shown = disparity_pixels(view.disparity, brightest([view.disparity]))
            write_png(folder / f"{stem}_disp.png", shown)

    scores = evaluate(field, posed, tqdm(test, "test views", disable=None), background, write)
    scores.write(folder / METRICS)
    likeness = "" if scores.ssim is None else f", SSIM {scores.ssim:.4f}"
    logger.info("%d test views: PSNR %.2f dB%s -> %s", len(test), scores.psnr_db, likeness, folder)
    return scores


@dataclass(frozen=True)
class Frames:
    """The views of a path, small enough to keep them all: 8-bit colours, half-size disparities."""

    colors: list[NDArray[np.uint8]]
    disparities: list[NDArray[np.float16]]


def render_path(field: Field, posed: PosedImages, options: VideoOptions) -> Frames:
    """The views along the path that the options ask for."""
    kind = "auto" if options.path == "none" else options.path
    poses = camera_path(posed, kind, options.n_frames)
    cameras = _path_cameras(posed, kind, poses.batch_shape[0], options.scale)
    frames = Frames([], [])
    for number, camera in enumerate(tqdm(cameras, "views", disable=None)):
        view = render_view(field, camera, poses[number])
        frames.colors.append(to_pixels(view.color))
        frames.disparities.append(view.disparity.astype(np.float16))
    return frames


def write_videos(frames: Frames, files: VideoFiles, options: VideoOptions) -> list[Path]:
    """Write the videos of colour and disparity, as GIFs too where asked for; return the files."""
    disparities = [values.astype(np.float32) for values in frames.disparities]
    white = brightest(disparities)
    shown = [disparity_pixels(values, white) for values in disparities]
    files.folder.mkdir(parents=True, exist_ok=True)
    written = []
    for what, images in (("rgb", frames.colors), ("disp", shown)):
        written.append(files.path(what, ".mp4"))
        write_video(written[-1], images, options.frame_rate)
        if options.gif:
            written.append(files.path(what, ".gif"))
            write_gif(written[-1], images, options.frame_rate)
    logger.info("%d views -> %s", len(shown), ", ".join(str(path) for path in written))
    return written


def _path_cameras(posed: PosedImages, kind: str, count: int, scale: float) -> list[Camera]:
    """Cameras of the views: the first training camera without its lens, or the test cameras."""
    if kind == "test":
        first = posed.cameras[int(posed.splits.test[0])]
        own = [posed.cameras[int(index)] for index in posed.splits.test]
        size = (first.width, first.height)
        own = [camera if (camera.width, camera.height) == size else first for camera in own]
    else:
        own = [posed.cameras[int(posed.splits.train[0])].undistorted()] * count
    width, height = (max(2, round(scale * side)) for side in (own[0].width, own[0].height))
    return [camera.resize(width, height) for camera in own]
