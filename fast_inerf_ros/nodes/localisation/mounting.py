"""How cameras are mounted on the robot, as TF knows it."""

from __future__ import annotations

from collections.abc import Mapping

from rclpy.node import Node

from fast_inerf_ros.geometry.conventions import T_BODY_OPTICAL
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.nodes import distribution
from fast_inerf_ros.nodes.distribution import TransformLookup, TransformUnavailable
from fast_inerf_ros.nodes.localisation.transforms import lookup_pose

PATIENCE_S = 1.0


def mountings(
    node: Node, lookup: TransformLookup | None, base: str, frames: Mapping[str, str]
) -> dict[str, SE3]:
    """Return ``T_base_camera`` of each camera.

    Where TF does not tell, the camera is taken for the robot: at its origin, looking ahead.

    Args:
        node: Asks TF where there is no look-up yet.
        lookup: Into TF, where there is one.
        base: The robot's frame.
        frames: Optical frames by camera.
    """
    asked = lookup if lookup is not None else distribution.transform_lookup_if_any(node)
    try:
        return {name: _mounting(node, asked, base, frame) for name, frame in frames.items()}
    finally:
        if lookup is None and asked is not None:
            asked.close()


def _mounting(node: Node, lookup: TransformLookup | None, base: str, frame: str) -> SE3:
    reason = "tf2_ros is not installed"
    if lookup is not None:
        try:
            return lookup_pose(lookup, base, frame, 0, PATIENCE_S)
        except TransformUnavailable as error:
            reason = str(error)
    node.get_logger().warning(
        f"/initialpose: the camera is taken for {base!r}, at its origin and looking ahead: "
        f"{reason}"
    )
    return T_BODY_OPTICAL
