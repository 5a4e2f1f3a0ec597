"""Pictures of a refinement: the rendering at its poses laid over the photograph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.config import option
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.similarity import Similarity
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.training.pictures import to_pixels, write_gif, write_png, write_video
from fast_inerf_ros.training.views import render_view

Pixels = npt.NDArray[np.uint8]

RENDERED_SHARE = 0.7
"""Of the rendering in an overlay; the rest is the photograph."""


@dataclass(frozen=True)
class OverlayOptions:
    """Which pictures of a refinement are written."""

    png: bool = option(
        False, doc="Write the photograph, and overlays of the first and the last pose."
    )
    gif: bool = option(False, doc="Write video.gif of the steps.")
    mp4: bool = option(False, doc="Write video.mp4 of the steps.")
    width: int = option(
        0, doc="Width of the pictures at most; 0 for that of the photograph.", unit="px", minimum=0
    )
    n_frames: int = option(
        30,
        doc="Steps that are rendered for videos, at most, the first and the last among them.",
        minimum=2,
    )
    frame_rate: float = option(10.0, doc="Frames per second.", unit="Hz", minimum=0.1)

    @property
    def wanted(self) -> bool:
        """Whether there is anything to render."""
        return self.png or self.gif or self.mp4


def write_overlays(
    folder: Path, problem: Problem, poses: Sequence[SE3], options: OverlayOptions
) -> None:
    """Write what is asked for: ``observed.png``, ``overlay_000.png`` ..., ``video.gif`` or mp4.

    poses: T_world_camera of the steps, in order. Of a refinement without any, nothing but the
    photograph is written.
    """
    if not options.wanted:
        return
    frames = overlays(problem, poses, options)
    if options.png:
        write_png(folder / "observed.png", to_pixels(_photograph(problem, options)))
        for number in sorted({0, len(frames) - 1} if frames else ()):
            write_png(folder / f"overlay_{number:03d}.png", frames[number])
    # The last frame stays a while before it all begins again.
    shown = [*frames, *frames[-1:] * round(options.frame_rate)]
    if options.gif and frames:
        write_gif(folder / "video.gif", shown, options.frame_rate)
    if options.mp4 and frames:
        write_video(folder / "video.mp4", shown, options.frame_rate)


def overlays(problem: Problem, poses: Sequence[SE3], options: OverlayOptions) -> list[Pixels]:
    """Overlays (h, w, 3) at evenly chosen poses."""
    n_frames = options.n_frames if options.gif or options.mp4 else 2
    chosen = np.unique(np.linspace(0, len(poses) - 1, min(n_frames, len(poses))).astype(int))
    photograph = _photograph(problem, options)
    camera = problem.camera.resize(photograph.shape[1], photograph.shape[0])
    frame = problem.field.frame
    world = Similarity(frame.T_world_field, frame.metres_per_unit)
    frames = []
    for number in chosen if len(poses) else ():
        rendered = render_view(problem.field, camera, world.pose_to_source(poses[number])).color
        share = np.float32(RENDERED_SHARE)
        frames.append(to_pixels(share * rendered + (1 - share) * photograph))
    return frames


def _photograph(problem: Problem, options: OverlayOptions) -> npt.NDArray[np.float32]:
    height, width = problem.colors.shape[:2]
    if not 0 < options.width < width:
        return problem.colors
    size = (options.width, max(1, round(height * options.width / width)))
    return np.asarray(cv2.resize(problem.colors, size, interpolation=cv2.INTER_AREA))
