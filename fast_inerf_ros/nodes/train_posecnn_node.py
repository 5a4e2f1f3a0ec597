"""The ROS node of `train_posecnn`: says how the training goes, and takes a wish to stop."""

from __future__ import annotations

from collections.abc import Sequence

from fast_inerf_ros.datasets.pose_set import PoseSet
from fast_inerf_ros.nodes.program import node_of, run_program
from fast_inerf_ros.nodes.training_reporter import TrainingReporter
from fast_inerf_ros.training.pose_options import TrainPoseCnnConfig
from fast_inerf_ros.training.posecnn import train_posecnn
from fast_inerf_ros.training.reporting import Watch
from fast_inerf_ros.training.stop_request import StopRequest

NAME = "train_posecnn"
DESCRIPTION = "Train PoseCNN on images with known objects, as a ROS node."


def run_node(arguments: Sequence[str]) -> int:
    """Run the node with a command line that has ROS arguments; return the exit status."""
    return run_program(TrainPoseCnnConfig, _run, arguments, NAME, DESCRIPTION)


def _run(flags: TrainPoseCnnConfig, arguments: Sequence[str]) -> int:
    request = StopRequest()
    with node_of(NAME, flags, arguments) as (node, config):
        reporter = TrainingReporter(node, config.output, request)
        reporter.say("reading images")

        def watch(images: PoseSet) -> Watch:
            return Watch(observers=[reporter], tasks=[reporter.task()])

        return reporter.during(lambda: train_posecnn(config, request, watch))
