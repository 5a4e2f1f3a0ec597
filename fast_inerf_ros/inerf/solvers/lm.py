"""``lm``: Levenberg-Marquardt on exact photometric residuals, Jacobians through the renderer."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from fast_inerf_ros.config import option, section
from fast_inerf_ros.inerf.brightness import BrightnessModel, Kind
from fast_inerf_ros.inerf.descent import Descent, DescentOptions, descend
from fast_inerf_ros.inerf.held_out import HeldOut, HeldOutOptions
from fast_inerf_ros.inerf.observer import Observer
from fast_inerf_ros.inerf.photometric import samples_at
from fast_inerf_ros.inerf.pixels import PixelOptions, select
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.result import Result, failed
from fast_inerf_ros.inerf.run import Run


@dataclass(frozen=True)
class Options:
    """Options of the solver ``lm``."""

    pixels: PixelOptions = section(PixelOptions)
    descent: DescentOptions = section(DescentOptions)
    brightness: Kind = option("affine", doc="What an exposure may change.")
    held_out: HeldOutOptions = section(HeldOutOptions)


@dataclass(frozen=True)
class LmSolver:
    """Solves for the pose and the brightness with exact renderings of a few thousand pixels."""

    options: Options
    name = "lm"

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
            reason = (
                f"{options.pixels.strategy} found {len(chosen)} pixels, at least "
                f"{options.pixels.minimum} are needed"
            )
            return failed(self.name, reason, time.perf_counter() - began)
        run = Run(self.name, held_out, observer)
        samples = samples_at(problem, chosen)
        with run.stage("lm") as proposed:
            found = descend(problem, samples, problem.start, model, options.descent, run)
            if found.failure is None:
                proposed.append(found.state.T_world_camera)
        return answer(run, found, options.descent.max_steps)


def make(options: Options) -> LmSolver:
    """The solver with its options."""
    return LmSolver(options)


def answer(run: Run, found: Descent, max_steps: int) -> Result:
    """Result of a run that ended with a descent."""
    if found.failure is not None:
        objection = run.held_out.objection(run.best)
        return run.without_solution(objection or found.failure)
    limit = None if found.converged else f"the limit of {max_steps} steps was reached"
    return run.result(
        found.equations, found.state.brightness, found.state.rms(), found.scale, limit
    )
