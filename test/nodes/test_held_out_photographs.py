"""Photographs that a scene has not seen, as a recording through `pose_estimator` over DDS."""

from __future__ import annotations

import json
import logging

import cv2
import numpy as np
import pytest
import voxel_place

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image

from benchmarks import photographs
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.nodes import conversions
from fast_inerf_ros.nodes.bag import Bag
from fast_inerf_ros.scene_building.build_scene import main as build_scene

OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
LENS = Camera(320, 240, 300.0, 301.0, 158.0, 121.5, "plumb_bob", (-0.05, 0.02, 0.001, -0.002, 0.0))
pytestmark = pytest.mark.timeout(900)

QUICKLY = [
    *("--quick", "--no-posecnn", "--device", "cpu", "--field.steps", "150"),
    *("--field.voxel.resolutions", "32,64", "--field.voxel.stage-starts", "0,0.2"),
    *("--field.voxel.rays-per-step", "2048"),
]


def write_data(folder, pictures, poses, camera):
    """A data set of pictures with one camera, as transforms.json."""
    frames = []
    for number, (picture, pose) in enumerate(zip(pictures, poses, strict=True)):
        name = f"{number:03d}.png"
        cv2.imwrite(str(folder / name), picture[..., ::-1])
        matrix = (np.asarray(pose.matrix()) @ OPENGL).tolist()
        frames.append({"file_path": name, "transform_matrix": matrix})
    lens = {"fl_x": camera.fx, "fl_y": camera.fy, "cx": camera.cx + 0.5, "cy": camera.cy + 0.5}
    k1, k2, p1, p2, _ = camera.distortion or (0.0,) * 5
    lens |= {"k1": k1, "k2": k2, "p1": p1, "p2": p2, "w": camera.width, "h": camera.height}
    (folder / "transforms.json").write_text(json.dumps({**lens, "frames": frames}))
    return load_dataset(folder, DatasetOptions(hold_out=0))


def test_the_recording_has_pictures_and_lens_as_they_are(place, tmp_path):
    _, field = place
    poses = voxel_place.way(2)
    posed = write_data(
        tmp_path, [voxel_place.picture(field, pose, LENS) for pose in poses], poses, LENS
    )
    photographs.write_recording(tmp_path / "bag", posed, [0, 1])
    bag = Bag(tmp_path / "bag")
    kinds = {"/camera/image_raw": Image, "/camera/camera_info": CameraInfo}
    heard = {name: [] for name in kinds}
    for message in bag.messages(bag.topics, bag.start_ns, bag.end_ns):
        if message.topic.name in kinds:
            kind = kinds[message.topic.name]
            heard[message.topic.name].append(deserialize_message(message.data, kind))
    bag.close()
    for index, (image, info) in enumerate(zip(*heard.values(), strict=True)):
        stamps = {conversions.stamp_to_nanoseconds(item.header.stamp) for item in (image, info)}
        assert stamps == {photographs.stamp_of(index)}
        colors = (posed.colors(index) * 255).round().astype(np.uint8)
        np.testing.assert_array_equal(conversions.image_to_rgb(image), colors)
        found = conversions.camera_from_message(info, rectified=False)
        np.testing.assert_allclose(found.matrix(), LENS.matrix())
        np.testing.assert_allclose(found.distortion, LENS.distortion)


def test_each_photograph_is_asked_alone_and_what_shows_nothing_known_is_lost(place, tmp_path):
    folder, field = place
    near, far = voxel_place.way(2)[0], voxel_place.way(40)[-1]
    noise = np.random.default_rng(3).integers(0, 256, (240, 320, 3), np.uint8)
    pictures = [voxel_place.picture(field, near), noise, voxel_place.picture(field, far)]
    posed = write_data(tmp_path, pictures, [near, near, far], voxel_place.CAMERA)
    asked = photographs.asked_of(folder / "scene.yaml", posed, range(3), 1.0, ["--device", "cpu"])
    assert [item.status for item in asked] == ["localised", "lost", "localised"]
    assert asked[0].within(0.5, 0.005)
    assert asked[2].within(0.5, 0.005)
    assert (asked[1].angle_deg, asked[1].within(180.0, 100.0)) == (None, False)
    assert asked[1].reason
    text = photographs.table(folder, "default", asked)
    assert "within 5 deg and 0.05 d: 2/3" in text
    assert "lost 1, wrong and accepted 0" in text


def test_a_pose_that_is_wrong_is_called_so():
    item = {"name": "a", "status": "localised", "source": "landmarks", "score": 0.9}
    item |= {"reason": "", "seconds": 1.0, "angle_deg": 1.0, "distance_d": 0.06}
    assert photographs.is_wrong(item)
    assert not photographs.is_wrong(item | {"distance_d": 0.04})
    assert not photographs.is_wrong(item | {"angle_deg": None, "distance_d": None})


@pytest.fixture(scope="module")
def small_fox(external_data, tmp_path_factory):
    """Every second photograph of fox at a quarter of its size, lens and all."""
    source = external_data("fox")
    folder = tmp_path_factory.mktemp("small") / "fox"
    (folder / "images").mkdir(parents=True)
    content = json.loads((source / "transforms.json").read_text())
    frames = [frame for frame in content["frames"] if (source / frame["file_path"]).exists()]
    content["frames"] = sorted(frames, key=lambda frame: frame["file_path"])[::2]
    for key in ("fl_x", "fl_y", "cx", "cy", "w", "h"):
        content[key] = content[key] / 4
    content |= {"w": int(content["w"]), "h": int(content["h"])}
    for frame in content["frames"]:
        picture = cv2.imread(str(source / frame["file_path"]))
        size = (content["w"], content["h"])
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / frame["file_path"]), small)
    (folder / "transforms.json").write_text(json.dumps(content))
    return folder


def test_photographs_of_a_real_place_are_localised_by_the_node(small_fox, tmp_path):
    level = logging.getLogger().level
    assert build_scene([str(small_fox), "--output", str(tmp_path / "scene"), *QUICKLY]) == 0
    logging.getLogger().setLevel(level)
    posed, chosen, depth = photographs.held_out(tmp_path / "scene", 2)
    assert posed.cameras[0].distortion_model == "plumb_bob"
    assert list(photographs.ways_of(tmp_path / "scene")) == ["default"]
    asked = photographs.asked_of(tmp_path / "scene" / "scene.yaml", posed, chosen, depth, [])
    assert [item.name for item in asked] == [posed.names[index] for index in posed.splits.test[:2]]
    assert all(item.within(5.0, 0.05) for item in asked), asked
