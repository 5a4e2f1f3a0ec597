"""`replay` of image folders: photographs become a camera."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import processes
from bags import IMAGE, INFO, picture, stamps
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.nodes import conversions

REPLAY = "fast_inerf_ros.nodes.replay"
PATIENT = ("--wait-for-subscribers", "30")


def write_images(folder, count, width=32, height=24, suffix=".png"):
    folder.mkdir()
    for index in range(count):
        image = picture(index, height, width)[..., ::-1]
        assert cv2.imwrite(str(folder / f"view_{index}{suffix}"), image)
    return folder


def write_calibration(path, width=32, height=24):
    path.write_text(
        f"image_width: {width}\nimage_height: {height}\ncamera_name: test\n"
        "camera_matrix: {rows: 3, cols: 3, data: [40.0, 0.0, 15.0, 0.0, 41.0, 11.0, 0, 0, 1]}\n"
        "distortion_model: plumb_bob\n"
        "distortion_coefficients: {rows: 1, cols: 5, data: [0.1, -0.05, 0.001, 0.002, 0]}\n"
        "rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}\n"
        "projection_matrix: {rows: 3, cols: 4, data: [40, 0, 15, 0, 0, 41, 11, 0, 0, 0, 1, 0]}\n"
    )


def test_a_folder_of_images_becomes_a_camera(tmp_path, listener):
    folder = write_images(tmp_path / "images", 12)
    write_calibration(tmp_path / "images" / "camera.yaml")
    offered = processes.best_effort()
    ear = listener((IMAGE, Image, offered), (INFO, CameraInfo, offered))
    status, output = processes.run(
        REPLAY, folder, "--folder.frame-rate", "20", "--reliability", "best_effort", *PATIENT
    )
    assert status == 0, output
    images = ear.wait_for(IMAGE, 12)
    for index, item in enumerate(images):  # 2 before 10
        np.testing.assert_array_equal(
            conversions.image_to_rgb(item.message), picture(index, 24, 32)
        )
    assert set(np.diff(stamps(images))) == {50_000_000}
    info = ear.wait_for(INFO, 12)[0].message
    assert conversions.camera_from_message(info, rectified=False) == Camera(
        32, 24, 40.0, 41.0, 15.0, 11.0, "plumb_bob", (0.1, -0.05, 0.001, 0.002, 0.0)
    )
    assert info.header.frame_id == "camera_optical_frame"


def test_a_folder_can_be_sent_as_its_files_are_into_a_namespace(tmp_path, listener):
    folder = write_images(tmp_path / "images", 3, suffix=".jpg")
    transforms = {"fl_x": 40.0, "fl_y": 41.0, "cx": 15.5, "cy": 11.5, "w": 32, "h": 24}
    (tmp_path / "transforms.json").write_text(json.dumps(transforms))
    topic = "/robot/camera/image_raw/compressed"
    ear = listener((topic, CompressedImage), ("/robot/camera/camera_info", CameraInfo))
    arguments = ["--folder.compressed", *PATIENT, "--ros-args", "-r", "__ns:=/robot"]
    status, output = processes.run(REPLAY, folder, *arguments)
    assert status == 0, output
    images = ear.wait_for(topic, 3)
    sent = [(folder / f"view_{index}.jpg").read_bytes() for index in range(3)]
    assert [bytes(item.message.data) for item in images] == sent
    info = ear.wait_for("/robot/camera/camera_info", 3)[0].message
    # Principal points of transforms.json are measured from the corner of the first pixel.
    assert (info.k[2], info.k[5]) == (15.0, 11.0)
