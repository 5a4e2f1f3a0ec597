"""Copies a file whole: python -m benchmarks._keep SOURCE TARGET."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from fast_inerf_ros.io.atomic import atomic_path

if __name__ == "__main__":
    with atomic_path(Path(sys.argv[2])) as temporary:
        shutil.copyfile(sys.argv[1], temporary)
