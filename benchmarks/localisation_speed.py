"""Frames a second and the time of one estimate, for an idle machine.

`python -m benchmarks.localisation speed --layouts FOLDER` follows the filmed trajectory of one
layout (no blackout) and estimates some of its images from nothing. Wall-clock times: they mean
something only where nothing else runs; the load is printed beside them.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._machine import peak_memory_gb
from benchmarks.localisation_scenes import PROTOCOL, read_route
from benchmarks.localisation_ways import ways
from fast_inerf_ros.datasets.synthetic.protocol import load_protocol
from fast_inerf_ros.estimator.config import TrackerConfig
from fast_inerf_ros.estimator.estimate import Status
from fast_inerf_ros.estimator.observation import Observation
from fast_inerf_ros.estimator.pose_estimator import PoseEstimator
from fast_inerf_ros.estimator.tracker import Tracker
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.posecnn.detector import Detector

ESTIMATED = 30
"""Images that are estimated in full."""


def speed_part(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure tracking and single estimates on the first layout given.

    With a second one, also estimates of its images, which cannot be localised in the first.
    """
    trials = []
    for record in records(arguments):
        trials.append(record)
        print(line(record), flush=True)
    return trials


def records(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The measurements, one after the other."""
    camera, folder = load_protocol(PROTOCOL).camera, arguments.layouts[0]
    whole = PoseEstimator.load(folder / "scene.yaml")
    every = ways(whole, Detector.load(arguments.detector, whole.config.detector))
    images = filmed(folder, camera)[: arguments.most]
    for estimator in every.values():
        estimator.warm_up(camera)
    shipped = every["everything"]
    yield tracked(shipped, images)
    for way, estimator in every.items():
        yield estimated(estimator, images, f"estimate, {way}")
    for other in arguments.layouts[1:2]:
        yield estimated(shipped, filmed(other, camera), "another table")


def filmed(folder: Path, camera: Camera) -> list[Observation]:
    """Images of a layout's trajectory."""
    frames = read_route(folder / "route.npz")
    return [Observation(image, camera, int(moment * 1e9)) for moment, _, image in frames]


def tracked(estimator: PoseEstimator, images: list[Observation]) -> dict[str, Any]:
    """Wall-clock seconds of every frame after the first, which is an estimate."""
    tracker, seconds, n_lost = Tracker(estimator), [], 0
    tracker.update(images[0])
    processor = time.process_time()
    for image in images[1:]:
        began = time.perf_counter()
        found = tracker.update(image)
        seconds.append(time.perf_counter() - began)
        n_lost += found.estimate.status is Status.LOST
    processor = time.process_time() - processor
    return {"what": "tracking", "seconds": seconds, "processor": processor, "lost": n_lost}


def estimated(estimator: PoseEstimator, images: list[Observation], what: str) -> dict[str, Any]:
    """Wall-clock seconds of estimates without a prior, of as much time as the tracker gives."""
    budget_s = TrackerConfig().budget_s
    chosen = images[:: max(1, len(images) // ESTIMATED)]
    seconds, n_lost = [], 0
    processor = time.process_time()
    for image in chosen:
        began = time.perf_counter()
        found = estimator.estimate(image, budget_s=budget_s)
        seconds.append(time.perf_counter() - began)
        n_lost += found.status is Status.LOST
    processor = time.process_time() - processor
    return {"what": what, "seconds": seconds, "processor": processor, "lost": n_lost}


def line(record: dict[str, Any]) -> str:
    """One line of the table."""
    seconds = np.array(record["seconds"]) * 1e3
    processor = record["processor"] / len(seconds) * 1e3
    return (
        f"{record['what']}: {len(seconds)} images of 640x480, mean {seconds.mean():.1f} ms "
        f"({1e3 / seconds.mean():.1f} a second), median {np.median(seconds):.1f}, 99 % "
        f"{np.percentile(seconds, 99):.1f}, processor {processor:.1f} "
        f"ms; {record['lost']} lost; load {os.getloadavg()[0]:.1f}; peak memory "
        f"{peak_memory_gb():.2f} GB"
    )
