"""Perfect detections are found to be perfect, and every kind of error is seen."""

from __future__ import annotations

import json
from dataclasses import replace

import disc_scene
import numpy as np
import pytest

from fast_inerf_ros.datasets.bop import load_pose_set
from fast_inerf_ros.datasets.model_points import rotation_points, surface_points
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.evaluation.detections import CameraResult, DetectionReport, camera_summary
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.posecnn.backbones import make_network
from fast_inerf_ros.posecnn.checkpoint import PoseCheckpoint, save_checkpoint
from fast_inerf_ros.posecnn.detection import Detection
from fast_inerf_ros.posecnn.network import NetworkConfig
from fast_inerf_ros.training import evaluate_posecnn as command
from fast_inerf_ros.training import run_posecnn
from fast_inerf_ros.training.pose_evaluation import PoseEvaluation
from fast_inerf_ros.training.pose_pictures import drawn, recall_plot

pytestmark = pytest.mark.usefixtures("one_thread")

LABELS = tuple(disc_scene.LABELS.values())


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    return disc_scene.write(tmp_path_factory.mktemp("data") / "discs", n_train=2)


@pytest.fixture(scope="module")
def pose_set(discs):
    return load_pose_set(discs, "val")


def perfect(pose_set, sample):
    """What a perfect detector would say."""
    found = []
    for truth, class_id in zip(sample.objects, pose_set.class_ids(sample), strict=True):
        rows, columns = np.nonzero(truth.mask)
        x, y = int(columns.min()), int(rows.min())
        width, height = int(columns.max()) - x + 1, int(rows.max()) - y + 1
        pose = truth.T_camera_object
        found.append(
            Detection(
                label=LABELS[class_id - 1],
                class_id=int(class_id),
                instance=0,
                score=0.9,
                box=(x, y, width, height),
                mask=truth.mask[y : y + height, x : x + width],
                centre_px=np.asarray(sample.camera.project(np.asarray(pose.translation))),
                centre_covariance_px=np.eye(2),
                depth=float(pose.translation[2]),
                log_depth_deviation=0.01,
                T_camera_object=pose,
                rotation_deviation=0.1,
            )
        )
    return found


def evaluated(pose_set, change, labels=LABELS):
    """The report on all images, their perfect detections changed."""
    evaluation = PoseEvaluation(pose_set, labels)
    for index in range(len(pose_set)):
        sample = pose_set.sample(index)
        evaluation.add(sample, change(perfect(pose_set, sample)))
    return evaluation.report


def test_perfect_detections_are_perfect(pose_set):
    summary = evaluated(pose_set, lambda found: found).summary()
    whole = summary["all"]
    for name in ("iou", "recall", "precision", "within_5deg_5cm"):
        assert whole[name] == pytest.approx(1.0), name
    assert whole["add_auc"] == pytest.approx(1.0, abs=1e-6)
    assert whole["add_s_auc"] == pytest.approx(1.0, abs=1e-6)
    assert whole["centre_error_px_p90"] < 1e-6
    assert whole["n_objects"] == 4
    camera = summary["camera"]["1_to_3"]
    assert (camera["n_images"], camera["within_5deg_5cm"]) == (2, 1.0)
    assert summary["camera"]["4_or_more"]["within_5deg_5cm"] is None
    assert summary["camera"]["2"] == camera


def test_missing_objects_fail_everywhere(pose_set):
    whole = evaluated(pose_set, lambda found: found[:1]).summary()["all"]
    assert whole["recall"] == 0.5
    assert whole["precision"] == 1.0
    assert whole["iou"] == pytest.approx(0.5)
    assert whole["within_5deg_5cm"] == 0.5
    assert whole["add_s_auc"] == pytest.approx(0.5, abs=1e-6)
    none = evaluated(pose_set, lambda found: [])
    assert none.summary()["all"]["recall"] == 0.0
    assert none.summary()["all"]["centre_error_px_median"] is None
    assert [item.n_seen for item in none.cameras] == [0, 0]


def test_what_is_not_there_lowers_precision(pose_set):
    def with_ghost(found):
        x, y, width, height = found[0].box
        ghost = replace(found[0], label=LABELS[1], class_id=2, instance=1, score=0.4)
        return [*found, replace(ghost, box=(x, y, width, height))]

    whole = evaluated(pose_set, with_ghost).summary()
    assert whole["all"]["precision"] == pytest.approx(4 / 6)
    assert whole["classes"][LABELS[0]]["precision"] == 1.0
    assert whole["classes"][LABELS[1]]["precision"] == 0.5


def test_errors_have_their_size(pose_set):
    turn = SE3(SO3.exp(np.array([0.0, 0.0, np.radians(8.0)])), np.zeros(3))

    def disturbed(found):
        return [
            replace(
                item,
                centre_px=item.centre_px + np.array([3.0, 4.0]),
                depth=1.02 * item.depth,
                T_camera_object=SE3(
                    (item.T_camera_object @ turn).rotation,
                    np.asarray(item.T_camera_object.translation) + np.array([0.0, 0.0, 0.02]),
                ),
            )
            for item in found
        ]

    whole = evaluated(pose_set, disturbed).summary()["all"]
    assert whole["centre_error_px_median"] == pytest.approx(5.0)
    assert whole["depth_error_median"] == pytest.approx(0.02)
    assert whole["rotation_error_deg_median"] == pytest.approx(8.0, abs=1e-6)
    assert whole["within_5deg_5cm"] == 0.0
    assert 0.75 < whole["add_auc"] < 0.81
    assert whole["add_s_auc"] >= whole["add_auc"]


def test_hardly_visible_objects_are_neither_wanted_nor_wrong(pose_set):
    evaluation = PoseEvaluation(pose_set, LABELS)
    sample = pose_set.sample(0)
    hidden = replace(sample.objects[0], visible_fraction=0.05)
    evaluation.add(replace(sample, objects=(hidden, sample.objects[1])), perfect(pose_set, sample))
    figures = evaluation.report.summary()["all"]
    assert (figures["n_objects"], figures["n_detections"]) == (1, 1)
    assert figures["precision"] == 1.0


def test_classes_that_nobody_asks_for_are_background(pose_set):
    report = evaluated(pose_set, lambda found: found, labels=(LABELS[1],))
    assert report.summary()["all"]["n_objects"] == 2
    assert report.mean_iou == pytest.approx(1.0)


def test_cameras_are_grouped_by_what_they_see():
    results = [CameraResult("a", 5, 2.0, 0.01), CameraResult("b", 4), CameraResult("c", 1, 7.0)]
    summary = camera_summary(results)
    assert summary["4_or_more"]["within_5deg_5cm"] == 0.5
    assert summary["1_to_3"]["within_10deg_10cm"] == 0.0
    assert set(summary) == {"1_to_3", "4_or_more", "1", "4", "5"}


def test_model_points_lie_on_the_surface_and_are_always_the_same(pose_set, tmp_path):
    item = pose_set.classes[2]
    points = surface_points(item)
    distance = np.linalg.norm(points, axis=1)
    assert (distance <= disc_scene.RADIUS + 1e-9).all()
    assert distance.min() > 0.8 * disc_scene.RADIUS
    assert np.array_equal(points, surface_points(item))
    assert surface_points(replace(item, mesh=None)) is None
    box = rotation_points(replace(item, mesh=None))
    assert np.ptp(box, axis=0) == pytest.approx([2 * disc_scene.RADIUS] * 3)
    broken = tmp_path / "broken.ply"
    broken.write_text("ply\n")
    with pytest.raises(InputError, match="expected a mesh with faces"):
        surface_points(replace(item, mesh=broken))


def test_pictures_show_where_things_are(pose_set):
    sample = pose_set.sample(0)
    classes = {item.label: item for item in pose_set.classes.values()}
    found = perfect(pose_set, sample)
    picture = drawn(sample.image, sample.camera, found, classes)
    changed = (picture != sample.image).any(axis=-1)
    assert changed[sample.objects[0].mask].mean() > 0.9
    assert (drawn(sample.image, sample.camera, [], classes) == sample.image).all()
    plots = [recall_plot(DetectionReport.empty(LABELS)), recall_plot(evaluated(pose_set, list))]
    assert plots[0].shape == plots[1].shape
    assert (plots[0] != plots[1]).any()


# ---- the commands


@pytest.fixture(scope="module")
def network_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "network.pt"
    save_checkpoint(PoseCheckpoint(make_network(NetworkConfig(LABELS))), path)
    return path


def test_the_command_writes_figures_plot_and_sheet(discs, network_file, tmp_path):
    output = tmp_path / "report"
    arguments = ["--checkpoint", network_file, "--data", discs, "--output", output]
    assert command.main([*map(str, arguments), "--detector.input-width", "96"]) == 0
    content = json.loads((output / "metrics.json").read_text())
    assert content["n_images"] == 2
    assert len(content["objects"]) == 4
    assert content["config"]["split"] == "val"
    assert set(content["classes"]) == set(LABELS)
    assert (output / "add_s.png").exists()
    assert (output / "predictions.jpg").exists()


def test_a_data_set_of_other_objects_is_refused(discs, tmp_path, capsys):
    other = tmp_path / "other.pt"
    save_checkpoint(PoseCheckpoint(make_network(NetworkConfig(("mug",)))), other)
    arguments = ["--checkpoint", str(other), "--data", str(discs)]
    assert command.main([*arguments, "--output", str(tmp_path / "out")]) == 2
    assert (
        "expected a data set with some of mug, got red_ball, blue_ball" in capsys.readouterr().err
    )


def test_run_posecnn_trains_and_evaluates_props(tmp_path, caplog):
    data = disc_scene.write(tmp_path / "data", n_train=2, n_val=1, style="props")
    common = ["--data", str(data), "--output", str(tmp_path / "out")]
    light = ["--backbone", "efficientnet_lite0", "--no-pretrained", "--device", "cpu"]
    assert run_posecnn.main([*common, *light, "--train", "--eval", "--epochs", "1"]) == 0
    assert "5 deg 5 cm: " in caplog.text
    assert (tmp_path / "out/best.pt").exists()
    assert (tmp_path / "out/evaluation/metrics.json").exists()


def test_run_posecnn_says_what_it_needs(discs, tmp_path, capsys):
    assert run_posecnn.main([]) == 2
    assert "expected --train or --eval" in capsys.readouterr().err
    arguments = ["--eval", "--data", str(discs), "--output", str(tmp_path)]
    assert run_posecnn.main(arguments) == 2
    assert "train first, or give --checkpoint" in capsys.readouterr().err


@pytest.mark.slow
def test_run_posecnn_trains_the_network_of_the_paper(tmp_path):
    data = disc_scene.write(tmp_path / "data", n_train=1, n_val=0, style="props")
    arguments = ["--data", str(data), "--output", str(tmp_path / "out"), "--device", "cpu"]
    assert run_posecnn.main([*arguments, "--train", "--no-pretrained", "--epochs", "1"]) == 0
    assert (tmp_path / "out/last.pt").stat().st_size > 200e6
