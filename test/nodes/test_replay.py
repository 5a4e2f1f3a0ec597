"""`replay` in a process of its own, heard over DDS by this one."""

from __future__ import annotations

import hashlib
import signal

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import processes
import scripted
from bags import (
    IMAGE,
    INFO,
    PERIOD_NS,
    START_NS,
    TRUTH,
    camera_messages,
    picture,
    stamps,
    write_bag,
)
from geometry_msgs.msg import PoseStamped, TransformStamped
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from fast_inerf_ros.nodes import conversions, replay

REPLAY = "fast_inerf_ros.nodes.replay"
COUNT = 19
PATIENT = ("--wait-for-subscribers", "30")


def checksum(image):
    return hashlib.sha256(np.ascontiguousarray(image)).hexdigest()


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """Six tenths of a second of small images."""
    return write_bag(tmp_path_factory.mktemp("bags") / "camera", camera_messages(COUNT))


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_vga_images_at_30_hz_arrive_complete_and_unchanged(storage, tmp_path, listener):
    count = 45
    bag = write_bag(tmp_path / "bag", camera_messages(count, 480, 640), storage)
    offered = processes.best_effort()
    ear = listener(
        (IMAGE, Image, offered), (INFO, CameraInfo, offered), (TRUTH, PoseStamped, offered)
    )
    status, output = processes.run(REPLAY, bag, "--reliability", "best_effort", *PATIENT)
    assert status == 0, output
    images = ear.wait_for(IMAGE, count)
    assert [checksum(conversions.image_to_rgb(item.message)) for item in images] == [
        checksum(picture(index)) for index in range(count)
    ]
    assert stamps(images) == [START_NS + index * PERIOD_NS for index in range(count)]
    assert stamps(ear.wait_for(INFO, count)) == stamps(images)
    assert ear.heard(TRUTH) == []
    assert f"withholding {TRUTH}" in output
    assert f"sent {count} of {IMAGE}" in output


def test_compressed_images_arrive_complete_and_unchanged(tmp_path, listener):
    topic = f"{IMAGE}/compressed"
    bag = write_bag(tmp_path / "bag", camera_messages(20, compressed=True))
    ear = listener((topic, CompressedImage))
    assert processes.run(REPLAY, bag, *PATIENT)[0] == 0
    images = ear.wait_for(topic, 20)
    for index, item in enumerate(images):
        np.testing.assert_array_equal(
            conversions.image_to_rgb(item.message), picture(index, 12, 16)
        )


def test_ground_truth_is_published_only_when_asked_for(bag, listener):
    ear = listener((IMAGE, Image), (TRUTH, PoseStamped))
    status, output = processes.run(REPLAY, bag, "--publish-ground-truth", *PATIENT)
    assert status == 0, output
    assert len(ear.wait_for(TRUTH, COUNT)) == COUNT


def test_ground_truth_of_foreign_bags_can_be_named(tmp_path, listener):
    messages = [(topic, 0, String(data="x")) for topic in ("/mocap", "/mocap/pose", "/mocap2")]
    bag = write_bag(tmp_path / "bag", messages)
    ear = listener(*[(topic, String) for topic, *_ in messages])
    arguments = ["--ground-truth-topics", "/mocap,/vicon", *PATIENT]
    assert processes.run(REPLAY, bag, *arguments)[0] == 0
    ear.wait_for("/mocap2", 1)
    assert ear.heard("/mocap") == ear.heard("/mocap/pose") == []


def test_messages_are_not_sent_before_their_time(bag, listener):
    ear = listener((IMAGE, Image))
    assert processes.run(REPLAY, bag, "--restamp", *PATIENT)[0] == 0
    sent_s = np.array(stamps(ear.wait_for(IMAGE, COUNT))) * 1e-9
    # How late they may be depends on the machine; test_pacing.py has a clock of its own for that.
    # Only the first, from which the others are counted here, could be late enough for a third.
    assert np.all(sent_s - sent_s[0] > np.arange(COUNT) * PERIOD_NS * 1e-9 - 0.3)
    assert sent_s[-1] - sent_s[0] > 0.3


def test_rate_start_offset_and_duration_choose_what_is_played_and_how_fast(bag, listener):
    ear = listener((IMAGE, Image))
    arguments = ["--rate", "2", "--start-offset", "0.1", "--duration", "0.4", *PATIENT]
    status, output = processes.run(REPLAY, bag, *arguments)
    assert status == 0, output
    expected = [k * PERIOD_NS for k in range(COUNT) if 1e8 <= k * PERIOD_NS <= 5e8]
    images = ear.wait_for(IMAGE, len(expected))
    assert [stamp - START_NS for stamp in stamps(images)] == expected


def test_the_clock_advances_in_even_steps_and_drives_other_nodes(bag, listener):
    ear = listener((IMAGE, Image), ("/clock", Clock), use_sim_time=True)
    status, output = processes.run(REPLAY, bag, "--clock-rate", "100", "--rate", "2", *PATIENT)
    assert status == 0, output
    images = ear.wait_for(IMAGE, COUNT)
    clock = [
        conversions.stamp_to_nanoseconds(item.message.clock) for item in ear.wait_for("/clock", 25)
    ]
    assert clock[0] == START_NS
    assert set(np.diff(clock)) == {20_000_000}  # 100 Hz of wall time at twice the speed
    # The listener's own clock followed the recording, years ago, up to the length of it.
    behind_s = [
        (item.node_ns - stamp) * 1e-9 for item, stamp in zip(images, stamps(images), strict=True)
    ]
    assert np.abs(np.median(behind_s)) < 2.0


def test_a_loop_starts_over_with_the_same_stamps(tmp_path, listener):
    bag = write_bag(tmp_path / "bag", camera_messages(3))
    ear = listener((IMAGE, Image))
    with processes.Program(REPLAY, bag, "--loop", *PATIENT) as program:
        images = ear.wait_for(IMAGE, 8)
        program.send(signal.SIGTERM)
        assert program.wait() == 0, program.output
    recorded = [START_NS + k * PERIOD_NS for k in (0, 1, 2)]
    assert stamps(images)[:8] == (3 * recorded)[:8]


def test_signals_at_its_end_do_not_make_it_a_failure(bag):
    with processes.Program(REPLAY, bag, "--rate", "10") as program:
        scripted.eventually(lambda: "finished" in program.output, processes.PATIENCE_S)
        assert program.send_until_end() == 0, program.output
        assert "Traceback" not in program.output


def test_new_stamps_are_those_of_publication_and_keep_pairs_together(tmp_path, listener):
    bag = write_bag(tmp_path / "bag", camera_messages(3))
    ear = listener((IMAGE, Image), (INFO, CameraInfo))
    with processes.Program(REPLAY, bag, "--loop", "--restamp", *PATIENT) as program:
        ear.wait_until(lambda heard: min(len(heard[IMAGE]), len(heard[INFO])) >= 7)
        program.send()
        assert program.wait() == 0, program.output
    images = ear.heard(IMAGE)[:7]
    assert stamps(images) == stamps(ear.heard(INFO)[:7])
    gaps = np.diff(stamps(images))
    assert np.all(gaps > 0)  # forward, though the recording jumps back
    # One period, at least, lies between the last image and the first of the next round.
    assert np.all(gaps[2::3] > PERIOD_NS - 1_000_000)
    delays = [item.wall_ns - stamp for item, stamp in zip(images, stamps(images), strict=True)]
    assert 0 <= np.median(delays) < 5e9
    np.testing.assert_array_equal(conversions.image_to_rgb(images[0].message), picture(0, 12, 16))


def test_transforms_are_restamped_and_static_ones_reach_late_subscribers(tmp_path, listener):
    moving = TFMessage(transforms=[TransformStamped(child_frame_id=name) for name in "ab"])
    bag = write_bag(
        tmp_path / "bag",
        [("/tf_static", 0, moving), *[("/tf", k * PERIOD_NS, moving) for k in range(60)]],
    )
    with processes.Program(REPLAY, bag, "--restamp") as program:
        ear = listener(("/tf", TFMessage))
        ear.wait_for("/tf", 1)
        late = listener(("/tf_static", TFMessage, processes.reliable(latched=True)))
        static = late.wait_for("/tf_static", 1)[0].message
        program.send()
        program.wait()
    transforms = ear.heard("/tf")[0].message.transforms
    assert [item.child_frame_id for item in static.transforms] == ["a", "b"]
    new = {conversions.stamp_to_nanoseconds(item.header.stamp) for item in transforms}
    assert len(new) == 1
    assert 0 <= ear.heard("/tf")[0].wall_ns - new.pop() < 5e9


def test_topics_are_chosen_and_remapped(bag, listener):
    ear = listener(("/front/image", Image), (INFO, CameraInfo))
    arguments = ["--topics", "*/image*", *PATIENT, "--ros-args", "-r", f"{IMAGE}:=/front/image"]
    status, output = processes.run(REPLAY, bag, *arguments)
    assert status == 0, output
    ear.wait_for("/front/image", COUNT)
    assert ear.heard(INFO) == []
    assert f"playing {IMAGE} as /front/image" in output


def test_options_come_from_ros_parameters_and_files_too(bag, tmp_path, listener):
    parameters = tmp_path / "replay.yaml"
    parameters.write_text(
        f"replay:\n  ros__parameters:\n    bag: {bag}\n    rate: 4\n"
        "    wait_for_subscribers: 30\n    exclude_topics: ['/camera/camera_info']\n"
    )
    for arguments in (
        ["--ros-args", "--params-file", parameters, "-p", "duration:=0.5"],
        ["--params-file", parameters, "--duration", "0.5"],
    ):
        ear = listener((IMAGE, Image), (INFO, CameraInfo))
        status, output = processes.run(REPLAY, *arguments)
        assert status == 0, output
        assert len(ear.wait_for(IMAGE, 16)) == 16
        assert ear.heard(INFO) == []
        ear.close()


def test_flags_go_before_ros_parameters(bag, listener):
    ear = listener((IMAGE, Image))
    arguments = ["--duration", "0.1", *PATIENT, "--ros-args", "-p", "duration:=5.0"]
    assert processes.run(REPLAY, bag, *arguments)[0] == 0
    assert len(ear.wait_for(IMAGE, 4)) == 4


@pytest.mark.parametrize("recorded", ["RELIABLE", "BEST_EFFORT"])
def test_the_recorded_quality_of_service_is_offered(recorded, tmp_path, listener):
    message = String(data="x")
    bag = write_bag(tmp_path / "bag", [("/word", 0, message)], reliability=recorded)
    # Who is offered less than it asks for hears nothing, and one listener is all that is waited
    # for: where the reliable one is to hear, it is alone.
    reliable_ear = listener(("/word", String))
    other_ear = (
        None if recorded == "RELIABLE" else listener(("/word", String, processes.best_effort()))
    )
    assert processes.run(REPLAY, bag, *PATIENT)[0] == 0
    (other_ear or reliable_ear).wait_for("/word", 1)
    assert len(reliable_ear.heard("/word")) == (recorded == "RELIABLE")


def test_types_that_are_not_installed_are_skipped_with_one_warning(tmp_path, listener):
    bag = write_bag(tmp_path / "bag", [("/word", k, String(data="x")) for k in range(3)])
    metadata, storage = sorted(bag.iterdir(), key=lambda file: file.suffix == ".mcap")
    for file in (metadata, storage):
        content = file.read_bytes()
        file.write_bytes(content.replace(b"std_msgs/msg/String", b"xyz_msgs/msg/String"))
    status, output = processes.run(REPLAY, bag)
    assert status == 2, output
    assert "Traceback" not in output
    assert output.count("skipping /word: the type xyz_msgs/msg/String is not installed") == 1
    assert "error: expected at least one topic of an installed type" in output


def test_two_interrupts_end_it_cleanly(bag, listener):
    ear = listener((IMAGE, Image))
    with processes.Program(REPLAY, bag, "--loop", *PATIENT) as program:
        ear.wait_for(IMAGE, 3)
        program.send()
        program.send()
        assert program.wait() == 0, program.output
        assert "interrupted" in program.output
        assert "Traceback" not in program.output


def test_an_interrupt_ends_the_wait_for_subscribers(bag):
    with processes.Program(REPLAY, bag, "--wait-for-subscribers", "300") as program:
        while "playing" not in program.output:
            assert program._process.poll() is None, program.output
        program.send()
        assert program.wait() == 0, program.output


def test_nobody_listening_is_said_and_playing_goes_on(bag):
    status, output = processes.run(REPLAY, bag, "--wait-for-subscribers", "0.1", "--rate", "10")
    assert status == 0, output
    assert "nobody subscribed within 0.1 s" in output
    assert f"sent {COUNT} of {IMAGE}" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: bag: expected a rosbag2 or a folder of images"),
        (["--rate", "0"], "error: rate: expected double in [0.001, 1000], got integer 0"),
        (["--ros-args", "-p", "rte:=1.0"], "did you mean rate?"),
        (["--restamp", "--clock-rate", "10"], "error: "),
        (["BAG", "--restamp", "--clock-rate", "10"], "expected one of them, got both"),
        (["BAG", "--start-offset", "9"], "less than the recording's 0.600 s, got 9 s"),
        (["BAG", "--topics", "/no"], "'/no' matches nothing; recorded are /camera/camera_info"),
        (["BAG", "--exclude-topics", "*"], "are excluded or ground truth"),
        (["BAG", "--ros-args", "-r"], "error: ROS arguments: expected"),
    ],
)
def test_wrong_options_are_one_line_and_status_two(arguments, message, bag, capfd):
    given = [str(bag) if argument == "BAG" else argument for argument in arguments]
    status = replay.main(given)
    lines = capfd.readouterr().err.splitlines()
    errors = [line for line in lines if not line.startswith("[INFO]")]
    assert (status, len(errors)) == (2, 1), lines
    assert errors[0].startswith("error: ")
    assert message in errors[0]


@pytest.mark.parametrize("storage", ["aruco_ros2_mcap", "aruco_ros2_sqlite3"])
def test_a_real_recording_is_played(storage, external_data, listener):
    topic = "/raspicam_node/image/compressed"
    bag = external_data("ros_bag") / storage
    ear = listener((topic, CompressedImage), ("/raspicam_node/camera_info", CameraInfo))
    status, output = processes.run(REPLAY, bag, *PATIENT)
    assert status == 0, output
    image = conversions.image_to_rgb(ear.wait_for(topic, 1)[0].message)
    info = ear.wait_for("/raspicam_node/camera_info", 15)[0].message
    camera = conversions.camera_from_message(info, rectified=False)
    assert image.shape == (camera.height, camera.width, 3) == (960, 1280, 3)
    assert 40 < image.mean() < 220
