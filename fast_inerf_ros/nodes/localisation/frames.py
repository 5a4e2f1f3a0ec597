"""What is known of one image message on its way, and what becomes of all of them."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fast_inerf_ros.nodes.poses import stamp_to_nanoseconds


class Fate(str, Enum):
    """What became of an image; each has exactly one.

    LOCALISED, LOST: it was estimated. REPLACED: a newer one came before its turn. STALE: it was
    too old at its turn. OUT_OF_ORDER: its stamp is not newer than that of the one before.
    MALFORMED: it cannot be decoded. NO_CAMERA: no CameraInfo fits it. FAILED: an error of this
    program. UNUSED: the node was deactivated or disabled before its turn.
    """

    LOCALISED = "localised"
    LOST = "lost"
    REPLACED = "replaced"
    STALE = "stale"
    OUT_OF_ORDER = "out_of_order"
    MALFORMED = "malformed"
    NO_CAMERA = "no_camera"
    FAILED = "failed"
    UNUSED = "unused"


@dataclass(frozen=True, eq=False)
class Frame:
    """An image as it came.

    message: Image or CompressedImage. arrival_ns: the node's time then.
    """

    message: Any
    arrival_ns: int

    @property
    def stamp_ns(self) -> int:
        """When the image was taken."""
        return stamp_to_nanoseconds(self.message.header.stamp)

    @property
    def frame_id(self) -> str:
        """The camera's optical frame."""
        return str(self.message.header.frame_id)


class FrameCounts:
    """How many images came, and what became of them; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received = 0
        self._fates: Counter[Fate] = Counter()

    def receive(self) -> None:
        """Count an image that has just come."""
        with self._lock:
            self._received += 1

    def settle(self, fate: Fate, count: int = 1) -> None:
        """Count what became of it."""
        with self._lock:
            self._fates[fate] += count

    def snapshot(self) -> dict[str, int]:
        """Return all counts by name, zeros too."""
        with self._lock:
            fates = {fate.value: self._fates[fate] for fate in Fate}
            return {"received": self._received, **fates}
