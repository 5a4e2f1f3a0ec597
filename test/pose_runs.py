"""Tiny trainings of pose networks, run in this process."""

from __future__ import annotations

from fast_inerf_ros import command_line
from fast_inerf_ros.training.pose_options import TrainPoseCnnConfig
from fast_inerf_ros.training.posecnn import train_posecnn
from fast_inerf_ros.training.reporting import Watch
from fast_inerf_ros.training.stop_request import StopRequest

SMALL = [
    *("--no-pretrained", "--no-tensorboard", "--device", "cpu", "--dataset.threads", "1"),
    *("--schedule.batch-size", "2", "--schedule.input-width", "96"),
    *("--schedule.first-width", "64", "--schedule.first-share", "0.5"),
    *("--schedule.frozen-blocks", "0", "--schedule.warm-up-steps", "2"),
    *("--checkpoint-seconds", "0", "--no-half-weights"),
]
STEADY = [
    *("--augmentation.roll-deg", "0", "--augmentation.zoom", "1,1", "--augmentation.shift", "0"),
    *("--augmentation.occlusion", "0", "--augmentation.blur-px", "0"),
]


def arguments(data, output, *more):
    return [*SMALL, "--data", str(data), "--output", str(output), *map(str, more)]


def run(data, output, *more, tasks=(), stop=None):
    """Run `train_posecnn`; return the exit status."""
    request = stop or StopRequest()

    def main(config):
        return train_posecnn(config, request, lambda images: Watch(tasks=tasks))

    return command_line.run(TrainPoseCnnConfig, main, arguments(data, output, *more))
