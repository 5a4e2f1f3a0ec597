"""The ROS node of `inerf`: publishes every step, every answer and its picture.

Refinement runs in the main thread, which signals reach; an executor thread answers requests.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from fast_inerf_ros.experiments.inerf import Watcher, inerf
from fast_inerf_ros.experiments.options import InerfConfig
from fast_inerf_ros.experiments.overlay import OverlayOptions, overlays
from fast_inerf_ros.experiments.trial import Outcome
from fast_inerf_ros.geometry.covariance import tangent_covariance_to_ros
from fast_inerf_ros.inerf.observer import Iteration, Observer
from fast_inerf_ros.io.scene import load_scene
from fast_inerf_ros.nodes.conversions import encode_image, header
from fast_inerf_ros.nodes.poses import se3_to_pose_stamped, se3_to_pose_with_covariance
from fast_inerf_ros.nodes.program import node_of, run_program
from fast_inerf_ros.training.stop_request import StopRequest

NAME = "inerf"
DESCRIPTION = "Refine the poses of photographs against a radiance field, as a ROS node."
WORLD_FRAME = "map"
"""Frame of the poses, where no scene file names another."""
DIAGNOSTICS_TOPIC = "/diagnostics"
DELIVERY_S = 1.0
DISCOVERY_S = 3.0
SETTLED_S = 0.3
PICTURE_WIDTH_PX = 320
ANSWERS = QoSProfile(
    depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


def run_node(arguments: Sequence[str]) -> int:
    """Run the node with a command line that has ROS arguments; return the exit status."""
    return run_program(InerfConfig, _run, arguments, NAME, DESCRIPTION)


def _run(flags: InerfConfig, arguments: Sequence[str]) -> int:
    with node_of(NAME, flags, arguments) as (node, config), StopRequest() as request:
        publisher = RefinementPublisher(node, config, request)
        publisher.wait_for_listeners()
        status = inerf(config, publisher)
        publisher.wait_for_delivery()
        return request.exit_status or status


class RefinementPublisher(Watcher):
    """Publishes on ~/step, ~/result, ~/overlay and /diagnostics; a signal ends the refinement."""

    def __init__(self, node: Node, config: InerfConfig, request: StopRequest) -> None:
        scene = load_scene(config.scene, check_files=False) if config.scene else None
        self._frame_id = WORLD_FRAME if scene is None else scene.frame_id
        self._name = node.get_name()
        self._request = request
        self._steps = node.create_publisher(PoseStamped, "~/step", 100)
        self._answers = node.create_publisher(PoseWithCovarianceStamped, "~/result", ANSWERS)
        self._pictures = node.create_publisher(Image, "~/overlay", LATCHED)
        self._diagnostics = node.create_publisher(DiagnosticArray, DIAGNOSTICS_TOPIC, 100)

    def observer(self, name: str) -> Observer:
        """Publishes every step of the image of a name."""

        def observe(iteration: Iteration) -> bool | None:
            stamp = time.time_ns()
            pose = se3_to_pose_stamped(iteration.T_world_camera, stamp, self._frame_id)
            self._steps.publish(pose)
            return not self._request.is_set()

        return observe

    def finished(self, outcome: Outcome) -> None:
        """Publish an answer: the pose only where it was refined, never one that is lost."""
        result, stamp = outcome.result, time.time_ns()
        pose, covariance = result.T_world_camera, result.covariance()
        if result.status.refined and pose is not None and covariance is not None:
            fixed = tangent_covariance_to_ros(covariance, pose)
            self._answers.publish(se3_to_pose_with_covariance(pose, fixed, stamp, self._frame_id))
            options = OverlayOptions(png=True, width=PICTURE_WIDTH_PX)
            picture = overlays(outcome.trial.problem, [pose], options)[-1]
            self._pictures.publish(encode_image(picture, header(stamp, "camera_optical_frame")))
        self._diagnostics.publish(self._report(outcome, stamp))

    def cancelled(self) -> bool:
        """Whether a signal came."""
        return self._request.is_set()

    def wait_for_listeners(self) -> None:
        """Give others time to find this node, until nobody new has come for a moment.

        All may be over within a second, before anybody on the network knows of it.
        """
        deadline, before, since = time.monotonic() + DISCOVERY_S, 0, time.monotonic()
        while (now := time.monotonic()) < deadline and not self._request.is_set():
            count = sum(publisher.get_subscription_count() for publisher in self._publishers)
            if count != before:
                before, since = count, now
            if count and now - since > SETTLED_S:
                break
            time.sleep(0.05)

    def wait_for_delivery(self) -> None:
        """Give messages that are under way time to arrive."""
        for publisher in self._publishers:
            publisher.wait_for_all_acked(Duration(seconds=DELIVERY_S))

    @property
    def _publishers(self) -> tuple[Publisher[Any], ...]:
        return self._steps, self._answers, self._pictures, self._diagnostics

    def _report(self, outcome: Outcome, stamp: int) -> DiagnosticArray:
        result = outcome.result
        values = {
            "solver": result.solver,
            "status": result.status.value,
            "seconds": f"{result.seconds:.4f}",
            "steps": str(len(outcome.iterations)),
        }
        if result.residuals is not None:
            values["correlation"] = f"{result.residuals.correlation:.4f}"
        refined = result.status.refined
        entry = DiagnosticStatus(
            level=DiagnosticStatus.OK if refined else DiagnosticStatus.WARN,
            name=f"{self._name}: refinement",
            message=result.reason,
            hardware_id=outcome.trial.name,
            values=[KeyValue(key=key, value=text) for key, text in values.items()],
        )
        return DiagnosticArray(header=header(stamp, ""), status=[entry])
