"""One refinement: a problem, a solver, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fast_inerf_ros.experiments.overlay import OverlayOptions, write_overlays
from fast_inerf_ros.experiments.record import write_result, write_steps
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.observer import Iteration, Observer, Recorder
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.result import Result
from fast_inerf_ros.inerf.solvers.solver import Solver

STEPS_FILE = "steps.csv"
RESULT_FILE = "result.json"


@dataclass(frozen=True, eq=False)
class Trial:
    """A question. truth: T_world_camera where it is known. seed: of everything random."""

    name: str
    problem: Problem
    solver: Solver
    truth: SE3 | None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Outcome:
    """The answer to a trial, and the steps to it."""

    trial: Trial
    result: Result
    iterations: tuple[Iteration, ...]


Watcher = Callable[[Trial], Observer | None]
"""Makes the observer of a trial, such as one that publishes; None for none."""


def perform(trial: Trial, observer: Observer | None = None) -> Outcome:
    """Solve a trial, recording its steps. Never raises for what image and start contain."""
    recorder = Recorder()

    def observe(iteration: Iteration) -> bool | None:
        recorder(iteration)
        return None if observer is None else observer(iteration)

    result = trial.solver.solve(trial.problem, np.random.default_rng(trial.seed), observe)
    return Outcome(trial, result, tuple(recorder.iterations))


def write_outcome(folder: Path, outcome: Outcome, overlay: OverlayOptions) -> dict[str, Any]:
    """Write `steps.csv`, `result.json` and the overlays that are asked for; returns the result."""
    folder.mkdir(parents=True, exist_ok=True)
    trial, result = outcome.trial, outcome.result
    write_steps(folder / STEPS_FILE, outcome.iterations, result, trial.truth)
    written = write_result(folder / RESULT_FILE, result, trial.problem.start, trial.truth)
    poses = [item.T_world_camera for item in outcome.iterations]
    if result.T_world_camera is not None:
        poses.append(result.T_world_camera)
    write_overlays(folder, trial.problem, poses, overlay)
    return written
