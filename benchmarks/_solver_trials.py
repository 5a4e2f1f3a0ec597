"""Starts, refinements and what is said of them, for `benchmarks.solvers`."""

from __future__ import annotations

import dataclasses
import os
import time
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from benchmarks._solver_scenes import Place, Question
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.evaluation.recall import wilson_interval
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.inerf.observer import Recorder
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.solvers.solver import Solver

SEED = 4

Trial = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """Starts of one scene, and what counts as success.

    angle_deg: most angle. shift: most translation for each component; limits: degrees and
    distance of success; both distances in world units, or in d for photographs. floor: least
    share of successes.
    """

    scene: str
    angle_deg: float
    shift: float
    limits: tuple[float, float]
    floor: float

    @property
    def in_depths(self) -> bool:
        """Whether distances count in median depths, and turns go about what is looked at."""
        return self.scene in ("fox", "fern")


CASES = (
    Case("lego", 10.0, 0.1, (5.0, 0.05), 0.98),
    Case("lego", 20.0, 0.2, (5.0, 0.05), 0.92),
    Case("lego", 40.0, 0.2, (5.0, 0.05), 0.65),
    Case("tabletop", 10.0, 0.05, (1.0, 0.01), 0.90),
    Case("fox", 10.0, 0.05, (1.0, 0.01), 0.95),
    Case("fox", 20.0, 0.1, (1.0, 0.01), 0.80),
    Case("fern", 10.0, 0.05, (1.0, 0.01), 0.95),
    Case("fern", 20.0, 0.1, (1.0, 0.01), 0.80),
)


def start_pose(truth: SE3, case: Case, depth: float, generator: np.random.Generator) -> SE3:
    """A wrong start: see `benchmarks.solvers`."""
    axis = generator.standard_normal(3)
    turn = SO3.exp(axis / np.linalg.norm(axis) * np.radians(generator.uniform(0, case.angle_deg)))
    unit = depth if case.in_depths else 1.0
    shift = generator.uniform(-1.0, 1.0, 3) * case.shift * unit
    pivot = np.zeros(3)
    if case.in_depths:
        pivot = np.asarray(truth @ np.array([0.0, 0.0, depth]))
    return SE3(turn, pivot - turn @ pivot + shift) @ truth


def problem_of(place: Place, question: Question, start: SE3) -> Problem:
    """A fresh problem: nothing of an earlier call may be kept."""
    background = (1.0, 1.0, 1.0) if place.white else None
    return Problem(question.image, question.camera, place.field, start, background=background)


def run_case(
    place: Place, case: Case, depth: float, solver: Solver, n_starts: int, path: bool = False
) -> list[Trial]:
    """All trials of the questions of one place. path: keep the errors of all steps."""
    trials: list[Trial] = []
    for number, question in enumerate(place.questions):
        key = sum(question.name.encode()) + 1000 * number
        generator = np.random.default_rng([SEED, int(case.angle_deg), key])
        for _ in range(n_starts):
            start = start_pose(question.T_world_camera, case, depth, generator)
            if not trials:  # compiles kernels
                solver.solve(problem_of(place, question, start), np.random.default_rng(SEED))
            unit = depth if case.in_depths else 1.0
            done = one_trial(place, question, solver, start, unit, path)
            trials.append(done | {"case": dataclasses.asdict(case)})
    return trials


def one_trial(
    place: Place, question: Question, solver: Solver, start: SE3, unit: float, path: bool = False
) -> Trial:
    """One refinement: what came out and how long it took, the start's own cost included."""
    truth, recorder = question.T_world_camera, Recorder()
    problem = problem_of(place, question, start)
    wall, processor = time.perf_counter(), time.process_time()
    result = solver.solve(problem, np.random.default_rng(SEED), recorder)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    found: Trial = {
        "image": question.name,
        "size": [question.camera.width, question.camera.height],
        "solver": solver.name,
        "status": result.status.value,
        "reason": result.reason,
        "correlation": result.residuals.correlation if result.residuals else None,
        "n_stages": len(result.stages),
        "seconds": wall,
        "processor_seconds": processor,
        "rendering_seconds": sum(stage.seconds_rendering for stage in result.stages),
        "load": os.getloadavg()[0],
    }
    found |= _error("start_", start, truth, unit) | _error("", result.T_world_camera, truth, unit)
    if path:
        found["path"] = [
            {"seconds": item.seconds} | _error("", item.T_world_camera, truth, unit)
            for item in recorder.iterations
        ]
    return found


def _error(name: str, pose: SE3 | None, truth: SE3, unit: float) -> dict[str, float]:
    if pose is None:
        return {f"{name}angle_deg": float("inf"), f"{name}distance": float("inf")}
    error = pose_errors(pose, truth)
    return {
        f"{name}angle_deg": float(error.rotation_deg),
        f"{name}distance": float(error.translation) / unit,
    }


def succeeded(trial: Trial, case: Case) -> bool:
    """Whether a trial ended near enough to the truth."""
    return bool(trial["angle_deg"] < case.limits[0] and trial["distance"] < case.limits[1])


def summary(case: Case, solver: str, trials: list[Trial]) -> str:
    """One line of the table."""
    good = np.array([succeeded(trial, case) for trial in trials])
    low, high = (float(x) for x in wilson_interval(int(good.sum()), len(good)))
    trusted = np.array([t["status"] in ("converged", "stopped") for t in trials])
    kept = [trial for trial in trials if succeeded(trial, case)]
    medians = tuple(
        float(np.median([t[key] for t in kept])) if kept else float("nan")
        for key in ("angle_deg", "distance")
    )
    seconds = np.array([t["seconds"] for t in trials])
    processor = float(np.median([t["processor_seconds"] for t in trials]))
    unit = " d" if case.in_depths else ""
    return (
        f"{case.scene:8} {solver:8} <= {case.angle_deg:g} deg, {case.shift:g}{unit}:"
        f" {good.sum()}/{len(good)} = {good.mean():.2f} [{low:.2f}, {high:.2f}],"
        f" floor {case.floor:.2f}; median of successes {medians[0]:.3f} deg"
        f" {medians[1]:.4f}{unit}; wrong and not rejected {int((trusted & ~good).sum())};"
        f" {np.median(seconds) * 1e3:.0f} ms (95 %: {np.percentile(seconds, 95) * 1e3:.0f}),"
        f" processor {processor * 1e3:.0f} ms, load {trials[-1]['load']:.1f}"
    )


def feature_depth(posed: PosedImages, n_images: int = 12) -> float:
    """Median depth of SIFT features matched and triangulated between neighbouring cameras."""
    centres = np.asarray(posed.T_world_camera.translation)
    depths = []
    for first in np.linspace(0, len(posed) - 1, min(n_images, len(posed))).astype(int):
        apart = np.linalg.norm(centres - centres[first], axis=1)
        second = int(np.argsort(apart)[min(2, len(posed) - 1)])
        depths.append(_pair_depths(posed, int(first), second))
    return float(np.median(np.concatenate(depths)))


def _pair_depths(posed: PosedImages, first: int, second: int) -> np.ndarray:
    """Depths in the first camera of features whose rays to both cameras all but meet."""
    points = _matched(posed, first, second)
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
    return np.asarray(places[good, 2])


def _matched(posed: PosedImages, first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
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
