"""Memory of trainings: kept while they run, given back afterwards."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# In a process of its own: what others left free in this one would be taken first.
SCRIPT = """
from pathlib import Path
import numpy as np
from fast_inerf_ros.training.memory import freed_memory_kept

BLOCK = 100_000_000

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["VmRSS"].split()[0]) * 1024

def take_and_free():
    np.ones(BLOCK, dtype=np.uint8)

take_and_free()
before = resident()
try:
    with freed_memory_kept():
        take_and_free()
        inside = resident() - before
        {end}
except ValueError:
    pass
ended = resident() - before
take_and_free()
print(inside / BLOCK, ended / BLOCK, (resident() - before) / BLOCK)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
@pytest.mark.parametrize("end", ["pass", "raise ValueError"])
def test_what_is_freed_stays_until_the_end(end):
    command = [sys.executable, "-c", SCRIPT.replace("{end}", end)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    inside, ended, later = map(float, said.stdout.split())
    assert inside > 0.9
    assert ended < 0.2
    assert later < 0.2
