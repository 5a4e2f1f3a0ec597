"""Ends a program cleanly on SIGINT and SIGTERM, however often they come."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignal:
    """Becomes set at the first SIGINT or SIGTERM; later ones change nothing.

    Used as a context manager in the main thread; the earlier handlers come back at its end.
    With `to_the_end`, signals are ignored from then on instead: the process is about to end, which
    takes Python up to a second with large libraries, and a signal would still kill it.

    A pipe wakes the waiting: unlike `threading.Event`, it may be written to in the midst of
    anything, as a signal handler does.
    """

    def __init__(self, *, to_the_end: bool = False) -> None:
        self._to_the_end = to_the_end
        self._read_end, self._write_end = os.pipe()
        self._is_set = False
        self._earlier: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        self._earlier = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._earlier.items():
            # Python resets a handler of its own when it ends, but leaves an ignored signal alone.
            signal.signal(number, signal.SIG_IGN if self._to_the_end else handler)
        os.close(self._read_end)
        os.close(self._write_end)

    def set(self) -> None:
        """Ask to stop."""
        if not self._is_set:
            self._is_set = True
            os.write(self._write_end, b"x")

    def is_set(self) -> bool:
        """Tell whether to stop."""
        return self._is_set

    def wait(self, timeout_s: float) -> bool:
        """Wait until stopping is asked for or the time is over; return whether to stop."""
        if not self._is_set:
            select.select([self._read_end], [], [], max(0.0, timeout_s))
        return self._is_set

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.set()
