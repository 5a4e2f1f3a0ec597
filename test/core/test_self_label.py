"""`self_label` writes what `load_pose_set` reads: photographs and rendered views with truth."""

from __future__ import annotations

import filecmp
import json
from pathlib import Path

import ball_scene
import numpy as np
import pytest
from voxel_scenes import ball_field

from fast_inerf_ros.command_line import run
from fast_inerf_ros.datasets.bop import load_pose_set
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.pose_set_writer import bounding_box
from fast_inerf_ros.fields.checkpoint import save_field
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.geometry.symmetry import Symmetry, SymmetryAxis
from fast_inerf_ros.io.scene import FieldReference, Scene, SceneObject, load_scene, save_scene
from fast_inerf_ros.scene_building.labelled_images import SensorOptions, labelled_views
from fast_inerf_ros.scene_building.novel_views import NovelViewOptions, ViewSampler
from fast_inerf_ros.scene_building.object_masks import ObjectLabeller
from fast_inerf_ros.scene_building.placed_field import PlacedField, in_world_of
from fast_inerf_ros.scene_building.self_label import SelfLabelConfig, self_label

pytestmark = pytest.mark.usefixtures("one_thread")

METRES_PER_UNIT = 0.5
T_WORLD_FIELD = SE3(SO3.exp(np.array([0.0, 0.0, 0.5])), np.array([1.0, 2.0, 0.3]))
TURN = SE3(SO3.exp(np.array([0.2, -0.1, 0.4])), np.zeros(3))
SIZE = 48


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory):
    """Folder with photographs of a ball, a field of it and a scene file."""
    folder = tmp_path_factory.mktemp("kitchen")
    ball_scene.write_blender(folder / "photographs", SIZE, (12, 1, 3))
    save_field(folder / "field.npz", ball_field())
    extent = (2 * METRES_PER_UNIT * ball_scene.RADIUS,) * 3
    ball = SceneObject(
        "ball", 7, T_WORLD_FIELD @ TURN, extent,
        symmetry=Symmetry((SymmetryAxis((0.0, 0.0, 1.0)),)),
    )  # fmt: skip
    reference = FieldReference("field.npz", METRES_PER_UNIT, T_WORLD_FIELD)
    save_scene(Scene("map", field=reference, objects=(ball,)), folder / "scene.yaml")
    return folder


def command(kitchen, output, *more):
    arguments = ["--scene", kitchen / "scene.yaml", "--data", kitchen / "photographs"]
    arguments += ["--output", output, "--n-novel", 6, "--validate-every", 4, *more]
    return run(SelfLabelConfig, self_label, [str(item) for item in arguments])


@pytest.fixture(scope="module", params=["bop", "props"])
def labels(request, kitchen):
    output = kitchen / f"labels_{request.param}"
    assert command(kitchen, output, "--format", request.param) == 0
    return output


def exact_masks(kitchen, split):
    posed = load_dataset(kitchen / "photographs")
    return [posed.image(int(index))[..., 3] > 127 for index in getattr(posed.splits, split)]


def test_splits_hold_photographs_and_views(labels):
    counts = {split: len(load_pose_set(labels, split)) for split in ("train", "val", "test")}
    assert counts == {"train": 9 + 6, "val": 3 + 1, "test": 3}


def test_masks_of_photographs_are_their_silhouettes(labels, kitchen):
    found = load_pose_set(labels, "test")
    for index, exact in enumerate(exact_masks(kitchen, "test")):
        (item,) = found.sample(index).objects
        assert (item.mask & exact).sum() / (item.mask | exact).sum() > 0.97
        assert item.visible_fraction > 0.97


def test_poses_place_the_object_where_it_is_seen(labels):
    """In every image, rendered ones too, the origin projects into the middle of the ball."""
    found = load_pose_set(labels, "train")
    for index in range(len(found)):
        sample = found.sample(index)
        (centre,) = sample.centres_px()
        (item,) = sample.objects
        if item.visible_fraction > 0.97:
            rows, columns = np.nonzero(item.mask)
            assert abs(np.array([columns.mean(), rows.mean()]) - centre).max() < 0.7


def test_poses_and_scale_are_those_of_the_scene(labels, kitchen):
    posed = load_dataset(kitchen / "photographs")
    expected = T_WORLD_FIELD @ TURN
    for index, number in enumerate(posed.splits.test):
        (item,) = load_pose_set(labels, "test").sample(index).objects
        T_field_camera = posed.T_field_camera[int(number)]
        centre = METRES_PER_UNIT * np.asarray(T_field_camera.translation)
        T_world_camera = T_WORLD_FIELD @ SE3(T_field_camera.rotation, centre)
        assert np.allclose(
            (T_world_camera @ item.T_camera_object).matrix(), expected.matrix(), atol=1e-4
        )


def test_depth_is_metric_and_of_the_surface(labels):
    sample = load_pose_set(labels, "test").sample(0)
    (item,) = sample.objects
    column, row = np.round(sample.centres_px()[0]).astype(int)
    front = METRES_PER_UNIT * (ball_scene.DISTANCE - ball_scene.RADIUS)
    assert sample.depth[row, column] == pytest.approx(front, abs=0.02)
    assert (sample.depth[~item.mask] == 0).mean() > 0.97


def test_models_are_boxes_with_points_all_over(labels):
    found = load_pose_set(labels, "train").classes[7]
    assert found.label == "ball"
    assert found.extent == pytest.approx((0.8, 0.8, 0.8))
    assert len(found.symmetry.axes) == 1
    import trimesh

    mesh = trimesh.load(found.mesh)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(800.0**3)
    assert len(mesh.vertices) > 300


def test_the_same_seed_gives_the_same_files(kitchen, tmp_path):
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        assert command(kitchen, tmp_path / name, "--seed", seed) == 0
    first = tmp_path / "first"
    files = [str(path.relative_to(first)) for path in sorted(first.rglob("*.png"))]
    assert len(files) > 60
    same, *others = filecmp.cmpfiles(first, tmp_path / "again", files, shallow=False)
    assert len(same) == len(files), others
    view = Path("train", "000000", "rgb", "000012.png")
    assert not filecmp.cmp(first / view, tmp_path / "other" / view, shallow=False)


@pytest.mark.parametrize("seed", range(4))
def test_what_an_arm_covers_is_not_visible(kitchen, seed):
    scene = load_scene(kitchen / "scene.yaml")
    labeller = ObjectLabeller(PlacedField.of_scene(scene), scene.objects)
    posed = in_world_of(scene, load_dataset(kitchen / "photographs"))
    sampler = ViewSampler(
        labeller.placed, posed.T_world_camera, posed.cameras[0], scene.objects, NovelViewOptions()
    )
    always = SensorOptions(occluders=1.0)
    (image,) = labelled_views(labeller, sampler, always, 1, seed)
    ((_, truth),) = image.objects
    covered = truth.mask & ~truth.visible
    assert covered.any()
    nearest = METRES_PER_UNIT * (ball_scene.DISTANCE - ball_scene.RADIUS)
    assert 0 < image.depth[covered].max() < nearest
    assert truth.box_visible == bounding_box(truth.visible)


def test_a_field_may_be_given_that_the_scene_does_not_name(kitchen, tmp_path):
    """It lies where its checkpoint says, and so do the photographs."""
    ball = SceneObject("ball", 7, SE3.identity(), (2 * ball_scene.RADIUS,) * 3)
    save_scene(Scene("map", objects=(ball,)), tmp_path / "scene.yaml")
    more = ["--scene", tmp_path / "scene.yaml", "--field", kitchen / "field.npz", "--n-novel", 0]
    assert command(kitchen, tmp_path / "labels", *more) == 0
    sample = load_pose_set(tmp_path / "labels", "test").sample(0)
    (exact, *_), (item,) = exact_masks(kitchen, "test"), sample.objects
    assert (item.mask & exact).sum() / (item.mask | exact).sum() > 0.97
    assert item.T_camera_object.translation[2] == pytest.approx(ball_scene.DISTANCE, abs=1e-3)


def test_views_vary_and_say_how(labels):
    name = "train/000000/scene_camera.json" if "bop" in labels.name else "train/train_camera.json"
    entries = list(json.loads((labels / name).read_text()).values())
    novel = [entry for entry in entries if entry["novel"]]
    assert len(novel) == 6
    for key in ("exposure_ev", "noise_sigma", "blur_px"):
        assert len({entry[key] for entry in novel}) == 6
    assert len({entry["cam_K"][0] for entry in novel}) == 6
    # Within the hull of the photographs' cameras, which are all as far from the ball.
    for entry in entries:
        rotation = np.reshape(entry["cam_R_w2c"], (3, 3))
        eye = -rotation.T @ np.array(entry["cam_t_w2c"]) / 1000
        distance = np.linalg.norm(eye - np.asarray(T_WORLD_FIELD.translation))
        farthest = METRES_PER_UNIT * ball_scene.DISTANCE
        assert distance < farthest * (0.9999 if entry["novel"] else 1.0001)


def test_bad_input_is_refused_in_one_line(kitchen, tmp_path, capsys):
    save_scene(Scene("map"), tmp_path / "empty.yaml")
    cases = {
        "field: expected a scene with a trained field": ["--scene", tmp_path / "empty.yaml"],
        "expected a data set": ["--data", tmp_path / "nothing"],
        "the folder is not empty": ["--output", kitchen],
    }
    for message, more in cases.items():
        assert command(kitchen, tmp_path / "out", *more) == 2
        (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error:")]
        assert message in line
        assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["empty.yaml"]


def test_a_scale_that_the_layout_cannot_hold_is_refused(kitchen, tmp_path, capsys):
    reference = FieldReference(str(kitchen / "field.npz"), 1e-3)
    ball = SceneObject("ball", 1, SE3.identity(), (1.6e-3,) * 3)
    save_scene(Scene("map", field=reference, objects=(ball,)), tmp_path / "tiny.yaml")
    assert command(kitchen, tmp_path / "out", "--scene", tmp_path / "tiny.yaml") == 2
    assert "give the scene its scale" in capsys.readouterr().err
