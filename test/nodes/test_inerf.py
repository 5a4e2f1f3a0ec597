"""`inerf` as a ROS node in a process of its own, heard over DDS by this one."""

from __future__ import annotations

import importlib.util

import inerf_scenes
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import processes
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from sensor_msgs.msg import Image

from fast_inerf_ros.config import dump
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.experiments.options import InerfConfig
from fast_inerf_ros.nodes import distribution
from fast_inerf_ros.nodes.poses import covariance_from_message, pose_to_se3

INERF = "fast_inerf_ros.nodes.inerf"


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    """ROS arguments of a refinement of two images."""
    folder = tmp_path_factory.mktemp("cloud")
    photographs = inerf_scenes.write_cloud(folder)
    values = {
        "data": photographs,
        "field": folder / "checkpoints" / "cloud.npz",
        "output": folder / "out",
        "images": '["0", "1"]',
        "background": "white",
        "start_error.phi_deg": 3.0,
    }
    given = [("-p", f"{name}:={value}") for name, value in values.items()]
    return ["--ros-args", *(text for pair in given for text in pair)]


def test_the_node_publishes_steps_answers_and_pictures(arguments, listener):
    latched = processes.reliable(100, latched=True)
    ear = listener(
        ("/inerf/step", PoseStamped, processes.reliable(100)),
        ("/inerf/result", PoseWithCovarianceStamped, latched),
        ("/inerf/overlay", Image, processes.reliable(1, latched=True)),
        ("/diagnostics", DiagnosticArray, processes.reliable(100)),
    )
    status, output = processes.run(INERF, *arguments)
    assert status == 0, output
    answers = [item.message for item in ear.wait_for("/inerf/result", 2)]
    for message, truth in zip(answers, inerf_scenes.poses(), strict=False):
        found = pose_errors(pose_to_se3(message.pose.pose), truth)
        assert found.rotation_deg < 0.1
        assert message.header.frame_id == "map"
        assert np.linalg.eigvalsh(covariance_from_message(message)).min() > 0
    ear.wait_for("/inerf/step", 3)
    image = ear.wait_for("/inerf/overlay", 1)[-1].message
    assert (image.width, image.height, image.encoding) == (64, 64, "rgb8")
    report = ear.wait_for("/diagnostics", 2)[-1].message.status[0]
    assert (report.name, report.level) == ("inerf: refinement", DiagnosticStatus.OK)


def test_an_answer_that_is_lost_is_reported_and_never_published(arguments, listener):
    latched = processes.reliable(100, latched=True)
    ear = listener(
        ("/inerf/result", PoseWithCovarianceStamped, latched),
        ("/diagnostics", DiagnosticArray, processes.reliable(100)),
    )
    status, output = processes.run(INERF, *arguments, "-p", "mask_region:=true")
    assert status == 1, output
    report = ear.wait_for("/diagnostics", 1)[-1].message.status[0]
    assert report.level == DiagnosticStatus.WARN
    assert "mask" in report.message
    assert not ear.heard("/inerf/result")


def test_wrong_parameters_end_the_node(arguments):
    status, output = processes.run(INERF, *arguments, "-p", "solve:=lm")
    assert status == 2
    assert "did you mean solver?" in output


def test_the_parameter_file_of_inerf_holds_the_defaults():
    written = (distribution.share_directory() / "config" / "inerf.yaml").read_text()
    expected = dump(InerfConfig())
    assert written == expected, "write it anew: inerf --print-config > config/inerf.yaml"


@pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None, reason="launch_ros is not installed"
)
def test_every_launch_argument_is_an_option_of_inerf():
    path = distribution.share_directory() / "launch" / "inerf.launch.py"
    spec = importlib.util.spec_from_file_location("inerf_launch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert set(module.OPTIONS) <= set(InerfConfig.__dataclass_fields__)
