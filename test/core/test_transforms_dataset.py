"""transforms.json in all its dialects."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.datasets.synthetic.nerf import camera_entry, transform_matrix
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3

WIDTH, HEIGHT = 16, 12
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def look_at_origin(angle: float, distance: float = 4.0) -> np.ndarray:
    """OpenGL camera-to-world matrix on a circle about z, looking at the origin."""
    centre = distance * np.array([math.cos(angle), math.sin(angle), 0.5])
    back = centre / np.linalg.norm(centre)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3] = np.stack([right, np.cross(back, right), back, centre], axis=1)
    return matrix


def frame(name: str, angle: float, **entries: Any) -> dict[str, Any]:
    return {"file_path": name, "transform_matrix": look_at_origin(angle).tolist(), **entries}


def frames(n: int) -> list[dict[str, Any]]:
    return [frame(f"images/{i:03d}.png", 0.3 * i) for i in range(n)]


def save_image(path: Path, width: int = WIDTH, height: int = HEIGHT, channels: int = 3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, channels), 128, np.uint8)).save(path)


def write(folder: Path, content: dict[str, Any], name: str = "transforms.json") -> Path:
    """Write a file and an image for each of its frames."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in content["frames"]:
        file = folder / entry["file_path"]
        save_image(file if file.suffix else file.with_suffix(".png"))
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def load(folder: Path, **options: Any) -> PosedImages:
    return load_dataset(folder, DatasetOptions(**options))


class TestBlender:
    def blender(self, folder: Path, **counts: int) -> Path:
        start = 0
        for split, n in counts.items():
            entries = [frame(f"./{split}/r_{i}", 0.3 * (start + i)) for i in range(n)]
            write(folder, {"camera_angle_x": 0.7, "frames": entries}, f"transforms_{split}.json")
            start += n
        return folder

    def test_splits_keep_the_order_of_their_files(self, tmp_path):
        posed = load(self.blender(tmp_path, train=3, val=2, test=12))
        assert [len(getattr(posed.splits, s)) for s in ("train", "val", "test")] == [3, 2, 12]
        assert posed.split("test").names[-2:] == ("test/r_10", "test/r_11")

    def test_skip_thins_val_and_test_only(self, tmp_path):
        posed = load(self.blender(tmp_path, train=5, val=4, test=4), test_skip=2)
        assert [len(getattr(posed.splits, s)) for s in ("train", "val", "test")] == [5, 2, 2]

    def test_training_file_alone_is_all_for_training(self, tmp_path):
        posed = load(self.blender(tmp_path, train=9))
        assert (len(posed.splits.train), len(posed.splits.test)) == (9, 0)

    def test_axis_meets_the_middle_of_the_image(self, tmp_path):
        camera = load(self.blender(tmp_path, train=2)).cameras[0]
        assert (camera.cx, camera.cy) == ((WIDTH - 1) / 2, (HEIGHT - 1) / 2)
        assert camera.fx == camera.fy == pytest.approx(0.5 * WIDTH / math.tan(0.35))
        ends = camera.bearings(np.array([[-0.5, camera.cy], [WIDTH - 0.5, camera.cy]]))
        assert math.acos(ends[0] @ ends[1]) == pytest.approx(0.7)

    def test_poses_look_along_their_optical_axis(self, tmp_path):
        T = load(self.blender(tmp_path, train=3)).T_world_camera
        assert T.matrix()[1] == pytest.approx(look_at_origin(0.3) @ OPENGL)
        forward = T.rotation.matrix[:, :, 2]
        assert forward == pytest.approx(-T.translation / np.linalg.norm(T.translation[0]))
        assert (T.rotation.matrix[:, 2, 1] < 0).all()  # y points down

    def test_bounds_are_those_of_the_convention(self, tmp_path):
        assert (load(self.blender(tmp_path, train=3)).bounds == [2.0, 6.0]).all()

    def test_scene_outside_the_convention_gets_bounds_of_its_own(self, tmp_path):
        entries = frames(4)
        for entry in entries:
            for row in entry["transform_matrix"][:3]:
                row[3] *= 10.0
        posed = load(write(tmp_path, {"camera_angle_x": 0.7, "frames": entries}))
        distance = 40.0 * math.sqrt(1.25)
        assert (posed.bounds[:, 0] < 0.5 * distance).all()
        assert (posed.bounds[:, 1] > 1.5 * distance).all()

    def test_transparency_is_kept_until_composited(self, tmp_path):
        folder = self.blender(tmp_path, train=2)
        pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
        Image.fromarray(pixels).save(folder / "train/r_0.png")
        posed = load(folder)
        assert posed.image(0).shape == (HEIGHT, WIDTH, 4)
        assert (posed.colors(0) == 1.0).all()
        assert (posed.colors(0, (0.0, 0.5, 0.0))[..., 1] == 0.5).all()


INSTANT_NGP = {
    "fl_x": 20.0,
    "fl_y": 21.0,
    "cx": 8.2,
    "cy": 5.9,
    "w": WIDTH,
    "h": HEIGHT,
    "k1": 0.05,
    "k2": -0.02,
    "p1": 0.001,
    "p2": -0.002,
    "aabb_scale": 4,
}


class TestInstantNgp:
    def test_principal_point_counts_from_the_corner_and_the_lens_is_opencvs(self, tmp_path):
        posed = load(write(tmp_path, {**INSTANT_NGP, "frames": frames(3)}))
        camera = posed.cameras[0]
        assert (camera.fx, camera.fy) == (20.0, 21.0)
        assert (camera.cx, camera.cy) == pytest.approx((7.7, 5.4))
        points = np.random.default_rng(0).uniform([-0.3, -0.2, 1.0], [0.3, 0.2, 2.0], (20, 3))
        expected, _ = cv2.projectPoints(
            points, np.zeros(3), np.zeros(3), camera.matrix(), np.array([0.05, -0.02, 1e-3, -2e-3])
        )
        assert camera.project(points) == pytest.approx(expected[:, 0], abs=1e-9)
        assert posed.aabb_scale == 4.0

    def test_every_eighth_image_by_name_is_held_out(self, tmp_path):
        content = {**INSTANT_NGP, "frames": frames(18)[::-1]}
        posed = load(write(tmp_path, content))
        assert posed.names == tuple(f"images/{i:03d}.png" for i in range(18))
        assert posed.splits.test.tolist() == [0, 8, 16]
        assert len(posed.splits.train) == 15
        assert posed.T_world_camera.matrix()[5] == pytest.approx(look_at_origin(1.5) @ OPENGL)

    def test_nothing_is_held_out_on_request(self, tmp_path):
        posed = load(write(tmp_path, {**INSTANT_NGP, "frames": frames(9)}), hold_out=0)
        assert len(posed.splits.train) == 9

    def test_frames_may_bring_their_own_cameras(self, tmp_path):
        entries = frames(3)
        entries[1].update(fl_x=30.0, w=8, h=6, cx=4.0, cy=3.0)
        folder = write(tmp_path, {**INSTANT_NGP, "frames": entries})
        save_image(folder / "images/001.png", 8, 6)
        cameras = load(folder).cameras
        assert (cameras[0].fx, cameras[0].width) == (20.0, WIDTH)
        assert (cameras[1].fx, cameras[1].fy, cameras[1].width) == (30.0, 30.0, 8)
        assert cameras[1].cx == 3.5

    @pytest.mark.parametrize("key", [{"is_fisheye": True}, {"camera_model": "OPENCV_FISHEYE"}])
    def test_fisheye_is_the_equidistant_model(self, tmp_path, key):
        lens = {"k1": 0.1, "k2": -0.05, "k3": 0.01, "k4": 0.002}
        header = {"fl_x": 10.0, "w": WIDTH, "h": HEIGHT, **lens, **key}
        camera = load(write(tmp_path, {**header, "frames": frames(2)})).cameras[0]
        assert camera.distortion_model == "equidistant"
        points = np.array([[0.2, -0.3, 1.0], [1.0, 0.5, 1.0]])
        expected, _ = cv2.fisheye.projectPoints(
            points[:, None],
            np.zeros(3),
            np.zeros(3),
            camera.matrix(),
            np.array(list(lens.values())),
        )
        assert camera.project(points) == pytest.approx(expected[:, 0], abs=1e-9)

    def test_full_opencv_is_the_rational_model(self, tmp_path):
        lens = {"k1": 0.1, "k4": 0.05, "k5": 0.01, "k6": 0.001, "camera_model": "FULL_OPENCV"}
        header = {"fl_x": 10.0, **lens}
        camera = load(write(tmp_path, {**header, "frames": frames(2)})).cameras[0]
        assert camera.distortion == (0.1, 0.0, 0.0, 0.0, 0.0, 0.05, 0.01, 0.001)

    def test_pinhole_ignores_coefficients(self, tmp_path):
        header = {**INSTANT_NGP, "camera_model": "PINHOLE"}
        camera = load(write(tmp_path, {**header, "frames": frames(2)})).cameras[0]
        assert camera.distortion == ()

    def test_missing_images_are_skipped_with_one_warning(self, tmp_path, caplog):
        folder = write(tmp_path, {**INSTANT_NGP, "frames": frames(6)})
        for i in (1, 4):
            (folder / f"images/{i:03d}.png").unlink()
        with caplog.at_level(logging.WARNING):
            posed = load(folder)
        assert (len(posed), posed.n_missing) == (4, 2)
        assert [record.getMessage().split(": ", 1)[1] for record in caplog.records] == [
            "2 of 6 images do not exist and are skipped (first: images/001.png)"
        ]

    def test_bounds_reach_the_corners_of_the_box(self, tmp_path):
        posed = load(write(tmp_path, {**INSTANT_NGP, "frames": frames(5)}))
        half = 2.0 / 0.33
        corners = half * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        centres = posed.T_world_camera.translation
        farthest = np.linalg.norm(centres[:, None] - corners, axis=-1).max(axis=1)
        assert posed.bounds[:, 1] == pytest.approx(farthest)

    def test_images_shrink_together_with_their_cameras(self, tmp_path):
        posed = load(write(tmp_path, {**INSTANT_NGP, "frames": frames(2)}), factor=4)
        assert posed.image(0).shape == (HEIGHT // 4, WIDTH // 4, 3)
        camera = posed.cameras[0]
        assert (camera.fx, camera.cx, camera.cy) == pytest.approx((5.0, 8.2 / 4 - 0.5, 0.975))

    def test_one_file_can_be_named(self, tmp_path):
        folder = write(tmp_path, {**INSTANT_NGP, "frames": frames(2)}, "transforms_base.json")
        assert len(load(folder / "transforms_base.json")) == 2


class TestExtras:
    def test_nerfstudio_splits_are_kept(self, tmp_path):
        names = [entry["file_path"] for entry in frames(5)]
        content = {
            "fl_x": 20.0,
            "frames": frames(5),
            "train_filenames": names[:3],
            "val_filenames": [f"./{names[3]}"],
            "test_filenames": names[4:],
        }
        splits = load(write(tmp_path, content)).splits
        assert [s.tolist() for s in (splits.train, splits.val, splits.test)] == [
            [0, 1, 2],
            [3],
            [4],
        ]

    def test_metric_scale_and_bounds_of_the_file_are_kept(self, tmp_path):
        content = {"fl_x": 20.0, "metric": True, "near": 0.3, "far": 2.5, "frames": frames(3)}
        posed = load(write(tmp_path, content))
        assert posed.frame.metric
        assert posed.frame.metres_per_unit == 1.0
        assert (posed.bounds == [0.3, 2.5]).all()

    def test_unit_of_the_file_becomes_the_metre_of_the_world(self, tmp_path):
        content = {"fl_x": 20.0, "metres_per_unit": 0.1, "near": 3.0, "far": 25.0}
        posed = load(write(tmp_path, {**content, "metric": True, "frames": frames(3)}), far=2.0)
        assert posed.T_world_camera[0].translation == pytest.approx([0.4, 0.0, 0.2])
        assert posed.T_field_camera[0].translation == pytest.approx([4.0, 0.0, 2.0])
        assert posed.bounds[0] == pytest.approx([0.3, 2.0])

    def test_given_bounds_replace_those_of_the_file(self, tmp_path):
        content = {"fl_x": 20.0, "near": 0.3, "far": 2.5, "frames": frames(3)}
        assert (load(write(tmp_path, content), near=0.1).bounds == [0.1, 2.5]).all()

    def test_fields_share_the_world_of_the_file(self, tmp_path):
        posed = load(write(tmp_path, {"fl_x": 20.0, "frames": frames(3)}))
        assert posed.T_field_camera.matrix() == pytest.approx(posed.T_world_camera.matrix())
        assert not posed.frame.metric


@pytest.mark.parametrize(
    "lens",
    [
        ("none", ()),
        ("plumb_bob", (0.1, -0.05, 0.001, 0.002, 0.01)),
        ("equidistant", (0.1, -0.05, 0.001, 0.002)),
    ],
)
def test_sets_of_the_tabletop_generator_come_back_as_written(tmp_path, lens):
    camera = Camera(WIDTH, HEIGHT, 20.0, 21.0, 7.7, 5.4, *lens)
    poses = SE3.random(np.random.default_rng(0), (3,))
    entries = [
        {"file_path": f"./train/r_{i}", "transform_matrix": transform_matrix(poses[i])}
        for i in range(3)
    ]
    content = {**camera_entry(camera), "frames": entries}
    posed = load(write(tmp_path, content, "transforms_train.json"))
    read = posed.cameras[0]
    assert read.matrix() == pytest.approx(camera.matrix(), abs=1e-12)
    assert (read.distortion_model, read.distortion) == lens
    assert posed.T_world_camera.matrix() == pytest.approx(poses.matrix(), abs=1e-12)
    assert posed.frame.metric


def broken(**changes: Any) -> dict[str, Any]:
    return {"fl_x": 20.0, "frames": frames(3), **changes}


def with_pose(matrix: Any) -> dict[str, Any]:
    content = broken()
    content["frames"][1]["transform_matrix"] = matrix
    return content


SCALED = (np.diag([2.0, 2.0, 2.0, 1.0]) @ look_at_origin(0.0)).tolist()
MIRRORED = (look_at_origin(0.0) @ np.diag([-1.0, 1.0, 1.0, 1.0])).tolist()
NOT_A_NUMBER = np.full((4, 4), np.nan).tolist()


class TestBadInput:
    def fails(self, folder: Path, message: str, **options: Any) -> None:
        with pytest.raises(InputError, match=message) as caught:
            load(folder, **options)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (broken(frames=frames(1)), "at least 2 images, got 1"),
            (with_pose(SCALED), r"pose of images/001\.png: expected rotation matrices"),
            (with_pose(MIRRORED), r"pose of images/001\.png: .*reflection"),
            (with_pose(NOT_A_NUMBER), r"pose of images/001\.png"),
            (with_pose([[1, 2], [3, 4]]), "transform_matrix of 4x4 numbers"),
            (with_pose([[1, 2], [3]]), "transform_matrix of 4x4 numbers"),
            (with_pose([["a"] * 4] * 4), "transform_matrix of 4x4 numbers"),
            (broken(w=1000, h=HEIGHT), "1000x12 pixels as its intrinsics .* got 16x12"),
            (broken(fl_x=-3.0), "fl_x > 0"),
            (broken(fl_x="wide"), "finite number for fl_x, got 'wide'"),
            (broken(cx=math.nan), "finite number for cx, got nan"),
            (broken(k4=0.1), "k4, k5, k6 only with is_fisheye"),
            (broken(camera_model="EQUIRECTANGULAR"), "camera model of .* got EQUIRECTANGULAR"),
            (broken(is_latlong=True), "got is_latlong"),
            (broken(near=2.0, far=1.0), "0 < near < far, got 2 and 1"),
            (broken(aabb_scale=-1), "positive number for aabb_scale"),
            ({"frames": frames(3)}, "expected a focal length"),
            ({"camera_angle_x": 0.0, "frames": frames(3)}, "camera_angle_x: expected a field of"),
        ],
    )
    def test_wrong_content_is_named(self, tmp_path, content, message):
        self.fails(write(tmp_path, content), message)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"frames": [', "expected JSON, got an error: .*line 1"),
            ("[]", "JSON object, got list"),
            ("{}", "a list 'frames'"),
            ('{"frames": []}', "a list 'frames'"),
            ('{"frames": [3]}', "frame 0: .*'file_path'"),
            ('{"frames": [{"file_path": "a.png"}]}', "frame 0: .*'transform_matrix'"),
        ],
    )
    def test_malformed_file_is_named(self, tmp_path, text, message):
        (tmp_path / "transforms.json").write_text(text)
        self.fails(tmp_path, rf"transforms\.json: .*{message}|transforms\.json: {message}")

    def test_file_that_is_no_text_is_named(self, tmp_path):
        (tmp_path / "transforms.json").write_bytes(b"\xff\xfe\x00")
        self.fails(tmp_path, r"transforms\.json: expected a JSON file")

    def test_set_whose_images_are_all_missing_is_refused(self, tmp_path):
        (tmp_path / "transforms.json").write_text(json.dumps(broken()))
        self.fails(tmp_path, r"none of the 3 it lists \(first: images/000\.png\)")

    def test_images_of_different_sizes_need_their_own_intrinsics(self, tmp_path):
        folder = write(tmp_path, broken())
        save_image(folder / "images/002.png", 10, 12)
        self.fails(folder, r"images/002\.png: expected an image of 16x12 pixels like the others")

    def test_unreadable_image_is_named_before_training_starts(self, tmp_path):
        folder = write(tmp_path, broken())
        (folder / "images/001.png").write_bytes(b"no image")
        self.fails(folder, r"images/001\.png: expected an image, got a file that cannot be read")

    def test_cameras_in_one_spot_have_no_bounds(self, tmp_path):
        same = [frame(f"{i}.png", 0.0) for i in range(3)]
        folder = write(tmp_path, {"fl_x": 20.0, "frames": same})
        self.fails(folder, "expected bounds 0 < near < far, got 0 and 0; give near and far")
        assert len(load(folder, near=0.1, far=5.0)) == 3

    def test_hold_out_of_everything_is_refused(self, tmp_path):
        self.fails(write(tmp_path, broken()), "hold out fewer", hold_out=1)


def test_identity_pose_needs_no_world(tmp_path):
    entries = [frame("a.png", 0.0), frame("b.png", 1.0)]
    entries[0]["transform_matrix"] = OPENGL.tolist()
    posed = load(write(tmp_path, {"fl_x": 20.0, "frames": entries}))
    assert posed.T_world_camera[0].matrix() == pytest.approx(SE3.identity().matrix())
