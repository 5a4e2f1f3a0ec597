"""Runs kernels on several threads, and moves arrays to them and back."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import warp

wp: Any = warp  # Warp's own annotations do not describe how its types are used

CHUNKS_PER_THREAD = 4


def available_threads() -> int:
    """Processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Launcher:
    """Splits a launch into chunks and runs them on several threads.

    Warp runs a CPU launch on the calling thread and releases the GIL meanwhile. No index sees
    another's result, so that results do not depend on the number of threads.
    """

    def __init__(self, threads: int | None = None) -> None:
        wp.config.log_level = wp.LOG_ERROR
        wp.init()
        self.threads = threads or available_threads()
        self._pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None

    def __call__(self, kernel: Any, count: int, arguments: Callable[[int], list[Any]]) -> None:
        """Launch `kernel` for indices 0..count; `arguments` makes the inputs of a first index."""
        if count == 0:
            return
        parts = 1 if self._pool is None else min(count, self.threads * CHUNKS_PER_THREAD)
        bounds = [count * k // parts for k in range(parts + 1)]
        wp.load_module(kernel.module, device="cpu")

        def launch(k: int) -> None:
            size = bounds[k + 1] - bounds[k]
            wp.launch(kernel, dim=size, inputs=arguments(bounds[k]), device="cpu")

        if self._pool is None:
            launch(0)
        else:
            list(self._pool.map(launch, range(parts)))


def upload(values: npt.ArrayLike, kind: Any) -> Any:
    """A kernel's array of elements `kind` (a Warp type) from numbers."""
    numbers = np.ascontiguousarray(np.asarray(values))
    return wp.array(numbers, dtype=kind, device="cpu")


def upload_structs(values: list[Any], kind: Any) -> Any:
    """A kernel's array of Warp structs."""
    return wp.array(values, dtype=kind, device="cpu")


def share(values: npt.NDArray[Any], kind: Any) -> Any:
    """A kernel's array on the same memory: later changes of `values` show."""
    return wp.array(values, dtype=kind, device="cpu", copy=False)


def zeros(shape: int | tuple[int, ...], kind: Any) -> Any:
    """A kernel's array for results."""
    return wp.zeros(shape, dtype=kind, device="cpu")


def download(array: Any) -> npt.NDArray[Any]:
    """What a kernel wrote, without a copy."""
    return np.asarray(array.numpy())


def vector(values: npt.ArrayLike) -> Any:
    """Two or three numbers as a Warp vector."""
    numbers = np.asarray(values, dtype=np.float64).tolist()
    return wp.vec2(*numbers) if len(numbers) == 2 else wp.vec3(*numbers)


def matrix(values: npt.ArrayLike) -> Any:
    """A 3 x 3 matrix."""
    return wp.mat33(*np.asarray(values, dtype=np.float64).ravel().tolist())


def triangle_mesh(vertices: npt.NDArray[np.float32], faces: npt.NDArray[np.int32]) -> Any:
    """A mesh with its hierarchy of boxes, ready for rays; keep it alive while it is used."""
    return wp.Mesh(points=upload(vertices, wp.vec3), indices=upload(faces.ravel(), wp.int32))
