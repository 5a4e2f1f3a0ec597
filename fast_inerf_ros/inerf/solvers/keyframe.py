"""``keyframe``, the default: render once, align by depth over a pyramid, render again, polish."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
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
from fast_inerf_ros.inerf.restarts import most_alike, turned_about
from fast_inerf_ros.inerf.result import Result, failed
from fast_inerf_ros.inerf.robust import LossOptions
from fast_inerf_ros.inerf.run import Run
from fast_inerf_ros.inerf.solvers.lm import answer


@dataclass(frozen=True)
class Options:
    """Options of the solver ``keyframe``."""

    sides: tuple[int, ...] = option(
        (120, 60, 30, 15),
        doc="Levels that are aligned, fine to coarse: sides of squares with as many pixels.",
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
        5.0,
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
    restarts: int = option(
        4, doc="Further starts, where image and field do not agree; 0 for none.", minimum=0
    )
    restart_correlation: float = option(
        0.88,
        doc="Correlation of the held-out pixels below which other starts are tried.",
        minimum=-1.0,
        maximum=1.0,
    )
    restart_consensus_deg: float = option(
        0.5,
        doc="No further starts are tried once one has come to the best pose within this angle, "
        "turned and seen from the scene.",
        unit="deg",
        minimum=0.0,
        maximum=180.0,
    )
    restart_angles_deg: tuple[float, ...] = option(
        (15.0, 30.0),
        doc="Angles by which further starts are turned about what the camera looks at.",
        unit="deg",
        minimum=0.0,
        maximum=180.0,
    )
    brightness: Kind = option("affine", doc="What an exposure may change.")
    loss: LossOptions = section(LossOptions, kind="huber", threshold=1.5)
    alignment: AlignmentOptions = section(AlignmentOptions, tolerance_px=0.08)
    polish: DescentOptions = section(
        DescentOptions,
        max_steps=3,
        jacobian="image",
        loss=LossOptions(kind="tukey", threshold=4.0),
    )
    pixels: PixelOptions = section(PixelOptions, count=1024)
    held_out: HeldOutOptions = section(HeldOutOptions, share=0.08)


@dataclass(frozen=True, eq=False)
class _Search:
    """What stays the same while one problem is aligned."""

    problem: Problem
    run: Run
    model: BrightnessModel
    levels: Sequence[ImageLevel]
    generator: np.random.Generator
    in_time: Callable[[], bool]


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
        in_time: Callable[[], bool] = lambda: True,
    ) -> Result:
        """Refine the start of a problem; see ``Solver``.

        in_time: is asked before each further start. What has begun is brought to its end: a pose
        on the way to where it converges looks right at a glance, and is not.
        """
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
        levels = build_pyramid(problem, held_out.free, options.sides)
        failure = self._align(_Search(problem, run, model, levels, generator, in_time))
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

    def _align(self, search: _Search) -> str | None:
        """Align from the start, then from elsewhere if need be; why it failed, or None."""
        options, run = self.options, search.run
        failure, depth, _ = self._attempt(search, search.problem.start, "keyframe")
        if options.restarts == 0 or not np.isfinite(depth) or self._is_enough(search):
            return failure
        angles = [float(np.radians(angle)) for angle in options.restart_angles_deg]
        poses = turned_about(search.problem.start, depth, angles)
        level = search.levels[min(options.first_level + 1, len(search.levels) - 1)]
        with run.rendering():
            poses = most_alike(search.problem, poses, level, options.restarts)
        for number, pose in enumerate(poses):
            if self._is_enough(search):
                break
            best = run.T_world_camera
            _, _, found = self._attempt(search, pose, f"restart {number + 1}")
            if _alike(best, found, depth, np.radians(options.restart_consensus_deg)):
                break
        return failure

    def _is_enough(self, search: _Search) -> bool:
        """Whether no further start is wanted."""
        run = search.run
        if run.stopped or not search.in_time():
            return True
        return run.best.correlation >= self.options.restart_correlation

    def _attempt(self, search: _Search, pose: SE3, name: str) -> tuple[str | None, float, SE3]:
        """Align keyframes until they need not be rendered anew.

        Returns why nothing could be aligned, or None, the median depth of the first one, and the
        last pose.
        """
        options, run, levels = self.options, search.run, search.levels
        first = min(options.first_level, len(levels) - 1)
        brightness, depth = None, float("nan")
        for number in range(options.max_keyframes):
            used = levels[first : first + options.n_levels]
            with run.stage(f"{name} {number + 1}") as proposed:
                with run.rendering():
                    key = render_keyframe(
                        search.problem, pose, used, options.max_points, search.generator
                    )
                depth = depth if np.isfinite(depth) else key.median_depth
                found = self._align_levels(search, key, used, None if first else brightness)
                if isinstance(found, str):
                    return found, depth, pose
                pose, brightness, motion_px = found
                proposed.append(pose)
            if run.stopped or (first == 0 and motion_px < options.rerender_px):
                break
            if motion_px < options.advance_px:
                first = max(0, first - 1)
        return None, depth, pose

    def _align_levels(
        self,
        search: _Search,
        key: Keyframe,
        levels: Sequence[ImageLevel],
        brightness: Brightness | None,
    ) -> tuple[SE3, Brightness, float] | str:
        """Pose, brightness and motion after all levels, coarse to fine; or what failed.

        While the keyframe is coarse its brightness stays that of the colours' moments: far from
        the solution a free gain goes to zero and takes the structure with it.
        """
        options, model = self.options, search.model
        free = model if levels[0] is search.levels[0] else BrightnessModel("none")
        T_image_key, motion_px = SE3.identity(), 0.0
        failure, pose = "there are no levels", None
        for rendered, image in zip(reversed(key.levels), reversed(levels), strict=True):
            found = align(
                rendered,
                image,
                T_image_key,
                brightness,
                model,
                free,
                options.loss,
                options.alignment,
            )
            if found.failure is not None:
                # A coarse level may have too few points where a finer one has enough.
                failure = found.failure
                continue
            T_image_key, brightness = found.T_image_key, found.brightness
            motion_px = found.motion_px
            pose = key.T_world_key @ T_image_key.inverse()
            search.run.report(f"{image.camera.width} px", pose, found.loss, found.n_points)
        if brightness is None or pose is None:
            return failure
        return pose, brightness, motion_px


def _alike(a: SE3, b: SE3, depth: float, angle: float) -> bool:
    """Whether two poses see a scene at a depth alike: turned and moved by less than an angle."""
    apart = a.inverse() @ b
    turn = float(np.linalg.norm(np.asarray(apart.rotation.log())))
    shift = float(np.linalg.norm(np.asarray(apart.translation)))
    return turn < angle and shift < angle * depth


def make(options: Options) -> KeyframeSolver:
    """The solver with its options."""
    return KeyframeSolver(options)
