"""Pose refinement on real and synthetic scenes: python -m benchmarks.solvers.

Needs FAST_INERF_DATA. Fields are read from the folders ``--fields`` and trained in the first one
where they are in none: ``lego.npz``, ``fox_0.npz`` to ``fox_4.npz`` and the same of fern (every
fifth photograph held out, another fifth each time), ``tabletop_<seed>.npz`` or
``layout_<seed>/field.npz`` of the first layouts of the protocol. Every trial is in the JSON; the
table gives k/N with Wilson intervals, speed and accuracy from the same trials.

Starts: the axis uniform on the sphere, the angle uniform in [0, most], about the origin of the
world (lego, tabletop) or the point at distance d on the optical axis (photographs); the
translation uniform for each component. d is the median depth of features that are triangulated
from the training poses, whatever the field says. For photographs translations are in units of d.

``--rows latency``: one refinement from at most 10 degrees at 320x240. ``--rows seed``: against
the seed project's loop, whose step is measured on a full-size pair of networks.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks._scenes import data_root
from benchmarks._solver_plots import plot_success
from benchmarks._solver_scenes import N_FOLDS, Question, Sources, places
from benchmarks._solver_seed import against_the_seed
from benchmarks._solver_trials import CASES, Case, Trial, feature_depth, run_case, summary
from fast_inerf_ros.config import options as options_of
from fast_inerf_ros.config import replace
from fast_inerf_ros.inerf.solvers.registry import make_solver, options_class, solver_names
from fast_inerf_ros.inerf.solvers.solver import Solver

SCENES = ("lego", "tabletop", "fox", "fern")
ROWS = ("success", "latency", "seed")
LATENCY_SIZE = (320, 240)


def main() -> int:
    """Run the benchmark."""
    arguments = parsed()
    root = data_root()
    if root is None:
        return 2
    torch.set_num_threads(1)
    sources = Sources(
        root,
        tuple(arguments.fields),
        arguments.seconds,
        arguments.layouts,
        arguments.longest_side,
        arguments.folds,
    )
    result: dict[str, Any] = {}
    if "success" in arguments.rows:
        result["success"] = success(sources, arguments)
    if "latency" in arguments.rows:
        result["latency"] = latency(sources, arguments)
    if "seed" in arguments.rows:
        torch.set_num_threads(os.cpu_count() or 1)
        for place in places("lego", sources):
            trials, compared = against_the_seed(place, arguments.seed_starts)
            print(json.dumps(compared))
            result["seed"] = {"trials": trials, **compared}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    if result.get("success"):
        plot_success(result["success"], arguments.output.parent)
    return 0


def parsed() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--scenes", nargs="+", default=list(SCENES), choices=SCENES)
    parser.add_argument("--solvers", nargs="+", default=["keyframe"], choices=solver_names())
    parser.add_argument("--starts", type=int, default=10, help="of each image and angle")
    parser.add_argument("--seed-starts", type=int, default=2, help="of each image, of --rows seed")
    parser.add_argument("--longest-side", type=int, default=480, help="of the images, pixels")
    parser.add_argument("--layouts", type=int, default=6, help="of the protocol")
    parser.add_argument("--options", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--folds", type=int, default=N_FOLDS, help="of fox and fern")
    parser.add_argument(
        "--fields", type=Path, nargs="+", default=[Path("benchmarks/results/fields")]
    )
    parser.add_argument(
        "--seconds", type=float, default=100.0, help="training; 0 leaves out what is not there"
    )
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/solvers.json"))
    return parser.parse_args()


def success(sources: Sources, arguments: argparse.Namespace) -> list[Trial]:
    """All trials of the floors of success."""
    trials: list[Trial] = []
    for scene in arguments.scenes:
        found: dict[tuple[Case, str], list[Trial]] = {}
        for place in places(scene, sources):
            depth = feature_depth(place.training)
            print(f"{scene}: {len(place.questions)} images, median feature depth {depth:.4g}")
            for case in (case for case in CASES if case.scene == scene):
                for name in arguments.solvers:
                    solver = changed(name, arguments.options)
                    done = run_case(place, case, depth, solver, arguments.starts, path=True)
                    found.setdefault((case, name), []).extend(done)
        for (case, name), group in found.items():
            print(summary(case, name, group), flush=True)
            trials += group
    return trials


def latency(sources: Sources, arguments: argparse.Namespace) -> list[Trial]:
    """One refinement from at most 10 degrees at 320 x 240, warmed up."""
    trials: list[Trial] = []
    for scene in (name for name in arguments.scenes if name in ("lego", "tabletop")):
        case = next(item for item in CASES if item.scene == scene)
        for place in places(scene, dataclasses.replace(sources, n_layouts=1)):
            asked = tuple(_cut_out(question) for question in place.questions)
            small = dataclasses.replace(place, questions=asked)
            solver = changed("keyframe", arguments.options)
            done = run_case(small, case, 1.0, solver, arguments.starts)
            print("320x240:", summary(case, "keyframe", done), flush=True)
            trials += done
    return trials


def _cut_out(question: Question) -> Question:
    """The middle of a photograph, 320 x 240, after scaling it to that width."""
    width, height = LATENCY_SIZE
    scale = width / question.camera.width
    tall = round(question.camera.height * scale)
    camera = question.camera.resize(width, tall)
    image = cv2.resize(question.image, (width, tall), interpolation=cv2.INTER_AREA).astype(
        np.uint8
    )
    top = (tall - height) // 2
    middle = np.ascontiguousarray(image[top : top + height])
    return dataclasses.replace(question, image=middle, camera=camera.crop(0, top, width, height))


def changed(name: str, changes: list[str]) -> Solver:
    """A solver with the options of the command line that it has, NAME=VALUE."""
    options = options_class(name)()
    known = {item.name for item in options_of(options_class(name))}
    for text in changes:
        key, _, value = text.partition("=")
        if key in known:
            options = replace(options, key, json.loads(value))
    return make_solver(name, options)


if __name__ == "__main__":
    sys.exit(main())
