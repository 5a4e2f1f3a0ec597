"""Counts what arrives on an image topic and keeps a few images of it."""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera

LIVE_WITHIN_S = 60.0
"""Stamps further than this from the present are recorded ones and tell nothing of latency."""


class Frame(NamedTuple):
    """One image: its number, stamp (nanoseconds) and RGB pixels (H, W, 3) uint8."""

    number: int
    stamp_ns: int
    image: NDArray[np.uint8]


class EvenSample:
    """Keeps about ``size`` of arbitrarily many frames, evenly spaced, in bounded memory.

    Every ``stride``-th frame is kept; when twice as many as wanted are there, every second one
    is dropped and the stride doubled.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._stride = 1
        self._frames: list[Frame] = []

    def add(self, frame: Frame) -> None:
        """Take note of the next frame; its image is copied if it is kept."""
        if frame.number % self._stride:
            return
        self._frames.append(frame._replace(image=frame.image.copy()))
        if len(self._frames) > 2 * self._size:
            self._stride *= 2
            self._frames = [kept for kept in self._frames if kept.number % self._stride == 0]

    def frames(self) -> list[Frame]:
        """Return at most ``size`` frames, the first and the last that were kept among them."""
        wanted = min(self._size, len(self._frames))
        if wanted == 0:
            return []
        chosen = np.linspace(0, len(self._frames) - 1, wanted).round().astype(int)
        return [self._frames[index] for index in chosen]


@dataclass
class Collection:
    """Everything known about the images so far; safe to fill and to read from two threads."""

    sample: EvenSample
    stamps_ns: list[int] = field(default_factory=list)
    arrivals_ns: list[int] = field(default_factory=list)
    size: tuple[int, int] | None = None
    undecodable: int = 0
    last_error: str = ""
    camera: Camera | None = None
    last_arrival_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, stamp_ns: int, image: NDArray[np.uint8]) -> None:
        """Count an image that has just arrived."""
        with self.lock:
            self.sample.add(Frame(len(self.stamps_ns), stamp_ns, image))
            self.stamps_ns.append(stamp_ns)
            self.arrivals_ns.append(time.time_ns())
            self.size = (image.shape[1], image.shape[0])
            self.last_arrival_s = time.monotonic()

    def add_error(self, error: InputError) -> None:
        """Count an image that could not be decoded."""
        with self.lock:
            self.undecodable += 1
            self.last_error = str(error)
            self.last_arrival_s = time.monotonic()

    def arrived(self) -> int:
        """Return how many messages have come, decodable or not."""
        with self.lock:
            return len(self.stamps_ns) + self.undecodable

    def summary(self) -> dict[str, Any]:
        """Return figures about the images, for JSON."""
        with self.lock:
            return {
                "received": len(self.stamps_ns),
                "expected": expected_count(self.stamps_ns),
                "undecodable": self.undecodable,
                "width": self.size[0] if self.size else None,
                "height": self.size[1] if self.size else None,
                "rate_hz": arrival_rate_hz(self.arrivals_ns),
                "latency_ms": latency_ms(self.stamps_ns, self.arrivals_ns),
                "camera": _camera_values(self.camera),
            }


def expected_count(stamps_ns: list[int]) -> int:
    """Return how many images there should be between the first and the last, by their stamps.

    The median of the intervals is taken for the camera's period: it stays right as long as at
    least half of the images come without a gap before them.
    """
    ordered = sorted(set(stamps_ns))
    if len(ordered) < 2:
        return len(stamps_ns)
    period_ns = statistics.median(later - one for one, later in pairwise(ordered))
    repeats = len(stamps_ns) - len(ordered)
    return round((ordered[-1] - ordered[0]) / period_ns) + 1 + repeats


def latency_ms(stamps_ns: list[int], arrivals_ns: list[int]) -> dict[str, float] | None:
    """Return median and 95th percentile of arrival minus stamp in milliseconds.

    None where the stamps are those of a recording, which say nothing about latency.
    """
    if not stamps_ns:
        return None
    delays = (np.asarray(arrivals_ns) - np.asarray(stamps_ns)) * 1e-9
    if np.abs(delays).max() > LIVE_WITHIN_S:
        return None
    median, high = np.percentile(delays * 1e3, [50, 95])
    return {"median": round(float(median), 3), "p95": round(float(high), 3)}


def arrival_rate_hz(arrivals_ns: list[int]) -> float | None:
    """Return how many messages came a second; None for fewer than two."""
    if len(arrivals_ns) < 2 or arrivals_ns[-1] == arrivals_ns[0]:
        return None
    seconds = (arrivals_ns[-1] - arrivals_ns[0]) * 1e-9
    return round((len(arrivals_ns) - 1) / seconds, 3)


def _camera_values(camera: Camera | None) -> dict[str, Any] | None:
    if camera is None:
        return None
    return {
        "width": camera.width,
        "height": camera.height,
        "fx": camera.fx,
        "fy": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "distortion_model": camera.distortion_model,
        "distortion": list(camera.distortion),
    }
