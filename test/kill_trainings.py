"""Kills trainings at random moments, each a child of this process: python kill_trainings.py ...

One process forks them all, so that the libraries are imported once. Arguments: kinds, data,
output, steps, number of kills, seed. Exit status 0: every kill hit, and the last run ended by
itself.
"""

from __future__ import annotations

import importlib
import os
import random
import signal
import sys
import time
from pathlib import Path

import training_runs


def start(kind, data, output, steps):
    """Fork a training; return its process id."""
    child = os.fork()
    if child == 0:
        more = ("--max-steps", steps, "--checkpoint-steps", 2, "--keep-checkpoints", 2)
        os._exit(training_runs.run(kind, data, output, *more))
    return child


def wait_for_news(folder, before, child):
    """Wait until a checkpoint is newer than those before; whether that came before the end."""
    while training_runs.checkpoints(folder) == before:
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            return False
        time.sleep(0.002)
    return True


def kill_and_finish(kind, data, folder, steps, n_kills, moments):
    """Kill a training so often, then let it end; return the exit status."""
    for _ in range(n_kills):
        before = training_runs.checkpoints(folder)
        child = start(kind, data, folder, steps)
        if not wait_for_news(folder, before, child):
            return 3
        time.sleep(moments.uniform(0.0, 0.08))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            return 4
    _, status = os.waitpid(start(kind, data, folder, steps), 0)
    return os.waitstatus_to_exitcode(status)


def main():
    kinds, data, output, steps, n_kills, seed = sys.argv[1:]
    moments = random.Random(int(seed))
    importlib.import_module("torch._dynamo")  # or the first optimiser of every child does, slowly
    for kind in kinds.split(","):
        status = kill_and_finish(kind, data, Path(output) / kind, steps, int(n_kills), moments)
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
