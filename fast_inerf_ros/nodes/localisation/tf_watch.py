"""Watches /tf for a second parent of the frame that this node is to place.

A frame with two parents breaks the tree of everybody on the robot, and tf2 only shows it as
transforms that jump.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from tf2_msgs.msg import TFMessage

from fast_inerf_ros.nodes.distribution import STATIC_TF_QOS, TF_QOS

Conflict = Callable[[str], None]


class ParentWatch:
    """Tells once when somebody else gives a child frame another parent.

    Messages stay as bytes unless they name the child, so that a busy /tf costs little.

    Args:
        node: Subscribes.
        on_conflict: Is given one line that says who clashes.
    """

    def __init__(self, node: Node, on_conflict: Conflict) -> None:
        self._node = node
        self._on_conflict = on_conflict
        self._wanted: tuple[str, str] | None = None
        self._static_parents: dict[str, str] = {}
        group = MutuallyExclusiveCallbackGroup()
        self._subscriptions = [
            node.create_subscription(
                TFMessage, "/tf", self._on_bytes, TF_QOS, raw=True, callback_group=group
            ),
            node.create_subscription(
                TFMessage, "/tf_static", self._on_static, STATIC_TF_QOS, callback_group=group
            ),
        ]

    def expect(self, parent: str, child: str) -> None:
        """Say which transform this node sends."""
        if self._wanted != (parent, child):
            self._wanted = (parent, child)
            if child in self._static_parents:
                self._compare(self._static_parents[child])

    def close(self) -> None:
        """End the watch."""
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())

    def _on_static(self, message: TFMessage) -> None:
        parents = _parents(message)
        self._static_parents.update(parents)
        if self._wanted is not None and self._wanted[1] in parents:
            self._compare(parents[self._wanted[1]])

    def _on_bytes(self, data: bytes) -> None:
        wanted = self._wanted
        if wanted is None or wanted[1].encode() not in data:
            return
        parents = _parents(deserialize_message(data, TFMessage))
        if wanted[1] in parents:
            self._compare(parents[wanted[1]])

    def _compare(self, parent: str) -> None:
        if self._wanted is not None and parent != self._wanted[0]:
            self._on_conflict(_conflict(self._wanted, parent))


def _parents(message: Any) -> dict[str, str]:
    return {
        item.child_frame_id.removeprefix("/"): item.header.frame_id.removeprefix("/")
        for item in message.transforms
    }


def _conflict(wanted: tuple[str, str], other: str) -> str:
    parent, child = wanted
    return (
        f"tf: the frame {child!r} is to get the parent {parent!r}, but another node on /tf gives "
        f"it the parent {other!r}, and a frame has one parent only: no transform is sent; set "
        "tf.mode (base or odom where a robot already places its camera), or stop the other node"
    )
