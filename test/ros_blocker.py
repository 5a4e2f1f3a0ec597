"""A switch for tests: no ROS package can be imported, as on a machine without ROS."""

from __future__ import annotations

import importlib.abc
import os
import sys

ROS_PACKAGES = {
    "rclpy",
    "sensor_msgs",
    "geometry_msgs",
    "std_msgs",
    "std_srvs",
    "tf2_msgs",
    "tf2_ros",
    "cv_bridge",
    "rosgraph_msgs",
    "diagnostic_msgs",
    "visualization_msgs",
    "builtin_interfaces",
    "ament_index_python",
    "launch",
    "launch_ros",
}


class RosBlocker(importlib.abc.MetaPathFinder):
    """Refuses to import any ROS package, as on a machine without ROS."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ROS_PACKAGES:
            raise ModuleNotFoundError(f"No module named {name!r} (blocked for the core's tests)")
        return None


def block_ros() -> None:
    """Refuse every ROS package from now on."""
    sys.meta_path.insert(0, RosBlocker())


def block_ros_where_asked() -> None:
    """Block ROS where FAST_INERF_BLOCK_ROS=1 is in the environment."""
    if os.environ.get("FAST_INERF_BLOCK_ROS") == "1":
        block_ros()
