"""Run every benchmark of this folder, one after the other: python -m benchmarks [NAME ...]."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def available() -> list[str]:
    """Return the names of the benchmarks."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


def main() -> int:
    """Run the named benchmarks, or all; return how many failed."""
    names = sys.argv[1:] or available()
    unknown = set(names) - set(available())
    if unknown:
        print(f"unknown benchmarks {sorted(unknown)}; there are {available()}", file=sys.stderr)
        return 2
    failed = 0
    for name in names:
        print(f"== {name}", flush=True)
        failed += subprocess.call([sys.executable, "-m", f"benchmarks.{name}"]) != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
