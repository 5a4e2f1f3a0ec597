"""Keeps what arrives of poses, transforms, states and pictures, and makes figures of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from tf2_msgs.msg import TFMessage

from fast_inerf_ros.nodes.collection import arrival_rate_hz, latency_ms
from fast_inerf_ros.nodes.poses import pose_to_se3, stamp_to_nanoseconds
from fast_inerf_ros.nodes.trajectory_files import StampedPose

MOST_PICTURES = 600


class PoseRecording:
    """Everything that came so far; filled by one thread, read by another."""

    def __init__(self) -> None:
        self.poses: list[StampedPose] = []
        self.truth: list[StampedPose] = []
        self.pictures: list[NDArray[np.uint8]] = []
        self.last_arrival_s: float | None = None
        self._lock = threading.Lock()
        self._arrivals_ns: list[int] = []
        self._picture_times_s: list[float] = []
        self._transforms: Counter[str] = Counter()
        self._states: Counter[str] = Counter()
        self._frames: Counter[str] = Counter()
        self._diagnostics: dict[str, dict[str, str]] = {}

    def add_pose(self, message: PoseStamped) -> None:
        """Keep a pose and the time of its arrival."""
        with self._lock:
            self._arrivals_ns.append(time.time_ns())
            self.poses.append(_stamped(message))
            self._frames[message.header.frame_id] += 1
            self.last_arrival_s = time.monotonic()

    def add_truth(self, message: PoseStamped) -> None:
        """Keep a true pose."""
        with self._lock:
            self.truth.append(_stamped(message))
            self.last_arrival_s = time.monotonic()

    def add_transforms(self, message: TFMessage) -> None:
        """Count transforms by their frames."""
        with self._lock:
            for item in message.transforms:
                self._transforms[f"{item.header.frame_id} -> {item.child_frame_id}"] += 1

    def add_diagnostics(self, message: DiagnosticArray) -> None:
        """Keep the newest values of each status, and count states."""
        with self._lock:
            for status in message.status:
                values = {item.key: item.value for item in status.values}
                self._diagnostics[status.name] = {"message": status.message, **values}
                if "state" in values:
                    self._states[values["state"]] += 1

    def add_picture(self, image: NDArray[np.uint8]) -> None:
        """Keep a picture, as long as there is room."""
        if len(self.pictures) < MOST_PICTURES:
            self.pictures.append(image.copy())
            self._picture_times_s.append(time.monotonic())

    def picture_rate_hz(self) -> float:
        """Return how many pictures came a second."""
        times = self._picture_times_s
        return (len(times) - 1) / max(times[-1] - times[0], 1e-9) if len(times) > 1 else 1.0

    def summary(self) -> dict[str, Any]:
        """Return figures, for JSON."""
        with self._lock:
            stamps = [pose.stamp_ns for pose in self.poses]
            return {
                "poses": len(self.poses),
                "truth": len(self.truth),
                "frame_id": self._frames.most_common(1)[0][0] if self._frames else None,
                "rate_hz": arrival_rate_hz(self._arrivals_ns),
                "latency_ms": latency_ms(stamps, self._arrivals_ns),
                "latencies_ms": _latencies_ms(stamps, self._arrivals_ns),
                "transforms": dict(self._transforms),
                "states": dict(self._states),
                "diagnostics": self._diagnostics,
            }


def _latencies_ms(stamps_ns: list[int], arrivals_ns: list[int]) -> list[float]:
    if latency_ms(stamps_ns, arrivals_ns) is None:
        return []
    delays = (np.asarray(arrivals_ns) - np.asarray(stamps_ns)) * 1e-6
    return [round(float(delay), 3) for delay in delays]


def _stamped(message: PoseStamped) -> StampedPose:
    return StampedPose(stamp_to_nanoseconds(message.header.stamp), pose_to_se3(message.pose))
