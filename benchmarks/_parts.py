"""The parts of `make bench`: what each runs, what it needs, and for how long at most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks._artefacts import FIRST_LAYOUT, layout_seed
from benchmarks._command import module


@dataclass(frozen=True)
class Part:
    """One benchmark of the series.

    needs: files without which it is left out; of ``any_of`` one is enough. minutes: after which
    it is ended. result: the JSON that it writes.
    """

    name: str
    command: list[str]
    result: Path
    minutes: float
    needs: tuple[Path, ...] = ()
    any_of: tuple[Path, ...] = ()
    needs_data: bool = True

    def missing(self, data: Path | None) -> str:
        """What it is left out for want of, or ""."""
        if self.needs_data and data is None:
            return "FAST_INERF_DATA is not set"
        gone = [path for path in self.needs if not path.exists()]
        if gone:
            return f"{gone[0]} is not there"
        if self.any_of and not any(path.exists() for path in self.any_of):
            return f"neither {self.any_of[0]} nor its like is there"
        return ""


@dataclass(frozen=True)
class Places:
    """Where artefacts are and results go. quick: fewer trials."""

    artefacts: Path
    results: Path
    quick: bool

    def result(self, name: str) -> Path:
        """The JSON of a part."""
        return self.results / f"{name}.json"

    def layouts(self) -> tuple[Path, ...]:
        """Layouts of the test protocol that are complete."""
        folders = sorted((self.artefacts / "tabletops").glob("layout_*"))
        found = [
            folder
            for folder in folders
            if layout_seed(folder.name) >= FIRST_LAYOUT
            and (folder / "landmarks.npz").exists()
            and (folder / "route.npz").exists()
        ]
        return tuple(found[: 1 if self.quick else None])


def parts(places: Places) -> Iterator[Part]:
    """All parts, what must not be missing first."""
    yield _photographs(places)
    yield _fields(places)
    yield from _localisation(places)
    yield from _solvers(places)
    yield from _posecnn(places)
    yield _node(places)
    yield _ycb_table(places)
    yield _growth(places)
    yield Part(
        "cuda",
        module(
            "benchmarks.cuda", "--fields", places.artefacts / "fields", *_output(places, "cuda")
        ),
        places.result("cuda"),
        2,
    )
    count = 20 if places.quick else 60
    yield Part(
        "generator",
        module("benchmarks.generator", "--n-images", count, *_output(places, "generator")),
        places.result("generator"),
        3,
        needs_data=False,
    )


def _output(places: Places, name: str) -> list[object]:
    return ["--output", places.result(name)]


def _photographs(places: Places) -> Part:
    scenes = [places.artefacts / "scenes" / name for name in ("fox", "fern")]
    there = [scene for scene in scenes if (scene / "report.html").exists()]
    words = [*there, *_output(places, "photographs")]
    if places.quick:
        words += ["--most", 3]
    return Part(
        "photographs",
        module("benchmarks.photographs", *words),
        places.result("photographs"),
        2 if places.quick else 8,
        any_of=tuple(scene / "report.html" for scene in scenes),
    )


def _fields(places: Places) -> Part:
    fields = places.artefacts / "fields"
    scenes = ["lego"] if places.quick else ["lego", "fox", "fern"]
    words = ["--evaluate", fields, "--scenes", *scenes, *_output(places, "fields")]
    return Part(
        "fields",
        module("benchmarks.fields", *words),
        places.result("fields"),
        1.5 if places.quick else 5,
        any_of=tuple(fields / f"{scene}.npz" for scene in scenes),
    )


def _localisation(places: Places) -> Iterator[Part]:
    artefacts, layouts = places.artefacts, places.layouts()
    common = ["--fields", artefacts / "fields", "--folds", artefacts / "folds"]
    common += ["--landmarks", artefacts / "landmarks", "--output", places.results]
    tables = ["--layouts", *layouts] if layouts else []
    few = ["--most", 1, "--scenes", "fox"] if places.quick else ["--most", 3]
    first = artefacts / "tabletops" / f"layout_{FIRST_LAYOUT}" / "route.npz"
    field = artefacts / "fields" / "lego.npz"
    for name, words, minutes, needs in (
        ("photographs", ["--most", 3] if places.quick else [], (1.5, 6), (field,)),
        ("tabletop", tables, (1, 3), (first,)),
        ("tracking", [*tables, "--real-time"], (1, 3), (first,)),
        ("speed", [*tables, "--most", 90], (1.5, 4), (first,)),
        ("trust", [*tables, *few], (2, 15), (field,)),
    ):
        result = f"localisation_{name}"
        yield Part(
            result,
            module("benchmarks.localisation", name, *words, *common),
            places.result(result),
            minutes[0 if places.quick else 1],
            needs=needs,
            needs_data=name in ("photographs", "trust"),
        )


def _solvers(places: Places) -> Iterator[Part]:
    folders = [places.artefacts / name for name in ("fields", "folds", "tabletops")]
    common = ["--fields", *folders, "--seconds", 0, "--starts", 1]
    field = folders[0] / "lego.npz"
    scenes, solvers = ["lego", "fox", "fern", "tabletop"], ["keyframe", "lm", "adam"]
    if places.quick:
        scenes, solvers = scenes[:2], solvers[:2]
    words = [*common, "--rows", "success", "--scenes", *scenes, "--solvers", *solvers]
    words += ["--folds", 1 if places.quick else 5, "--layouts", 3]
    for name, more, minutes in (
        ("solvers", words, (2, 12)),
        ("solver_latency", [*common, "--rows", "latency", "--scenes", "lego"], (0.5, 1)),
        ("seed_loop", [*common, "--rows", "seed", "--seed-starts", 1], (3, 5)),
    ):
        yield Part(
            name,
            module("benchmarks.solvers", *more, *_output(places, name)),
            places.result(name),
            minutes[0 if places.quick else 1],
            needs=(field,),
        )


def _posecnn(places: Places) -> Iterator[Part]:
    folder = places.artefacts / "posecnn"
    words = ["--repeats", 5 if places.quick else 30, *_output(places, "posecnn_latency")]
    result = places.result("posecnn_latency")
    yield Part(
        "posecnn_latency",
        module("benchmarks.posecnn", *words),
        result,
        1.5 if places.quick else 3,
        needs_data=False,
    )
    if not places.quick:
        words = ["--no-latency", "--checkpoint", folder / "tabletop.pt"]
        words += ["--protocol-images", folder / "protocol_queries", *_output(places, "posecnn")]
        other = places.artefacts / "ycb"
        if (other / "detector.pt").exists():
            words += ["--ycb-checkpoint", other / "detector.pt", "--ycb-data", other / "images"]
        yield Part(
            "posecnn",
            module("benchmarks.posecnn", *words),
            places.result("posecnn"),
            8,
            needs=(folder / "tabletop.pt",),
            needs_data=False,
        )


def _node(places: Places) -> Part:
    scene = places.artefacts / "demo" / "scene"
    bag = scene / "recording" / "bag"
    words = ["--scene", scene / "scene.yaml", "--bag", bag, *_output(places, "node")]
    return Part(
        "node",
        module("benchmarks.node", *words, "--seconds", 10 if places.quick else 40),
        places.result("node"),
        2 if places.quick else 4,
        needs=(scene / "scene.yaml", bag),
        needs_data=False,
    )


def _ycb_table(places: Places) -> Part:
    folder = places.artefacts / "ycb"
    words = [folder, *(["--most", 2] if places.quick else []), *_output(places, "ycb_table")]
    return Part(
        "ycb_table",
        module("benchmarks.ycb_table", *words),
        places.result("ycb_table"),
        2 if places.quick else 6,
        needs=(folder / "landmarks.npz",),
        needs_data=False,
    )


def _growth(places: Places) -> Part:
    field = places.artefacts / "fields" / "fox.npz"
    layout = places.artefacts / "tabletops" / f"layout_{FIRST_LAYOUT}"
    words = ["--field", field, *(["--quick"] if places.quick else []), *_output(places, "growth")]
    if (layout / "landmarks.npz").exists():
        words += ["--layout", layout]
    return Part(
        "growth",
        module("benchmarks.growth", *words),
        places.result("growth"),
        3 if places.quick else 12,
        needs=(field,),
    )
