"""`train_nerf.launch.py` under launch_testing; skipped where that is absent (the PyPI wheels)."""

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

import ball_scene
import launch_testing
import launch_testing.actions
import launch_testing.asserts
import processes
import yaml
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

from fast_inerf_ros.nodes import distribution

LAUNCH_FILE = Path(__file__).parents[2] / "launch" / "train_nerf.launch.py"
OUTPUT = Path(tempfile.mkdtemp()) / "field"
SMALL = {
    "tensorboard": False,
    "voxel": {"resolutions": [8, 16], "stage_starts": [0.0, 0.3], "rays_per_step": 256},
}


@pytest.mark.launch_test
def generate_test_description():
    """Train a tiny field for seven steps: a number that only the arguments give."""
    os.environ.update(distribution.environment(processes.quiet_domain()))
    folder = Path(tempfile.mkdtemp())
    params = folder / "train_nerf.yaml"
    params.write_text(yaml.safe_dump({"/**": {"ros__parameters": {**SMALL, "max_steps": 3}}}))
    arguments = {
        "data": str(ball_scene.write_blender(folder / "ball")),
        "output": str(OUTPUT),
        "max_steps": "7",
        "params_file": str(params),
        "namespace": "robot",
    }
    source = PythonLaunchDescriptionSource(str(LAUNCH_FILE))
    training = IncludeLaunchDescription(source, launch_arguments=arguments.items())
    return LaunchDescription([training, launch_testing.actions.ReadyToTest()])


class TestTraining(unittest.TestCase):
    def test_the_field_is_trained_as_the_arguments_say(self, proc_output, proc_info):
        proc_output.assertWaitFor("trained: 7 steps", timeout=120, stream="stderr")
        proc_info.assertWaitForShutdown("train_nerf", timeout=60)
        assert (OUTPUT / "field.npz").exists()
        assert (OUTPUT / "checkpoints" / "000007.tar").exists()


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    def test_the_exit_status_is_zero(self, proc_info):
        launch_testing.asserts.assertExitCodes(proc_info)
