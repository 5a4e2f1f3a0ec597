"""Fixtures of all tests, and the switch that proves the core independent of ROS."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from ros_blocker import block_ros_where_asked

block_ros_where_asked()


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


@pytest.fixture(autouse=True)
def _own_logging():
    """What a program under test does to the root logger ends with its test."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
