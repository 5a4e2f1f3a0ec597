"""Evaluates what was trained and reports it: python -m benchmarks (make bench).

    python -m benchmarks --quick
    python -m benchmarks fields solvers        # these parts; the others stay as they were measured
    python -m benchmarks --list

Artefacts are those of `benchmarks.train`. What lacks one is left out, and so is what there is no
time for: an hour, or ten minutes with ``--quick``; each part has its share, which ``--minutes``
stretches on slow machines. Writes bench.json, with every result, and
report.html to benchmarks/results/. Fails where a part fails.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks._artefacts import folder_of_artefacts
from benchmarks._command import end_on_request, run, shown
from benchmarks._machine import commit, machine
from benchmarks._parts import Part, Places, parts
from benchmarks.report import SUMMARY, gathered, write_report
from fast_inerf_ros.io.atomic import write_text

MINUTES = {True: 10.0, False: 60.0}
"""Of the whole series, quick or not."""
LEAST_MINUTES = 0.25
"""With less than this left no part is begun."""


def main(argv: list[str] | None = None) -> int:
    """Run the parts and write the report; return how many failed."""
    arguments = parsed(argv)
    folder = folder_of_artefacts(arguments.artefacts).absolute()
    places = Places(folder, arguments.output.absolute(), arguments.quick)
    series = list(parts(places))
    unknown = set(arguments.parts) - {part.name for part in series}
    if unknown:
        print(f"unknown parts {sorted(unknown)}; there are", file=sys.stderr)
        print(" ".join(part.name for part in series), file=sys.stderr)
        return 2
    chosen = [part for part in series if not arguments.parts or part.name in arguments.parts]
    if arguments.list:
        for part in chosen:
            print(f"{part.name}: {part.missing(data()) or shown(part.command)}")
        return 0
    end_on_request()
    places.results.mkdir(parents=True, exist_ok=True)
    records = known_records(places.results) if arguments.parts else {}
    minutes = arguments.minutes or MINUTES[places.quick]
    records |= run_all(chosen, 60 * minutes, places.quick)
    write_text(
        places.results / SUMMARY, json.dumps(gathered(places, series, records), indent=1) + "\n"
    )
    print(f"report -> {write_report(places.results)}")
    return sum(record["state"] == "failed" for record in records.values())


def parsed(argv: list[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", help="names of parts; all by default")
    parser.add_argument("--artefacts", type=Path, help="folder; else FAST_INERF_ARTEFACTS")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--quick", action="store_true", help="ten minutes")
    parser.add_argument("--minutes", type=float, help="time of the series")
    parser.add_argument("--list", action="store_true", help="only say what would be run")
    return parser.parse_args(argv)


def data() -> Path | None:
    """The folder of the data sets."""
    root = os.environ.get("FAST_INERF_DATA")
    return Path(root) if root else None


def run_all(chosen: list[Part], seconds: float, quick: bool) -> dict[str, dict[str, Any]]:
    """Run parts one after the other within a time; what became of each."""
    deadline = time.monotonic() + seconds
    stretched = seconds / MINUTES[quick]
    records = {}
    for part in chosen:
        left = deadline - time.monotonic()
        reason = part.missing(data())
        if not reason and left < LEAST_MINUTES * 60:
            reason = "no time was left"
        if reason:
            records[part.name] = {"state": "left out", "reason": reason}
        else:
            print(f"== {part.name}", flush=True)
            records[part.name] = run_one(part, min(left, part.minutes * stretched), quick)
        said = records[part.name]
        print(f"{part.name}: {said['state']} {said.get('reason', '')}", flush=True)
    return records


def run_one(part: Part, seconds: float, quick: bool) -> dict[str, Any]:
    """Run a part; the result of an earlier run must not pass for this one's."""
    part.result.unlink(missing_ok=True)
    load = os.getloadavg()[0]
    ended = run(part.command, seconds)
    record: dict[str, Any] = {
        "state": "done",
        "command": shown(part.command),
        "quick": quick,
        "seconds": round(ended.seconds, 1),
        "load_before": load,
        "load_after": os.getloadavg()[0],
        "commit": commit(),
        "machine": machine(),
        "finished": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    if ended.late and part.result.exists():
        return record | {"reason": f"ended after {seconds:.0f} s: what it had by then counts"}
    if ended.late:
        return record | {"state": "left out", "reason": f"not done within {seconds:.0f} s"}
    if not part.result.exists():
        return record | {"state": "failed", "reason": f"status {ended.status} and no result"}
    if ended.status:
        return record | {"state": "failed", "reason": f"status {ended.status}"}
    return record


def known_records(results: Path) -> dict[str, dict[str, Any]]:
    """What became of the parts of the last series."""
    path = results / SUMMARY
    if not path.exists():
        return {}
    return dict(json.loads(path.read_text(encoding="utf-8"))["parts"])


if __name__ == "__main__":
    sys.exit(main())
