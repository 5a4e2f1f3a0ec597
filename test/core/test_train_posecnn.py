"""`train_posecnn` from images to a network: learnt, resumed to the bit, ended cleanly."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import cv2
import disc_scene
import numpy as np
import pose_runs
import pytest
import torch
import training_runs as runs

from fast_inerf_ros.datasets.bop import load_pose_set
from fast_inerf_ros.io.tensor_file import load_tensors, save_tensors
from fast_inerf_ros.nodes import train_posecnn as executable
from fast_inerf_ros.posecnn.backbones import make_network
from fast_inerf_ros.posecnn.checkpoint import PoseCheckpoint, load_checkpoint, save_checkpoint
from fast_inerf_ros.posecnn.detector import Detector, DetectorConfig
from fast_inerf_ros.posecnn.network import NetworkConfig
from fast_inerf_ros.training import pose_validation
from fast_inerf_ros.training.pose_options import PoseSchedule
from fast_inerf_ros.training.pose_training import STATE, _optimiser
from fast_inerf_ros.training.stop_request import StopRequest

EASY = [
    *("--schedule.batch-size", "6", "--schedule.first-share", "0", "--validation.patience", "0"),
    *("--validation.decoding.component-probability", "0.2"),
    *("--validation.decoding.score-threshold", "0", "--validation.decoding.minimum-pixels", "20"),
]

NOTHING = 1e-30
"""A learning rate with which nothing is learnt; 0 stands for that of the backbone."""

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    return disc_scene.write(tmp_path_factory.mktemp("data") / "discs")


def scalars(output):
    return [json.loads(line) for line in (output / "scalars.jsonl").read_text().splitlines()]


# ---- what comes out


def test_balls_are_learnt_and_reported(discs, tmp_path):
    more = ("--max-steps", 70, "--schedule.learning-rate", 3e-3, "--schedule.average", 0.8)
    assert pose_runs.run(discs, tmp_path, *more, *pose_runs.STEADY, *EASY) == 0
    lines = scalars(tmp_path)
    validated = [line for line in lines if "val/miou" in line]
    # One step of six images is an epoch; after the last step once more.
    assert [line["step"] for line in validated][:3] == [1, 2, 3]
    assert validated[-1]["step"] == 70
    steps = [line for line in lines if "loss" in line]
    assert {"n_images", "loss_segmentation", "loss_rotation", "learning_rate"} <= steps[0].keys()
    assert steps[-1]["loss"] < 0.7 * steps[0]["loss"]
    assert validated[-1]["val/miou"] > 0.3
    network = load_checkpoint(tmp_path / "best.pt").network
    assert network.config.class_labels == tuple(disc_scene.LABELS.values())
    assert (tmp_path / "last.pt").exists()


def test_the_network_is_that_of_the_detector(discs, tmp_path):
    pose_runs.run(discs, tmp_path, "--max-steps", 2)
    detector = Detector.load(tmp_path / "last.pt", DetectorConfig(input_width=96))
    sample = load_pose_set(discs, "val").sample(0)
    assert len(detector.detect(sample.image, sample.camera)) <= 6
    # Trained on inputs of at most this focal length; longer lenses show objects larger.
    longest = detector.network.config.longest_focal_px
    assert longest > 0
    for factor in (0.5, 1.0, 1.4):
        camera = replace(sample.camera, fx=longest * factor, fy=longest * factor)
        _, view = detector.predict(sample.image, camera)
        assert (view.width, view.height) == ((64, 32) if factor > 1 else (96, 64))
        assert view.focal_px <= longest


@pytest.mark.parametrize("style", ["bop", "props"])
def test_data_without_models_or_validation_is_trained_on(style, tmp_path, caplog):
    data = disc_scene.write(tmp_path / "data", n_train=3, n_val=0, style=style, models=False)
    assert pose_runs.run(data, tmp_path / "out", "--max-steps", 2) == 0
    assert "no validation split" in caplog.text
    assert (tmp_path / "out" / "best.pt").exists()


def test_other_classes_count_as_background(discs, tmp_path, caplog):
    more = ("--dataset.classes", "blue_ball", "--max-steps", 1)
    assert pose_runs.run(discs, tmp_path, *more) == 0
    assert "counted as background: red_ball" in caplog.text
    network = load_checkpoint(tmp_path / "last.pt").network
    assert network.config.class_labels == ("blue_ball",)


def test_a_network_can_be_trained_further(discs, tmp_path):
    pose_runs.run(discs, tmp_path / "first", "--max-steps", 2, "--context-channels", 8)
    start = ("--start-from", tmp_path / "first" / "last.pt")
    more = ("--max-steps", 1, "--schedule.learning-rate", NOTHING, "--schedule.weight-decay", 0)
    assert pose_runs.run(discs, tmp_path / "second", *start, *more) == 0
    first, second = (
        load_checkpoint(tmp_path / n / "last.pt").network for n in ("first", "second")
    )
    assert first.config.context_channels == second.config.context_channels == 8
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0.0, atol=1e-20)


def test_training_ends_where_nothing_gets_better(discs, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(pose_validation, "quality", lambda report: 0.5)
    more = ("--schedule.learning-rate", NOTHING, "--validation.patience", 2, "--max-steps", 60)
    assert pose_runs.run(discs, tmp_path, *more) == 0
    assert "no better network in 2 epochs: ending" in caplog.text
    # The first epoch is the best so far, two more bring nothing.
    assert runs.checkpoints(tmp_path) == ["000009.tar"]
    assert pose_runs.run(discs, tmp_path, *more) == 0
    assert "trained already: 9 steps" in caplog.text


# ---- resuming


def test_a_resumed_training_is_one_never_interrupted(discs, tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    steps = ("--max-steps", 8)
    assert pose_runs.run(discs, whole, *steps) == 0
    request = StopRequest()
    stopping = [runs.at_step(5, lambda moment: request.set())]
    assert pose_runs.run(discs, halves, *steps, tasks=stopping, stop=request) == 0
    assert runs.checkpoints(halves) == ["000005.tar"]
    assert pose_runs.run(discs, halves, *steps) == 0
    assert runs.same_state(whole / "checkpoints/000008.tar", halves / "checkpoints/000008.tar")


def test_a_resumed_training_takes_the_rates_that_are_asked_for_now(discs, tmp_path):
    folder = tmp_path / "checkpoints"
    assert pose_runs.run(discs, tmp_path, "--max-steps", 2) == 0
    still = ("--schedule.learning-rate", NOTHING, "--schedule.weight-decay", 0)
    assert pose_runs.run(discs, tmp_path, "--max-steps", 4, *still) == 0
    before, after = (
        load_tensors(folder / name)[STATE]["weights"] for name in ("000002.tar", "000004.tar")
    )
    for name, _ in load_checkpoint(tmp_path / "last.pt").network.named_parameters():
        torch.testing.assert_close(before[name], after[name], rtol=0.0, atol=1e-20)


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "vgg16"])
def test_a_backbone_has_its_learning_rate(backbone):
    network = make_network(NetworkConfig(backbone=backbone, class_labels=("ball",)))
    default, asked = (
        [group["lr"] for group in _optimiser(network, schedule).param_groups]
        for schedule in (PoseSchedule(), PoseSchedule(learning_rate=0.5))
    )
    assert max(default) == network.learning_rate
    assert max(asked) == 0.5


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_ends_with_its_status(number, status, discs, tmp_path):
    more = ("--max-steps", 1000)
    assert pose_runs.run(discs, tmp_path, *more, tasks=[runs.signal_at(1, number)]) == status
    assert runs.checkpoints(tmp_path) == ["000001.tar"]
    assert (tmp_path / "last.pt").exists()


# ---- bad input


def error_of(capsys, *arguments):
    capsys.readouterr()
    assert pose_runs.run(*arguments) == 2
    text = capsys.readouterr().err
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, text
    assert "Traceback" not in text
    return errors[0]


def copied(discs, folder):
    shutil.copytree(discs, folder)
    return folder


def test_data_sets_that_cannot_be_trained_on_are_refused(discs, tmp_path, capsys):
    out = tmp_path / "out"
    assert "got neither" in error_of(capsys, tmp_path / "absent", out)
    assert "expected some of red_ball, blue_ball, got mug" in error_of(
        capsys, discs, out, "--dataset.classes", "mug"
    )
    broken = copied(discs, tmp_path / "broken")
    (broken / "train/000000/mask_visib/000001_000000.png").unlink()
    assert "000001_000000" in error_of(capsys, broken, out)
    small = copied(discs, tmp_path / "small")
    cv2.imwrite(str(small / "train/000000/rgb/000002.png"), np.zeros((9, 9, 3), np.uint8))
    assert "expected the size of its image, 9 x 9" in error_of(capsys, small, out)


def test_grey_and_16_bit_images_are_trained_on(discs, tmp_path):
    data = copied(discs, tmp_path / "data")
    folder = data / "train/000000/rgb"
    for number, dtype in ((0, np.uint8), (1, np.uint16)):
        grey = np.full((64, 96), 100 if dtype == np.uint8 else 25600, dtype)
        cv2.imwrite(str(folder / f"{number:06d}.png"), grey)
    assert pose_runs.run(data, tmp_path / "out", "--max-steps", 3) == 0


def test_annotations_without_objects_are_refused_and_empty_images_are_not(discs, tmp_path, capsys):
    data = copied(discs, tmp_path / "data")
    for name in ("gt", "gt_info"):
        file = data / f"train/000000/scene_{name}.json"
        content = json.loads(file.read_text())
        content["0"] = []
        file.write_text(json.dumps(content))
    assert pose_runs.run(data, tmp_path / "out", "--max-steps", 3) == 0
    for name in ("gt", "gt_info"):
        file = data / f"train/000000/scene_{name}.json"
        content = json.loads(file.read_text())
        file.write_text(json.dumps({key: [] for key in content}))
    assert "expected objects of" in error_of(capsys, data, tmp_path / "none")


def test_damaged_models_are_named(discs, tmp_path, capsys):
    data = copied(discs, tmp_path / "data")
    (data / "models/obj_000002.ply").write_text("no mesh")
    assert "expected a mesh with faces" in error_of(capsys, data, tmp_path / "out")


def test_networks_that_do_not_fit_are_refused(discs, tmp_path, capsys):
    other = tmp_path / "other.pt"
    network = make_network(NetworkConfig(("mug",)))
    save_checkpoint(PoseCheckpoint(network), other)
    message = error_of(capsys, discs, tmp_path / "out", "--start-from", other)
    assert "expected a efficientnet_lite0 network of the classes red_ball, blue_ball" in message
    spoilt = tmp_path / "nan.pt"
    network = make_network(NetworkConfig(("red_ball", "blue_ball")))
    with torch.no_grad():
        network.centre[-1].bias[0] = float("nan")
    save_checkpoint(PoseCheckpoint(network), spoilt)
    assert "NaN" in error_of(capsys, discs, tmp_path / "out", "--start-from", spoilt)


def test_checkpoints_of_something_else_are_refused(discs, tmp_path, capsys):
    pose_runs.run(discs, tmp_path, "--max-steps", 1)
    fewer = ("--dataset.classes", "red_ball")
    message = error_of(capsys, discs, tmp_path, "--max-steps", 2, *fewer)
    assert "weights: weights of another network" in message
    frozen = ("--schedule.frozen-blocks", 2)
    assert "keep frozen_blocks" in error_of(capsys, discs, tmp_path, "--max-steps", 2, *frozen)
    path = tmp_path / "checkpoints/000001.tar"
    content = load_tensors(path)
    content["posecnn_training"]["average"]["centre.2.bias"][:] = float("nan")
    save_tensors(path, content)
    assert "NaN" in error_of(capsys, discs, tmp_path, "--max-steps", 2)


def test_options_that_cannot_work_are_refused(discs, tmp_path, capsys):
    out = tmp_path / "out"
    assert "would never end" in error_of(capsys, discs, out, "--max-epochs", 0)
    backgrounds = ("--augmentation.background", 0.5)
    assert "expected pictures" in error_of(capsys, discs, out, "--max-steps", 1, *backgrounds)
    (tmp_path / "empty").mkdir()
    empty = ("--dataset.backgrounds", tmp_path / "empty")
    assert "expected pictures for backgrounds" in error_of(capsys, discs, out, *empty)
    assert executable.main(["--log-level", "error"]) == 2
    assert "give --data" in capsys.readouterr().err


def test_weights_in_half_precision_are_read_back(discs, tmp_path):
    network = make_network(NetworkConfig(("ball",)))
    save_checkpoint(PoseCheckpoint(network), tmp_path / "full.pt")
    save_checkpoint(PoseCheckpoint(network), tmp_path / "half.pt", half=True)
    sizes = [(tmp_path / name).stat().st_size for name in ("full.pt", "half.pt")]
    assert sizes[1] < 0.55 * sizes[0]
    assert sizes[1] < 10e6
    read = load_checkpoint(tmp_path / "half.pt").network
    for one, other in zip(network.parameters(), read.parameters(), strict=True):
        assert other.dtype == torch.float32
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-6)


def test_weights_beyond_half_precision_stay_as_they_are(tmp_path):
    network = make_network(NetworkConfig(("ball",)))
    with torch.no_grad():
        network.centre[-1].bias[:] = 1e6
    save_checkpoint(PoseCheckpoint(network), tmp_path / "half.pt", half=True)
    read = load_checkpoint(tmp_path / "half.pt").network
    assert torch.equal(read.centre[-1].bias, network.centre[-1].bias)


def test_loading_a_network_does_not_import_the_compiler(tmp_path):
    path = tmp_path / "network.pt"
    save_checkpoint(PoseCheckpoint(make_network(NetworkConfig(("ball",)))), path)
    code = "import sys\nfrom fast_inerf_ros.posecnn.checkpoint import load_checkpoint\n"
    code += f"load_checkpoint({str(path)!r})\nassert 'torch._dynamo' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", code], check=True)
