"""Pose refinement on real and synthetic scenes: python -m benchmarks.solvers.

Needs FAST_INERF_DATA. Fields come from ``--fields FOLDER`` (lego.npz, fox.npz, fern.npz, as
``benchmarks.fields --save`` writes them) or are trained here first. Every trial is in the JSON;
the table gives k/N with Wilson intervals, speed and accuracy from the same trials.

Starts: the axis uniform on the sphere, the angle uniform in [0, most], about the origin of the
world (lego) or the point at distance d on the optical axis (photographs); the translation
uniform for each component. d is the median depth of features that are triangulated from the
training poses, whatever the field says. For photographs translations are in units of d.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.fields import SCENES
from fast_inerf_ros.config import options as options_of
from fast_inerf_ros.config import replace
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.evaluation.recall import wilson_interval
from fast_inerf_ros.fields.checkpoint import load_field, save_field
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.solvers.registry import make_solver, options_class, solver_names
from fast_inerf_ros.inerf.solvers.solver import Solver
from fast_inerf_ros.training.voxel_options import options_for
from fast_inerf_ros.training.voxel_scene import ray_bank, scene_box, shading_of
from fast_inerf_ros.training.voxel_trainer import VoxelTrainer, train_voxel

SEED = 4
STARTS = {
    "lego": ((10.0, 0.1), (20.0, 0.2), (40.0, 0.2)),
    "fox": ((10.0, 0.05), (20.0, 0.1), (30.0, 0.1)),
    "fern": ((10.0, 0.05), (20.0, 0.1), (30.0, 0.1)),
}
"""Most angle in degrees and most translation per component, in world units or d."""

SUCCESS = {"lego": (5.0, 0.05), "fox": (1.0, 0.01), "fern": (1.0, 0.01)}


@dataclass(frozen=True)
class Scene:
    """A field, what is asked of it, and the unit of its distances."""

    name: str
    field: Field
    queries: PosedImages
    depth: float
    unit: float

    @property
    def white(self) -> tuple[float, float, float] | None:
        """What is known to lie behind the scene."""
        return (1.0, 1.0, 1.0) if self.name == "lego" else None


def main() -> int:
    """Run the benchmark."""
    arguments = parsed()
    root = os.environ.get("FAST_INERF_DATA")
    if not root:
        print("set FAST_INERF_DATA to the folder of the data sets", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    trials = []
    for name in arguments.scenes:
        scene = prepared(name, Path(root), arguments)
        print(f"{name}: {len(scene.queries)} images, median feature depth {scene.depth:.4g}")
        for solver in arguments.solvers:
            for most in STARTS[name]:
                found = run(scene, changed(solver, arguments.options), most, arguments.starts)
                print(summary(scene, solver, most, found), flush=True)
                trials += found
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(trials, indent=1) + "\n")
    return 0


def parsed() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", nargs="+", default=["lego", "fox"], choices=SCENES)
    parser.add_argument("--solvers", nargs="+", default=["keyframe"], choices=solver_names())
    parser.add_argument("--starts", type=int, default=10, help="of each image and angle")
    parser.add_argument("--longest-side", type=int, default=480, help="of the images, pixels")
    parser.add_argument("--options", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--fields", type=Path, default=Path("benchmarks/results/fields"))
    parser.add_argument("--seconds", type=float, default=120.0, help="training, where needed")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/solvers.json"))
    return parser.parse_args()


def prepared(name: str, root: Path, arguments: argparse.Namespace) -> Scene:
    """Load or train a field, and its test photographs at the asked size."""
    training, queries, scene_type = SCENES[name](root, False)
    path = arguments.fields / f"{name}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_field(path, trained(training, scene_type, arguments.seconds))
    field = load_field(path)
    longest = max(queries.cameras[0].width, queries.cameras[0].height)
    queries = queries.downscaled(max(1.0, longest / arguments.longest_side))
    depth = feature_depth(training)
    return Scene(name, field, queries, depth, 1.0 if name == "lego" else depth)


def trained(training: PosedImages, scene_type: str, seconds: float) -> Field:
    """A voxel field with the defaults of the type of scene."""
    box, near = scene_box(training, scene_type)
    options = options_for(scene_type, seconds=seconds)
    shading = shading_of((1.0, 1.0, 1.0), near)
    trainer = VoxelTrainer(box, options, shading, np.random.default_rng(0), "cpu")
    trainer.compiled()
    field = train_voxel(ray_bank(training, torch.device("cpu")), trainer)
    return field.with_frame(training.frame)


def feature_depth(posed: PosedImages, n_images: int = 12) -> float:
    """Median depth of SIFT features matched and triangulated between neighbouring cameras."""
    centres = np.asarray(posed.T_world_camera.translation)
    depths = []
    for first in np.linspace(0, len(posed) - 1, min(n_images, len(posed))).astype(int):
        apart = np.linalg.norm(centres - centres[first], axis=1)
        second = int(np.argsort(apart)[min(2, len(posed) - 1)])
        depths.append(pair_depths(posed, int(first), second))
    return float(np.median(np.concatenate(depths)))


def pair_depths(posed: PosedImages, first: int, second: int) -> np.ndarray:
    """Depths in the first camera of features whose rays to both cameras all but meet."""
    points = matched(posed, first, second)
    rays = [
        posed.cameras[index].normalise(pixels)
        for index, pixels in zip((first, second), points, strict=True)
    ]
    if len(rays[0]) == 0:
        return np.zeros(0)
    T_second_first = posed.T_world_camera[second].inverse() @ posed.T_world_camera[first]
    matrices = [np.eye(4)[:3], np.asarray(T_second_first.matrix())[:3]]
    found = cv2.triangulatePoints(*matrices, *(np.ascontiguousarray(r.T) for r in rays))
    places = (found[:3] / found[3]).T
    error = np.zeros(len(places))
    for matrix, ray in zip(matrices, rays, strict=True):
        seen = places @ matrix[:, :3].T + matrix[:, 3]
        error = np.maximum(error, np.linalg.norm(seen[:, :2] / seen[:, 2:] - ray, axis=1))
    good = (error < 1.0 / posed.cameras[first].fx) & (places[:, 2] > 0)
    return places[good, 2]


def matched(posed: PosedImages, first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 2) of the same features in two images."""
    sift, found = cv2.SIFT.create(1000), []
    for index in (first, second):
        grey = cv2.cvtColor((posed.colors(index) * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
        found.append(sift.detectAndCompute(grey, None))
    pairs = cv2.BFMatcher().knnMatch(found[0][1], found[1][1], k=2)
    kept = [
        pair[0] for pair in pairs if len(pair) == 2 and pair[0].distance < 0.8 * pair[1].distance
    ]
    a = np.array([found[0][0][m.queryIdx].pt for m in kept], dtype=float).reshape(-1, 2)
    b = np.array([found[1][0][m.trainIdx].pt for m in kept], dtype=float).reshape(-1, 2)
    return a, b


def start_pose(
    scene: Scene, truth: SE3, most: tuple[float, float], generator: np.random.Generator
) -> SE3:
    """A wrong start; see the top of this file."""
    axis = generator.standard_normal(3)
    angle = np.radians(generator.uniform(0.0, most[0]))
    turn = SO3.exp(axis / np.linalg.norm(axis) * angle)
    shift = generator.uniform(-1.0, 1.0, 3) * most[1] * scene.unit
    pivot = np.zeros(3)
    if scene.name != "lego":
        pivot = np.asarray(truth @ np.array([0.0, 0.0, scene.depth]))
    return SE3(turn, pivot - turn @ pivot + shift) @ truth


def changed(name: str, changes: list[str]) -> Solver:
    """A solver with the options of the command line that it has, NAME=VALUE."""
    options = options_class(name)()
    known = {item.name for item in options_of(options_class(name))}
    for text in changes:
        key, _, value = text.partition("=")
        if key in known:
            options = replace(options, key, json.loads(value))
    return make_solver(name, options)


def run(scene: Scene, solver: Solver, most: tuple[float, float], n_starts: int) -> list[dict]:
    """All trials of one scene, solver and size of the error at the start."""
    generator = np.random.default_rng([SEED, int(most[0])])
    trials: list[dict] = []
    for index in range(len(scene.queries)):
        image = (scene.queries.colors(index) * 255.0).round().astype(np.uint8)
        truth = scene.queries.T_world_camera[index]
        camera = scene.queries.cameras[index]
        for _ in range(n_starts):
            start = start_pose(scene, truth, most, generator)
            problem = Problem(image, camera, scene.field, start, background=scene.white)
            if not trials:
                solver.solve(problem, np.random.default_rng(SEED))
            trials.append(trial(scene, solver, problem, truth, index) | {"most": most})
    return trials


def trial(scene: Scene, solver: Solver, problem: Problem, truth: SE3, index: int) -> dict:
    """One refinement: what came out and how long it took."""
    # A fresh problem: nothing of an earlier call may be kept.
    fresh = Problem(
        problem.image, problem.camera, problem.field, problem.start, background=scene.white
    )
    wall, processor = time.perf_counter(), time.process_time()
    result = solver.solve(fresh, np.random.default_rng(SEED))
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    before = pose_errors(problem.start, truth)
    angle, distance = float("inf"), float("inf")
    if result.T_world_camera is not None:
        after = pose_errors(result.T_world_camera, truth)
        angle, distance = float(np.degrees(after.rotation)), float(after.translation)
    return {
        "scene": scene.name,
        "solver": solver.name,
        "image": index,
        "start_deg": float(np.degrees(before.rotation)),
        "start_distance": float(before.translation) / scene.unit,
        "angle_deg": angle,
        "distance": distance / scene.unit,
        "status": result.status.value,
        "reason": result.reason,
        "correlation": result.residuals.correlation if result.residuals else None,
        "n_stages": len(result.stages),
        "seconds": wall,
        "processor_seconds": processor,
        "load": os.getloadavg()[0],
    }


def summary(scene: Scene, solver: str, most: tuple[float, float], trials: list[dict]) -> str:
    """One line of the table."""
    angle_limit, distance_limit = SUCCESS[scene.name]
    angles = np.array([t["angle_deg"] for t in trials])
    distances = np.array([t["distance"] for t in trials])
    good = (angles < angle_limit) & (distances < distance_limit)
    trusted = np.array([t["status"] in ("converged", "stopped") for t in trials])
    low, high = (float(x) for x in wilson_interval(int(good.sum()), len(good)))
    seconds = np.array([t["seconds"] for t in trials])
    processor = np.median([t["processor_seconds"] for t in trials])
    medians = (np.median(angles[good]), np.median(distances[good])) if good.any() else (9, 9)
    return (
        f"{scene.name:5} {solver:8} <= {most[0]:g} deg, {most[1]:g}: {good.sum()}/{len(good)}"
        f" [{low:.2f}, {high:.2f}]; median of successes {medians[0]:.3f} deg {medians[1]:.4f};"
        f" wrong and not rejected {int((trusted & ~good).sum())};"
        f" {np.median(seconds) * 1e3:.0f} ms (95 %: {np.percentile(seconds, 95) * 1e3:.0f}),"
        f" processor {processor * 1e3:.0f} ms, load {trials[-1]['load']:.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
