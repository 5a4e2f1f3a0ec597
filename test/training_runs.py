"""Tiny trainings of both kinds of fields, run in this process."""

from __future__ import annotations

import signal

import numpy as np

from fast_inerf_ros import command_line
from fast_inerf_ros.io.tensor_file import load_tensors
from fast_inerf_ros.training.loop import Task
from fast_inerf_ros.training.nerf import train_nerf
from fast_inerf_ros.training.options import TrainNerfConfig
from fast_inerf_ros.training.reporting import Watch
from fast_inerf_ros.training.stop_request import StopRequest

SMALL = {
    "voxel": [
        *("--voxel.resolutions", "8,16", "--voxel.stage-starts", "0,0.3"),
        *("--voxel.rays-per-step", "256", "--voxel.prune-every", "10"),
        *("--voxel.density-rate", "0.2"),
    ],
    "vanilla": [
        *("--field", "vanilla", "--vanilla.architecture.depth", "2"),
        *("--vanilla.architecture.width", "16", "--vanilla.architecture.depth-fine", "2"),
        *("--vanilla.architecture.width-fine", "16", "--vanilla.rendering.n-samples", "8"),
        *("--vanilla.rendering.n-importance", "8", "--vanilla.training.rays-per-step", "64"),
        *("--vanilla.training.learning-rate", "5e-3"),
    ],
}
QUIET = ["--no-tensorboard", "--validation.every-seconds", "0", "--device", "cpu"]


def arguments(kind, data, output, *more):
    return [*SMALL[kind], *QUIET, "--data", str(data), "--output", str(output), *map(str, more)]


def run(kind, data, output, *more, tasks=(), stop=None):
    """Run `train_nerf`; return the exit status."""
    request = stop or StopRequest()

    def main(config):
        return train_nerf(config, request, lambda posed: Watch(tasks=tasks))

    return command_line.run(TrainNerfConfig, main, arguments(kind, data, output, *more))


def at_step(step, action):
    """A task for one step."""
    return Task(lambda moment: action(moment) if moment.step == step else None, every_steps=1)


def signal_at(step, number=signal.SIGTERM):
    return at_step(step, lambda moment: signal.raise_signal(number))


def checkpoints(output):
    folder = output / "checkpoints"
    return sorted(path.name for path in folder.glob("[0-9]*.tar"))


def flat(value, prefix=""):
    """Leaves of nested mappings and lists by path, tensors as arrays."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        return {prefix: np.asarray(value)}
    found = {}
    for key, inner in items:
        found.update(flat(inner, f"{prefix}/{key}"))
    return found


def same_state(first, second):
    """Whether two checkpoints hold the same training, but for the time it took."""
    one, other = flat(load_tensors(first)), flat(load_tensors(second))
    record = "/fast_inerf_ros_training"
    assert one.keys() == other.keys()
    return all(np.array_equal(one[key], other[key]) for key in one if key != record)
