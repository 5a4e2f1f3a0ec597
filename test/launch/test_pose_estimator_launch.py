"""`pose_estimator.launch.py` under launch_testing; skipped where that is absent."""

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
import scripted
import voxel_place
import yaml
from driver import Driver
from geometry_msgs.msg import PoseStamped
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from tf2_msgs.msg import TFMessage

from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.nodes import conversions, distribution

LAUNCH_FILE = Path(__file__).parents[2] / "launch" / "pose_estimator.launch.py"
FOLDER = Path(tempfile.mkdtemp())
OPTIONS = {"max_age": 0.0, "estimator": {"background": "white"}, "tf": {"mode": "none"}}
POSE = "/robot/pose_estimator/camera_pose"


@pytest.mark.launch_test
def generate_test_description():
    """Localise in a small scene; topics and the mode of TF are what only the arguments give."""
    os.environ.update(distribution.environment(processes.quiet_domain()))
    params = FOLDER / "params.yaml"
    params.write_text(yaml.safe_dump({"/**": {"ros__parameters": OPTIONS}}))
    voxel_place.write_place(FOLDER)
    arguments = {
        "scene": str(FOLDER / "scene.yaml"),
        "params_file": str(params),
        "namespace": "robot",
        "cameras": "eye",
        "image_topics": "/camera/image_raw",
        "device": "cpu",
        "tf_mode": "inverse",
    }
    source = PythonLaunchDescriptionSource(str(LAUNCH_FILE))
    node = IncludeLaunchDescription(source, launch_arguments=arguments.items())
    return LaunchDescription([node, launch_testing.actions.ReadyToTest()])


class TestLocalising(unittest.TestCase):
    def test_an_image_becomes_a_pose_and_the_transform_that_the_arguments_ask_for(self):
        pose = voxel_place.way(1)[0]
        image = voxel_place.picture(voxel_place.make_field(), pose)
        camera = Driver(model=voxel_place.CAMERA)
        ear = processes.Listener(
            [(POSE, PoseStamped, processes.reliable()), ("/tf", TFMessage, processes.reliable())]
        )
        try:
            scripted.eventually(camera.images.get_subscription_count, 120.0)
            camera.send_until(lambda: ear.heard(POSE) and ear.heard("/tf"), image=image)
            found = conversions.pose_to_se3(ear.heard(POSE)[0].message.pose)
            transform = ear.heard("/tf")[0].message.transforms[0]
        finally:
            ear.close()
            camera.close()
        assert pose_errors(found, pose).rotation_deg < 0.5
        assert (transform.header.frame_id, transform.child_frame_id) == ("optical", "world")


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    def test_the_exit_status_is_zero(self, proc_info):
        launch_testing.asserts.assertExitCodes(proc_info)
