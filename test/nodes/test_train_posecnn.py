"""`train_posecnn` as a ROS node in a process of its own, heard over DDS by this one."""

from __future__ import annotations

import importlib.util

import disc_scene
import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import processes
import training_runs as runs
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from fast_inerf_ros.config import dump
from fast_inerf_ros.nodes import distribution
from fast_inerf_ros.posecnn.checkpoint import load_checkpoint
from fast_inerf_ros.training.pose_options import TrainPoseCnnConfig

TRAIN_POSECNN = "fast_inerf_ros.nodes.train_posecnn"


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    return disc_scene.write(tmp_path_factory.mktemp("data") / "discs")


def params_file(folder, data, **more):
    """A parameter file with a tiny training."""
    options = {
        "data": str(data),
        "output": str(folder / "out"),
        "device": "cpu",
        "pretrained": False,
        "tensorboard": False,
        "schedule": {"batch_size": 2, "input_width": 96, "first_width": 64, "frozen_blocks": 0},
        **more,
    }
    path = folder / "train_posecnn.yaml"
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": options}}))
    return path


def messages_of(heard):
    return [item.message.status[0].message for item in heard["/diagnostics"]]


def test_the_node_reports_and_stops_on_request(discs, tmp_path, listener):
    ear = listener(("/diagnostics", DiagnosticArray, processes.reliable()))
    path = params_file(tmp_path, discs, max_steps=10**6, validation={"patience": 0})
    arguments = ("--ros-args", "--params-file", path, "-p", "seed:=3")
    with processes.Program(TRAIN_POSECNN, *arguments) as program:
        ear.wait_until(lambda heard: "training" in messages_of(heard))
        response = processes.call_trigger("/train_posecnn/stop")
        assert program.wait() == 0, program.output
        output = program.output
    assert response.success
    assert "Traceback" not in output
    heard = ear.wait_until(lambda heard: "stopped" in messages_of(heard))
    status = heard["/diagnostics"][-1].message.status[0]
    values = {item.key: item.value for item in status.values}
    assert (status.name, status.level) == ("train_posecnn: training", DiagnosticStatus.OK)
    assert int(values["step"]) > 0
    assert {"progress", "loss", "loss_rotation", "images_per_second"} <= values.keys()
    assert len(runs.checkpoints(tmp_path / "out")) >= 1
    assert load_checkpoint(tmp_path / "out" / "last.pt").network.n_classes == 2
    assert "seed: 3" in (tmp_path / "out" / "config.yaml").read_text()


def test_wrong_input_ends_the_node_with_status_2_and_says_why(tmp_path, listener):
    ear = listener(("/diagnostics", DiagnosticArray, processes.reliable()))
    path = params_file(tmp_path, tmp_path / "absent")
    status, output = processes.run(TRAIN_POSECNN, "--ros-args", "--params-file", path)
    assert status == 2
    assert "error: " in output
    assert "Traceback" not in output
    heard = ear.wait_until(lambda heard: any("failed" in text for text in messages_of(heard)))
    last = heard["/diagnostics"][-1].message.status[0]
    assert last.level == DiagnosticStatus.ERROR
    assert "got neither" in last.message


def test_the_parameter_file_of_train_posecnn_holds_the_defaults():
    written = (distribution.share_directory() / "config" / "train_posecnn.yaml").read_text()
    expected = dump(TrainPoseCnnConfig())
    command = "train_posecnn --print-config > config/train_posecnn.yaml"
    assert written == expected, f"write it anew: {command}"


@pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None, reason="launch_ros is not installed"
)
def test_every_launch_argument_is_an_option_of_train_posecnn():
    path = distribution.share_directory() / "launch" / "train_posecnn.launch.py"
    spec = importlib.util.spec_from_file_location("train_posecnn_launch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert set(module.OPTIONS) <= set(TrainPoseCnnConfig.__dataclass_fields__)
