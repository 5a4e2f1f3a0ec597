"""Localisation without a start, tracking and trust: python -m benchmarks.localisation PART...

photographs: fox and fern in five folds, lego's queries; no prior. tabletop: queries of layouts,
from landmarks alone, from PoseCNN alone, and from everything. tracking: filmed trajectories.
trust: wrong answers among good ones. speed: frames a second and the time of one estimate; for an
idle machine.

One shipped configuration throughout. ``--fields`` has ``lego.npz`` and, for trust, ``fox.npz`` and
``fern.npz`` (as ``benchmarks.fields`` saves them: every 8th photograph held out); ``--folds`` has
fox_0.npz .. fern_4.npz (as ``benchmarks.solvers`` trains them); folds that are not there are left
out and named. ``--layouts`` are folders made by ``benchmarks.localisation_scenes``. Distances of
fox and fern are in units of d, the median depth of triangulated features. Every trial is in the
JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._artefacts import layout_seed
from benchmarks._scenes import SCENES, data_root, lego
from benchmarks._solver_trials import feature_depth
from benchmarks.localisation_records import counted, described
from benchmarks.localisation_scenes import PROTOCOL, queries_of
from benchmarks.localisation_speed import speed_part
from benchmarks.localisation_tracking import tracking_part
from benchmarks.localisation_trust import trust_part
from benchmarks.localisation_ways import DETECTOR, ways
from fast_inerf_ros.config import replace
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.datasets.synthetic.protocol import load_protocol
from fast_inerf_ros.datasets.synthetic.render import Renderer
from fast_inerf_ros.estimator.config import EstimatorConfig
from fast_inerf_ros.estimator.observation import Observation
from fast_inerf_ros.estimator.pose_estimator import PoseEstimator
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.fields.checkpoint import load_field
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.features.registry import make_extractor
from fast_inerf_ros.inerf.landmark_building import build_landmarks
from fast_inerf_ros.inerf.landmark_file import field_id, load_landmarks, save_landmarks
from fast_inerf_ros.inerf.landmarks import LandmarkMap
from fast_inerf_ros.io.atomic import write_text
from fast_inerf_ros.io.scene import Scene
from fast_inerf_ros.posecnn.detector import Detector

N_FOLDS = 5


@dataclass(frozen=True)
class Question:
    """A photograph whose camera is asked for."""

    name: str
    observation: Observation
    truth: SE3


@dataclass(frozen=True)
class Place:
    """An estimator and what is asked of it; distances are in ``unit`` metres."""

    name: str
    estimator: PoseEstimator
    questions: list[Question]
    unit: float
    depth: float


def main() -> int:
    """Run the parts of the command line."""
    arguments = parsed()
    if {"photographs", "trust"} & {*arguments.parts} and data_root() is None:
        return 2
    torch.set_num_threads(arguments.threads)
    parts = {
        "photographs": photographs_part,
        "tabletop": tabletop_part,
        "tracking": tracking_part,
        "trust": lambda given: trust_part(
            given, all_places(given), partial(written, target_of(given, "trust"))
        ),
        "speed": speed_part,
    }
    for part in arguments.parts:
        written(target_of(arguments, part), parts[part](arguments))
    return 0


def target_of(arguments: argparse.Namespace, part: str) -> Path:
    """The JSON of a part."""
    return Path(arguments.output) / f"localisation_{part}.json"


def written(target: Path, trials: list[dict[str, Any]]) -> None:
    """Write trials, in place of those that were there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, json.dumps(trials, indent=1) + "\n")


def parsed() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = ["photographs", "tabletop", "tracking", "trust", "speed"]
    parser.add_argument("parts", nargs="+", choices=names)
    parser.add_argument("--scenes", nargs="*", default=["fox", "fern", "lego"])
    parser.add_argument("--fields", type=Path, default=Path("benchmarks/results/fields"))
    parser.add_argument("--folds", type=Path, default=Path("benchmarks/results/fields"))
    parser.add_argument("--layouts", type=Path, nargs="*", default=[])
    parser.add_argument("--detector", type=Path, default=DETECTOR, help="tabletop: PoseCNN")
    parser.add_argument("--landmarks", type=Path, default=Path("benchmarks/results/landmarks"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--most", type=int, default=10**6, help="images of each, at most")
    parser.add_argument(
        "--real-time",
        action="store_true",
        help="tracking: pass over the frames that come while one is looked at, as a node does",
    )
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    return parser.parse_args()


def photographs_part(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Real photographs and lego, from nothing but the image."""
    trials: list[dict[str, Any]] = []
    for scene in arguments.scenes:
        found = []
        for place in photograph_places(scene, arguments):
            for question in place.questions[: arguments.most]:
                found.append(trial(place, question))
        if found:
            print(summary(scene, found, scene == "lego"), flush=True)
        trials += found
    return trials


def photograph_places(scene: str, arguments: argparse.Namespace) -> Iterator[Place]:
    """Each fold of a real scene whose field is there, or lego."""
    root = Path(os.environ["FAST_INERF_DATA"])
    if scene == "lego":
        training, asked, _ = lego(root, False)
        yield place_of("lego", arguments.fields / "lego.npz", training, asked, arguments)
        return
    posed = whole(scene, root)
    for fold in range(N_FOLDS):
        path = arguments.folds / f"{scene}_{fold}.npz"
        if not path.exists():
            print(f"{scene}: no field of fold {fold}: left out", flush=True)
            continue
        everything = np.arange(len(posed))
        held_out = everything[fold::N_FOLDS]
        training = posed.subset(np.setdiff1d(everything, held_out))
        yield place_of(f"{scene}_{fold}", path, training, posed.subset(held_out), arguments)


def whole(scene: str, root: Path) -> PosedImages:
    """All photographs of a real scene at the size of its fields."""
    training, held_out, _ = SCENES[scene](root, False)
    names = {*training.names, *held_out.names}
    if scene == "fox":
        posed = load_dataset(root / "fox").resized(270, 480)
    else:
        from fast_inerf_ros.datasets.options import DatasetOptions

        posed = load_dataset(root / "fern", DatasetOptions(factor=8))
    assert names == set(posed.names)
    return posed


def place_of(
    name: str,
    path: Path,
    training: PosedImages,
    asked: PosedImages,
    arguments: argparse.Namespace,
) -> Place:
    """An estimator with landmarks of the training photographs, and the other photographs."""
    field = load_field(path)
    identity = field_id(path)
    stored = arguments.landmarks / f"{name}_{identity[:12]}.npz"
    if not stored.exists():
        stored.parent.mkdir(parents=True, exist_ok=True)
        made = build_landmarks(
            lambda index: pixels(training, index),
            training.cameras,
            training.T_world_camera,
            field,
            identity,
            make_extractor(),
        )
        save_landmarks(stored, made)
    config = configuration(name)
    landmarks = LandmarkMap(load_landmarks(stored, identity), field.frame, config.landmarks.match)
    depth = feature_depth(training)
    unit = 1.0 if name == "lego" else depth
    estimator = PoseEstimator(Scene("map", metric=False), field, config, landmarks)
    return Place(name, estimator, questions_of(asked), unit, depth)


def configuration(name: str) -> EstimatorConfig:
    """The defaults; that lego stands before white is known."""
    config = EstimatorConfig()
    return replace(config, "background", "white") if name == "lego" else config


def questions_of(posed: PosedImages, most: int = 10**6) -> list[Question]:
    """The first photographs, at most so many, whose camera is asked for."""
    return [
        Question(
            posed.names[index],
            Observation(pixels(posed, index), posed.cameras[index]),
            posed.T_world_camera[index],
        )
        for index in range(min(most, len(posed)))
    ]


def pixels(posed: PosedImages, index: int) -> np.ndarray:
    """A photograph, (H, W, 3) uint8."""
    return (posed.colors(index) * 255.0).round().astype(np.uint8)


def trial(place: Place, question: Question) -> dict[str, Any]:
    """One image: errors of landmarks alone and of the estimate, score, and time."""
    processor, wall = time.process_time(), time.perf_counter()
    estimate = place.estimator.estimate(question.observation)
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    record = {
        "place": place.name,
        "image": question.name,
        "processor_seconds": processor,
        "seconds": wall,
        "load": os.getloadavg()[0],
    }
    return record | described(estimate, question.truth, place.unit) | alone(place, question)


def alone(place: Place, question: Question) -> dict[str, Any]:
    """Errors of landmarks without refinement."""
    sources = place.estimator.sources
    matches = sources.matched(sources.features(question.observation))
    found = None
    if matches is not None:
        found = sources.located(matches, question.observation.camera)
    if found is None:
        return {"landmarks_angle_deg": float("inf"), "landmarks_distance": float("inf")}
    error = pose_errors(found.T_camera_world.inverse(), question.truth)
    return {
        "landmarks_angle_deg": float(np.degrees(error.rotation)),
        "landmarks_distance": float(error.translation) / place.unit,
        "n_inliers": int(np.count_nonzero(found.inliers)),
    }


def summary(name: str, trials: list[dict[str, Any]], metric: bool = True) -> str:
    """Lines of the table: k/N within limits, medians, and how often refinement did harm."""
    angle, distance = (np.array([t[key] for t in trials]) for key in ("angle_deg", "distance"))
    start, shift = (
        np.array([t[key] for t in trials]) for key in ("landmarks_angle_deg", "landmarks_distance")
    )
    lines = [f"{name}: {len(trials)} images"]
    limits = ((5, 0.05), (1, 0.01)) if metric else ((5, 0.05), (0.5, 0.005))
    for most_deg, most in limits:
        good = (angle < most_deg) & (distance < most)
        lines.append(f"  < {most_deg} deg, {most}: {counted(good)}")
    wrong = np.isfinite(angle) & ~((angle < 5) & (distance < 0.05))
    harmed = np.isfinite(angle) & (angle > 1.05 * start + 0.02) & (distance > shift)
    seconds = np.median([t["processor_seconds"] for t in trials])
    lines.append(
        f"  median {np.median(angle):.3f} deg, {np.median(distance):.4f} (landmarks alone "
        f"{np.median(start):.3f} deg, {np.median(shift):.4f}); wrong and accepted "
        f"{int(wrong.sum())}; refinement made it worse in {counted(harmed)}; processor "
        f"{seconds * 1e3:.0f} ms"
    )
    values = np.array([t["nees"] for t in trials if "nees" in t])
    if len(values):
        lines.append(f"  NEES: mean {values.mean():.1f}, median {np.median(values):.1f} (6)")
    return "\n".join(lines)


def tabletop_part(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Still queries of layouts, from each source alone and from all of them."""
    trials: list[dict[str, Any]] = []
    renderer = Renderer(2)
    detector = Detector.load(arguments.detector, EstimatorConfig().detector)
    for place in (layout_place(folder, renderer) for folder in arguments.layouts):
        for way, estimator in ways(place.estimator, detector).items():
            own = dataclasses.replace(place, estimator=estimator)
            asked = place.questions[: arguments.most]
            trials += [trial(own, question) | {"way": way} for question in asked]
    for way in dict.fromkeys(item["way"] for item in trials):
        chosen = [item for item in trials if item["way"] == way]
        print(summary(f"tabletop, {way}", chosen), flush=True)
    return trials


def layout_place(folder: Path, renderer: Renderer) -> Place:
    """A layout that was made beforehand, and its queries."""
    protocol = load_protocol(PROTOCOL)
    seed = layout_seed(folder.name)
    questions = [
        Question(f"{seed}/{index}", Observation(image, protocol.camera), truth)
        for index, (image, truth) in enumerate(queries_of(protocol, renderer, seed))
    ]
    middle = sum(protocol.distance) / 2
    estimator = PoseEstimator.load(folder / "scene.yaml")
    return Place(folder.name, estimator, questions, 1.0, middle)


def all_places(arguments: argparse.Namespace) -> list[Place]:
    """Layouts, and the scenes whose field is in ``--fields``, with the photographs held out."""
    renderer = Renderer(2)
    found = [layout_place(folder, renderer) for folder in arguments.layouts]
    for scene in arguments.scenes:
        training, asked, _ = SCENES[scene](Path(os.environ["FAST_INERF_DATA"]), False)
        path = arguments.fields / f"{scene}.npz"
        found.append(place_of(scene, path, training, asked, arguments))
    return found


if __name__ == "__main__":
    sys.exit(main())
