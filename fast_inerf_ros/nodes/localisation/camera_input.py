"""Subscribes to a camera; its callbacks look at a message's form and pass it on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.nodes.compressed_decoding import check_complete
from fast_inerf_ros.nodes.conversions import layout_of
from fast_inerf_ros.nodes.image_decoding import check_layout
from fast_inerf_ros.nodes.localisation.camera_models import CameraModels
from fast_inerf_ros.nodes.localisation.frames import Fate, Frame, FrameCounts
from fast_inerf_ros.nodes.localisation.settings import CameraSettings, PoseEstimatorConfig

INFO_DEPTH = 5
Deliver = Callable[[Frame], None]


class CameraInput:
    """The subscriptions of one camera, which exist only while it is wanted.

    Args:
        node: Subscribes.
        settings: Which topics.
        config: Of what kind they are.
        counts: Counts every image, and those that are malformed.
        deliver: Takes an image that can be decoded, and returns at once.
    """

    def __init__(
        self,
        node: Node,
        settings: CameraSettings,
        config: PoseEstimatorConfig,
        counts: FrameCounts,
        deliver: Deliver,
    ) -> None:
        self._node = node
        self._settings = settings
        self._config = config
        self._counts = counts
        self._deliver = deliver
        self._group = MutuallyExclusiveCallbackGroup()
        self._subscriptions: list[Any] = []
        self.problem = ""
        topic = node.resolve_topic_name(settings.info_topic)
        self.models = CameraModels(config.image_rectified, topic)

    @property
    def topic(self) -> str:
        """The resolved name of the images' topic."""
        return str(self._node.resolve_topic_name(self._settings.image_topic))

    def start(self) -> None:
        """Subscribe."""
        if self._subscriptions:
            return
        kind = CompressedImage if self._config.transport == "compressed" else Image
        self._subscribe(kind, self._settings.image_topic, self._on_image, self._config.depth)
        self._subscribe(CameraInfo, self._settings.info_topic, self.models.add, INFO_DEPTH)

    def stop(self) -> None:
        """End the subscriptions."""
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())

    def publishers(self) -> int:
        """Return how many publishers of images there are."""
        return int(self._node.count_publishers(self.topic))

    def _subscribe(self, kind: Any, topic: str, callback: Any, depth: int) -> None:
        reliability = ReliabilityPolicy[self._config.reliability.upper()]
        qos = QoSProfile(depth=depth, reliability=reliability)
        self._subscriptions.append(
            self._node.create_subscription(kind, topic, callback, qos, callback_group=self._group)
        )

    def _on_image(self, message: Any) -> None:
        self._counts.receive()
        try:
            _check_form(message)
        except InputError as error:
            self._counts.settle(Fate.MALFORMED)
            self.problem = str(error)
            self._node.get_logger().warning(f"{self.topic}: {error}", throttle_duration_sec=5.0)
            return
        self.problem = ""
        self._deliver(Frame(message, self._node.get_clock().now().nanoseconds))


def _check_form(message: Any) -> None:
    """Check what can be checked without decoding, in microseconds."""
    if isinstance(message, CompressedImage):
        check_complete(bytes(message.data), message.format)
    else:
        layout = layout_of(message)
        check_layout(message.data, layout)
