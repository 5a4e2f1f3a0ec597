"""Publishes what came of an image; nothing is computed for which nobody listens."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from fast_inerf_ros.geometry.covariance import tangent_covariance_to_ros
from fast_inerf_ros.io.scene import Scene
from fast_inerf_ros.nodes.conversions import (
    encode_image,
    header,
    se3_to_pose_stamped,
    se3_to_pose_with_covariance,
)
from fast_inerf_ros.nodes.localisation.markers import markers
from fast_inerf_ros.nodes.localisation.names import object_tokens
from fast_inerf_ros.nodes.localisation.pictures import class_mask, overlay
from fast_inerf_ros.nodes.localisation.pipeline import Result

RESULT_QOS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
PICTURE_QOS = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)


class CameraOutputs:
    """The publishers of one camera; used by the thread that estimates.

    Args:
        node: Publishes.
        prefix: Of the topics, with a slash at the end.
        scene: Names the world frame and the objects.
    """

    def __init__(self, node: Node, prefix: str, scene: Scene) -> None:
        self.overlay_rate_hz = 0.0
        self._node = node
        self._prefix = prefix
        self._scene = scene
        self._made: list[Any] = []
        self._pose = self._publisher(PoseStamped, "camera_pose")
        self._covariance = self._publisher(PoseWithCovarianceStamped, "camera_pose_cov")
        self._mask = self._publisher(Image, "mask", PICTURE_QOS)
        self._overlay = self._publisher(Image, "overlay", PICTURE_QOS)
        self._markers = self._publisher(MarkerArray, "markers")
        tokens = object_tokens(item.label for item in scene.objects)
        self._objects = {
            key: self._publisher(PoseStamped, f"objects/{token}/pose")
            for key, token in tokens.items()
        }
        self._next_overlay_s = 0.0

    def publish(self, result: Result) -> None:
        """Publish poses where there are any, then what is to be looked at."""
        self._publish_poses(result)
        self._publish_objects(result)
        if _wanted(self._markers):
            self._markers.publish(markers(self._scene, result))
        if result.tracked.estimate.looked_at_objects and _wanted(self._mask):
            self._publish_mask(result)
        if self._overlay_is_due():
            self._publish_overlay(result)

    def close(self) -> None:
        """Take the topics away."""
        while self._made:
            self._node.destroy_publisher(self._made.pop())

    def _publisher(self, kind: Any, name: str, qos: QoSProfile = RESULT_QOS) -> Any:
        publisher = self._node.create_publisher(kind, self._prefix + name, qos)
        self._made.append(publisher)
        return publisher

    def _publish_poses(self, result: Result) -> None:
        estimate = result.tracked.estimate
        pose, covariance = estimate.T_world_camera, estimate.covariance
        if pose is None:
            return
        stamp_ns, world = result.observation.stamp_ns, self._scene.frame_id
        if _wanted(self._pose):
            self._pose.publish(se3_to_pose_stamped(pose, stamp_ns, world))
        if covariance is not None and _wanted(self._covariance):
            in_world = np.asarray(tangent_covariance_to_ros(covariance, pose))
            message = se3_to_pose_with_covariance(pose, in_world, stamp_ns, world)
            self._covariance.publish(message)

    def _publish_objects(self, result: Result) -> None:
        for item in result.tracked.estimate.objects:
            publisher = self._objects.get((item.label, item.instance))
            if publisher is not None and _wanted(publisher):
                stamp_ns = result.observation.stamp_ns
                world = self._scene.frame_id
                publisher.publish(se3_to_pose_stamped(item.T_world_object, stamp_ns, world))

    def _overlay_is_due(self) -> bool:
        if not _wanted(self._overlay):
            return False
        now_s = time.monotonic()
        if now_s < self._next_overlay_s:
            return False
        # Counted from the time it was due, so that the rate is kept on average.
        period_s = 1.0 / self.overlay_rate_hz if self.overlay_rate_hz else 0.0
        self._next_overlay_s = max(self._next_overlay_s + period_s, now_s)
        return True

    def _publish_mask(self, result: Result) -> None:
        observation, detections = result.observation, result.tracked.estimate.detections
        stamp = header(observation.stamp_ns, observation.frame_id)
        self._mask.publish(encode_image(class_mask(observation.image, detections), stamp))

    def _publish_overlay(self, result: Result) -> None:
        seen, tracked = result.observation, result.tracked
        drawn = overlay(seen.image, seen.camera, self._scene, tracked.state, tracked.estimate)
        self._overlay.publish(encode_image(drawn, header(seen.stamp_ns, seen.frame_id)))


def _wanted(publisher: Any) -> bool:
    return bool(publisher.get_subscription_count())
