"""What a figure was measured on: machine, versions, commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
PACKAGES = ("torch", "warp-lang", "numpy", "opencv-python-headless", "onnxruntime", "ros-rclpy")


def machine() -> dict[str, Any]:
    """Processor, memory, GPU, operating system and versions of what does the arithmetic."""
    return {
        "processor": _first("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(_first("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "gpu": gpu(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def gpu() -> str | None:
    """Name of the first GPU; None where torch finds none."""
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def peak_memory_gb(pid: int | None = None) -> float:
    """Largest resident size of a process so far, this one's by default, in units of 10^9 bytes.

    Read from /proc: what getrusage tells includes the process that this one was started from.
    """
    lines = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9


def commit() -> str:
    """The checked-out commit, with "+" where files differ from it; "unknown" without git."""
    try:
        name = _git("rev-parse", "--short=12", "HEAD")
        return name + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _first(path: str, key: str) -> str:
    """Value of the first line of a file of /proc that begins with a key."""
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        if line.startswith(key):
            return line.partition(":")[2].strip()
    return ""
