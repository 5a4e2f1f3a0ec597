"""The three processes of the demo: one plays, one localises, one collects."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fast_inerf_ros.nodes.distribution import environment
from scripts.demo.scene import Place
from scripts.demo.steps import ROOT, module

PATIENCE_S = 180.0
READY = "listening to"
POLL_S = 0.1


def play_and_localise(place: Place, results: Path) -> None:
    """Play the recording once and leave what came out in a folder.

    Raises:
        CalledProcessError: A process failed; its last words are printed.
    """
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    print("Playing it through the localiser, in three processes over DDS:", flush=True)
    around = environment(1 + os.getpid() % 100)
    with (
        process("record_poses", _collect(place, results), results, around) as collector,
        process("pose_estimator", _localise(place), results, around) as estimator,
    ):
        _wait_for(READY, collector, results / "record_poses.log")
        subprocess.run(_play(place), check=True, cwd=ROOT, env=around)
        _finish(collector)
        if estimator.poll() is not None:
            raise subprocess.CalledProcessError(estimator.returncode, estimator.args)


@contextmanager
def process(
    name: str, command: list[str], folder: Path, around: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command with its output in a file; ended by its id when the block ends."""
    log = folder / f"{name}.log"
    with log.open("wb") as stream:
        running = subprocess.Popen(
            command, cwd=ROOT, env=dict(around), stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        yield running
    finally:
        failed = running.poll() not in (None, 0)
        running.terminate()
        try:
            running.wait(20.0)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        if failed:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
            print(f"\n{name} said:\n{last}", file=sys.stderr)


def _localise(place: Place) -> list[str]:
    options = ["--scene", place.scene.resolve(), "--transport", place.transport]
    options += ["--image-topics", place.image_topic]
    return module("fast_inerf_ros.nodes.pose_estimator", *options)


def _collect(place: Place, results: Path) -> list[str]:
    options = ["--output", results.resolve(), "--timeout", PATIENCE_S, "--quiet", 3]
    options += ["--overlay-topic", "pose_estimator/overlay", "--video", "both"]
    if place.truth_topic:
        options += ["--truth-topic", place.truth_topic]
    return module("fast_inerf_ros.nodes.record_poses", *options)


def _play(place: Place) -> list[str]:
    # The truth goes to record_poses; that pose_estimator does not hear it is tested.
    options = ["--restamp", "--wait-for-subscribers", PATIENCE_S]
    options += ["--publish-ground-truth"] if place.truth_topic else []
    return module("fast_inerf_ros.nodes.replay", place.bag.resolve(), *options)


def _wait_for(words: str, running: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while words not in log.read_text(errors="replace"):
        if running.poll() is not None or time.monotonic() > deadline:
            raise subprocess.CalledProcessError(running.returncode or 1, running.args)
        time.sleep(POLL_S)


def _finish(collector: subprocess.Popen[bytes]) -> None:
    # Its status is 1 where no pose came, which the table tells better.
    if collector.wait(PATIENCE_S) not in (0, 1):
        raise subprocess.CalledProcessError(collector.returncode, collector.args)
