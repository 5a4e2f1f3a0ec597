"""`train_posecnn.launch.py` under launch_testing; skipped where that is absent (PyPI wheels)."""

from __future__ import annotations

import os
import sys
import tempfile
import unittest
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip(
    "launch_testing", reason="launch_testing comes with a ROS distribution, not with the wheels"
)
pytest.importorskip("launch_ros", reason="launch_ros comes with a ROS distribution")

sys.path.insert(0, str(Path(__file__).parents[1] / "nodes"))

import disc_scene
import launch_testing
import launch_testing.actions
import launch_testing.asserts
import processes
import yaml
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

from fast_inerf_ros.nodes import distribution

LAUNCH_FILE = Path(__file__).parents[2] / "launch" / "train_posecnn.launch.py"
OUTPUT = Path(tempfile.mkdtemp()) / "network"
SMALL = {
    "tensorboard": False,
    "pretrained": False,
    "device": "cpu",
    "schedule": {"batch_size": 2, "input_width": 96, "first_width": 64, "frozen_blocks": 0},
}


@pytest.mark.launch_test
def generate_test_description():
    """Train a tiny network for seven steps: a number that only the arguments give."""
    os.environ.update(distribution.environment(processes.quiet_domain()))
    folder = Path(tempfile.mkdtemp())
    params = folder / "train_posecnn.yaml"
    params.write_text(yaml.safe_dump({"/**": {"ros__parameters": {**SMALL, "max_steps": 3}}}))
    arguments = {
        "data": str(disc_scene.write(folder / "discs")),
        "output": str(OUTPUT),
        "max_steps": "7",
        "params_file": str(params),
        "namespace": "robot",
    }
    source = PythonLaunchDescriptionSource(str(LAUNCH_FILE))
    training = IncludeLaunchDescription(source, launch_arguments=arguments.items())
    return LaunchDescription([training, launch_testing.actions.ReadyToTest()])


class TestTraining(unittest.TestCase):
    def test_the_network_is_trained_as_the_arguments_say(self, proc_output, proc_info):
        proc_output.assertWaitFor("trained: 7 steps", timeout=120, stream="stderr")
        proc_info.assertWaitForShutdown("train_posecnn", timeout=60)
        assert (OUTPUT / "last.pt").exists()
        assert (OUTPUT / "checkpoints" / "000007.tar").exists()


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    def test_the_exit_status_is_zero(self, proc_info):
        launch_testing.asserts.assertExitCodes(proc_info)
