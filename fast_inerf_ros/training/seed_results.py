"""What `run_nerf` renders: validation images, test sets and videos under the seed's names."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.io.seed_options import SeedNerfOptions
from fast_inerf_ros.training.loop import Moment, Task
from fast_inerf_ros.training.options import VideoOptions
from fast_inerf_ros.training.pictures import to_pixels, write_png, write_video
from fast_inerf_ros.training.progress import Observer
from fast_inerf_ros.training.results import VideoFiles, render_path, render_test_set, write_videos
from fast_inerf_ros.training.session import tell_figures
from fast_inerf_ros.training.trainer import as_field_training
from fast_inerf_ros.training.validation import Background, Scores, score_view
from fast_inerf_ros.training.views import render_view

BLENDER_FRAMES, LLFF_FRAMES = 40, 120
VIDEO_FRAME_RATE = 30.0


@dataclasses.dataclass(frozen=True)
class SeedResults:
    """The renders of one experiment."""

    folder: Path
    options: SeedNerfOptions
    posed: PosedImages
    background: Background

    def tasks(self, observers: Sequence[Observer]) -> list[Task]:
        """What is rendered between steps: i_img, i_testset and i_video."""
        options = self.options
        tasks = [Task(self._video, options.i_video)]
        if len(self.posed.splits.test):
            tasks.append(Task(self._test_set, options.i_testset))
        if len(self._validation()):
            tasks.append(Task(lambda moment: self._validate(moment, observers), options.i_img))
        return tasks

    def render_only(self, field: Field, step: int) -> None:
        """`--render_only`: images and a video of the path, or of the test set."""
        which = "test" if self.options.render_test else "path"
        folder = self.folder / f"renderonly_{which}_{step:06d}"
        posed = self.posed
        if self.options.render_factor > 1:
            posed = posed.downscaled(self.options.render_factor)
        images: list[NDArray[np.uint8]] = []
        if self.options.render_test:
            render_test_set(field, posed, self.background, folder, images)
        else:
            images += render_path(field, posed, self._video_options()).colors
            folder.mkdir(parents=True, exist_ok=True)
            for number, image in enumerate(images):
                write_png(folder / f"{number:03d}.png", image)
        write_video(folder / "video.mp4", images, VIDEO_FRAME_RATE)

    def _validation(self) -> np.ndarray:
        """LLFF scenes have no validation photographs but the test ones, as in the seed."""
        splits = self.posed.splits
        return splits.val if len(splits.val) else splits.test

    def _validate(self, moment: Moment, observers: Sequence[Observer]) -> None:
        chosen = self._validation()
        index = int(chosen[moment.step // self.options.i_img % len(chosen)])
        pose = self.posed.T_field_camera[index]
        view = render_view(
            as_field_training(moment.training).field(), self.posed.cameras[index], pose
        )
        score = score_view(view, self.posed, index, self.background)
        tell_figures(observers, moment, Scores((score,)).figures("val/"))
        truth = self.posed.colors(index, self.background)
        both = np.concatenate([to_pixels(truth), to_pixels(view.color)], axis=1)
        write_png(self.folder / f"validation_{moment.step:06d}.png", both)

    def _test_set(self, moment: Moment) -> None:
        folder = self.folder / f"testset_{moment.step:06d}"
        render_test_set(
            as_field_training(moment.training).field(), self.posed, self.background, folder, []
        )

    def _video(self, moment: Moment) -> None:
        options = self._video_options()
        frames = render_path(as_field_training(moment.training).field(), self.posed, options)
        stem = f"{self.options.expname}_spiral_{moment.step:06d}"
        write_videos(frames, VideoFiles(self.folder, stem), options)

    def _video_options(self) -> VideoOptions:
        n_frames = BLENDER_FRAMES if self.options.dataset_type == "blender" else LLFF_FRAMES
        return VideoOptions(path="auto", n_frames=n_frames, frame_rate=VIDEO_FRAME_RATE)
