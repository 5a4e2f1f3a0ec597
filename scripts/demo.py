"""The demonstration: a synthetic tabletop is recorded and its images travel over real DDS.

generate_tabletop writes a rosbag2, replay plays it in one process, collect_images receives the
images in another and writes pictures of them. Fails where an image was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

GENERATE = "fast_inerf_ros.datasets.synthetic.generate_tabletop"
REPLAY = "fast_inerf_ros.nodes.replay"
COLLECT = "fast_inerf_ros.nodes.collect_images"
TOPIC = "/camera/image_raw"
DURATION_S = 5.0
RATE_HZ = 30.0
PATIENCE_S = 60.0


def module(name: str, *arguments: object) -> list[str]:
    """Return the command that runs a module of the package with this interpreter."""
    return [sys.executable, "-m", name, *map(str, arguments)]


def record(folder: Path) -> None:
    """Generate the recording, unless an earlier run has left it."""
    if folder.is_dir():
        print(f"Using the recording of an earlier run: {folder}", flush=True)
        return
    print("Generating a recording of a hand-held camera around a table …", flush=True)
    options = ("--format", "bag", "--encoding", "rgb8", "--duration-s", DURATION_S)
    options += ("--rate-hz", RATE_HZ, "--layout-seed", 7)
    subprocess.run(module(GENERATE, "--output", folder, *options), check=True)


def play_and_collect(recording: Path, pictures: Path, bag_topic: str) -> None:
    """Play the recording in one process and receive its images in another."""
    print("Sending its images over DDS, from one process to another …", flush=True)
    environment = {**os.environ, "ROS_DOMAIN_ID": str(1 + os.getpid() % 100)}
    listen = module(COLLECT, bag_topic, "--output", pictures, "--timeout", PATIENCE_S)
    play = module(REPLAY, recording, "--restamp", "--wait-for-subscribers", PATIENCE_S)
    listener = subprocess.Popen(listen, env=environment)
    try:
        subprocess.run(play, env=environment, check=True)
        if listener.wait(PATIENCE_S) != 0:
            raise subprocess.CalledProcessError(listener.returncode, listen)
    finally:
        listener.kill()
        listener.wait()


def report(pictures: Path) -> int:
    """Print what arrived; return 0 where every image did."""
    summary = json.loads((pictures / "summary.json").read_text())
    expected = round(DURATION_S * RATE_HZ)
    latency = summary["latency_ms"]
    print(f"\n  images sent       {expected}")
    print(f"  images received   {summary['received']}")
    print(f"  rate              {summary['rate_hz']:.1f} Hz")
    print(f"  latency           {latency['median']:.1f} ms median, {latency['p95']:.1f} ms p95")
    print(f"  pictures          {pictures / 'contact_sheet.jpg'}\n")
    missing = expected - summary["received"]
    if missing:
        print(f"{missing} of {expected} images did not arrive.", file=sys.stderr)
    return 1 if missing else 0


def main() -> int:
    """Run the demonstration; return 0 where it succeeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, nargs="?", default=Path("demo_out"))
    parser.add_argument("--topic", default=TOPIC)
    arguments = parser.parse_args()
    start = time.monotonic()
    arguments.output.mkdir(parents=True, exist_ok=True)
    try:
        record(arguments.output / "recording")
        play_and_collect(
            arguments.output / "recording" / "bag", arguments.output / "pictures", arguments.topic
        )
    except subprocess.CalledProcessError as error:
        print(f"\nThe demo failed in: {' '.join(error.cmd)}", file=sys.stderr)
        return 1
    status = report(arguments.output / "pictures")
    print(f"Demo finished in {time.monotonic() - start:.0f} s.")
    return status


if __name__ == "__main__":
    sys.exit(main())
