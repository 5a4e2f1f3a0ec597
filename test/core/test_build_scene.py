"""`build_scene` makes of photographs a scene that localises, and does nothing twice."""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import shutil

import numpy as np
import photographed_table as table
import pytest

from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.estimator.estimate import Status
from fast_inerf_ros.estimator.observation import Observation
from fast_inerf_ros.estimator.pose_estimator import PoseEstimator
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.io.scene import load_scene
from fast_inerf_ros.scene_building import scene_stages
from fast_inerf_ros.scene_building.build_scene import joined_words, main
from fast_inerf_ros.scene_building.scene_boxes import flag_of
from fast_inerf_ros.scene_building.scene_evaluation import load_evaluation
from fast_inerf_ros.scene_building.scene_report import rate
from fast_inerf_ros.training.checkpoints import locked

pytestmark = pytest.mark.usefixtures("one_thread")

TRAINING = [
    *("--field.steps", "240", "--field.scene-type", "object", "--device", "cpu"),
    *("--field.voxel.resolutions", "32,64", "--field.voxel.stage-starts", "0,0.2"),
    *("--field.voxel.rays-per-step", "1024"),
]
BOX = ["--box", "mug", "-0.3", "-0.05", "0.25", "0.42", "0.52", "0.5", "0"]
DISTANCE = ["--distance", "0", "0", "-1", "0", "0", "1", "1"]  # a unit is half a metre


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    return table.write_photographs(tmp_path_factory.mktemp("table") / "photographs")


@pytest.fixture(scope="module")
def scene(photographs):
    """Folder of a scene that was built once, without scale and boxes."""
    output = photographs.parent / "scene"
    level = logging.getLogger().level  # which the program sets, and no test has saved yet
    assert build(photographs, output) == 0
    logging.getLogger().setLevel(level)
    return output


def build(photographs, output, *more):
    return main([str(photographs), "--output", str(output), *TRAINING, *more])


def stages_of(caplog):
    """What every stage said at its beginning."""
    found = {}
    for record in caplog.records:
        name, _, text = record.getMessage().partition(": ")
        if record.name.endswith(".stages") and not text.startswith("finished"):
            found[name] = text
    return found


# ---- the scene


def test_held_out_photographs_are_localised(scene):
    found = load_evaluation(scene / "evaluation")
    assert len(found.photographs) == table.N_VIEWS / 8
    assert found.psnr_db is not None
    assert found.psnr_db > 20
    assert all(item.within(5.0, 0.05) for item in found.photographs)


def test_the_scene_is_upright_and_honest_about_its_scale(scene):
    found = load_scene(scene / "scene.yaml")
    assert not found.metric
    assert found.landmarks == "landmarks.npz"
    assert found.detector is None
    assert found.field is not None
    up = found.field.T_world_field.rotation @ np.array([0.0, 0.0, 1.0])
    assert up == pytest.approx(np.array([0, 0, 1.0]), abs=0.02)
    table_top = found.field.T_world_field @ np.array([0.6, -0.6, 0.0])
    assert table_top[2] == pytest.approx(0.0, abs=0.03)


def test_held_out_photographs_are_in_neither_field_nor_landmarks(scene, photographs):
    viewpoints = PoseEstimator.load(scene / "scene.yaml").landmarks.viewpoints
    posed = load_dataset(photographs)
    assert viewpoints.batch_shape == (table.N_VIEWS - len(posed.splits.test),)
    options = (scene / "field" / "config.yaml").read_text()
    assert re.search(r"hold_out: 8", options)


def test_the_report_is_one_file_with_everything(scene):
    page = (scene / "report.html").read_text()
    assert set(re.findall(r'src="(.{5})', page)) == {"data:"}
    assert page.count("<img") == 3 * 4 + 1
    for text in ("4/4 [0.51, 1.00]", "PSNR", "metric: false", "images/0008.png", "landmarks"):
        assert text in page
    assert rate(0, 5) == "0/5 [0.00, 0.43]"


def test_the_same_command_does_nothing_again(scene, photographs, caplog):
    before = {path: path.stat().st_mtime_ns for path in scene.rglob("*.npz")}
    with caplog.at_level(logging.INFO):
        assert build(photographs, scene) == 0
    names = ("field", "landmarks", "boxes", "evaluation")
    assert stages_of(caplog) == dict.fromkeys(names, "done already")
    assert {path: path.stat().st_mtime_ns for path in scene.rglob("*.npz")} == before


def test_scale_and_boxes_come_later_without_training_again(scene, photographs, caplog):
    metric = scene.parent / "metric"
    shutil.copytree(scene, metric)
    with caplog.at_level(logging.INFO):
        assert build(photographs, metric, *DISTANCE, *BOX, "--no-posecnn") == 0
    said = stages_of(caplog)
    assert said["field"] == said["landmarks"] == "done already"
    assert said["boxes"].startswith("again, because place changed")
    found = load_scene(metric / "scene.yaml")
    assert found.metric
    assert found.field is not None
    assert found.field.metres_per_unit == pytest.approx(0.5)
    (item,) = found.objects
    assert flag_of(item).split() == BOX
    estimator = PoseEstimator.load(metric / "scene.yaml")
    frame = estimator.field.frame
    pose = table.viewpoints()[0]
    truth = scene_stages.Similarity(frame.T_world_field, frame.metres_per_unit).pose_to_target(
        pose
    )
    picture = load_dataset(photographs).image(0)
    answer = estimator.estimate(Observation(picture, table.CAMERA))
    assert answer.status is Status.LOCALISED
    error = pose_errors(answer.T_world_camera, truth)
    assert float(error.rotation_deg) < 2.0
    assert float(error.translation) < 0.03


@pytest.mark.slow
def test_boxes_are_labelled_and_found_by_a_network(scene, photographs, caplog):
    output = scene.parent / "with_network"
    shutil.copytree(scene, output)
    network = [
        *("--detector.n-novel", "6", "--detector.steps", "3", "--detector.width", "96"),
        *("--detector.schedule.input-width", "96", "--detector.schedule.first-width", "96"),
        *("--detector.schedule.batch-size", "4", "--no-detector.pretrained"),
    ]
    assert build(photographs, output, *BOX, *network) == 0
    assert load_scene(output / "scene.yaml").detector == "detector.pt"
    detector = PoseEstimator.load(output / "scene.yaml").detector
    assert detector is not None
    assert detector.class_labels == ("mug",)
    # A box that is corrected in the file by hand is labelled again.
    text = (output / "boxes.yaml").read_text()
    (output / "boxes.yaml").write_text(text.replace("0.42", "0.40"))
    with caplog.at_level(logging.INFO):
        assert build(photographs, output, *BOX, *network) == 0
    said = stages_of(caplog)
    assert said["boxes"] == "done already"
    assert said["labels"].startswith("again, because boxes changed")
    assert said["posecnn"].startswith("again, because labels changed")
    assert load_scene(output / "scene.yaml").objects[0].extent[0] == pytest.approx(0.40)


# ---- stopping


def test_a_stopped_training_goes_on(photographs, tmp_path, monkeypatch, caplog):
    begun = []

    def stopped(config):
        begun.append(config)
        (tmp_path / "scene" / "field").mkdir(exist_ok=True)
        (tmp_path / "scene" / "field" / "begun").touch()
        return 143

    monkeypatch.setattr(scene_stages, "train_nerf", stopped)
    assert build(photographs, tmp_path / "scene") == 143
    with caplog.at_level(logging.INFO):
        assert build(photographs, tmp_path / "scene") == 143
    assert stages_of(caplog) == {"field": "goes on, because it was not finished"}
    assert (tmp_path / "scene" / "field" / "begun").exists()
    assert begun[0] == begun[1]
    assert begun[0].resume
    caplog.clear()
    with caplog.at_level(logging.INFO):
        build(photographs, tmp_path / "scene", "--seed", "4")
    assert stages_of(caplog) == {"field": "again, because seed changed from 0 to 4"}


def test_full_and_quick_budgets(photographs, tmp_path, monkeypatch):
    begun = []
    monkeypatch.setattr(
        scene_stages, "train_nerf", lambda config: begun.append(config.max_seconds) or 130
    )
    for more in ([], ["--quick"], ["--quick", "--field.seconds", "120"]):
        assert main([str(photographs), "--output", str(tmp_path / "scene"), *more]) == 130
    assert begun == [1800.0, 300.0, 120.0]


def test_a_folder_with_other_things_and_one_in_use_are_left_alone(photographs, scene, capsys):
    before = sorted(photographs.rglob("*"))
    assert build(photographs, photographs) == 2
    assert "expected an empty folder" in capsys.readouterr().err
    assert sorted(photographs.rglob("*")) == before
    with locked(scene):
        assert build(photographs, scene) == 2
    assert "got a running one" in capsys.readouterr().err


# ---- what people type


def test_words_are_joined():
    given = ["photos", "--up", "0", "-1", "0", *BOX, "--quick", "--box", "cup", *"1234567"]
    assert list(joined_words(given)) == [
        "photos", "--up=0,-1,0", "--quick",
        "--box=mug:-0.3:-0.05:0.25:0.42:0.52:0.5:0,cup:1:2:3:4:5:6:7",
    ]  # fmt: skip
    plain = ["--up", "auto", "--distance=1,2,3", "photos"]
    assert list(joined_words(plain)) == ["--up=auto", "--distance=1,2,3", "photos"]
    assert list(joined_words(["--up", "--quick"])) == ["--up", "--quick"]
    assert list(joined_words(["--distance", *"1234567", "8"]))[1] == "8"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--box", "mug", "1", "2"], "expected label:x:y:z:sx:sy:sz:yaw_deg"),
        ([*BOX, "--propose-boxes"], "--box or --propose-boxes, got both"),
        (["--distance", "1", "2"], "distance: expected AX AY AZ"),
        (["--scale", "1", *DISTANCE], "one source of the scale"),
        (["--up", "sideways"], "up: expected auto, keep or X Y Z"),
        (["--aruco", "0.08"], "aruco: expected markers of the sheet"),
        (["--camera-positions", "nowhere.csv"], "nowhere.csv: expected a CSV"),
        (["--dataset.hold-out", "4"], "give hold_out alone"),
    ],
)
def test_bad_options_are_one_line_before_any_work(photographs, tmp_path, capsys, more, message):
    assert build(photographs, tmp_path / "scene", *more) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(error) == 1
    assert message in error[0]
    assert not (tmp_path / "scene" / "field").exists()


def test_photographs_without_poses_need_pycolmap(photographs, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "plain"
    shutil.copytree(photographs / "images", folder)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pycolmap" else find(name)
    )
    assert build(folder, tmp_path / "scene") == 2
    assert "install it ('pip install pycolmap')" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    for wrong in (tmp_path / "empty", tmp_path / "nowhere"):
        assert build(wrong, tmp_path / "scene") == 2
        assert "error: " in capsys.readouterr().err
    assert not (tmp_path / "scene").exists()


def test_a_damaged_evaluation_is_made_again(scene, photographs, caplog):
    (scene / "evaluation" / "results.json").unlink()
    with caplog.at_level(logging.INFO):
        assert build(photographs, scene) == 0
    assert stages_of(caplog)["evaluation"] == "again, because evaluation/results.json is gone"
    assert json.loads((scene / "evaluation" / "results.json").read_text())["photographs"]


def test_without_landmarks_and_held_out_photographs_nothing_is_measured(photographs, tmp_path):
    more = ("--no-landmarks", "--hold-out", "0", "--field.steps", "60")
    assert build(photographs, tmp_path / "scene", *more) == 0
    found = load_scene(tmp_path / "scene" / "scene.yaml")
    assert found.landmarks is None
    assert found.field is not None
    assert found.field.T_world_field.matrix() == pytest.approx(np.eye(4))
    assert "nothing was measured" in (tmp_path / "scene" / "report.html").read_text()
    assert load_evaluation(tmp_path / "scene" / "evaluation").photographs == ()
