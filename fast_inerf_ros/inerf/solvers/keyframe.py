"""``keyframe``, the default: render once, align by depth over a pyramid, render again, polish."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fast_inerf_ros.config import option, section
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.alignment import AlignmentOptions, align
from fast_inerf_ros.inerf.brightness import Brightness, BrightnessModel, Kind
from fast_inerf_ros.inerf.descent import DescentOptions, descend
from fast_inerf_ros.inerf.held_out import HeldOut, HeldOutOptions
from fast_inerf_ros.inerf.keyframe import Keyframe, render_keyframe
from fast_inerf_ros.inerf.observer import Observer
from fast_inerf_ros.inerf.photometric import samples_at
from fast_inerf_ros.inerf.pixels import PixelOptions, select
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.pyramid import ImageLevel, build_pyramid
from fast_inerf_ros.inerf.result import Result, failed
from fast_inerf_ros.inerf.robust import LossOptions
from fast_inerf_ros.inerf.run import Run
from fast_inerf_ros.inerf.solvers.lm import answer


@dataclass(frozen=True)
class Options:
    """Options of the solver ``keyframe``."""

    sides: tuple[int, ...] = option(
        (160, 80, 40, 20),
        doc="Longer sides of the levels that are aligned, fine to coarse.",
        unit="px",
        minimum=8,
        maximum=4096,
    )
    n_levels: int = option(
        3, doc="Levels aligned with each keyframe: its own and coarser ones.", minimum=1
    )
    first_level: int = option(
        1, doc="Level at which the first keyframes are rendered; 0 is the finest.", minimum=0
    )
    advance_px: float = option(
        3.0,
        doc="Keyframes are rendered one level finer once their pixels move by less than this.",
        unit="px",
        minimum=0.0,
    )
    max_keyframes: int = option(8, doc="Keyframes rendered, at most.", minimum=1)
    max_points: int = option(4000, doc="Points aligned at each level, at most.", minimum=100)
    rerender_px: float = option(
        1.0,
        doc="A keyframe is rendered anew where its pixels have moved by more than this, at its "
        "own resolution.",
        unit="px",
        minimum=0.0,
    )
    brightness: Kind = option("affine", doc="What an exposure may change.")
    loss: LossOptions = section(LossOptions, kind="huber", threshold=1.5)
    alignment: AlignmentOptions = section(AlignmentOptions)
    polish: DescentOptions = section(DescentOptions, max_steps=4)
    pixels: PixelOptions = section(PixelOptions, count=1500)
    held_out: HeldOutOptions = section(HeldOutOptions, share=0.08)


@dataclass(frozen=True)
class KeyframeSolver:
    """Aligns renderings with the image; few renderings, many steps."""

    options: Options
    name = "keyframe"

    def solve(
        self,
        problem: Problem,
        generator: np.random.Generator,
        observer: Observer | None = None,
    ) -> Result:
        """Refine the start of a problem; see ``Solver``."""
        began = time.perf_counter()
        options = self.options
        obstacle = problem.obstacle(options.pixels.minimum)
        if obstacle is not None:
            return failed(self.name, obstacle, time.perf_counter() - began)
        model = BrightnessModel(options.brightness)
        held_out = HeldOut.split(problem, options.held_out, model, generator)
        chosen = select(options.pixels, problem, held_out.free, generator)
        if len(chosen) < options.pixels.minimum:
            reason = f"{options.pixels.strategy} found {len(chosen)} pixels"
            return failed(self.name, reason, time.perf_counter() - began)
        run = Run(self.name, held_out, observer)
        failure = self._align(problem, run, model, generator)
        if failure is not None and not run.stages:
            return run.without_solution(failure)
        with run.stage("polish") as proposed:
            found = descend(
                problem,
                samples_at(problem, chosen),
                run.T_world_camera,
                model,
                options.polish,
                run,
                "polish",
            )
            if found.failure is None:
                proposed.append(found.state.T_world_camera)
        return answer(run, found, options.polish.max_steps)

    def _align(
        self, problem: Problem, run: Run, model: BrightnessModel, generator: np.random.Generator
    ) -> str | None:
        """Align keyframes until they need not be rendered anew; why it could not, or None."""
        options = self.options
        levels = build_pyramid(problem, run.held_out.free, options.sides)
        first = min(options.first_level, len(levels) - 1)
        pose, brightness = problem.start, None
        for number in range(options.max_keyframes):
            used = levels[first : first + options.n_levels]
            with run.stage(f"keyframe {number + 1}") as proposed:
                with run.rendering():
                    key = render_keyframe(problem, pose, used, options.max_points, generator)
                found = self._align_levels(run, key, used, brightness, model)
                if isinstance(found, str):
                    return found
                pose, brightness, motion_px = found
                proposed.append(pose)
            if run.stopped or (first == 0 and motion_px < options.rerender_px):
                return None
            if motion_px < options.advance_px:
                first = max(0, first - 1)
        return None

    def _align_levels(
        self,
        run: Run,
        key: Keyframe,
        levels: Sequence[ImageLevel],
        brightness: Brightness | None,
        model: BrightnessModel,
    ) -> tuple[SE3, Brightness, float] | str:
        """Pose, brightness and motion after all levels, coarse to fine; or what failed."""
        options = self.options
        T_image_key, motion_px = SE3.identity(), 0.0
        for rendered, image in zip(reversed(key.levels), reversed(levels), strict=True):
            found = align(
                rendered, image, T_image_key, brightness, model, options.loss, options.alignment
            )
            if found.failure is not None:
                return found.failure
            T_image_key, brightness = found.T_image_key, found.brightness
            motion_px = found.motion_px
            pose = key.T_world_key @ T_image_key.inverse()
            run.report(f"{image.camera.width} px", pose, found.loss, found.n_points)
        assert brightness is not None
        return key.T_world_key @ T_image_key.inverse(), brightness, motion_px


def make(options: Options) -> KeyframeSolver:
    """The solver with its options."""
    return KeyframeSolver(options)
