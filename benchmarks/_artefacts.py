"""What the benchmarks need and takes long to train: where it lies, and the commands for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from benchmarks._command import module

Word: TypeAlias = str | int | float | Path
"""Of a command line."""

DEFAULT = Path(__file__).parent / "artefacts"
FIRST_LAYOUT = 9_000_000
"""Of the test protocol (benchmarks/protocol.yaml)."""
FOX = ("--box", "fox", "1.6", "-0.9", "0.3", "2.2", "1.9", "2.4", "0")
"""The fox's head, as boxes.png of the scene shows it: what PoseCNN is trained on."""


def layout_seed(name: str) -> int:
    """Seed of the layout that a folder or a place is named after, as in layout_9000000."""
    return int(name.rpartition("_")[2])


@dataclass(frozen=True)
class Artefact:
    """Something that is trained once.

    outputs: files that are all there when it is complete. commands: make it, one after the other.
    """

    name: str
    outputs: tuple[Path, ...]
    commands: tuple[list[str], ...]

    @property
    def is_there(self) -> bool:
        """Whether it is complete."""
        return all(path.exists() for path in self.outputs)


@dataclass(frozen=True)
class Amounts:
    """How much is trained. Seconds are of each training."""

    field_seconds: tuple[float, ...]
    fold_seconds: float
    n_folds: int
    layout_seconds: float
    n_layouts: int
    scene: tuple[str, ...]
    n_images: int
    detector_seconds: float
    n_ycb_images: int
    ycb_seconds: float
    vanilla_seconds: float


FULL = Amounts((60, 300), 120, 5, 100, 3, ("--quick",), 4000, 3400, 2000, 3400, 600)
QUICK_SCENE = ("--quick", "--field.seconds", "60", "--no-posecnn")
QUICK = Amounts((60,), 60, 1, 40, 1, QUICK_SCENE, 300, 600, 200, 300, 60)


def folder_of_artefacts(given: Path | None = None) -> Path:
    """The folder of the command line, or of FAST_INERF_ARTEFACTS, or the default."""
    return given or Path(os.environ.get("FAST_INERF_ARTEFACTS", DEFAULT)).expanduser()


def artefacts(folder: Path, data: Path, amounts: Amounts) -> Iterator[Artefact]:
    """All artefacts, the most useful first."""
    yield from _fields(folder, amounts)
    yield from _scenes(folder, data, amounts)
    yield from _layouts(folder, amounts)
    yield from _folds(folder, amounts)
    yield _walk(folder)
    yield _vanilla(folder, amounts)
    yield _detector(folder / "posecnn", amounts)
    yield _ycb_table(folder / "ycb", amounts)


def _fields(folder: Path, amounts: Amounts) -> Iterator[Artefact]:
    for scene in ("lego", "fox", "fern"):
        field = folder / "fields" / f"{scene}.npz"
        words: list[Word] = ["--scenes", scene, "--seconds", *amounts.field_seconds]
        words += ["--save", field.parent, "--output", field.with_suffix(".json")]
        yield Artefact(f"field of {scene}", (field,), (module("benchmarks.fields", *words),))


def _folds(folder: Path, amounts: Amounts) -> Iterator[Artefact]:
    for fold in range(amounts.n_folds):
        for scene in ("fox", "fern"):
            words: list[Word] = [scene, fold, "--fields", folder / "folds"]
            words += ["--seconds", amounts.fold_seconds]
            yield Artefact(
                f"fold {fold} of {scene}",
                (folder / "folds" / f"{scene}_{fold}.npz",),
                (module("benchmarks._solver_scenes", *words),),
            )


def _scenes(folder: Path, data: Path, amounts: Amounts) -> Iterator[Artefact]:
    for scene, boxes in (("fox", FOX), ("fern", ())):
        output = folder / "scenes" / scene
        command = module("fast_inerf_ros.scene_building.build_scene", data / scene)
        command += ["--output", str(output), *amounts.scene, *boxes]
        yield Artefact(f"scene of {scene}", (output / "report.html",), (command,))


def _layouts(folder: Path, amounts: Amounts) -> Iterator[Artefact]:
    for seed in range(FIRST_LAYOUT, FIRST_LAYOUT + amounts.n_layouts):
        output = folder / "tabletops" / f"layout_{seed}"
        words = ["--output", folder / "tabletops", "--seeds", seed, "--routes"]
        words += ["--seconds", amounts.layout_seconds]
        yield Artefact(
            f"layout {seed}",
            (output / "landmarks.npz", output / "route.npz"),
            (module("benchmarks.localisation_scenes", *words),),
        )


def _walk(folder: Path) -> Artefact:
    output = folder / "demo"
    return Artefact(
        "recording of the demo",
        (output / "scene" / "scene.yaml", output / "scene" / "recording" / "bag"),
        (module("scripts.demo", output),),
    )


def _vanilla(folder: Path, amounts: Amounts) -> Artefact:
    output = folder / "vanilla.json"
    words = ["--parts", "ratio", "--seconds", amounts.vanilla_seconds, "--output", output]
    return Artefact(
        "vanilla field against voxels", (output,), (module("benchmarks.vanilla", *words),)
    )


def _detector(folder: Path, amounts: Amounts) -> Artefact:
    images = ["--output", folder / "images", "--format", "bop", "--n-train", amounts.n_images]
    images += ["--n-val", 60, "--width", 640, "--height", 480, "--layout-seed", 500_000]
    images += ["--n-clutter", 10, "--noise-sigma", 0.02, "--exposure-ev", 0.7, "--blur-px", 7]
    images += ["--occluders", 0.6, "--pose-crowding", "0.8,1.0", "--elevation-deg", "15,50"]
    training = ["--data", folder / "images", "--output", folder / "training"]
    training += ["--max-seconds", amounts.detector_seconds, "--max-epochs", 0, "--no-tensorboard"]
    training += ["--dataset.stored-width", 640, "--schedule.input-width", 576]
    training += ["--schedule.first-width", 352]
    training += ["--schedule.batch-size", 4, "--schedule.learning-rate", 0.0015]
    commands = [
        module("fast_inerf_ros.nodes.train_posecnn", *training),
        module("benchmarks._keep", folder / "training" / "best.pt", folder / "tabletop.pt"),
    ]
    if not (folder / "images").exists():
        make = "fast_inerf_ros.datasets.synthetic.generate_tabletop"
        commands.insert(0, module(make, *images))
    return Artefact("PoseCNN of the tabletop", (folder / "tabletop.pt",), tuple(commands))


def _ycb_table(folder: Path, amounts: Amounts) -> Artefact:
    words = [folder, "--images", amounts.n_ycb_images]
    words += ["--field-seconds", amounts.field_seconds[-1]]
    words += ["--detector-seconds", amounts.ycb_seconds]
    return Artefact(
        "table of the seed's objects",
        (folder / "landmarks.npz",),
        (module("benchmarks._ycb_place", *words),),
    )
