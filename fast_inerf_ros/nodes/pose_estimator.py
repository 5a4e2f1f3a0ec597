"""``pose_estimator``: tells where cameras are, from their images, or that it does not know.

pose_estimator --scene kitchen/scene.yaml
pose_estimator --ros-args --params-file pose_estimator.yaml -r camera/image_raw:=/cam/image_raw
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence

from rclpy.lifecycle import TransitionCallbackReturn

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.nodes.executor import ServiceThreadsExecutor
from fast_inerf_ros.nodes.localisation.settings import PoseEstimatorConfig
from fast_inerf_ros.nodes.parameters import declare_parameters
from fast_inerf_ros.nodes.pose_estimator_node import PoseEstimatorNode
from fast_inerf_ros.nodes.program import run_until_stopped, started
from fast_inerf_ros.nodes.stopping import StopSignal

NAME = "pose_estimator"
DESCRIPTION = "Localise cameras in a scene from their images, as a ROS node."
THREADS = 4
"""For requests; a transition that takes long occupies one of them."""
POLL_S = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Run the executable and return its exit status."""
    return run_until_stopped(PoseEstimatorConfig, _run, argv, prog=NAME, description=DESCRIPTION)


def _run(flags: PoseEstimatorConfig, arguments: Sequence[str], stop: StopSignal) -> int:
    executor = functools.partial(ServiceThreadsExecutor, THREADS)
    launched = started(NAME, flags, arguments, PoseEstimatorNode, executor, _declare)
    with launched as (node, config):
        try:
            if config.autostart:
                start(node)
            while not stop.wait(POLL_S):
                pass
        finally:
            node.end()
    return 0


def _declare(
    node: PoseEstimatorNode, config_class: type[PoseEstimatorConfig]
) -> PoseEstimatorConfig:
    config = declare_parameters(node, config_class, node.apply)
    node.begin(config)
    return config


def start(node: PoseEstimatorNode) -> None:
    """Configure and activate, as a lifecycle manager would.

    Raises:
        InputError: The scene or an option is wrong; nobody else could do anything about it.
    """
    if node.trigger_configure() is not TransitionCallbackReturn.SUCCESS:
        raise InputError(node.problem or "the node could not be configured; see the log above")
    node.trigger_activate()


if __name__ == "__main__":
    sys.exit(main())
