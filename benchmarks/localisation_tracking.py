"""Filmed trajectories: what `benchmarks.localisation tracking` asks."""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from benchmarks._machine import peak_memory_gb
from benchmarks.localisation_records import counted, described
from benchmarks.localisation_scenes import PROTOCOL, read_route
from fast_inerf_ros.datasets.synthetic.protocol import load_protocol
from fast_inerf_ros.estimator.config import TrackerConfig
from fast_inerf_ros.estimator.estimate import Status
from fast_inerf_ros.estimator.observation import Observation
from fast_inerf_ros.estimator.pose_estimator import PoseEstimator
from fast_inerf_ros.estimator.tracker import Tracker

BLACKOUT = range(100, 115)
"""Frames of a filmed trajectory that are replaced by black ones."""


def tracking_part(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Filmed trajectories, with half a second of darkness in each."""
    camera = load_protocol(PROTOCOL).camera
    trials = []
    for folder in arguments.layouts:
        estimator = PoseEstimator.load(folder / "scene.yaml")
        estimator.warm_up(camera)
        tracker, free = Tracker(estimator, TrackerConfig()), 0.0
        for number, (moment, truth, image) in enumerate(read_route(folder / "route.npz")):
            if number >= arguments.most:
                break
            if arguments.real_time and moment < free:
                continue
            shown = np.zeros_like(image) if number in BLACKOUT else image
            began, entered = time.process_time(), time.perf_counter()
            tracked = tracker.update(Observation(shown, camera, int(moment * 1e9)))
            free = max(free, moment) + time.perf_counter() - entered
            record = {
                "place": folder.name,
                "frame": number,
                "time": moment,
                "state": tracked.state.value,
                "stages": [timing.stage for timing in tracked.estimate.timings],
                "processor_seconds": time.process_time() - began,
                "seconds": tracked.estimate.seconds,
            }
            trials.append(record | described(tracked.estimate, truth, 1.0))
    print(tracking_summary(trials), flush=True)
    print(ways_summary(trials), flush=True)
    return trials


def ways_summary(trials: list[dict[str, Any]]) -> str:
    """How frames were localised: how often each way, and what it took."""
    lines = []
    for way in dict.fromkeys("+".join(trial["stages"]) for trial in trials):
        own = [trial for trial in trials if "+".join(trial["stages"]) == way]
        took = np.array([trial["seconds"] for trial in own]) * 1e3
        lines.append(
            f"  {way or 'left out'}: {len(own)} frames, median {np.median(took):.0f} ms, largest "
            f"{took.max():.0f} ms"
        )
    return "\n".join(lines)


def tracking_summary(trials: list[dict[str, Any]]) -> str:
    """Frames that were lost, accuracy, recovery and processor time."""
    light = [t for t in trials if t["frame"] not in BLACKOUT]
    found = np.array([t["status"] == Status.LOCALISED.value for t in light])
    angle = np.array([t["angle_deg"] for t in light])[found]
    distance = np.array([t["distance"] for t in light])[found]
    processor = np.array([t["processor_seconds"] for t in light]) * 1e3
    recovery = [
        min(
            (t["time"] for t in light if t["place"] == name and t["frame"] > BLACKOUT[-1]
             and t["status"] == Status.LOCALISED.value),
            default=float("inf"),
        ) - max(t["time"] for t in trials if t["place"] == name and t["frame"] <= BLACKOUT[-1])
        for name in dict.fromkeys(t["place"] for t in trials)
    ]  # fmt: skip
    wrong = (angle > 5) | (distance > 0.05)
    return (
        f"tracking: {counted(found)} frames localised, {int(wrong.sum())} of them wrong; median "
        f"{np.median(angle):.3f} deg {np.median(distance) * 1e3:.2f} mm, 99 % "
        f"{np.percentile(angle, 99):.2f} deg {np.percentile(distance, 99) * 1e3:.1f} mm; "
        f"first pose after the blackout {[round(r, 3) for r in recovery]} s after its last frame; "
        f"processor mean {processor.mean():.1f} ms, 99 % {np.percentile(processor, 99):.1f} ms; "
        f"peak memory {peak_memory_gb():.2f} GB"
    )
