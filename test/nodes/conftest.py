"""An own DDS domain for the whole run, so that no other run on this machine is heard."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves `processes` unfindable


@pytest.fixture(scope="session", autouse=True)
def own_domain():
    """Give this process and its children one quiet domain and the shared-memory profile."""
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    import processes

    from fast_inerf_ros.nodes import distribution

    with warnings.catch_warnings():  # of the parser that the message packages import at first use
        warnings.simplefilter("ignore", DeprecationWarning)
        importlib.import_module("rosidl_generator_py")
    earlier = dict(os.environ)
    os.environ.update(distribution.environment(processes.quiet_domain()))
    yield
    os.environ.clear()
    os.environ.update(earlier)


@pytest.fixture
def listener():
    """Make listeners that live as long as the test."""
    import processes

    made = []

    def make(*topics, **options):
        made.append(processes.Listener(topics, **options))
        return made[-1]

    yield make
    for item in made:
        item.close()
