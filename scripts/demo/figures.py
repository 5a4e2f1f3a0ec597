"""Figures about a run: how often, how soon and how well the camera was localised."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.nodes.trajectory_files import StampedPose, read_tum

Floats = npt.NDArray[np.float64]
CAMERA_STATUS = "pose_estimator: camera"
FATES = ("localised", "lost", "replaced", "stale", "out_of_order", "malformed", "no_camera")


@dataclass(frozen=True, eq=False)
class Figures:
    """What was measured.

    n_images: in the recording. times_s: of the poses, from the first on. positions: (n, 3) in
    metres. latencies_ms: from stamp to arrival in the third process. rotation_deg,
    translation_m: errors against the truth; empty without truth. truth: (m, 3) positions.
    counts: what became of images. states: how often each was reported.
    """

    n_images: int
    times_s: Floats
    positions: Floats
    latencies_ms: Floats
    rate_hz: float
    rotation_deg: Floats
    translation_m: Floats
    truth: Floats
    counts: dict[str, int]
    states: dict[str, int]
    transforms: dict[str, int]
    diagnostics: dict[str, dict[str, str]]

    @property
    def n_poses(self) -> int:
        """How many poses arrived."""
        return len(self.times_s)

    @property
    def n_estimated(self) -> int:
        """How many images were looked at."""
        return self.counts.get("localised", 0) + self.counts.get("lost", 0)


def figures_of(results: Path, n_images: int) -> Figures:
    """Read what `record_poses` wrote."""
    summary: dict[str, Any] = json.loads((results / "summary.json").read_text())
    poses = read_tum(results / "poses.tum")
    truth_file = results / "truth.tum"
    truth = read_tum(truth_file) if truth_file.exists() else []
    found, true = matched(poses, truth)
    errors = pose_errors(_stacked(found), _stacked(true)) if found else None
    stamps = np.array([pose.stamp_ns for pose in poses], dtype=np.int64)
    values = summary["diagnostics"].get(CAMERA_STATUS, {})
    return Figures(
        n_images=n_images,
        times_s=(stamps - stamps[0]) * 1e-9 if len(stamps) else np.empty(0),
        positions=_positions(poses),
        latencies_ms=np.array(summary["latencies_ms"]),
        rate_hz=summary["rate_hz"] or 0.0,
        rotation_deg=np.empty(0) if errors is None else np.asarray(errors.rotation_deg),
        translation_m=np.empty(0) if errors is None else np.asarray(errors.translation),
        truth=_positions(truth),
        counts={fate: int(values.get(fate, 0)) for fate in FATES},
        states=summary["states"],
        transforms=summary["transforms"],
        diagnostics=summary["diagnostics"],
    )


def matched(
    poses: list[StampedPose], truth: list[StampedPose]
) -> tuple[list[StampedPose], list[StampedPose]]:
    """Return the poses whose stamp has a truth, and that truth."""
    # TUM files round to nanoseconds exactly, and both carry the stamp of the image.
    by_stamp = {pose.stamp_ns: pose for pose in truth}
    found = [pose for pose in poses if pose.stamp_ns in by_stamp]
    return found, [by_stamp[pose.stamp_ns] for pose in found]


def table(figures: Figures) -> str:
    """Return the figures as text for a terminal."""
    lines = [f"  {name:<22}{value}" for name, value in rows(figures)]
    return "\n".join(lines)


def rows(figures: Figures) -> list[tuple[str, str]]:
    """Return names and values of the figures, as people read them."""
    counts = figures.counts
    others = {name: n for name, n in counts.items() if n and name not in ("localised", "lost")}
    passed_over = ", ".join(f"{n} {name}" for name, n in others.items()) or "none"
    found = [
        ("images in recording", str(figures.n_images)),
        ("images estimated", f"{figures.n_estimated} (passed over: {passed_over})"),
        ("poses received", str(figures.n_poses)),
        ("rate", f"{figures.rate_hz:.1f} poses/s"),
        ("latency", _two(figures.latencies_ms, "ms", 1.0, 1)),
    ]
    if len(figures.rotation_deg):
        found += [
            ("rotation error", _two(figures.rotation_deg, "deg", 1.0, 3)),
            ("translation error", _two(figures.translation_m, "mm", 1e3, 2)),
        ]
    states = ", ".join(f"{name} {count}" for name, count in figures.states.items())
    transforms = ", ".join(f"{name}: {count}" for name, count in figures.transforms.items())
    values = figures.diagnostics.get(CAMERA_STATUS, {})
    return [
        *found,
        ("states reported", states or "none"),
        ("transforms", transforms or "none"),
        ("objects in view", values.get("objects") or "none"),
        ("objects moved", values.get("objects_moved") or "none"),
    ]


def _two(values: Floats, unit: str, factor: float, digits: int) -> str:
    if not len(values):
        return "not known"
    median, high = np.percentile(values * factor, [50, 95])
    return f"{median:.{digits}f} {unit} median, {high:.{digits}f} {unit} p95"


def _stacked(poses: list[StampedPose]) -> SE3:
    return SE3.stack([pose.T_world_camera for pose in poses])


def _positions(poses: list[StampedPose]) -> Floats:
    if not poses:
        return np.empty((0, 3))
    return np.stack([np.asarray(pose.T_world_camera.translation) for pose in poses])
