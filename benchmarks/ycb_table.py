"""The seed's situation, by its commands and by the node: python -m benchmarks.ycb_table FOLDER.

FOLDER is one of `benchmarks._ycb_place`. Ten photographs that field and PoseCNN have not seen are
localised (a) as the seed's user types it, by ``run_inerf --posecnn_init_pose --mask_region`` with
the options of its PROPS configuration, and with the solver of this package; (b) by
`pose_estimator`, as a recording over DDS, with its defaults and from PoseCNN alone. Distances are
in metres. Writes JSON and prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks._ycb_place import MODEL
from benchmarks.photographs import WAYS, Asked, asked_of, table
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.experiments.run_inerf import main as run_inerf
from fast_inerf_ros.io.atomic import write_text
from fast_inerf_ros.nodes.distribution import environment

PROPS = [
    *("--dataset_type", "blender", "--sampling_strategy", "interest_regions"),
    *("--batch_size", "1024", "--lrate", "0.007", "--dil_iter", "3", "--kernel_size", "5"),
    *("--posecnn_init_pose", "--mask_region"),
]
"""Of the seed's configs/inerf/PROPS.txt, but lrate, which is in radians and units of the field:
0.03 there, for cameras 2 to 6 units away; these are 0.6 to 1 m away."""


def main() -> int:
    """Ask in every way, print tables and write JSON."""
    arguments = parsed()
    os.environ.update(environment(1 + os.getpid() % 100))
    torch.set_num_threads(os.cpu_count() or 1)
    folder = arguments.folder.absolute()
    posed = load_dataset(folder / "photographs")
    chosen = [int(index) for index in posed.splits.test[: arguments.most]]
    results = []
    for solver in ("adam", "keyframe"):
        asked = [
            as_the_seed(folder, number, posed.names[index], solver)
            for number, index in enumerate(chosen)
        ]
        results.append(record(folder, f"run_inerf, {solver}", asked))
    for way, options in WAYS.items():
        asked = asked_of(folder / "scene.yaml", posed, chosen, 1.0, options)
        results.append(record(folder, f"node, {way}", asked))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    write_text(arguments.output, json.dumps(results, indent=1, allow_nan=False) + "\n")
    return 0


def parsed() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int, default=10**6, help="photographs")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/ycb_table.json"))
    return parser.parse_args()


def as_the_seed(folder: Path, number: int, name: str, solver: str) -> Asked:
    """Type the seed's command for one photograph, by its number, and read its result."""
    seed = folder / "seed"
    with tempfile.TemporaryDirectory() as output:
        words = ["--data_dir", seed / "data", "--ckpt_dir", seed / "checkpoints"]
        words += ["--model_name", MODEL, "--obs_img_num", number, "--output_dir", output]
        words += ["--posecnn_dir", folder / "detector.pt", "--scene", folder / "scene.yaml"]
        status = run_inerf([*map(str, words), *PROPS, "--solver", solver])
        if status == 2:
            raise SystemExit("run_inerf could not be asked")
        found = json.loads((Path(output) / MODEL / "result.json").read_text())
    refined = status == 0
    return Asked(
        name,
        "localised" if refined else "lost",
        "objects",
        None,
        found["reason"],
        found["seconds"],
        found["result_rotation_error_deg"] if refined else None,
        found["result_translation_error"] if refined else None,
    )


def record(folder: Path, way: str, asked: list[Asked]) -> dict[str, Any]:
    """Print the table of a way and return what goes into the JSON."""
    print(table(folder, way, asked), flush=True)
    photographs = [asdict(item) for item in asked]
    return {
        "name": "ycb table",
        "way": way,
        "load": os.getloadavg()[0],
        "photographs": photographs,
    }


if __name__ == "__main__":
    sys.exit(main())
