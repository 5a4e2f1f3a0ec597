"""Runs one program of a long series, within a time."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
GRACE_S = 30.0
"""For a program that is told to end, before it is killed."""


@dataclass(frozen=True)
class Ended:
    """How a program ended. seconds: wall clock. late: whether its time was over."""

    status: int
    seconds: float
    late: bool = False


def module(name: str, *words: object) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", name, *map(str, words)]


def shown(command: list[str]) -> str:
    """A command as one would type it."""
    return shlex.join(["python", *command[1:]])


def run(command: list[str], seconds: float | None = None) -> Ended:
    """Run a command from the root of the repository; what is said goes to the terminal.

    seconds: after which it, and what it started, is ended.
    """
    began = time.monotonic()
    child = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        status = child.wait(seconds)
        return Ended(status, time.monotonic() - began)
    except subprocess.TimeoutExpired:
        _end(child)
        return Ended(child.returncode, time.monotonic() - began, late=True)
    except BaseException:
        _end(child)
        raise


def end_on_request() -> None:
    """Have SIGTERM end this program as Ctrl-C does, and with it what it runs."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child's own session, which is nothing but it and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_S)
        os.killpg(child.pid, signal.SIGKILL)  # what it started may not have heard
    child.wait()
