"""Objects and scale are recovered from noisy detections in posed photographs, outliers or not."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import ball_scene
import numpy as np
import pytest

from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.similarity import Similarity
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.geometry.symmetry import Symmetry, SymmetryAxis
from fast_inerf_ros.io.scene import load_scene
from fast_inerf_ros.posecnn.detection import Detection
from fast_inerf_ros.scene_building.register_objects import RegisterConfig, register_with
from fast_inerf_ros.scene_building.registration import SeenPhotograph, register

CAMERA = Camera(640, 480, 600.0, 600.0, 319.5, 239.5)
HALF_TURN = Symmetry(discrete=(SE3(SO3.exp(np.array([0.0, 0.0, math.pi])), np.zeros(3)),))
ROUND = Symmetry((SymmetryAxis((0.0, 0.0, 1.0)),))
SYMMETRIES = {"box": Symmetry(), "tea": HALF_TURN, "can": ROUND}
PLACES = (
    ("box", (0.2, 0.1, 0.05), 0.3),
    ("tea", (-0.2, 0.05, 0.06), 1.2),
    ("can", (0.02, -0.2, 0.07), 0.0),
    ("can", (0.05, 0.25, 0.07), 0.0),
)
OBJECTS = tuple(
    (label, SE3(SO3.exp(np.array([0.0, 0.0, yaw])), np.array(place)))
    for label, place, yaw in PLACES
)
# The photographs' own world: other axes, another origin and another unit.
METRES_PER_UNIT = 0.37
T_WORLD_METRIC = SE3(SO3.exp(np.array([0.5, -0.8, 1.1])), np.array([0.4, 2.0, -1.0]))
NOISE = {"pixels": 4.0, "log_depth": 0.05, "rotation": 0.15, "outliers": 0.2, "missed": 0.2}
EXACT = dict.fromkeys(NOISE, 0.0)


def views(generator, count):
    """Cameras in metres around the table, from anywhere on a part of a hemisphere."""
    for _ in range(count):
        azimuth, elevation = generator.uniform(-3.1, 3.1), generator.uniform(0.3, 1.0)
        flat = np.array([math.cos(azimuth), math.sin(azimuth)]) * math.cos(elevation)
        eye = generator.uniform(0.7, 1.1) * np.array([*flat, math.sin(elevation)])
        forward = -eye / np.linalg.norm(eye)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        axes = np.stack([right, np.cross(forward, right), forward], axis=1)
        yield SE3(SO3(axes), eye)


def sighting(label, T_camera_object, generator, noise):
    turns = SYMMETRIES[label].transforms(0.01)
    turn = turns[int(generator.integers(len(turns.translation)))].rotation
    shaken = SO3.exp(generator.normal(0, noise["rotation"] / math.sqrt(3), 3))
    rotation = T_camera_object.rotation @ turn @ shaken
    centre = np.asarray(CAMERA.project(T_camera_object.translation))
    centre = centre + generator.normal(0, noise["pixels"], 2)
    depth = float(
        T_camera_object.translation[2] * math.exp(generator.normal(0, noise["log_depth"]))
    )
    if generator.random() < noise["outliers"]:
        rotation = SO3.random(generator)
        centre = generator.uniform((0, 0), (640, 480))
        depth *= math.exp(generator.normal(0, 0.4))
    place = np.asarray(CAMERA.unproject(centre, np.array(depth)))
    return Detection(
        label, 1, 0, 0.9, (0, 0, 1, 1), np.ones((1, 1), dtype=bool), centre, np.eye(2), depth,
        0.01, SE3(rotation, place), 0.1,
    )  # fmt: skip


def photographs(seed, noise=NOISE, count=40, scale=METRES_PER_UNIT):
    generator = np.random.default_rng(seed)
    to_metres = Similarity(T_WORLD_METRIC.inverse(), 1.0)
    taken = []
    for T_metric_camera in views(generator, count):
        seen = tuple(
            sighting(label, T_metric_camera.inverse() @ pose, generator, noise)
            for label, pose in OBJECTS
            if generator.random() >= noise["missed"]
        )
        pose = to_metres.inverse().pose_to_target(T_metric_camera)
        in_units = SE3(pose.rotation, np.asarray(pose.translation) / scale)
        taken.append(SeenPhotograph(CAMERA, in_units, seen))
    return taken


def errors(found):
    """Distance in metres and angle in degrees of each true object to the nearest found one."""
    for label, pose in OBJECTS:
        truth = T_WORLD_METRIC @ pose
        same = [item.T_world_object for item in found.objects if item.label == label]
        near = min(same, key=lambda item: np.linalg.norm(item.translation - truth.translation))
        turns = (truth.rotation @ SYMMETRIES[label].transforms(0.01).rotation).inverse()
        angle = float(np.degrees((turns @ near.rotation).angle()).min())
        yield float(np.linalg.norm(near.translation - truth.translation)), angle


@pytest.mark.parametrize("metric", [True, False], ids=["metric", "unknown_scale"])
@pytest.mark.parametrize("seed", range(3))
def test_objects_and_scale_are_recovered_from_noise_and_outliers(seed, metric):
    scale = 1.0 if metric else METRES_PER_UNIT
    found = register(photographs(seed, scale=scale), SYMMETRIES, metric=metric)
    assert sorted(item.label for item in found.objects) == ["box", "can", "can", "tea"]
    assert found.metres_per_unit == pytest.approx(scale, rel=0.02)
    if not metric:
        assert abs(found.metres_per_unit - scale) < 4 * found.scale_deviation
    for distance, angle in errors(found):
        # The world's origin is 2.3 m away: a wrong scale moves everything.
        assert distance < (0.03 if metric else 0.06)
        assert angle < 5.0


def test_exact_sightings_give_exact_objects():
    found = register(photographs(5, EXACT, count=12), SYMMETRIES, metric=False)
    assert found.metres_per_unit == pytest.approx(METRES_PER_UNIT, rel=1e-6)
    assert len(found.objects) == len(OBJECTS)
    assert found.n_used == found.n_sightings == 12 * len(OBJECTS)
    for item, (distance, angle) in zip(found.objects, errors(found), strict=True):
        assert distance < 1e-6
        assert angle < 3.0 if item.label == "can" else angle < 1e-3
        assert item.error_px < 1e-3


def test_stated_deviations_are_of_the_size_of_the_errors():
    """Over many trials the normalised errors of the places are neither tiny nor huge."""
    ratios = []
    for seed in range(8):
        found = register(photographs(100 + seed, count=30, scale=1.0), SYMMETRIES, metric=True)
        deviations = {id(item): item.place_deviation for item in found.objects}
        mean = float(np.mean(list(deviations.values())))
        ratios += [distance / mean for distance, _ in errors(found)]
    assert 0.3 < np.median(ratios) < 4.0


def test_residuals_say_how_noisy_the_sightings_are():
    quiet = register(photographs(1, {**NOISE, "pixels": 1.0, "log_depth": 0.01}), SYMMETRIES,
                     metric=False)  # fmt: skip
    loud = register(photographs(1), SYMMETRIES, metric=False)
    assert np.mean([i.error_px for i in quiet.objects]) < np.mean(
        [i.error_px for i in loud.objects]
    )
    worst = max(item.place_error for item in quiet.objects)
    assert worst < min(item.place_error for item in loud.objects)


def test_what_few_photographs_saw_is_no_object():
    taken = photographs(2, EXACT, count=12, scale=1.0)
    rare = [replace(item, sightings=item.sightings[:1]) for item in taken[4:]]
    found = register([*taken[:4], *rare], SYMMETRIES, metric=True)
    assert [item.label for item in found.objects] == ["box"]


def test_nothing_seen_gives_no_objects():
    empty = [replace(item, sightings=()) for item in photographs(0, count=3)]
    assert register(empty, SYMMETRIES, metric=False).objects == ()


def test_views_from_one_place_cannot_say_the_scale():
    (taken,) = photographs(0, EXACT, count=1)
    with pytest.raises(InputError, match="scale: expected one object seen from several places"):
        register([taken] * 6, SYMMETRIES, metric=False)


def test_numbers_that_are_not_finite_are_refused():
    taken = photographs(0, EXACT, count=6)
    (first, *rest) = taken[0].sightings
    bad = replace(taken[0], sightings=(replace(first, depth=float("nan")), *rest))
    with pytest.raises(InputError, match="finite numbers"):
        register([bad, *taken[1:]], SYMMETRIES, metric=True)


class SeesTheBall:
    """A detector that knows where the ball of `ball_scene` is, half as large as its unit says."""

    class_labels = ("ball",)
    metres_per_unit = 0.5

    def __init__(self, poses):
        self.poses = list(poses)
        self.generator = np.random.default_rng(0)

    def detect(self, image, camera):
        T_camera_ball = self.poses.pop(0).inverse()
        place = self.metres_per_unit * np.asarray(T_camera_ball.translation)
        depth = float(place[2]) * math.exp(self.generator.normal(0, 0.03))
        centre = np.asarray(camera.project(place))
        return (
            Detection(
                "ball", 1, 0, 0.9, (0, 0, 1, 1), np.ones((1, 1), dtype=bool), centre, np.eye(2),
                depth, 0.03, SE3(T_camera_ball.rotation, place), 0.1,
            ),
        )  # fmt: skip


@pytest.fixture
def balls(tmp_path):
    ball_scene.write_blender(tmp_path / "photographs", 48, (16, 1, 2))
    (tmp_path / "weights.pt").write_bytes(b"")
    posed = load_dataset(tmp_path / "photographs")
    rows = np.concatenate([posed.splits.train, posed.splits.val])
    return tmp_path, SeesTheBall(posed.T_world_camera[int(row)] for row in rows)


def config_for(folder, **more):
    values = {
        "data": str(folder / "photographs"),
        "detector": str(folder / "weights.pt"),
        "output": str(folder / "scene.yaml"),
        "extents": ("ball:0.8:0.8:0.8",),
    }
    return RegisterConfig(**(values | more))


def test_a_scene_file_and_a_report_are_written(balls):
    folder, detector = balls
    register_with(detector, config_for(folder))
    scene = load_scene(folder / "scene.yaml")
    assert scene.metric
    assert scene.detector == "weights.pt"
    (ball,) = scene.objects
    assert (ball.label, ball.class_id, ball.extent) == ("ball", 1, (0.8, 0.8, 0.8))
    assert np.linalg.norm(ball.T_world_object.translation) < 0.03
    report = json.loads((folder / "registration.json").read_text())
    assert report["metres_per_unit"] == pytest.approx(0.5, rel=0.03)
    assert report["n_used"] == 17
    assert report["objects"][0]["error_px"] < 1.0


def test_a_scene_file_is_not_replaced_unasked(balls):
    folder, detector = balls
    (folder / "scene.yaml").write_text("mine")
    with pytest.raises(InputError, match="exists"):
        register_with(detector, config_for(folder))
    assert (folder / "scene.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("extents", "message"),
    [((), "got none of ball"), (("ball:1:2",), "label:x:y:z"), (("ball:1:2:-3",), "label:x:y:z")],
)
def test_classes_need_a_size(balls, extents, message):
    folder, detector = balls
    with pytest.raises(InputError, match=message):
        register_with(detector, config_for(folder, extents=extents))


def test_no_agreement_is_an_error_that_says_so(balls):
    folder, detector = balls
    detector.detect = lambda image, camera: ()
    with pytest.raises(InputError, match="several photographs agree on"):
        register_with(detector, config_for(folder))
    assert not (folder / "scene.yaml").exists()
