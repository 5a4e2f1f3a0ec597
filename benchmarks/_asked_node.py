"""Asks a running `pose_estimator` about one image at a time, over DDS."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_srvs.srv import Trigger

from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.nodes.localisation.frames import Fate
from fast_inerf_ros.nodes.poses import pose_to_se3, stamp_to_nanoseconds

NODE = "/pose_estimator"
CAMERA_STATUS = "pose_estimator: camera"
QOS = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
PATIENCE_S = 180.0
"""For the estimate of an image that has arrived, and for a node that loads its scene."""
LOST_ON_THE_WAY_S = 15.0
"""After which an image that was sent and did not arrive is sent again."""
ATTEMPTS = 5
FATES = tuple(fate.value for fate in Fate)


@dataclass(frozen=True, eq=False)
class Answer:
    """What the node published about one image. T_world_camera: None where it was lost."""

    status: str
    T_world_camera: SE3 | None
    score: float
    source: str
    reason: str


class NotAnswered(Exception):
    """An image was neither localised nor lost, however often it was sent."""


class AskedNode:
    """Hears what `pose_estimator` publishes; a node of its own, and a context manager."""

    def __init__(self) -> None:
        self._context = Context()
        self._context.init(args=["asking"])
        self._node = Node("asking", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._poses: dict[int, SE3] = {}
        self._values: dict[str, str] = {}
        node = self._node
        node.create_subscription(PoseStamped, f"{NODE}/camera_pose", self._on_pose, QOS)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, QOS)
        self._relocalize: Any = node.create_client(Trigger, f"{NODE}/relocalize")

    def __enter__(self) -> AskedNode:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def wait_until_active(self, alive: Callable[[], bool]) -> None:
        """Wait until the node takes images; SystemExit where it ends instead."""
        if not self._until(lambda: "state" in self._values or not alive(), PATIENCE_S):
            raise SystemExit(f"pose_estimator was not active within {PATIENCE_S:g} s")
        if not alive():
            raise SystemExit("pose_estimator ended; see its log")

    def ask(self, stamp_ns: int, send: Callable[[], None]) -> Answer:
        """Have the node look at an image as at the first of a stream.

        It is told to begin anew, so that nothing of earlier images helps: neither prediction nor
        tracked landmarks nor keyframe. An image that best-effort transport loses, or that comes
        before its CameraInfo, is sent again.

        Args:
            stamp_ns: Of the image.
            send: Publishes image and CameraInfo, and returns when that is done.
        """
        self._poses.pop(stamp_ns, None)
        for _ in range(ATTEMPTS):
            self._begin_anew()
            before = self._counts()
            send()
            answer = self._answer(stamp_ns, before)
            if answer is not None:
                return answer
        raise NotAnswered(f"an image was not looked at: {self._values}")

    def _begin_anew(self) -> None:
        """Call ~/relocalize; until it answers, for the answer may be lost on a busy machine."""
        if not self._relocalize.wait_for_service(timeout_sec=PATIENCE_S):
            raise SystemExit("pose_estimator offers no ~/relocalize")
        for _ in range(ATTEMPTS):
            future = self._relocalize.call_async(Trigger.Request())
            self._executor.spin_until_future_complete(future, timeout_sec=PATIENCE_S / ATTEMPTS)
            if future.done():
                return
        raise SystemExit("pose_estimator does not answer ~/relocalize")

    def _answer(self, stamp_ns: int, before: dict[str, int]) -> Answer | None:
        """What became of an image; None where it has to be sent again."""
        arrived = self._until(lambda: self._more(before, "received"), LOST_ON_THE_WAY_S)
        if not arrived or not self._until(lambda: self._more(before, *FATES), PATIENCE_S):
            return None
        localised = self._more(before, "localised")
        if not localised and not self._more(before, "lost"):
            return None
        # The count is told before the answer, by a hair.
        self._until(
            lambda: "score" in self._values and (not localised or stamp_ns in self._poses),
            LOST_ON_THE_WAY_S,
        )
        values = self._values
        return Answer(
            "localised" if localised else "lost",
            self._poses.get(stamp_ns),
            float(values["score"]),
            values["source"],
            values.get("reason", ""),
        )

    def _more(self, before: dict[str, int], *names: str) -> bool:
        counts = self._counts()
        return any(counts[name] > before[name] for name in names)

    def _counts(self) -> dict[str, int]:
        return {name: int(self._values.get(name, 0)) for name in ("received", *FATES)}

    def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Hear messages until something is true; return whether it is."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self._executor.spin_once(timeout_sec=0.05)
        return True

    def _on_pose(self, message: PoseStamped) -> None:
        self._poses[stamp_to_nanoseconds(message.header.stamp)] = pose_to_se3(message.pose)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == CAMERA_STATUS:
                self._values = {item.key: item.value for item in status.values}
