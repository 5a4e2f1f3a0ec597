"""Memory of trainings: kept while they run, given back afterwards."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest

from fast_inerf_ros.training.memory import freed_memory_kept

BLOCK = 100_000_000


def resident_bytes():
    fields = dict(
        line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    return int(fields["VmRSS"].split()[0]) * 1024


def take_and_free():
    np.ones(BLOCK, dtype=np.uint8)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_what_is_freed_stays_until_the_end():
    take_and_free()
    before = resident_bytes()
    with freed_memory_kept():
        take_and_free()
        assert resident_bytes() - before > 0.9 * BLOCK
    assert resident_bytes() - before < 0.2 * BLOCK


def test_it_ends_where_something_fails():
    before = resident_bytes()

    def failing():
        with freed_memory_kept():
            take_and_free()
            raise ValueError("end of training")

    with pytest.raises(ValueError, match="of training"):
        failing()
    take_and_free()
    assert resident_bytes() - before < 0.2 * BLOCK
