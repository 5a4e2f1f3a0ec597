"""Bags and image folders as sources, without any process."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from bags import START_NS, write_bag
from geometry_msgs.msg import TransformStamped
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.nodes import conversions, replay
from fast_inerf_ros.nodes.bag import Bag
from fast_inerf_ros.nodes.camera_file import load_camera
from fast_inerf_ros.nodes.image_folder import FolderOptions, ImageFolder, list_images
from fast_inerf_ros.nodes.image_size import image_size
from fast_inerf_ros.nodes.restamp import Restamper

STORAGES = ["mcap", "sqlite3"]


def noisy_image(index, size=40):
    pixels = np.random.default_rng(index).integers(0, 256, (size, size, 3), np.uint8)
    return conversions.encode_image(pixels, conversions.header(START_NS + index, "camera"))


def write(path, storage, count=20):
    return write_bag(
        path, [("/image", index * 10**8, noisy_image(index)) for index in range(count)], storage
    )


def storage_file(bag):
    return next(file for file in bag.iterdir() if file.suffix in (".mcap", ".db3"))


def play_all(path):
    bag = Bag(path)
    try:
        return list(bag.messages(bag.topics, bag.start_ns, bag.end_ns))
    finally:
        bag.close()


@pytest.mark.parametrize("storage", STORAGES)
def test_a_bag_gives_back_its_messages_and_times(storage, tmp_path):
    for path in (write(tmp_path / "bag", storage), storage_file(tmp_path / "bag")):
        messages = play_all(path)
        assert [item.time_ns - START_NS for item in messages] == [k * 10**8 for k in range(20)]
        # Compared as messages: serialisation leaves padding bytes undefined.
        played = [deserialize_message(item.data, Image) for item in messages]
        assert played == [noisy_image(index) for index in range(20)]


@pytest.mark.parametrize("storage", STORAGES)
def test_a_bag_without_metadata_is_read_from_its_files(storage, tmp_path, caplog):
    bag = write(tmp_path / "bag", storage)
    second = write(tmp_path / "second", storage, count=3)
    shutil.copy(storage_file(second), bag / f"second{storage_file(second).suffix}")
    (bag / "metadata.yaml").unlink()
    with caplog.at_level(logging.WARNING):
        assert len(play_all(bag)) == 23
    assert "has no metadata.yaml" in caplog.text


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("kept", [0, 5, 50, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("with_metadata", [True, False])
def test_a_truncated_bag_is_refused_in_one_line(storage, kept, with_metadata, tmp_path):
    bag = write(tmp_path / "bag", storage)
    file = storage_file(bag)
    content = file.read_bytes()
    file.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(InputError, match=r"truncated or corrupt .*: copy it again") as caught:
        play_all(bag if with_metadata else file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("storage", STORAGES)
def test_a_bag_that_is_damaged_in_its_midst_is_refused_when_it_is_reached(storage, tmp_path):
    bag = write(tmp_path / "bag", storage)
    file = storage_file(bag)
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 9000] = b"\xff" * 9000
    file.write_bytes(content)
    if storage == "mcap":  # has checksums
        with pytest.raises(InputError, match="truncated or corrupt"):
            play_all(bag)
    else:  # overwritten pixels are pixels to sqlite, overwritten pages are an error
        with contextlib.suppress(InputError):
            assert len(play_all(bag)) == 20


@pytest.mark.parametrize("text", ["", "a: [", "rosbag2_bagfile_information: {version: 99}", "\t"])
def test_corrupt_metadata_is_refused(text, tmp_path):
    bag = write(tmp_path / "bag", "mcap", 2)
    (bag / "metadata.yaml").write_text(text)
    with pytest.raises(InputError, match="truncated or corrupt") as caught:
        Bag(bag)
    assert "\n" not in str(caught.value)


def test_absent_empty_and_foreign_bags_are_refused(tmp_path):
    with pytest.raises(InputError, match="found nothing: check the path"):
        Bag(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"expected metadata.yaml or a .mcap or .db3 file"):
        Bag(tmp_path / "empty")
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(InputError, match="rosbags-convert"):
        Bag(tmp_path / "old.bag")
    with pytest.raises(InputError, match="expected messages, got none"):
        Bag(write_bag(tmp_path / "silent", []))


def options(**changes):
    values = {
        "camera_file": None,
        "frame_rate": 25.0,
        "image_topic": "camera/image_raw",
        "frame_id": "camera",
        "compressed": False,
        "start_ns": START_NS,
    }
    return FolderOptions(**{**values, **changes})


def images(folder, sizes, suffix=".png"):
    folder.mkdir()
    for index, (height, width) in enumerate(sizes):
        cv2.imwrite(str(folder / f"{index}{suffix}"), np.zeros((height, width, 3), np.uint8))
    (folder / "transforms.json").write_text(json.dumps({"camera_angle_x": 1.0}))
    return folder


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG"])
def test_image_sizes_are_read_without_decoding(suffix, tmp_path):
    cv2.imwrite(str(tmp_path / f"a{suffix}"), np.zeros((37, 91, 3), np.uint8))
    assert image_size(tmp_path / f"a{suffix}") == (91, 37)


def test_folder_is_played_in_natural_order_at_the_frame_rate(tmp_path):
    folder = ImageFolder(images(tmp_path / "a", [(4, 6)] * 12), options())
    messages = list(folder.messages(folder.topics[1:], folder.start_ns, folder.end_ns))
    assert [item.time_ns for item in messages] == [START_NS + k * 40_000_000 for k in range(12)]
    assert folder.period_ns == 40_000_000
    assert [path.name for path in list_images(tmp_path / "a")][9:] == ["9.png", "10.png", "11.png"]


def test_folders_that_cannot_be_played_are_refused(tmp_path):
    with pytest.raises(InputError, match="expected a folder, found none"):
        ImageFolder(tmp_path / "absent", options())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"expected a rosbag2 folder or .jpg or .png"):
        ImageFolder(tmp_path / "empty", options())
    mixed = images(tmp_path / "mixed", [(4, 6), (4, 6), (8, 6)])
    with pytest.raises(InputError, match=r"got 6x4 \(0.png\) and 6x8 \(2.png\)"):
        ImageFolder(mixed, options())


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"no image at all"])
def test_unreadable_images_are_named_before_anything_is_played(content, tmp_path):
    folder = images(tmp_path / "a", [(4, 6), (4, 6)])
    (folder / "1.png").write_bytes(content)
    with pytest.raises(InputError, match=r"image .*1.png: expected a"):
        ImageFolder(folder, options())


@pytest.mark.parametrize("compressed", [True, False])
def test_truncated_images_are_named_when_they_are_reached(compressed, tmp_path):
    folder = images(tmp_path / "a", [(4, 6), (4, 6)])
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:-20])
    source = ImageFolder(folder, options(compressed=compressed))
    messages = source.messages(source.topics[1:], source.start_ns, source.end_ns)
    next(messages)
    with pytest.raises(InputError, match=r"image .*1.png: .* whole PNG"):
        next(messages)


def test_intrinsics_are_wanted_and_must_fit(tmp_path):
    folder = images(tmp_path / "a", [(4, 6)])
    (folder / "transforms.json").unlink()
    with pytest.raises(InputError, match=r"expected intrinsics in camera.yaml or transforms.json"):
        ImageFolder(folder, options())
    (folder / "transforms.json").write_text(json.dumps({"fl_x": 5.0, "w": 60, "h": 40}))
    with pytest.raises(InputError, match="intrinsics of 6x4 images, got 60x40"):
        ImageFolder(folder, options())
    for text in ("{}", "[1]", "no json"):
        (folder / "transforms.json").write_text(text)
        with pytest.raises(InputError, match="camera file") as caught:
            ImageFolder(folder, options())
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="found no file"):
        ImageFolder(folder, options(camera_file=tmp_path / "absent.yaml"))


def test_field_of_view_gives_the_focal_length(tmp_path):
    (tmp_path / "transforms.json").write_text(json.dumps({"camera_angle_x": np.pi / 2}))
    camera = load_camera(tmp_path / "transforms.json", 100, 60)
    assert camera.fx == pytest.approx(50.0)
    assert (camera.cx, camera.cy) == (49.5, 29.5)


def test_real_photographs_with_their_intrinsics_are_played(external_data):
    folder = ImageFolder(external_data("fox") / "images", options())
    info, image = folder.messages(folder.topics, START_NS, START_NS)
    camera_info = deserialize_message(info.data, CameraInfo)
    camera = conversions.camera_from_message(camera_info, rectified=False)
    assert (camera.fx, camera.distortion_model) == (pytest.approx(1375.52), "plumb_bob")
    picture = conversions.image_to_rgb(deserialize_message(image.data, Image))
    assert picture.shape == (camera.height, camera.width, 3)


def test_a_new_stamp_changes_nothing_else():
    old = noisy_image(3)
    data = serialize_message(old)
    new_ns = START_NS + 123_456_789_012
    new = deserialize_message(Restamper().restamp(data, Image, new_ns), Image)
    assert conversions.stamp_to_nanoseconds(new.header.stamp) == new_ns
    new.header.stamp = old.header.stamp
    assert new == old


def test_big_endian_messages_are_restamped_too():
    # As a big-endian machine would record it: stamp, then the rest of the header.
    data = b"\x00\x00\x00\x00" + (7).to_bytes(4, "big") + (8).to_bytes(4, "big") + b"rest"
    new = Restamper().restamp(data, Image, 5_000_000_006)
    assert new[4:] == (5).to_bytes(4, "big") + (6).to_bytes(4, "big") + b"rest"


def test_equal_stamps_stay_equal_and_messages_without_stamp_stay_as_they_are():
    restamper = Restamper()
    data = serialize_message(noisy_image(0))
    first = restamper.restamp(data, Image, 10)
    assert restamper.restamp(data, Image, 99) == first
    restamper.forget()
    assert restamper.restamp(data, Image, 99) != first
    word = serialize_message(String(data="x"))
    assert restamper.restamp(word, String, 99) == word


def test_every_transform_in_a_list_is_restamped():
    message = TFMessage(transforms=[TransformStamped() for _ in range(3)])
    message.transforms[2].header.stamp.sec = 5
    data = Restamper().restamp(serialize_message(message), TFMessage, 77)
    stamps = [item.header.stamp for item in deserialize_message(data, TFMessage).transforms]
    assert [conversions.stamp_to_nanoseconds(stamp) for stamp in stamps] == [77, 77, 77]


def test_a_truncated_bag_ends_the_program_with_status_two(tmp_path, capfd):
    bag = write(tmp_path / "bag", "mcap")
    file = storage_file(bag)
    file.write_bytes(file.read_bytes()[:-100])
    assert replay.main([str(bag)]) == 2
    errors = capfd.readouterr().err.splitlines()
    assert len(errors) == 1
    assert errors[0].startswith(f"error: bag {bag}: expected a whole rosbag2 recording")
