"""Boxes are proposed for what stands on the dominant plane, in a world whose z axis points up."""

from __future__ import annotations

import ball_scene
import cv2
import numpy as np
import pytest
from analytic_field import BOXES, AnalyticField, camera_at, small_camera
from voxel_scenes import ball_field

from fast_inerf_ros.command_line import run
from fast_inerf_ros.datasets.images import LazyImages
from fast_inerf_ros.datasets.posed_images import PosedImages, Splits
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.checkpoint import save_field
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.similarity import Similarity
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.io.scene import load_scene
from fast_inerf_ros.scene_building.box_picture import scene_picture
from fast_inerf_ros.scene_building.box_proposals import ProposalOptions, propose
from fast_inerf_ros.scene_building.given_boxes import given_box
from fast_inerf_ros.scene_building.placed_field import PlacedField
from fast_inerf_ros.scene_building.propose_boxes import (
    ProposeConfig,
    surroundings,
    write_proposals,
)
from fast_inerf_ros.scene_building.support_plane import (
    Plane,
    dominant_plane,
    levelled,
    up_direction,
)

pytestmark = pytest.mark.usefixtures("one_thread")

# The world of the photographs is tilted: up is none of its axes.
TILT = Similarity(SE3(SO3.exp(np.array([0.5, -0.4, 0.3])), np.array([1.0, -2.0, 0.5])), 0.5)
CONFIG = ProposeConfig(data="", field="", output="", n_views=12, width=96)
N_VIEWS = 16


def photographs(tmp_path):
    """Cameras around the boxes of the analytic field, in the tilted world."""
    angles = np.arange(N_VIEWS) * 2 * np.pi / N_VIEWS
    poses = [
        camera_at((1.5 * np.cos(a), 1.5 * np.sin(a), 0.9 + 0.3 * (k % 3)))
        for k, a in enumerate(angles)
    ]
    camera = small_camera(96, 72)
    path = tmp_path / "grey.png"
    cv2.imwrite(str(path), np.full((72, 96, 3), 128, np.uint8))
    return PosedImages(
        "boxes",
        LazyImages([path] * N_VIEWS, [(96, 72)] * N_VIEWS),
        (camera,) * N_VIEWS,
        SE3.stack([TILT.pose_to_target(pose) for pose in poses]),
        np.tile([0.1, 10.0], (N_VIEWS, 1)),
        Splits.hold_out(N_VIEWS, 0),
        tuple(str(k) for k in range(N_VIEWS)),
    )


@pytest.fixture(scope="module")
def around(tmp_path_factory):
    placed = PlacedField(AnalyticField(), TILT)
    return surroundings(placed, photographs(tmp_path_factory.mktemp("views")), CONFIG)


def proposals(around):
    up = np.array([0.0, 0.0, 1.0])
    return propose(around.cloud, around.plane, up, around.distance, ProposalOptions())


def test_the_support_plane_makes_z_point_up(around):
    up_field = around.T_level_world.rotation @ (TILT.transform.rotation @ np.array([0, 0, 1.0]))
    assert up_field == pytest.approx(np.array([0, 0, 1.0]), abs=5e-3)
    floor = around.T_level_world @ (TILT @ np.array([[0.3, 0.2, 0.0], [-0.6, 0.5, 0.0]]))
    assert floor[:, 2] == pytest.approx(0.0, abs=5e-3)


def test_every_box_is_found_with_its_place_and_size(around):
    found = proposals(around)
    assert len(found) == len(BOXES)
    for low, high in BOXES:
        low, high = np.array(low), np.array(high)
        centre = around.T_level_world @ (TILT @ ((low + high) / 2))
        (item,) = [
            x for x in found if np.linalg.norm(x.T_world_object.translation - centre) < 0.03
        ]
        size = TILT.scale * (high - low)
        assert sorted(item.extent[:2]) == pytest.approx(sorted(size[:2]), abs=0.03)
        assert item.extent[2] == pytest.approx(size[2], abs=0.02)


def test_boxes_are_turned_about_z_only_and_stand_on_the_plane(around):
    for item in proposals(around):
        up = np.asarray(item.T_world_object.rotation.matrix)[:, 2]
        assert up == pytest.approx(np.array([0, 0, 1.0]), abs=0.01)
        bottom = item.T_world_object.translation[2] - item.extent[2] / 2
        assert bottom == pytest.approx(0.0, abs=0.01)


def test_the_picture_shows_boxes_and_grid(around):
    found = proposals(around)
    with_boxes, without = scene_picture(around.cloud, found), scene_picture(around.cloud, ())
    assert with_boxes.shape == without.shape
    assert with_boxes.dtype == np.uint8
    red = (with_boxes != without).any(axis=-1)
    assert 500 < red.sum() < 0.2 * red.size


def test_ransac_finds_the_plane_among_clutter():
    generator = np.random.default_rng(2)
    normal = np.array([0.6, 0.0, 0.8])
    flat = generator.uniform(-1, 1, (600, 3))
    flat -= np.outer(flat @ normal - 0.3, normal)
    flat += 0.002 * generator.standard_normal(flat.shape)
    clutter = generator.uniform(-1, 1, (500, 3))
    points = np.concatenate([flat, clutter])
    plane = dominant_plane(points, 2 * normal, 0.01, generator)
    assert plane.normal == pytest.approx(normal, abs=5e-3)
    assert plane.offset == pytest.approx(0.3, abs=5e-3)
    other_side = dominant_plane(points, -2 * normal, 0.01, generator)
    assert other_side.normal == pytest.approx(-normal, abs=5e-3)


@pytest.mark.parametrize("points", [np.zeros((2, 3)), np.outer(np.arange(9.0), [1, 2, 3])])
def test_points_without_a_plane_are_refused(points):
    with pytest.raises(InputError, match="plane: expected"):
        dominant_plane(points, np.ones(3), 0.01, np.random.default_rng(0))


def test_a_wall_does_not_say_what_is_up_but_the_cameras_do():
    cameras = SE3.stack([camera_at((2.0, y, 0.5)) for y in (-1.0, 0.0, 1.0)])
    wall = Plane(np.array([1.0, 0.0, 0.0]), 0.0)
    assert up_direction(wall, cameras, ()) == pytest.approx(np.array([0, 0, 1.0]))
    tilted = SE3(SO3.exp(np.array([np.pi / 2, 0.0, 0.0])), np.zeros(3)) @ cameras
    up = up_direction(wall, tilted, ())
    assert up @ np.array([0.0, -1.0, 0.0]) > 0.95
    assert up_direction(wall, cameras, (0.0, 3.0, 0.0)) == pytest.approx(np.array([0, 1.0, 0]))
    with pytest.raises(InputError, match="up: expected a direction"):
        up_direction(wall, cameras, (0.0, 0.0, 0.0))


def test_levelling_keeps_the_first_axis_as_far_as_it_can():
    up = np.array([0.1, -0.2, 0.97])
    up /= np.linalg.norm(up)
    origin = np.array([3.0, 1.0, -2.0])
    level = levelled(up, origin)
    assert level.rotation @ up == pytest.approx(np.array([0, 0, 1.0]))
    assert level @ origin == pytest.approx(np.zeros(3), abs=1e-12)
    assert np.asarray(level.rotation @ np.array([1.0, 0, 0]))[1] == pytest.approx(0.0, abs=1e-12)


def test_boxes_of_the_user_are_read():
    label, pose, extent = given_box("mug:0.3:-0.1:0.05:0.08:0.09:0.1:90")
    assert (label, extent) == ("mug", (0.08, 0.09, 0.1))
    assert pose.translation == pytest.approx(np.array([0.3, -0.1, 0.05]))
    assert pose.rotation @ np.array([1.0, 0, 0]) == pytest.approx(np.array([0, 1.0, 0]))
    for text in ("mug", "mug:1:2:3:0.1:0.1:0.1", "mug:1:2:3:0:0.1:0.1:0", ":0:0:0:1:1:1:0"):
        with pytest.raises(InputError, match="boxes: expected label"):
            given_box(text)


def test_the_command_writes_scene_and_picture(tmp_path, capsys):
    ball_scene.write_blender(tmp_path / "photographs", 32, (8, 1, 2))
    save_field(tmp_path / "field.npz", ball_field())
    arguments = ["--data", tmp_path / "photographs", "--field", tmp_path / "field.npz"]
    arguments += ["--output", tmp_path / "scene.yaml", "--up", "0,0,1"]
    arguments += ["--boxes", "ball:0.1:0:0:1.6:1.6:1.6:0,ball:2:0:0:1:1:1:0,cup:0:2:0:1:1:1:90"]
    arguments = [str(item) for item in arguments]
    assert run(ProposeConfig, write_proposals, arguments) == 0
    scene = load_scene(tmp_path / "scene.yaml")
    assert [(item.label, item.class_id) for item in scene.objects] == [
        ("ball", 1), ("ball", 1), ("cup", 2),
    ]  # fmt: skip
    assert scene.field is not None
    assert scene.field.checkpoint == "field.npz"
    assert scene.field.T_world_field.rotation.angle() == pytest.approx(0.0, abs=1e-6)
    assert cv2.imread(str(tmp_path / "boxes.png")) is not None
    written = (tmp_path / "scene.yaml").read_bytes()
    assert run(ProposeConfig, write_proposals, arguments) == 2
    assert "use --overwrite" in capsys.readouterr().err
    assert (tmp_path / "scene.yaml").read_bytes() == written
