"""Runs callbacks of a node that answers requests while images arrive and topics come and go.

rclpy's MultiThreadedExecutor hands every callback to a pool, and looks for work again and again
until a thread of the pool has begun: beside a thread that computes, thousands of times a second,
which takes half a processor and the interpreter's lock from the computation.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.executors import (
    Executor,
    ShutdownException,
    SingleThreadedExecutor,
    TimeoutException,
)
from rclpy.service import Service
from rclpy.task import Task

BEGIN_S = 0.001
"""A request is offered again and again until a thread has begun with it; not sooner than this."""


class _Undisturbed(Executor):
    """Looks again where another thread destroys what it was about to wait for.

    rclpy leaves the events of a publisher or subscription on its list when they turn out to be
    destroyed, and fails at them afterwards; that would end ``spin`` and with it every answer.
    """

    def wait_for_ready_callbacks(self, *args: Any, **options: Any) -> Any:
        """Return the next callback that is ready, see the base class."""
        while True:
            try:
                return super().wait_for_ready_callbacks(*args, **options)
            except InvalidHandle:  # it is off the node's list by now
                continue

    @contextmanager
    def _until_the_end(self) -> Iterator[None]:
        """Run a callback; if the executor is shut down meanwhile, what rclpy uses is gone."""
        try:
            yield
        except (AttributeError, InvalidHandle):
            if not self._is_shutdown:
                raise


class OneThreadExecutor(_Undisturbed, SingleThreadedExecutor):
    """Runs every callback where it spins; other threads may make and destroy topics."""

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for one callback and run it."""
        with self._until_the_end():
            super().spin_once(timeout_sec)


class ServiceThreadsExecutor(_Undisturbed):
    """Serves requests in threads, for they may take seconds, and runs all else where it spins.

    Callbacks of subscriptions and timers are to return quickly. What a callback raises ends
    ``spin``.

    Args:
        num_threads: Requests that are served at a time.
        context: Of the nodes.
    """

    def __init__(self, num_threads: int, *, context: Context | None = None) -> None:
        super().__init__(context=context)
        self._pool = ThreadPoolExecutor(num_threads, thread_name_prefix="service")
        self._served: dict[Task[Any], Future[None]] = {}

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for one callback and see that it runs."""
        for served in [task for task, future in self._served.items() if future.done()]:
            self._served.pop(served).result()
        try:
            task, entity, _ = self.wait_for_ready_callbacks(timeout_sec)
        except (ShutdownException, TimeoutException):
            return
        if isinstance(entity, Service):
            self._serve(task)
        else:
            with self._until_the_end():
                _run(task)

    def shutdown(self, timeout_sec: float | None = None, **options: Any) -> bool:
        """End; a request that is being served goes on."""
        ended = super().shutdown(timeout_sec, **options)
        self._pool.shutdown(wait=False)
        return bool(ended)

    def _serve(self, task: Task[Any]) -> None:
        if task in self._served:
            time.sleep(BEGIN_S)
        else:
            self._served[task] = self._pool.submit(_run, task)


def _run(task: Task[Any]) -> None:
    task()
    error = task.exception()
    if error is not None:
        raise error
