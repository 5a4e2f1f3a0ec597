"""Data sets on the disk say the same as the pictures: read back with independent readers."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
import yaml
from core.tabletop import CAMERA, FISHEYE, models
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from fast_inerf_ros.datasets.synthetic import generate_tabletop
from fast_inerf_ros.datasets.synthetic.nerf import camera_entry
from fast_inerf_ros.datasets.synthetic.output import finished_folder
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.io.scene import load_scene

SMALL = ["--width", "120", "--height", "90", "--n-boxes", "2", "--n-cans", "1", "--n-clutter", "1"]


def generate(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["generate_tabletop", *SMALL, *map(str, arguments)])
    return generate_tabletop.main()


def load(path: Path):
    return json.loads(path.read_text())


# --- NeRF


def nerf_frames(folder: Path, split: str):
    """Image, depth (m), K with corner origin and T_world_camera with OpenGL axes, from files."""
    content = load(folder / f"transforms_{split}.json")
    for frame in content["frames"]:
        image = cv2.imread(str(folder / (frame["file_path"] + ".png")), cv2.IMREAD_UNCHANGED)
        depth = cv2.imread(str(folder / frame["depth_file_path"]), cv2.IMREAD_UNCHANGED)
        metres = depth * content["integer_depth_scale"]
        yield content, image, metres, np.array(frame["transform_matrix"])


def test_nerf_files_place_the_table_where_the_depth_says(tmp_path, monkeypatch):
    out = tmp_path / "nerf"
    assert generate(monkeypatch, "--output", out, "--n-train", 3, "--n-val", 1, "--n-test", 1) == 0
    for split, count in (("train", 3), ("val", 1), ("test", 1)):
        frames = list(nerf_frames(out, split))
        assert len(frames) == count
        for content, image, depth, matrix in frames:
            assert image.shape == (content["h"], content["w"], 3) == (90, 120, 3)
            v, u = np.mgrid[0:90, 0:120] + 0.5  # pixels from the corner of the image
            x = (u - content["cx"]) / content["fl_x"] * depth
            y = (v - content["cy"]) / content["fl_y"] * depth
            opengl = np.stack([x, -y, -depth, np.ones_like(depth)], axis=-1)
            height = (opengl @ matrix.T)[..., 2]
            on_table = np.abs(height) < 0.0015
            assert on_table.mean() > 0.1
            assert not ((height < -0.002) & (height > -0.02)).mean() > 0.02
            assert np.isclose(np.linalg.det(matrix[:3, :3]), 1)
            angle = content["camera_angle_x"]
            assert content["fl_x"] == pytest.approx(60 / np.tan(angle / 2))


def test_nerf_splits_share_no_view_and_repeat_by_seed(tmp_path, monkeypatch):
    matrices = []
    for name in ("a", "b"):
        arguments = ("--output", tmp_path / name, "--n-train", 2, "--n-val", 2, "--n-test", 2)
        assert generate(monkeypatch, *arguments) == 0
        contents = [
            load(tmp_path / name / f"transforms_{s}.json") for s in ("train", "val", "test")
        ]
        matrices.append([f["transform_matrix"] for c in contents for f in c["frames"]])
    assert matrices[0] == matrices[1]
    assert len({json.dumps(m) for m in matrices[0]}) == 6
    for path in sorted((tmp_path / "a").rglob("*.png")):
        other = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == other.read_bytes()


def test_cut_out_images_are_transparent_where_the_room_is(tmp_path, monkeypatch):
    out = tmp_path / "nerf"
    arguments = ("--n-train", 1, "--n-val", 0, "--n-test", 0, "--cut-out", "--noise-sigma", 0)
    assert generate(monkeypatch, "--output", out, *arguments) == 0
    content, image, depth, matrix = next(nerf_frames(out, "train"))
    assert image.shape == (90, 120, 4)
    v, u = np.mgrid[0:90, 0:120] + 0.5
    rays = np.stack(
        [(u - content["cx"]) / content["fl_x"], -(v - content["cy"]) / content["fl_y"]]
    )
    points = np.concatenate([rays * depth, [-depth, np.ones_like(depth)]]).transpose(1, 2, 0)
    height = (points @ matrix.T)[..., 2]
    far_below = (height < -0.3) & (height > -0.73)  # legs
    opaque = image[..., 3] == 255
    assert set(np.unique(image[..., 3])) == {0, 255}
    assert opaque[height > 0.002].any()
    assert opaque[np.abs(height) < 0.001].all()
    assert not opaque[height < -0.735].any()
    assert far_below.mean() < 0.2


def test_camera_entry_gives_corner_origin_and_lens_keys():
    entry = camera_entry(CAMERA)
    assert (entry["cx"], entry["cy"], entry["camera_model"]) == (80.0, 60.0, "PINHOLE")
    fisheye = camera_entry(FISHEYE)
    assert fisheye["is_fisheye"]
    assert [fisheye[k] for k in ("k1", "k2", "k3", "k4")] == list(FISHEYE.distortion)
    lens = Camera(64, 48, 50, 50, 31.5, 23.5, "plumb_bob", (0.1, 0.2, 0.3, 0.4, 0.5))
    assert [camera_entry(lens)[k] for k in ("k1", "k2", "p1", "p2", "k3")] == list(lens.distortion)
    with pytest.raises(InputError, match="rational_polynomial"):
        camera_entry(Camera(64, 48, 50, 50, 31.5, 23.5, "rational_polynomial", (0.0,) * 8))


# --- BOP


@pytest.fixture(scope="module")
def pose_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bop")
    with pytest.MonkeyPatch.context() as patch:
        for style in ("bop", "props"):
            arguments = ("--n-train", 2, "--n-val", 1, "--blur-px", 3, "--exposure-ev", 0.5)
            assert generate(patch, "--output", folder / style, "--format", style, *arguments) == 0
    return folder


def test_bop_depth_in_the_model_frame_lies_on_the_model(pose_set):
    root = pose_set / "bop" / "train" / "000000"
    truths, infos, cameras = (
        load(root / f"scene_{name}.json") for name in ("gt", "gt_info", "camera")
    )
    sizes = load(pose_set / "bop" / "models" / "models_info.json")
    seen = 0
    for image, instances in truths.items():
        camera = cameras[image]
        K = np.array(camera["cam_K"]).reshape(3, 3)
        depth = cv2.imread(str(root / "depth" / f"{int(image):06d}.png"), cv2.IMREAD_UNCHANGED)
        depth = depth * camera["depth_scale"]  # millimetres
        for index, truth in enumerate(instances):
            name = f"{int(image):06d}_{index:06d}.png"
            visible = cv2.imread(str(root / "mask_visib" / name), 0) > 0
            mask = cv2.imread(str(root / "mask" / name), 0) > 0
            info = infos[image][index]
            assert info["px_count_visib"] == visible.sum()
            assert info["px_count_all"] >= mask.sum() >= visible.sum()
            if visible.any():
                x, y, w, h = info["bbox_visib"]
                rows, columns = np.nonzero(visible)
                assert (x, y) == (columns.min(), rows.min())
                assert (w, h) == (np.ptp(columns) + 1, np.ptp(rows) + 1)
            v, u = np.nonzero(visible)
            z = depth[v, u]
            points = np.stack([(u - K[0, 2]) * z / K[0, 0], (v - K[1, 2]) * z / K[1, 1], z], 1)
            R = np.array(truth["cam_R_m2c"]).reshape(3, 3)
            local = (points - truth["cam_t_m2c"]) @ R
            size = sizes[str(truth["obj_id"])]
            low = np.array([size["min_x"], size["min_y"], size["min_z"]])
            high = low + np.array([size[f"size_{axis}"] for axis in "xyz"])
            assert (local > low - 0.3).all()
            assert (local < high + 0.3).all()
            seen += len(local)
    assert seen > 300


def test_bop_models_are_the_rendered_meshes_in_millimetres(pose_set):
    folder = pose_set / "bop" / "models"
    info = load(folder / "models_info.json")
    assert set(info) == {"1", "2", "3"}
    assert "symmetries_continuous" in info["3"]  # the can
    assert "symmetries_continuous" not in info["1"]
    for number, entry in info.items():
        mesh = trimesh.load(folder / f"obj_{int(number):06d}.ply", process=False)
        extent = [entry[f"size_{axis}"] for axis in "xyz"]
        np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), extent, rtol=1e-5)
        between = mesh.vertices[:, None] - mesh.vertices[None]
        span = np.linalg.norm(between, axis=-1).max()
        assert entry["diameter"] == pytest.approx(span, rel=1e-4)
        assert (folder / f"obj_{int(number):06d}.png").is_file()
        volume = mesh.convex_hull.volume
        assert 0.5 * np.prod(extent) < volume < 1.01 * np.prod(extent)


def test_world_pose_of_the_camera_agrees_between_objects_and_camera_file(pose_set):
    root = pose_set / "bop" / "train" / "000000"
    truths, cameras = load(root / "scene_gt.json"), load(root / "scene_camera.json")
    for image, instances in truths.items():
        R = np.array(cameras[image]["cam_R_w2c"]).reshape(3, 3)
        t = np.array(cameras[image]["cam_t_w2c"])
        for truth in instances:
            in_world = R.T @ (np.array(truth["cam_t_m2c"]) - t)
            assert 5 < in_world[2] < 150  # origins are in the middle of things on the table
            assert (np.abs(in_world[:2]) < [500, 350]).all()


def test_props_files_hold_the_inverse_pose_in_metres(pose_set):
    bop = load(pose_set / "bop" / "train" / "000000" / "scene_gt.json")
    props = load(pose_set / "props" / "train" / "train_gt.json")
    assert (pose_set / "props" / "train" / "mask_visib" / "000000_000000.png").is_file()
    for image, instances in bop.items():
        for ours, theirs in zip(instances, props[image], strict=True):
            R = np.array(ours["cam_R_m2c"]).reshape(3, 3)
            np.testing.assert_allclose(
                np.array(theirs["cam_R_m2c"]).reshape(3, 3), R.T, atol=1e-12
            )
            expected = -R.T @ np.array(ours["cam_t_m2c"]) / 1000
            np.testing.assert_allclose(theirs["cam_t_m2c"], expected, atol=1e-12)


def test_every_image_of_a_pose_set_has_its_own_scene(pose_set):
    images = [cv2.imread(str(p)) for p in sorted((pose_set / "bop").rglob("rgb/*.png"))]
    assert len(images) == 3
    assert np.abs(images[0].astype(int) - images[1]).mean() > 10
    cameras = load(pose_set / "bop" / "train" / "000000" / "scene_camera.json")
    assert cameras["0"]["exposure_ev"] != cameras["1"]["exposure_ev"]


def test_crowded_things_hide_each_other(tmp_path, monkeypatch):
    hidden = {}
    for crowding in ("0,0", "1,1"):
        out = tmp_path / crowding
        options = ("--format", "bop", "--n-train", 12, "--n-val", 0, "--occluders", 0)
        options += ("--pose-crowding", crowding, "--elevation-deg", "15,20", "--n-clutter", 6)
        assert generate(monkeypatch, "--output", out, *options) == 0
        infos = load(out / "train" / "000000" / "scene_gt_info.json").values()
        shares = [item["visib_fract"] for image in infos for item in image]
        assert len(shares) >= 30
        hidden[crowding] = 1.0 - np.mean(shares)
    assert hidden["1,1"] > 1.5 * hidden["0,0"]


# --- bags


@pytest.mark.parametrize(
    ("storage", "encoding"), [("mcap", "jpeg"), ("sqlite3", "rgb8"), ("mcap", "png")]
)
def test_bag_holds_images_camera_and_truth_that_agree(tmp_path, monkeypatch, storage, encoding):
    out = tmp_path / "bag"
    arguments = ("--duration-s", 0.25, "--storage", storage, "--encoding", encoding)
    assert generate(monkeypatch, "--output", out, "--format", "bag", *arguments) == 0
    store = get_typestore(Stores.ROS2_HUMBLE)
    messages: dict[str, list] = {}
    with Reader(out / "bag") as reader:
        for connection, stamp, data in reader.messages():
            message = store.deserialize_cdr(data, connection.msgtype)
            messages.setdefault(connection.topic, []).append((stamp, message))
    image_topic = "/camera/image_raw" + ("" if encoding == "rgb8" else "/compressed")
    assert set(messages) == {image_topic, "/camera/camera_info", "/ground_truth/camera_pose"}
    assert not any("tf" in topic for topic in messages)
    stamps = [
        [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for _, m in group]
        for group in messages.values()
    ]
    assert stamps[0] == stamps[1] == stamps[2]
    np.testing.assert_allclose(np.diff(stamps[0]), 1e9 / 30, atol=2)
    assert len(stamps[0]) == 8
    _, info = messages["/camera/camera_info"][0]
    assert (info.width, info.height, info.header.frame_id) == (120, 90, "camera_optical_frame")
    assert info.k[2] == pytest.approx(59.5)
    truth = np.loadtxt(out / "ground_truth.tum")
    for row, (_, message) in zip(truth, messages["/ground_truth/camera_pose"], strict=True):
        assert message.header.frame_id == "world"
        p, q = message.pose.position, message.pose.orientation
        np.testing.assert_allclose(row[1:], [p.x, p.y, p.z, q.x, q.y, q.z, q.w], atol=1e-12)
    _, image = messages[image_topic][0]
    if encoding == "rgb8":
        pixels = image.data.reshape(image.height, image.width, 3)
        assert image.step == 360
    else:
        pixels = cv2.imdecode(image.data, cv2.IMREAD_COLOR)
        assert encoding in image.format
    assert pixels.shape == (90, 120, 3)
    assert pixels.std() > 10


def test_bag_metadata_tells_players_the_quality_of_service(tmp_path, monkeypatch):
    out = tmp_path / "bag"
    assert generate(monkeypatch, "--output", out, "--format", "bag", "--duration-s", 0.1) == 0
    metadata = yaml.safe_load((out / "bag" / "metadata.yaml").read_text())
    profiles = {}
    for topic in metadata["rosbag2_bagfile_information"]["topics_with_message_count"]:
        profile = topic["topic_metadata"]["offered_qos_profiles"]
        profile = yaml.safe_load(profile) if isinstance(profile, str) else profile
        profiles[topic["topic_metadata"]["name"]] = profile[0]["reliability"]
    reliable, best_effort = 1, 2
    assert profiles["/camera/image_raw/compressed"] in (best_effort, "best_effort")
    assert profiles["/camera/camera_info"] in (reliable, "reliable")
    assert profiles["/ground_truth/camera_pose"] in (reliable, "reliable")


# --- scene and folders


def test_scene_file_loads_and_places_every_known_object(tmp_path, monkeypatch):
    out = tmp_path / "scene"
    assert generate(monkeypatch, "--output", out, "--format", "scene") == 0
    scene = load_scene(out / "scene.yaml")
    assert [item.label for item in scene.objects] == ["box_1", "box_2", "can_1"]
    for item in scene.objects:
        mesh = trimesh.load(scene.resolve(item.mesh), process=False)
        np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), item.extent, rtol=1e-5)
        in_world = item.T_world_object @ np.asarray(mesh.vertices)
        assert in_world[:, 2].min() == pytest.approx(0, abs=1e-5)


def test_failed_and_refused_writing_leaves_the_old_folder(tmp_path):
    target = tmp_path / "data"
    target.mkdir()
    (target / "precious").write_text("x")
    with pytest.raises(InputError, match=r"not empty.*--overwrite"), finished_folder(target):
        raise AssertionError("must not get here")
    with pytest.raises(ZeroDivisionError), finished_folder(target, overwrite=True) as folder:
        (folder / "half").write_text(str(1 / 0))
    assert [p.name for p in tmp_path.rglob("*")] == ["data", "precious"]
    with finished_folder(target, overwrite=True) as folder:
        (folder / "new").write_text("z")
    assert [p.name for p in tmp_path.rglob("*")] == ["data", "new"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--width", "4"], "width"),
        (["--format", "video"], "format"),
        (["--layout-seed", "9000000"], "layout_seed"),
        (["--object-set-seed", "9000001"], "object_set_seed"),
        (["--layout-seed", "8999990", "--format", "bop", "--n-train", "20"], "protocol"),
        (["--n-boxes", "0", "--n-cans", "0"], "known objects"),
        (["--meshes", "nowhere"], "nowhere"),
        (["--distortion-model", "plumb_bob", "--distortion", "0.1"], "plumb_bob"),
        (
            ["--format", "bop", "--distortion-model", "equidistant", "--distortion", "0,0,0,0"],
            "BOP",
        ),
        (["--distance", "1.0,0.5"], "distance"),
        (["--pose-crowding", "0.9,0.1", "--format", "bop"], "pose_crowding"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_options_are_one_line_errors(tmp_path, monkeypatch, capsys, arguments, message):
    assert generate(monkeypatch, "--output", tmp_path / "out", *arguments) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1
    assert message in error[0]
    assert not (tmp_path / "out").exists()


def test_folder_that_cannot_be_made_is_an_input_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"), finished_folder(tmp_path / "file"):
        pass
    with pytest.raises(InputError, match="writable"), finished_folder(tmp_path / "file" / "out"):
        pass


# --- meshes of others


def test_mesh_without_texture_keeps_its_vertex_colours(tmp_path):
    from fast_inerf_ros.datasets.synthetic.mesh_files import read_mesh_folder

    ball = trimesh.creation.icosphere(radius=0.04)
    ball.visual.vertex_colors = np.tile([200, 40, 20, 255], (len(ball.vertices), 1))
    ball.export(tmp_path / "red_ball.ply")
    (model,) = read_mesh_folder(tmp_path, first_class_id=4)
    assert (model.label, model.class_id) == ("red_ball", 4)
    np.testing.assert_allclose(
        model.mesh.colours[0, 0], (np.array([200, 40, 20]) / 255) ** 2.2, atol=1e-4
    )
    assert (model.texture[..., :3] == 255).all()


def test_unusable_meshes_say_what_to_do(tmp_path):
    from fast_inerf_ros.datasets.synthetic.mesh_files import read_mesh_folder

    with pytest.raises(InputError, match="expected meshes"):
        read_mesh_folder(tmp_path, 1)
    trimesh.creation.box((300, 300, 300)).export(tmp_path / "millimetres.ply")
    with pytest.raises(InputError, match="scale the mesh to metres"):
        read_mesh_folder(tmp_path, 1)
    (tmp_path / "millimetres.ply").write_text("not a mesh")
    with pytest.raises(InputError, match="cannot be read"):
        read_mesh_folder(tmp_path, 1)


def test_scanned_objects_stand_on_the_table(external_data, tmp_path, monkeypatch):
    out = tmp_path / "o"
    arguments = ("--n-boxes", 0, "--n-cans", 0, "--n-train", 1, "--n-val", 0, "--n-test", 0)
    meshes = ("--meshes", external_data("ycb_mesh"))
    assert generate(monkeypatch, "--output", out, *arguments, *meshes) == 0
    scene = load_scene(out / "scene.yaml")
    assert [item.class_id for item in scene.objects] == list(range(1, 11))
    assert "5_mustard_bottle" in [item.label for item in scene.objects]
    for item in scene.objects:
        mesh = trimesh.load(scene.resolve(item.mesh), process=False)
        assert len(mesh.faces) == 16384
        in_world = item.T_world_object @ np.asarray(mesh.vertices)
        assert in_world[:, 2].min() == pytest.approx(0, abs=1e-5)


def test_known_objects_are_fixed_by_their_seed():
    from fast_inerf_ros.datasets.synthetic.objects import object_set

    again = object_set(3, n_boxes=2, n_cans=2)
    for ours, theirs in zip(models(), again, strict=True):
        np.testing.assert_array_equal(ours.texture, theirs.texture)
        np.testing.assert_array_equal(ours.mesh.vertices, theirs.mesh.vertices)
    other = object_set(4, n_boxes=2, n_cans=2)
    assert (
        other[0].texture.shape != again[0].texture.shape
        or (other[0].texture != again[0].texture).any()
    )
