"""Keeps recorded time and the machine's time together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from fast_inerf_ros.nodes.recording import TimedMessage

LATE_S = 0.02
"""What is published later than this is counted as late."""


class Stop(Protocol):
    """Something that can end a wait: `stopping.StopSignal` or `threading.Event`."""

    def is_set(self) -> bool:
        """Tell whether to stop."""
        ...

    def wait(self, timeout: float, /) -> bool:
        """Wait at most this many seconds; return whether to stop."""
        ...


class ClockTick(NamedTuple):
    """A moment at which ``/clock`` is published."""

    time_ns: int


def with_clock(
    messages: Iterator[TimedMessage], start_ns: int, period_ns: int
) -> Iterator[TimedMessage | ClockTick]:
    """Interleave messages with clock ticks at ``start_ns + k * period_ns``.

    A tick at the time of a message comes before it. ``period_ns`` 0 means no ticks.
    """
    tick_ns = start_ns
    for message in messages:
        while period_ns and tick_ns <= message.time_ns:
            yield ClockTick(tick_ns)
            tick_ns += period_ns
        yield message


@dataclass
class Lateness:
    """How well the schedule was kept.

    late: publications more than `LATE_S` after their time. worst_s: the longest delay.
    """

    late: int = 0
    worst_s: float = 0.0

    def add(self, delay_s: float) -> None:
        """Count one publication."""
        self.late += delay_s > LATE_S
        self.worst_s = max(self.worst_s, delay_s)


class Pacer:
    """Waits for the moment at which something recorded is due.

    Due times follow from one origin, so that errors of single waits do not add up. What is late
    is due at once: after a stall everything missed follows without a pause, nothing is dropped,
    and `lateness` counts it.

    Args:
        rate: Seconds of recording per second.
        stop: Ends every wait when set.
        clock: Monotonic time in nanoseconds.
    """

    def __init__(
        self, rate: float, stop: Stop, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._rate = rate
        self._stop = stop
        self._clock = clock
        self._origin_ns = 0
        self._recorded_origin_ns = 0
        self.lateness = Lateness()

    def start(self, recorded_ns: int, delay_ns: int = 0) -> None:
        """Make a recorded time due now, or ``delay_ns`` of recorded time from now."""
        self._recorded_origin_ns = recorded_ns
        self._origin_ns = self._clock() + round(delay_ns / self._rate)

    def wait_until(self, recorded_ns: int) -> bool:
        """Wait until a recorded time is due; False where the wait was ended by ``stop``."""
        due_ns = self._origin_ns + round((recorded_ns - self._recorded_origin_ns) / self._rate)
        remaining_s = (due_ns - self._clock()) * 1e-9
        if remaining_s > 0 and self._stop.wait(remaining_s):
            return False
        self.lateness.add((self._clock() - due_ns) * 1e-9)
        return not self._stop.is_set()
