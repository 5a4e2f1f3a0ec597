"""Held-out photographs through the node: python -m benchmarks.photographs SCENE_FOLDER...

The folders are those of `build_scene`. The photographs that it kept from field, landmarks and
network are written as a rosbag2 with their CameraInfo (lens distortion included), at full size.
`replay` plays it, photograph by photograph, to `pose_estimator` with its default options in
another process, and the poses that it publishes are compared with those of the data set.

Each photograph is a place of its own: ~/relocalize is called before each, so that the tracker
knows nothing of the others, and the next one is played when the answer to the last has come,
however slow the machine is.

Where the scene has a detector, the same is asked once more of PoseCNN alone (no landmarks, no
views). Lengths are in d, the median depth of what the photographs show, as build_scene reports
it. Writes ``photographs.json`` with every photograph, and prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._asked_node import Answer, AskedNode
from benchmarks.localisation_records import counted
from fast_inerf_ros.config import load
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.datasets.synthetic.bag import IMAGE_TOPIC, START_NS, BagWriter
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.io.atomic import write_text
from fast_inerf_ros.io.scene import load_scene
from fast_inerf_ros.nodes.distribution import environment
from fast_inerf_ros.scene_building.placed_field import in_world_of
from fast_inerf_ros.scene_building.scene_evaluation import load_evaluation
from fast_inerf_ros.training.options import TrainNerfConfig
from scripts.demo.processes import process
from scripts.demo.steps import ROOT, module

PERIOD_S = 10
"""Between photographs in the recording; each is played alone."""
LIMITS = ((5.0, 0.05), (1.0, 0.01))
"""Degrees, and d. Outside the first a pose is wrong."""
WITHOUT = ["--no-estimator.landmarks.enabled", "--no-estimator.views.enabled"]
WAYS: dict[str, list[str]] = {"default": [], "posecnn alone": WITHOUT}
BACKGROUND = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Asked:
    """One photograph and what was answered; errors are None where it is lost.

    distance_d: between camera centres, in d. seconds: wall clock, from the start of the player.
    score: None where the way asked has none.
    """

    name: str
    status: str
    source: str
    score: float | None
    reason: str
    seconds: float
    angle_deg: float | None = None
    distance_d: float | None = None

    def within(self, degrees: float, depths: float) -> bool:
        """Whether there is a pose with errors below limits."""
        if self.angle_deg is None or self.distance_d is None:
            return False
        return self.angle_deg < degrees and self.distance_d < depths


def main(argv: list[str] | None = None) -> int:
    """Ask about the photographs of every scene; 1 where one was answered wrongly."""
    arguments = parsed(argv)
    os.environ.update(environment(1 + os.getpid() % 100))
    results: list[dict[str, Any]] = []
    for folder in arguments.scenes:
        posed, chosen, depth = held_out(folder, arguments.most)
        for way, options in ways_of(folder).items():
            asked = asked_of(folder / "scene.yaml", posed, chosen, depth, options)
            print(table(folder, way, asked), flush=True)
            results.append(
                {"scene": str(folder), "name": folder.resolve().name, "way": way, "depth": depth}
                | {"load": os.getloadavg()[0], "photographs": [asdict(item) for item in asked]}
            )
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    write_text(arguments.output, json.dumps(results, indent=1, allow_nan=False) + "\n")
    wrong = [item for result in results for item in result["photographs"] if is_wrong(item)]
    return 1 if wrong else 0


def parsed(argv: list[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", type=Path, nargs="+", help="folders of build_scene")
    parser.add_argument("--most", type=int, default=10**6, help="photographs of each, at most")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/photographs.json"))
    return parser.parse_args(argv)


def held_out(folder: Path, most: int) -> tuple[PosedImages, list[int], float]:
    """The photographs of a scene in its world, which of them it was evaluated on, and d."""
    config = load(TrainNerfConfig, folder / "field" / "config.yaml")
    posed = in_world_of(
        load_scene(folder / "scene.yaml"), load_dataset(config.data, config.dataset)
    )
    chosen = [int(index) for index in posed.splits.test]
    evaluation = load_evaluation(folder / "evaluation")
    names = [item.name for item in evaluation.photographs]
    if [posed.names[index] for index in chosen] != names or evaluation.depth is None:
        raise SystemExit(f"{folder}: the data set is not what the scene was evaluated on")
    return posed, chosen[:most], evaluation.depth


def ways_of(folder: Path) -> dict[str, list[str]]:
    """Which starts are tried, with the options of the node."""
    has_detector = load_scene(folder / "scene.yaml").detector is not None
    return {way: options for way, options in WAYS.items() if has_detector or way == "default"}


def asked_of(
    scene: Path, posed: PosedImages, chosen: Sequence[int], depth: float, options: list[str]
) -> list[Asked]:
    """Record some photographs, run the node in a scene with options, and ask about each.

    chosen: their indices. depth: the unit of distances, metres.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_recording(folder / "bag", posed, chosen)
        command = module("fast_inerf_ros.nodes.pose_estimator", "--scene", scene, *options)
        command += ["--image-topics", IMAGE_TOPIC, "--max-age", "0"]
        command += ["--diagnostics-period", "0.2"]
        with (
            process("pose_estimator", command, folder, os.environ) as running,
            AskedNode() as node,
        ):
            node.wait_until_active(lambda: running.poll() is None)
            bag = folder / "bag"
            return [
                compared(posed, index, *ask(node, bag, number), depth)
                for number, index in enumerate(chosen)
            ]


def write_recording(path: Path, posed: PosedImages, chosen: Sequence[int]) -> None:
    """Write images, CameraInfo and true poses as a rosbag2, one every ``PERIOD_S``."""
    with BagWriter(path, "mcap", "rgb8") as writer:
        for number, index in enumerate(chosen):
            image = (posed.colors(index, BACKGROUND) * 255).round().astype(np.uint8)
            writer.write(
                stamp_of(number), image, posed.cameras[index], posed.T_world_camera[index]
            )


def stamp_of(number: int) -> int:
    """Nanoseconds of a photograph of the recording."""
    return START_NS + number * PERIOD_S * 10**9


def ask(node: AskedNode, bag: Path, number: int) -> tuple[Answer, float]:
    """Play one photograph; the answer, and the seconds until it came."""

    def send() -> None:
        part = ["--start-offset", number * PERIOD_S, "--duration", PERIOD_S / 2]
        command = module("fast_inerf_ros.nodes.replay", bag, *part)
        command += ["--wait-for-subscribers", "60"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"replay failed: {done.stderr}")

    began = time.monotonic()
    return node.ask(stamp_of(number), send), time.monotonic() - began


def compared(
    posed: PosedImages, index: int, answer: Answer, seconds: float, depth: float
) -> Asked:
    """The answer with its errors."""
    angle = distance = None
    if answer.T_world_camera is not None:
        error = pose_errors(answer.T_world_camera, posed.T_world_camera[index])
        angle, distance = float(error.rotation_deg), float(error.translation) / depth
    return Asked(
        posed.names[index], answer.status, answer.source, answer.score, answer.reason, seconds,
        angle, distance,
    )  # fmt: skip


def is_wrong(item: dict[str, Any]) -> bool:
    """Whether a photograph was given a pose that is wrong."""
    asked = Asked(**item)
    return asked.angle_deg is not None and not asked.within(*LIMITS[0])


def table(folder: Path, way: str, asked: list[Asked]) -> str:
    """Every photograph, and how many are within the limits."""
    lines = [f"{folder} ({way})"]
    for item in asked:
        found = item.reason or "lost"
        if item.angle_deg is not None:
            found = f"{item.angle_deg:7.3f} deg {item.distance_d:8.4f} d"
        score = "" if item.score is None else f"score {item.score:.3f}"
        lines.append(f"  {item.name:32} {item.status:10} {item.source:10} {score:11} {found}")
    for degrees, depths in LIMITS:
        good = np.array([item.within(degrees, depths) for item in asked], dtype=bool)
        lines.append(f"  within {degrees:g} deg and {depths:g} d: {counted(good)}")
    lost = sum(item.status == "lost" for item in asked)
    wrong = sum(is_wrong(asdict(item)) for item in asked)
    lines.append(f"  lost {lost}, wrong and accepted {wrong}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
