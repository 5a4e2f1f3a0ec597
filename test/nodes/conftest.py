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


@pytest.fixture
def driver():
    """Make camera drivers that live as long as the test."""
    from driver import Driver

    made = []

    def make(*arguments, **options):
        made.append(Driver(*arguments, **options))
        return made[-1]

    yield make
    for item in made:
        item.close()


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """Write a small scene that can be localised in; return its folder and its field."""
    import torch
    import voxel_place

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("place")
    field = voxel_place.write_place(folder)
    torch.set_num_threads(threads)
    return folder, field
