"""The default solver against the seed project's loop, on the same starts."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks._solver_scenes import Place
from benchmarks._solver_trials import CASES, SEED, Trial, one_trial, problem_of, start_pose
from fast_inerf_ros.config import replace
from fast_inerf_ros.evaluation.recall import wilson_interval
from fast_inerf_ros.fields.vanilla import VanillaField
from fast_inerf_ros.fields.vanilla_options import VanillaArchitecture, VanillaRendering
from fast_inerf_ros.fields.vanilla_setting import VanillaSetting
from fast_inerf_ros.inerf.observer import Recorder
from fast_inerf_ros.inerf.solvers.adam import Options as AdamOptions
from fast_inerf_ros.inerf.solvers.registry import make_solver
from fast_inerf_ros.inerf.solvers.solver import Solver

N_STEPS = 200
N_RAYS = 512
N_MEASURED = 10


def seed_loop(n_steps: int) -> Solver:
    """`adam` as the seed runs it: a fixed number of steps of 512 rays."""
    options: Any = AdamOptions()
    for name, value in (("pixels.count", N_RAYS), ("max_steps", n_steps), ("patience", 0)):
        options = replace(options, name, value)
    return make_solver("adam", options)


def seconds_per_step(place: Place) -> float:
    """Median time of a step on a full-size pair of networks; it does not depend on weights."""
    setting = VanillaSetting(VanillaRendering(64, 64, white_background=True))
    architecture = VanillaArchitecture(view_directions=True)
    field = VanillaField.untrained(architecture, setting, np.random.default_rng(0))
    question = place.questions[0]
    seed_place = Place(place.name, field, place.questions, place.training, place.white)
    problem, recorder = problem_of(seed_place, question, question.T_world_camera), Recorder()
    seed_loop(N_MEASURED + 1).solve(problem, np.random.default_rng(SEED), recorder)
    times = np.diff([item.seconds for item in recorder.iterations])
    return float(np.median(times[-N_MEASURED:]))


def against_the_seed(place: Place, n_starts: int) -> tuple[list[Trial], dict[str, Any]]:
    """Trials of both solvers, and a comparison of their times and errors."""
    case = next(item for item in CASES if item.scene == place.name)
    default, loop = make_solver(), seed_loop(N_STEPS)
    generator = np.random.default_rng([SEED, 99])
    trials: list[Trial] = []
    no_larger, began = 0, time.perf_counter()
    for question in place.questions:
        for _ in range(n_starts):
            start = start_pose(question.T_world_camera, case, 1.0, generator)
            if not trials:
                default.solve(problem_of(place, question, start), np.random.default_rng(SEED))
            pair = [one_trial(place, question, s, start, 1.0) for s in (default, loop)]
            trials += pair
            no_larger += all(pair[0][key] <= pair[1][key] for key in ("angle_deg", "distance"))
    count = len(trials) // 2
    step = seconds_per_step(place)
    ours = float(np.median([t["seconds"] for t in trials if t["solver"] == default.name]))
    low, high = wilson_interval(no_larger, count)
    return trials, {
        "seconds_per_step": step,
        "seed_seconds": N_STEPS * step,
        "default_seconds": ours,
        "times_faster": N_STEPS * step / ours,
        "no_larger_error": no_larger,
        "starts": count,
        "interval": [float(low), float(high)],
        "measured_s": time.perf_counter() - began,
    }
