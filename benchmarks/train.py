"""Trains what the benchmarks evaluate: python -m benchmarks.train (make bench-train).

Fields of lego, fox and fern and of their folds, layouts of the test protocol, scenes of
photographs, PoseCNN: some five hours on two cores, ``--quick`` three quarters of one. What is
there is left as it is, so that the same command goes on; remove a file to have it made anew.
``provenance.json`` has command, commit, machine, time and load of each. Needs FAST_INERF_DATA.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks._artefacts import (
    FULL,
    QUICK,
    Artefact,
    artefacts,
    folder_of_artefacts,
)
from benchmarks._command import end_on_request, run, shown
from benchmarks._machine import commit, machine
from benchmarks._scenes import data_root
from fast_inerf_ros.io.atomic import write_text

PROVENANCE = "provenance.json"


def main(argv: list[str] | None = None) -> int:
    """Train what is not there; return how many trainings failed."""
    arguments = parsed(argv)
    data = data_root()
    if data is None:
        return 2
    end_on_request()
    folder = folder_of_artefacts(arguments.artefacts).absolute()
    failed = 0
    for artefact in artefacts(folder, data, QUICK if arguments.quick else FULL):
        if arguments.only and not any(word in artefact.name for word in arguments.only):
            continue
        if artefact.is_there:
            print(f"{artefact.name}: there already", flush=True)
            continue
        if arguments.list:
            for command in artefact.commands:
                print(f"{artefact.name}: {shown(command)}", flush=True)
            continue
        failed += not trained(artefact, folder)
    return failed


def parsed(argv: list[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artefacts", type=Path, help="folder; else FAST_INERF_ARTEFACTS")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--only", nargs="+", default=[], help="words of the names to train")
    parser.add_argument("--list", action="store_true", help="only say what would be trained")
    return parser.parse_args(argv)


def trained(artefact: Artefact, folder: Path) -> bool:
    """Run the commands of an artefact and remember where it comes from."""
    print(f"== {artefact.name}", flush=True)
    seconds, load = 0.0, os.getloadavg()[0]
    for command in artefact.commands:
        ended = run(command)
        seconds += ended.seconds
        if ended.status:
            print(f"{artefact.name}: failed with status {ended.status}", file=sys.stderr)
            return False
    if not artefact.is_there:
        missing = [str(path) for path in artefact.outputs if not path.exists()]
        print(f"{artefact.name}: expected {missing[0]}, got no file", file=sys.stderr)
        return False
    remember(artefact, folder, seconds, load)
    return True


def remember(artefact: Artefact, folder: Path, seconds: float, load: float) -> None:
    """Enter an artefact in provenance.json."""
    known = provenance(folder)
    known[artefact.name] = {
        "commands": [shown(command) for command in artefact.commands],
        "commit": commit(),
        "machine": machine(),
        "seconds": round(seconds, 1),
        "load_before": load,
        "load_after": os.getloadavg()[0],
        "finished": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / PROVENANCE, json.dumps(known, indent=1) + "\n")


def provenance(folder: Path) -> dict[str, Any]:
    """What is known of the artefacts of a folder."""
    path = folder / PROVENANCE
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


if __name__ == "__main__":
    sys.exit(main())
