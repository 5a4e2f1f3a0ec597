"""Asking a training to end: a signal, or anybody who calls ``set``; it saves before it goes."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Protocol

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping(Protocol):
    """Whoever may end a training."""

    def is_set(self) -> bool:
        """Whether to stop."""


class StopRequest:
    """Becomes set at the first SIGINT or SIGTERM, or by ``set``; later ones change nothing.

    As a context manager it listens to signals, where it is in the main thread; the earlier
    handlers come back at its end.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._signal = 0
        self._earlier: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._earlier = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
        self._earlier = {}

    def set(self) -> None:
        """Ask to stop."""
        self._is_set = True

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._is_set

    @property
    def exit_status(self) -> int:
        """Of the process: 128 + the number of the signal (130, 143), 0 without one."""
        return 128 + self._signal if self._signal else 0

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._is_set:
            self._signal = number
        self._is_set = True
