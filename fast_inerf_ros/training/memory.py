"""Memory that a training frees and takes again at every step."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Parameters of mallopt, from malloc.h of glibc, and their defaults.
TRIM_THRESHOLD, MMAP_MAX = -1, -4
DEFAULT_TRIM_THRESHOLD, DEFAULT_MMAP_MAX = 128 * 1024, 65536
LARGEST = 2**31 - 1


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Inside, what is freed stays with the process and is taken again.

    By default glibc gives large blocks back to the system, which has to clear all of their pages
    when the next step takes them: a tenth to a quarter of the time of a step on a CPU whose maps
    are tens of megabytes. Does nothing where the C library is another.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if library is None or not hasattr(library, "mallopt"):
        yield
        return
    library.mallopt(MMAP_MAX, 0)
    library.mallopt(TRIM_THRESHOLD, LARGEST)
    try:
        yield
    finally:
        library.mallopt(MMAP_MAX, DEFAULT_MMAP_MAX)
        library.mallopt(TRIM_THRESHOLD, DEFAULT_TRIM_THRESHOLD)
        library.malloc_trim(0)
