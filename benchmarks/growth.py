"""How localisation grows with photographs and pixels: python -m benchmarks.growth.

Needs FAST_INERF_DATA and a field of fox that was trained without its held-out photographs
(``--field``). Landmarks are made of 10, 20 and all photographs, and the held-out ones are
localised with each map; then with the whole map at 240 to 1920 pixels of height. Times are
processor times. Writes JSON and prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._scenes import data_root, fox
from benchmarks._solver_trials import feature_depth
from benchmarks.localisation import pixels
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.estimator.config import EstimatorConfig
from fast_inerf_ros.estimator.observation import Observation
from fast_inerf_ros.estimator.pose_estimator import PoseEstimator
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.fields.checkpoint import load_field
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.inerf.features.registry import make_extractor
from fast_inerf_ros.inerf.landmark_building import build_landmarks
from fast_inerf_ros.inerf.landmark_file import field_id, save_landmarks
from fast_inerf_ros.inerf.landmarks import LandmarkMap
from fast_inerf_ros.io.scene import Scene

HEIGHTS = (240, 480, 960, 1920)
COUNTS = (10, 20, 10**6)
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
    parser.add_argument("--quick", action="store_true", help="three photographs, two maps")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/growth.json"))
    return parser.parse_args()


def measured(root: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Rows by photographs of the map, and by pixels of the image."""
    training, asked, _ = fox(root, False)
    field, depth = load_field(arguments.field), feature_depth(training)
    most = 3 if arguments.quick else len(asked)
    counts = COUNTS[:2] if arguments.quick else COUNTS
    result: dict[str, Any] = {"load": os.getloadavg()[0], "photographs": [], "height": []}
    for count in counts:
        chosen = np.unique(
            np.linspace(0, len(training) - 1, min(count, len(training))).astype(int)
        )
        made, row = mapped(training.subset(chosen), field, arguments.field)
        estimator = PoseEstimator(Scene("map", metric=False), field, EstimatorConfig(), made)
        row |= localised(estimator, asked, depth, most)
        result["photographs"].append(row)
        print(line(f"{row['photographs']} photographs", row), flush=True)
    whole = load_dataset(root / "fox").split("test")
    for height in HEIGHTS[:3] if arguments.quick else HEIGHTS:
        size = height * whole.cameras[0].width // whole.cameras[0].height, height
        row = {"height": height} | localised(estimator, whole.resized(*size), depth, most)
        result["height"].append(row)
        print(line(f"{size[0]}x{size[1]}", row), flush=True)
    return result


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


def localised(
    estimator: PoseEstimator, asked: PosedImages, depth: float, most: int
) -> dict[str, Any]:
    """Processor time of estimates without a prior, and how many are within 1 deg and 0.01 d."""
    images = [Observation(pixels(asked, index), asked.cameras[index]) for index in range(most)]
    for image in images[:N_WARM_UP]:
        estimator.estimate(image)
    seconds, good = [], 0
    for index, image in enumerate(images):
        began = time.process_time()
        found = estimator.estimate(image)
        seconds.append(time.process_time() - began)
        if found.T_world_camera is not None:
            error = pose_errors(found.T_world_camera, asked.T_world_camera[index])
            good += bool(error.rotation_deg < 1.0 and error.translation < 0.01 * depth)
    return {"processor_ms": 1e3 * float(np.median(seconds)), "good": good, "asked": len(images)}


def line(name: str, row: dict[str, Any]) -> str:
    """One line of the table."""
    made = f", map {row['file_mb']:.1f} MB" if "file_mb" in row else ""
    return (
        f"{name}: {row['processor_ms']:.0f} ms an image, {row['good']}/{row['asked']} within "
        f"1 deg and 0.01 d{made}"
    )


if __name__ == "__main__":
    sys.exit(main())
