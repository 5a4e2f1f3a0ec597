"""The report of `make bench`: python -m benchmarks.report [FOLDER] makes it anew of bench.json."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks._machine import commit, machine
from benchmarks._parts import Part, Places
from benchmarks._report_models import model_sections
from benchmarks._report_page import NOT_MEASURED, STYLE, Found, table
from benchmarks._report_poses import pose_sections
from benchmarks._solver_plots import time_of_success
from benchmarks._solver_trials import SEED
from benchmarks.train import provenance
from fast_inerf_ros.io.atomic import write_text

SUMMARY, REPORT = "bench.json", "report.html"
SEEDS = {
    "fields, networks, estimator": 0,
    "starts of refinements": SEED,
    "layouts of the test protocol": "from 9000000",
}


def main() -> int:
    """Write the report once more."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "results"
    print(f"report -> {write_report(folder)}")
    return 0


def gathered(
    places: Places, series: Sequence[Part], records: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Everything that is known, for one JSON file. Infinite errors become null."""
    done = [part for part in series if records.get(part.name, {}).get("state") != "left out"]
    results = {part.name: _read(part.result) for part in done if part.result.exists()}
    if "solvers" in results:
        results["solvers"]["success"] = [
            _without_path(trial) for trial in results["solvers"].get("success", [])
        ]
    summary: dict[str, Any] = _plain(
        {
            "machine": machine(),
            "commit": commit(),
            "seeds": SEEDS,
            "parts": records,
            "training": of_training(places.artefacts),
            "provenance": provenance(places.artefacts),
            "results": results,
        }
    )
    return summary


def of_training(artefacts: Path) -> dict[str, Any]:
    """What was measured while artefacts were trained."""
    found: dict[str, Any] = {"fields": []}
    for path in sorted((artefacts / "fields").glob("*.json")):
        found["fields"] += _read(path)
    if (artefacts / "vanilla.json").exists():
        found["vanilla"] = _read(artefacts / "vanilla.json")
    return found


def write_report(folder: Path) -> Path:
    """Make report.html of bench.json, one file with nothing beside it; return its path."""
    content = _read(folder / SUMMARY)
    found = Found(content["results"], content["parts"], content["training"], content["machine"])
    sections = [
        "<h1>Benchmarks of fast_inerf_ros</h1>",
        *_origin(content),
        *pose_sections(found),
        *model_sections(found),
        *_artefacts(content["provenance"]),
        *_parts(content["parts"]),
    ]
    style = f"{STYLE}.origin {{ color: #777; font: 12px monospace }}"
    page = f"<!doctype html><meta charset=utf-8><title>Benchmarks</title><style>{style}</style>"
    write_text(folder / REPORT, page + "\n".join(sections) + "\n")
    return folder / REPORT


def _origin(content: dict[str, Any]) -> Iterator[str]:
    rows = [("commit", content["commit"])]
    for name, value in content["machine"].items():
        if isinstance(value, dict):
            rows += [(key, str(version)) for key, version in value.items()]
        else:
            rows.append((name, "none" if value is None else str(value)))
    rows += [(f"seed: {name}", str(value)) for name, value in content["seeds"].items()]
    yield table(("", ""), rows)


def _artefacts(known: dict[str, Any]) -> Iterator[str]:
    yield "<h2>What was trained</h2>"
    if not known:
        yield f"<p>Origin {NOT_MEASURED.replace('measured', 'recorded')}.</p>"
        return
    yield table(("artefact", "time", "load", "commit", "finished", "command"), [
        (name, f"{item['seconds']:.0f} s", f"{item['load_before']:.1f}", item["commit"],
         item["finished"], "; ".join(item["commands"]))
        for name, item in known.items()
    ])  # fmt: skip


def _parts(records: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield "<h2>What was run</h2>"
    yield table(("part", "", "time", "commit"), [
        (name, " ".join([item["state"], item.get("reason", "")]),
         f"{item['seconds']:.0f} s" if "seconds" in item else "", item.get("commit", ""))
        for name, item in records.items()
    ])  # fmt: skip


def _without_path(trial: dict[str, Any]) -> dict[str, Any]:
    """A trial with the time of its success in the place of all of its steps."""
    kept = {key: value for key, value in trial.items() if key != "path"}
    return kept | {"success_s": time_of_success(trial)}


def _plain(value: Any) -> Any:
    """The same with null for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
