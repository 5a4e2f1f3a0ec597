"""The seed's own situation: python -m benchmarks._ycb_place FOLDER makes it.

The ten objects of $FAST_INERF_DATA/ycb_mesh on one table: photographs in Blender's layout, a field
of them, and PoseCNN trained on rendered images in the layout of PROPS-Pose, whose tables, rooms,
lamps and arrangements are others. scene.yaml joins them, with landmarks. ``seed/`` has the same in
the folders that the seed's commands look for. What is there is not made again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
from pathlib import Path

from benchmarks._command import end_on_request, module, run
from benchmarks._scenes import data_root
from fast_inerf_ros.io.scene import FieldReference, load_scene, save_scene

LAYOUT_SEED = 4_000_011
"""Of the table. Images for PoseCNN count up from 0."""
MODEL = "table"
"""What the seed's commands call it."""
N_PHOTOGRAPHS, N_HELD_OUT = 100, 10


def main() -> int:
    """Make what is not there; the status of what failed."""
    arguments = parsed()
    root = data_root()
    if root is None:
        return 2
    end_on_request()
    folder = arguments.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    for output, making in commands(folder, root / "ycb_mesh" / "model", arguments):
        for command in making if not output.exists() else []:
            ended = run(command)
            if ended.status:
                return ended.status
    if not (folder / "landmarks.npz").exists():
        join(folder)
        words = [folder / "scene.yaml", "--data", folder / "photographs"]
        return run(module("fast_inerf_ros.training.build_landmarks", *words)).status
    return 0


def parsed() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=2000, help="for PoseCNN")
    parser.add_argument("--field-seconds", type=float, default=300.0)
    parser.add_argument("--detector-seconds", type=float, default=3600.0)
    return parser.parse_args()


def commands(
    folder: Path, meshes: Path, arguments: argparse.Namespace
) -> list[tuple[Path, list[list[str]]]]:
    """Results, and what makes them; trainings leave files before they are finished, too."""
    generator = "fast_inerf_ros.datasets.synthetic.generate_tabletop"
    objects = ["--meshes", meshes, "--n-boxes", 0, "--n-cans", 0]
    photographs = ["--format", "nerf", "--layout-seed", LAYOUT_SEED, "--no-depth"]
    photographs += ["--n-train", N_PHOTOGRAPHS, "--n-val", 8, "--n-test", N_HELD_OUT]
    images = ["--format", "props", "--n-train", arguments.images, "--n-val", 60]
    images += ["--width", 480, "--height", 360, "--noise-sigma", 0.02, "--exposure-ev", 0.7]
    images += ["--blur-px", 5.25, "--occluders", 0.5, "--n-clutter", 6]
    field = ["--data", folder / "photographs", "--output", folder / "field", "--no-tensorboard"]
    field += ["--max-seconds", arguments.field_seconds]
    network = ["--data", folder / "images", "--output", folder / "network", "--no-tensorboard"]
    network += ["--max-seconds", arguments.detector_seconds]
    network += ["--schedule.input-width", 480, "--schedule.first-width", 320]
    paths = {name: folder / name for name in ("photographs", "images")}
    make = {
        name: module(generator, "--output", path, *objects, *words)
        for (name, path), words in zip(paths.items(), (photographs, images), strict=True)
    }
    return [
        (paths["photographs"], [make["photographs"]]),
        (
            folder / "field.npz",
            [
                module("fast_inerf_ros.nodes.train_nerf", *field),
                module("benchmarks._keep", folder / "field" / "field.npz", folder / "field.npz"),
            ],
        ),
        (paths["images"], [make["images"]]),
        (
            folder / "detector.pt",
            [
                module("fast_inerf_ros.nodes.train_posecnn", *network),
                module("benchmarks._keep", folder / "network" / "best.pt", folder / "detector.pt"),
            ],
        ),
    ]


def join(folder: Path) -> None:
    """Write scene.yaml and the seed's folders."""
    scene = load_scene(folder / "photographs" / "scene.yaml")
    objects = tuple(
        dataclasses.replace(item, mesh=f"photographs/{item.mesh}") for item in scene.objects
    )
    field = FieldReference("field.npz")
    placed = dataclasses.replace(scene, objects=objects, field=field, detector="detector.pt")
    save_scene(placed, folder / "scene.yaml")
    observed = folder / "seed" / "data" / MODEL / "obs_imgs"
    shutil.rmtree(folder / "seed", ignore_errors=True)
    observed.mkdir(parents=True)
    content = json.loads((folder / "photographs" / "transforms_test.json").read_text())
    for frame in content["frames"]:
        frame["file_path"] = str(Path("../../../../photographs") / frame["file_path"])
    (observed / "transforms.json").write_text(json.dumps(content))
    (folder / "seed" / "checkpoints").mkdir()
    (folder / "seed" / "checkpoints" / f"{MODEL}.npz").symlink_to(folder / "field.npz")


if __name__ == "__main__":
    sys.exit(main())
