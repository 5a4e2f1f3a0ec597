"""The ROS node of `train_nerf`: says how the training goes, shows it, and takes a wish to stop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.nodes.conversions import encode_image, header
from fast_inerf_ros.nodes.program import node_of, run_program
from fast_inerf_ros.nodes.training_reporter import TrainingReporter
from fast_inerf_ros.training.loop import Moment, Task
from fast_inerf_ros.training.nerf import train_nerf
from fast_inerf_ros.training.options import TrainNerfConfig
from fast_inerf_ros.training.pictures import to_pixels
from fast_inerf_ros.training.reporting import Watch
from fast_inerf_ros.training.stop_request import StopRequest
from fast_inerf_ros.training.trainer import as_field_training
from fast_inerf_ros.training.views import render_view

NAME = "train_nerf"
DESCRIPTION = "Train a radiance field on posed photographs, as a ROS node."
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


def run_node(arguments: Sequence[str]) -> int:
    """Run the node with a command line that has ROS arguments; return the exit status."""
    return run_program(TrainNerfConfig, _run, arguments, NAME, DESCRIPTION)


def _run(flags: TrainNerfConfig, arguments: Sequence[str]) -> int:
    request = StopRequest()
    with node_of(NAME, flags, arguments) as (node, config):
        reporter = FieldReporter(node, config, request)
        return reporter.during(lambda: train_nerf(config, request, reporter.watch))


@dataclass(frozen=True)
class Preview:
    """The view that shows how the field grows: a photograph's own, smaller."""

    posed: PosedImages
    index: int
    width: int

    def render(self, moment: Moment) -> Image:
        """The view as a message."""
        camera = self.posed.cameras[self.index]
        width = min(self.width, camera.width)
        small = camera.resize(width, max(1, round(camera.height * width / camera.width)))
        pose = self.posed.T_field_camera[self.index]
        view = render_view(as_field_training(moment.training).field(), small, pose)
        return encode_image(to_pixels(view.color), header(time.time_ns(), "camera_optical_frame"))


class FieldReporter(TrainingReporter):
    """Publishes ~/preview as well."""

    def __init__(self, node: Node, config: TrainNerfConfig, request: StopRequest) -> None:
        super().__init__(node, config.output, request)
        self._plan = config.preview
        self._preview = node.create_publisher(Image, "~/preview", LATCHED)
        self._publishers.append(self._preview)
        self.say("reading photographs")

    def watch(self, posed: PosedImages) -> Watch:
        """What the training does for this node between its steps."""
        tasks = [self.task()]
        plan = self._plan
        if plan.every_seconds > 0.0:
            preview = Preview(posed, _shown(posed), plan.width)
            show = partial(self._show, preview)
            tasks.append(Task(show, every_seconds=plan.every_seconds, at_end=True))
        return Watch(observers=[self], tasks=tasks)

    def _show(self, preview: Preview, moment: Moment) -> None:
        self._preview.publish(preview.render(moment))


def _shown(posed: PosedImages) -> int:
    """A photograph that is not trained on, where there is one."""
    splits = posed.splits
    for indices in (splits.val, splits.test, splits.train):
        if len(indices):
            return int(indices[0])
    raise AssertionError("a data set has training photographs")
