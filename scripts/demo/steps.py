"""Steps whose results are kept until something that they are made from changes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
KEYS = "made_from.json"


def module(name: str, *arguments: object) -> list[str]:
    """Return the command that runs a module of the package with this interpreter."""
    return [sys.executable, "-m", name, *map(str, arguments)]


def run(command: Sequence[str]) -> None:
    """Run a command to its end; CalledProcessError where it fails."""
    subprocess.run(command, check=True, cwd=ROOT)


def source_digest(*parts: str) -> str:
    """Return a digest of all Python files of parts of the package."""
    digest = hashlib.sha256()
    for part in parts:
        for path in sorted((ROOT / "fast_inerf_ros" / part).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def step(folder: Path, name: str, what: str, key: Any, make: Callable[[], None]) -> str:
    """Make something unless it was made from the same before; return a digest of its origin.

    Args:
        folder: Remembers what was made from what.
        name: Of the step.
        what: It does, for the terminal.
        key: All that the result depends on, for JSON; digests of earlier steps among it.
        make: Makes it, in the place of what is there.
    """
    digest = hashlib.sha256(json.dumps([name, key], sort_keys=True).encode()).hexdigest()
    record = folder / KEYS
    known = json.loads(record.read_text()) if record.exists() else {}
    if known.get(name) == digest:
        print(f"  {what}: as made before", flush=True)
        return digest
    print(f"  {what} ...", flush=True)
    make()
    known = json.loads(record.read_text()) if record.exists() else {}
    record.write_text(json.dumps({**known, name: digest}, indent=2))
    return digest
