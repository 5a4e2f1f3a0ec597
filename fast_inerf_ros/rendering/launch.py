"""Launching kernels over rays: two Python threads on two cores, one launch on a GPU.

Warp runs a CPU launch in the calling thread with the interpreter's lock released, so every
thread gets one contiguous part of the rays. The split depends on nothing but the numbers of rays
and threads, and each part writes to its own buffers: results do not depend on timing.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from types import ModuleType
from typing import Any

import torch
import warp as wp

logger = logging.getLogger(__name__)

SHORTEST = 1024
"""Items of a part, at least, where parts are shorter than a thread's share."""

PARTS = 6
"""Parts for each thread, at most."""

Arguments = Callable[[int], Sequence[Any]]
"""Arguments of a kernel, after the first index, for the part with the given number."""


@lru_cache(maxsize=1)
def initialise() -> None:
    """Start Warp quietly, once."""
    wp.config.log_level = wp.LOG_ERROR
    wp.init()


def default_threads(device: torch.device) -> int:
    """One launch per core of this process on a CPU, one on a GPU."""
    if device.type != "cpu":
        return 1
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)


@lru_cache(maxsize=4)
def _pool(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads, thread_name_prefix="rays")


def parts(count: int, n_parts: int) -> list[tuple[int, int]]:
    """Cut ``count`` items into at most ``n_parts`` runs (first, length) of nearly equal length."""
    edges = [count * part // n_parts for part in range(n_parts + 1)]
    return [(a, b - a) for a, b in pairwise(edges) if b > a]


def launch(
    kernel: Any, count: int, arguments: Arguments, device: torch.device, n_threads: int
) -> None:
    """Run a kernel, whose first argument is the first index, over ``count`` items; waits."""
    target = wp.device_from_torch(device)

    def run(part: int, first: int, length: int) -> None:
        wp.launch(kernel, dim=length, inputs=[first, *arguments(part)], device=target)

    work = [(number, *part) for number, part in enumerate(parts(count, n_threads))]
    if len(work) <= 1:
        for item in work:
            run(*item)
        return
    waiting = [_pool(n_threads).submit(run, *item) for item in work[1:]]
    run(*work[0])
    for future in waiting:
        future.result()


def launch_freely(
    kernel: Any, count: int, arguments: Sequence[Any], device: torch.device, n_threads: int
) -> None:
    """Run a kernel as ``launch`` does, for items that have nothing to do with each other.

    Many short parts are taken by whichever thread is free: half of an image may be empty.
    """
    most = min(count // SHORTEST, n_threads * PARTS)
    waiting = deque(parts(count, max(n_threads, most) if n_threads > 1 else 1))
    n_helpers = min(n_threads, len(waiting)) - 1
    target = wp.device_from_torch(device)

    def run() -> None:
        while True:
            try:
                first, length = waiting.popleft()  # threads may do that at the same time
            except IndexError:
                return
            wp.launch(kernel, dim=length, inputs=[first, *arguments], device=target)

    helpers = [_pool(n_threads).submit(run) for _ in range(n_helpers)]
    run()
    for helper in helpers:
        helper.result()


def compile_kernels(modules: Sequence[ModuleType], device: torch.device) -> float:
    """Load the kernels of the modules, compiling what is not cached; seconds it took."""
    initialise()
    start = time.perf_counter()
    logger.info("preparing kernels for %s (compiled on first use, then cached)", device)
    for module in modules:
        wp.load_module(module, device=wp.device_from_torch(device))
    seconds = time.perf_counter() - start
    logger.info("kernels ready after %.1f s", seconds)
    return seconds
