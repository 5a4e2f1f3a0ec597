"""How localisation grows with photographs, pixels and objects: python -m benchmarks.growth.

Needs FAST_INERF_DATA and a field of fox that was trained without its held-out photographs
(``--field``). Landmarks are made of 10, 20 and all photographs, and the held-out ones are
localised with each map; then with the whole map at 240 to 1920 pixels of height. With
``--layout``, a folder of ``benchmarks.localisation_scenes``, also of 25 to 400 photographs of that
table, which are rendered anew; and its queries are localised by PoseCNN alone that knows where 1,
2, 4 and all objects stand. Times are processor times. Writes JSON and prints a table.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._artefacts import layout_seed
from benchmarks._machine import peak_memory_gb
from benchmarks._scenes import data_root, fox
from benchmarks._solver_trials import feature_depth
from benchmarks.localisation import Question, layout_place, pixels, questions_of
from benchmarks.localisation_scenes import PROTOCOL, photograph_layout
from benchmarks.localisation_ways import DETECTOR, ways
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.datasets.synthetic.protocol import load_protocol
from fast_inerf_ros.datasets.synthetic.render import Renderer
from fast_inerf_ros.estimator.config import EstimatorConfig
from fast_inerf_ros.estimator.pose_estimator import PoseEstimator
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.fields.checkpoint import load_field
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.inerf.features.registry import make_extractor
from fast_inerf_ros.inerf.landmark_building import build_landmarks
from fast_inerf_ros.inerf.landmark_file import field_id, save_landmarks
from fast_inerf_ros.inerf.landmarks import LandmarkMap
from fast_inerf_ros.io.scene import Scene
from fast_inerf_ros.posecnn.detector import Detector

HEIGHTS = (240, 480, 960, 1920)
COUNTS = (10, 20, 10**6)
TABLE_COUNTS = (25, 50, 100, 200, 400)
OBJECT_COUNTS = (1, 2, 4, 10**6)
N_WARM_UP = 1


def main() -> int:
    """Measure both, print tables and write JSON."""
    arguments = parsed()
    root = data_root()
    if root is None:
        return 2
    torch.set_num_threads(1)
    result = measured(root, arguments)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def parsed() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--field", type=Path, default=Path("benchmarks/results/fields/fox.npz"))
    parser.add_argument("--layout", type=Path, help="tabletop for 25 to 400 photographs")
    parser.add_argument("--detector", type=Path, default=DETECTOR, help="PoseCNN of its objects")
    parser.add_argument("--quick", action="store_true", help="three photographs, two maps")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/growth.json"))
    return parser.parse_args()


def measured(root: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Rows by photographs of the map, by pixels of the image and by known objects."""
    training, asked, _ = fox(root, False)
    field, depth = load_field(arguments.field), feature_depth(training)
    most = 3 if arguments.quick else len(asked)
    counts = COUNTS[:2] if arguments.quick else COUNTS
    result: dict[str, Any] = {"load": os.getloadavg()[0], "photographs": [], "height": []}
    for count in counts:
        made, row = mapped(evenly(training, count), field, arguments.field)
        estimator = PoseEstimator(Scene("map", metric=False), field, EstimatorConfig(), made)
        row |= localised(estimator, questions_of(asked, most), 0.01 * depth)
        result["photographs"].append(row)
        print(line(f"{row['photographs']} photographs", row), flush=True)
    whole = load_dataset(root / "fox").split("test")
    for height in HEIGHTS[:3] if arguments.quick else HEIGHTS:
        size = height * whole.cameras[0].width // whole.cameras[0].height, height
        resized = questions_of(whole.resized(*size), most)
        row = {"height": height} | localised(estimator, resized, 0.01 * depth)
        result["height"].append(row)
        print(line(f"{size[0]}x{size[1]}", row), flush=True)
    if arguments.layout is not None:
        result |= table_measured(arguments)
    return result


def table_measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """Rows of a tabletop by photographs of its map, and by known objects."""
    renderer = Renderer(2)
    place = layout_place(arguments.layout, renderer)
    field, asked = place.estimator.field, place.questions
    counts = TABLE_COUNTS[:2] if arguments.quick else TABLE_COUNTS
    config, limit = place.estimator.config, 0.01 * place.unit
    result: dict[str, Any] = {"table_photographs": [], "objects": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / arguments.layout.name
        folder.mkdir()
        more = dataclasses.replace(load_protocol(PROTOCOL), n_reference=counts[-1])
        photograph_layout(folder, more, renderer, layout_seed(folder.name))
        photographs = load_dataset(folder).split("train")
        for count in counts:
            made, row = mapped(evenly(photographs, count), field, arguments.layout / "field.npz")
            estimator = PoseEstimator(place.estimator.scene, field, config, made)
            row |= localised(estimator, asked, limit)
            result["table_photographs"].append(row)
            print(line(f"table, {row['photographs']} photographs", row), flush=True)
    detector = Detector.load(arguments.detector, config.detector)
    alone = ways(place.estimator, detector)["PoseCNN alone"]
    for count in OBJECT_COUNTS:
        scene = dataclasses.replace(alone.scene, objects=alone.scene.objects[:count])
        own = PoseEstimator(scene, field, alone.config, None, detector)
        row = {"objects": len(scene.objects)} | localised(own, asked, limit)
        result["objects"].append(row)
        print(line(f"table, {row['objects']} objects", row), flush=True)
    return result


def evenly(posed: PosedImages, count: int) -> PosedImages:
    """Photographs evenly taken, at most so many."""
    chosen = np.linspace(0, len(posed) - 1, min(count, len(posed))).astype(int)
    return posed.subset(np.unique(chosen))


def mapped(posed: PosedImages, field: Field, path: Path) -> tuple[LandmarkMap, dict[str, Any]]:
    """A landmark map of photographs, and what it takes."""
    began = time.process_time()
    made = build_landmarks(
        lambda index: pixels(posed, index),
        posed.cameras,
        posed.T_world_camera,
        field,
        field_id(path),
        make_extractor(),
    )
    seconds = time.process_time() - began
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "landmarks.npz"
        save_landmarks(stored, made)
        size = stored.stat().st_size / 1e6
    row = {"photographs": len(posed), "build_processor_s": seconds, "file_mb": size}
    match = EstimatorConfig().landmarks.match
    return LandmarkMap(made, field.frame, match), row


def localised(estimator: PoseEstimator, asked: list[Question], limit: float) -> dict[str, Any]:
    """Processor time of estimates without a prior, and how many are within 1 deg and the limit."""
    for question in asked[:N_WARM_UP]:
        estimator.estimate(question.observation)
    seconds, good = [], 0
    for question in asked:
        began = time.process_time()
        found = estimator.estimate(question.observation)
        seconds.append(time.process_time() - began)
        if found.T_world_camera is not None:
            error = pose_errors(found.T_world_camera, question.truth)
            good += bool(error.rotation_deg < 1.0 and error.translation < limit)
    return {
        "processor_ms": 1e3 * float(np.median(seconds)),
        "good": good,
        "asked": len(asked),
        "peak_memory_gb": peak_memory_gb(),
    }


def line(name: str, row: dict[str, Any]) -> str:
    """One line of the table."""
    made = f", map {row['file_mb']:.1f} MB" if "file_mb" in row else ""
    return (
        f"{name}: {row['processor_ms']:.0f} ms an image, {row['good']}/{row['asked']} within "
        f"1 deg and 0.01 d (1 cm){made}, memory so far {row['peak_memory_gb']:.2f} GB"
    )


if __name__ == "__main__":
    sys.exit(main())
