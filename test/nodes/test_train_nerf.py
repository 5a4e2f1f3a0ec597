"""`train_nerf` as a ROS node in a process of its own, heard over DDS by this one."""

from __future__ import annotations

import importlib.util
import time

import ball_scene
import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import processes
import training_runs as runs
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from sensor_msgs.msg import Image

from fast_inerf_ros.config import dump
from fast_inerf_ros.fields.checkpoint import load_field
from fast_inerf_ros.nodes import distribution
from fast_inerf_ros.training.options import TrainNerfConfig

TRAIN_NERF = "fast_inerf_ros.nodes.train_nerf"


@pytest.fixture(scope="module")
def ball(tmp_path_factory):
    return ball_scene.write_blender(tmp_path_factory.mktemp("data") / "ball")


def params_file(folder, data, **more):
    """A parameter file with a tiny voxel training."""
    options = {
        "data": str(data),
        "output": str(folder / "out"),
        "device": "cpu",
        "tensorboard": False,
        "preview": {"every_seconds": 0.3, "width": 16},
        "voxel": {
            "resolutions": [8, 16],
            "stage_starts": [0.0, 0.3],
            "rays_per_step": 256,
        },
        **more,
    }
    path = folder / "train_nerf.yaml"
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": options}}))
    return path


def messages_of(heard):
    return [item.message.status[0].message for item in heard["/diagnostics"]]


def test_the_node_reports_previews_and_stops_on_request(ball, tmp_path, listener):
    preview = ("/train_nerf/preview", Image, processes.reliable(5, latched=True))
    ear = listener(("/diagnostics", DiagnosticArray, processes.reliable()), preview)
    path = params_file(tmp_path, ball, max_steps=10**6)
    arguments = ("--ros-args", "--params-file", path, "-p", "seed:=3")
    with processes.Program(TRAIN_NERF, *arguments) as program:
        ear.wait_until(lambda heard: "training" in messages_of(heard))
        ear.wait_for("/train_nerf/preview", 2)
        response = processes.call_trigger("/train_nerf/stop")
        assert program.wait() == 0, program.output
        output = program.output
    assert response.success
    assert "Traceback" not in output
    heard = ear.wait_until(lambda heard: "stopped" in messages_of(heard))
    # The first message may leave before this process is known to the node.
    assert "reading photographs" not in messages_of(heard)[1:]
    status = heard["/diagnostics"][-1].message.status[0]
    values = {item.key: item.value for item in status.values}
    assert (status.name, status.level) == ("train_nerf: training", DiagnosticStatus.OK)
    assert int(values["step"]) > 0
    assert {"progress", "loss", "psnr_db", "rays_per_second"} <= values.keys()
    image = ear.heard("/train_nerf/preview")[-1].message
    assert (image.width, image.height, image.encoding) == (16, 16, "rgb8")
    assert image.header.frame_id == "camera_optical_frame"
    assert len(runs.checkpoints(tmp_path / "out")) == 1
    assert load_field(tmp_path / "out" / "field.npz").kind == "voxel"
    assert "seed: 3" in (tmp_path / "out" / "config.yaml").read_text()


def test_wrong_input_ends_the_node_with_status_2_and_says_why(ball, tmp_path, listener):
    ear = listener(("/diagnostics", DiagnosticArray, processes.reliable()))
    path = params_file(tmp_path, tmp_path / "absent")
    status, output = processes.run(TRAIN_NERF, "--ros-args", "--params-file", path)
    assert status == 2
    assert "error: " in output
    assert "Traceback" not in output
    heard = ear.wait_until(lambda heard: any("failed" in text for text in messages_of(heard)))
    last = heard["/diagnostics"][-1].message.status[0]
    assert last.level == DiagnosticStatus.ERROR
    assert "no such file or folder" in last.message


def test_a_misspelt_parameter_ends_the_node(ball, tmp_path):
    path = params_file(tmp_path, ball, max_step=5)
    status, output = processes.run(TRAIN_NERF, "--ros-args", "--params-file", path)
    assert status == 2
    assert "did you mean max_steps?" in output


@pytest.mark.slow
def test_sigterm_saves_and_ends_the_node(ball, tmp_path):
    import signal

    path = params_file(tmp_path, ball, max_steps=10**6, checkpoint_steps=3)
    with processes.Program(TRAIN_NERF, "--ros-args", "--params-file", path) as program:
        deadline = time.monotonic() + processes.PATIENCE_S
        while not runs.checkpoints(tmp_path / "out") and time.monotonic() < deadline:
            time.sleep(0.05)
        program.send(signal.SIGTERM)
        assert program.wait() == 143, program.output
    assert load_field(tmp_path / "out" / "field.npz").kind == "voxel"


def test_the_parameter_file_of_train_nerf_holds_the_defaults():
    written = (distribution.share_directory() / "config" / "train_nerf.yaml").read_text()
    expected = dump(TrainNerfConfig())
    assert written == expected, "write it anew: train_nerf --print-config > config/train_nerf.yaml"


@pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None, reason="launch_ros is not installed"
)
def test_every_launch_argument_is_an_option_of_train_nerf():
    path = distribution.share_directory() / "launch" / "train_nerf.launch.py"
    spec = importlib.util.spec_from_file_location("train_nerf_launch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert set(module.OPTIONS) <= set(TrainNerfConfig.__dataclass_fields__)
