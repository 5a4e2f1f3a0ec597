"""The main job from beginning to end, over real DDS between processes.

A synthetic table is photographed and its radiance field trained; a hand-held camera is recorded;
`replay` plays the recording, `pose_estimator` localises the camera, `record_poses` collects what
comes out. Prints a table, writes a report, and fails where the camera was not localised.

    python -m scripts.demo demo_out
    python -m scripts.demo demo_out --move-object
    python -m scripts.demo demo_out --bag RECORDING --scene scene.yaml
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from scripts.demo.figures import Figures, figures_of, table
from scripts.demo.processes import play_and_localise
from scripts.demo.report import write_report
from scripts.demo.scene import Place, make_place, users_place
from scripts.demo.verdict import verdict


def main() -> int:
    """Run the demonstration; return 0 where it succeeded."""
    arguments = _arguments()
    start = time.monotonic()
    arguments.output.mkdir(parents=True, exist_ok=True)
    try:
        place = _place(arguments)
        results = arguments.output / ("moved" if arguments.move_object else "results")
        play_and_localise(place, results)
    except subprocess.CalledProcessError as error:
        command = " ".join(map(str, error.cmd))
        print(f"\nThe demo failed with status {error.returncode} in: {command}", file=sys.stderr)
        return 1
    figures = figures_of(results, place.n_images)
    status = _tell(arguments, place, results, figures)
    print(f"Demo finished in {time.monotonic() - start:.0f} s.")
    return status


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("output", type=Path, nargs="?", default=Path("demo_out"))
    parser.add_argument(
        "--move-object", action="store_true", help="play a recording in which an object has moved"
    )
    parser.add_argument("--bag", type=Path, help="localise your own recording ...")
    parser.add_argument("--scene", type=Path, help="... in your own scene.yaml")
    arguments = parser.parse_args()
    if (arguments.bag is None) != (arguments.scene is None):
        parser.error("--bag and --scene belong together: give both or neither")
    return arguments


def _place(arguments: argparse.Namespace) -> Place:
    if arguments.bag is not None:
        return users_place(arguments.bag, arguments.scene)
    return make_place(arguments.output / "scene", arguments.move_object)


def _tell(arguments: argparse.Namespace, place: Place, results: Path, figures: Figures) -> int:
    print("\n" + table(figures))
    complaint = verdict(figures, place, changed=arguments.move_object)
    report = write_report(results, figures, complaint)
    print(f"\n  report            {report}")
    print(f"  trajectory        {results / 'poses.tum'}\n")
    if complaint:
        print(f"Failed: {complaint}", file=sys.stderr)
    return 1 if complaint else 0


if __name__ == "__main__":
    sys.exit(main())
