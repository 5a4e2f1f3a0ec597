"""Fixtures of all tests, and the switch that proves the core independent of ROS."""

from __future__ import annotations

import importlib.abc
import os
import sys
from pathlib import Path

import pytest

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


if os.environ.get("FAST_INERF_BLOCK_ROS") == "1":
    sys.meta_path.insert(0, RosBlocker())


@pytest.fixture(scope="session")
def external_data():
    """Find a folder of real data by name, or skip the test with the reason."""

    def find(name: str) -> Path:
        root = os.environ.get("FAST_INERF_DATA")
        if not root:
            pytest.skip(f"needs the data set {name!r}: set FAST_INERF_DATA to its parent folder")
        folder = Path(root) / name
        if not folder.is_dir():
            pytest.skip(f"needs the data set {name!r}: {folder} does not exist")
        return folder

    return find
