"""The thread that estimates, so that no callback ever waits for it."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from fast_inerf_ros.nodes.localisation.mailbox import Mailbox

Item = TypeVar("Item")
IDLE_S = 1.0

_logger = logging.getLogger(__name__)


class Worker(Generic[Item]):
    """Takes the newest items out of a mailbox, one at a time, and does other tasks in between.

    Args:
        mailbox: Where items come from.
        handle: Is given sender and item. What it raises is an error of this program: it is
            logged, and the work goes on.
    """

    def __init__(self, mailbox: Mailbox[Item], handle: Callable[[str, Item], None]) -> None:
        self._mailbox = mailbox
        self._handle = handle
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="localisation", daemon=True)

    def start(self) -> None:
        """Begin; once only."""
        self._thread.start()

    def submit(self, task: Callable[[], None]) -> None:
        """Have a task done in the thread, before the next item."""
        self._tasks.put(task)
        self._mailbox.wake()

    def stop(self, timeout_s: float) -> bool:
        """End after the present item; return whether it ended in time."""
        self._stopping.set()
        self._mailbox.wake()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._step()
            except Exception:
                _logger.exception("an error of this program; going on with the next image")

    def _step(self) -> None:
        taken = self._mailbox.take(IDLE_S)
        # After that: what was submitted before an item came is done before the item is handled.
        try:
            while not self._tasks.empty():
                self._tasks.get()()
        finally:
            if taken is not None and not self._stopping.is_set():
                self._handle(*taken)
