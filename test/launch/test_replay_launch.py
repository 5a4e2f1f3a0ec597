"""`replay.launch.py` under launch_testing; skipped where that is absent (the PyPI wheels)."""

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

import launch_testing
import launch_testing.actions
import launch_testing.asserts
import processes
from bags import write_bag
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from std_msgs.msg import String

from fast_inerf_ros.nodes import distribution

LAUNCH_FILE = Path(__file__).parents[2] / "launch" / "replay.launch.py"
WORDS = [f"word {index}" for index in range(20)]


@pytest.mark.launch_test
def generate_test_description():
    """Play twenty words of which the arguments choose the last ten, twice as fast."""
    os.environ.update(distribution.environment(processes.quiet_domain()))
    messages = [("/word", index * 10**8, String(data=word)) for index, word in enumerate(WORDS)]
    bag = write_bag(Path(tempfile.mkdtemp()) / "bag", messages)
    arguments = {
        "bag": str(bag),
        "rate": "2",
        "start_offset": "0.95",
        "wait_for_subscribers": "60",
        "log_level": "debug",
        "namespace": "robot",
    }
    source = PythonLaunchDescriptionSource(str(LAUNCH_FILE))
    replay = IncludeLaunchDescription(source, launch_arguments=arguments.items())
    return LaunchDescription([replay, launch_testing.actions.ReadyToTest()])


class TestPlaying(unittest.TestCase):
    def test_what_the_arguments_choose_arrives(self, proc_output):
        ear = processes.Listener([("/word", String)])
        try:
            words = [item.message.data for item in ear.wait_for("/word", 10)]
        finally:
            ear.close()
        assert words == WORDS[10:]
        proc_output.assertWaitFor("sent 10 of /word", timeout=30, stream="stderr")


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    def test_the_exit_status_is_zero(self, proc_info):
        launch_testing.asserts.assertExitCodes(proc_info)
