"""The ROS node of `train_nerf`: says how the training goes, shows it, and takes a wish to stop.

The training runs in the main thread, which signals reach; an executor thread answers requests.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.nodes.conversions import encode_image, header
from fast_inerf_ros.nodes.program import node_of, run_program
from fast_inerf_ros.training.loop import Moment, Task
from fast_inerf_ros.training.nerf import Watch, train_nerf
from fast_inerf_ros.training.options import TrainNerfConfig
from fast_inerf_ros.training.pictures import to_pixels
from fast_inerf_ros.training.progress import RayRate
from fast_inerf_ros.training.stop_request import StopRequest
from fast_inerf_ros.training.views import render_view

NAME = "train_nerf"
DESCRIPTION = "Train a radiance field on posed photographs, as a ROS node."
DIAGNOSTICS_TOPIC = "/diagnostics"
DIAGNOSTICS_PERIOD_S = 1.0
DELIVERY_S = 1.0
DISCOVERY_S = 3.0
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


def run_node(arguments: Sequence[str]) -> int:
    """Run the node with a command line that has ROS arguments; return the exit status."""
    return run_program(TrainNerfConfig, _run, arguments, NAME, DESCRIPTION)


def _run(flags: TrainNerfConfig, arguments: Sequence[str]) -> int:
    request = StopRequest()
    with node_of(NAME, flags, arguments) as (node, config):
        reporter = TrainingReporter(node, config, request)
        try:
            status = train_nerf(config, request, reporter.watch)
        except Exception as error:
            reporter.say_failed(error)
            raise
        reporter.say_finished()
    return status


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
        view = render_view(moment.training.field(), small, pose)
        return encode_image(to_pixels(view.color), header(time.time_ns(), "camera_optical_frame"))


class TrainingReporter:
    """Publishes on /diagnostics and ~/preview, and offers ~/stop."""

    def __init__(self, node: Node, config: TrainNerfConfig, request: StopRequest) -> None:
        self._node = node
        self._config = config
        self._request = request
        self._rate = RayRate()
        self._figures: dict[str, float] = {}
        self._values: dict[str, str] = {}
        self._diagnostics = node.create_publisher(DiagnosticArray, DIAGNOSTICS_TOPIC, 10)
        self._preview = node.create_publisher(Image, "~/preview", LATCHED)
        node.create_service(Trigger, "~/stop", self._on_stop)
        self._publish("reading photographs")

    def watch(self, posed: PosedImages) -> Watch:
        """What the training does for this node between its steps."""
        tasks = [Task(self._report, every_seconds=DIAGNOSTICS_PERIOD_S, at_end=True)]
        plan = self._config.preview
        if plan.every_seconds > 0.0:
            preview = Preview(posed, _shown(posed), plan.width)
            show = partial(self._show, preview)
            tasks.append(Task(show, every_seconds=plan.every_seconds, at_end=True))
        return Watch(observers=[self], tasks=tasks)

    def say_finished(self) -> None:
        """Say that the training is over."""
        self._publish("stopped" if self._request.is_set() else "finished")
        self._wait_for_delivery()

    def say_failed(self, error: Exception) -> None:
        """Say why there is no training."""
        self._wait_for_listener()
        self._publish(f"failed: {error}", DiagnosticStatus.ERROR)
        self._wait_for_delivery()

    def on_step(self, moment: Moment) -> None:
        """Count rays."""
        if moment.report is not None:
            self._rate.add(moment.report.n_rays, moment.seconds)

    def on_figures(self, moment: Moment, figures: Mapping[str, float]) -> None:
        """Keep the figures of the last validation."""
        self._figures = dict(figures)

    def close(self) -> None:
        """Nothing is open."""

    def _report(self, moment: Moment) -> None:
        report = moment.report
        if report is None:
            return
        self._values = {
            "step": str(moment.step),
            "progress": f"{moment.progress:.4f}",
            "seconds": f"{moment.seconds:.1f}",
            "loss": f"{float(report.loss):.6g}",
            "psnr_db": f"{report.psnr_db:.3f}",
            "rays_per_second": f"{self._rate.per_second:.0f}",
        }
        self._publish("training")

    def _wait_for_listener(self) -> None:
        # Wrong input ends the node within a second, before others on the network know of it.
        deadline = time.monotonic() + DISCOVERY_S
        while not self._diagnostics.get_subscription_count() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _wait_for_delivery(self) -> None:
        # The node ends right after this, and with it messages that are still under way.
        for publisher in (self._diagnostics, self._preview):
            publisher.wait_for_all_acked(Duration(seconds=DELIVERY_S))

    def _publish(self, message: str, level: bytes = DiagnosticStatus.OK) -> None:
        figures = {name: f"{value:.4f}" for name, value in self._figures.items()}
        texts = {**self._values, **figures}
        values = [KeyValue(key=key, value=text) for key, text in texts.items()]
        entry = DiagnosticStatus(
            level=level,
            name=f"{self._node.get_name()}: training",
            message=message,
            hardware_id=self._config.output,
            values=values,
        )
        self._diagnostics.publish(
            DiagnosticArray(header=header(time.time_ns(), ""), status=[entry])
        )

    def _show(self, preview: Preview, moment: Moment) -> None:
        self._preview.publish(preview.render(moment))

    def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = not self._request.is_set()
        response.message = "saving and ending" if response.success else "already ending"
        self._request.set()
        return response


def _shown(posed: PosedImages) -> int:
    """A photograph that is not trained on, where there is one."""
    splits = posed.splits
    for indices in (splits.val, splits.test, splits.train):
        if len(indices):
            return int(indices[0])
    raise AssertionError("a data set has training photographs")
