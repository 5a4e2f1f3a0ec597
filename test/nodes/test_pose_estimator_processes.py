"""`pose_estimator` as a process, with a real scene and estimator, heard and fed over DDS."""

from __future__ import annotations

import itertools
import json
import threading
import time

import numpy as np
import pytest
import voxel_place
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import bags
import processes
import scripted
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from driver import Driver, statuses, values
from geometry_msgs.msg import PoseStamped
from std_srvs.srv import SetBool, Trigger
from tf2_msgs.msg import TFMessage

from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.nodes import conversions
from fast_inerf_ros.nodes.trajectory_files import read_tum

NODE = "fast_inerf_ros.nodes.pose_estimator"
REPLAY = "fast_inerf_ros.nodes.replay"
RECORD = "fast_inerf_ros.nodes.record_poses"
POSE = "/pose_estimator/camera_pose"
POSES = (POSE, PoseStamped, processes.reliable())
DIAGNOSTICS = ("/diagnostics", DiagnosticArray, processes.reliable())
TRANSFORMS = ("/tf", TFMessage, processes.reliable())
N_IMAGES = 12
PERIOD_NS = 100_000_000
CAMERA = voxel_place.CAMERA
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def pictures(place):
    """What the camera sees on its way, and its true poses."""
    _, field = place
    poses = voxel_place.way(N_IMAGES)
    return [voxel_place.picture(field, pose) for pose in poses], poses


def options(place, *more):
    folder, _ = place
    plain = ["--scene", folder / "scene.yaml", "--device", "cpu", "--max-age", 0]
    return [*plain, "--diagnostics-period", 0.2, "--estimator.background", "white", *more]


def stamp_of(index):
    return bags.START_NS + index * PERIOD_NS


def recording(folder, pictures, compressed=False):
    """A bag of the camera's way at 10 Hz, with the truth."""
    images, poses = pictures
    messages = []
    for index, (image, pose) in enumerate(zip(images, poses, strict=True)):
        time_ns = index * PERIOD_NS
        header = conversions.header(stamp_of(index), "optical")
        messages.append((bags.INFO, time_ns, conversions.camera_to_message(CAMERA, header)))
        if compressed:
            message = conversions.encode_compressed(image, header)
            messages.append((f"{bags.IMAGE}/compressed", time_ns, message))
        else:
            messages.append((bags.IMAGE, time_ns, conversions.encode_image(image, header)))
        truth = conversions.se3_to_pose_stamped(pose, stamp_of(index), "world")
        messages.append((bags.TRUTH, time_ns, truth))
    return bags.write_bag(folder / "bag", messages)


def assert_near(found, truth, angle_deg=0.5, distance_m=0.005):
    error = pose_errors(found, truth)
    assert np.all(error.rotation_deg < angle_deg)
    assert np.all(error.translation < distance_m)


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_a_recording_becomes_poses_and_transforms_in_a_third_process(
    place, pictures, tmp_path, transport
):
    bag = recording(tmp_path, pictures, compressed=transport == "compressed")
    node = processes.Program(
        NODE, *options(place, "--transport", transport), environment=ONE_THREAD
    )
    record = processes.Program(RECORD, "--output", tmp_path / "out", "--timeout", 55, "--quiet", 8)
    with record as recorder, node as estimator:
        scripted.eventually(lambda: "listening to" in recorder.output, processes.PATIENCE_S)
        # Slowly, so that a loaded machine can keep up with most images.
        replay = ("--wait-for-subscribers", 55, "--rate", 0.25)
        status, output = processes.run(REPLAY, bag, *replay)
        assert status == 0, output
        assert recorder.wait() == 0, recorder.output + estimator.output
        assert estimator.send_until_end() == 0, estimator.output
        assert "Traceback" not in estimator.output
    poses = read_tum(tmp_path / "out" / "poses.tum")
    assert len(poses) >= N_IMAGES // 4
    for pose in poses:
        index = (pose.stamp_ns - bags.START_NS) // PERIOD_NS
        assert pose.stamp_ns == stamp_of(index)
        assert_near(pose.T_world_camera, pictures[1][index])
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["transforms"]["world -> optical"] >= len(poses) - 1
    assert summary["frame_id"] == "world"
    table = (tmp_path / "out" / "poses.csv").read_text().splitlines()
    assert len(table) == len(poses) + 1


# --- one process that several tests feed, image by image


@pytest.fixture(scope="module")
def running(place, own_domain):
    """A node that is ready for images."""
    # Without a limit of time answers are the same on a machine that is busy.
    patient = options(place, "--tracker.budget-s", "1000")
    with processes.Program(NODE, *patient, environment=ONE_THREAD) as program:
        camera = Driver(model=CAMERA)
        deadline = time.monotonic() + 2 * processes.PATIENCE_S
        while not camera.images.get_subscription_count():
            assert time.monotonic() < deadline, program.output
            time.sleep(0.05)
        camera.close()
        yield program


@pytest.fixture
def stream(running, listener, driver, pictures):
    """Send images of the way one by one, each after the answer to the one before."""
    ear = listener(POSES, DIAGNOSTICS, TRANSFORMS)
    camera = driver(model=CAMERA).wait()
    return Stream(camera, ear, pictures)


class Stream:
    hour = 0

    def __init__(self, camera, ear, pictures):
        self.camera, self.ear = camera, ear
        self.images, self.poses = pictures
        self.start_ns = 0
        self.begin()
        scripted.eventually(lambda: ear._node.count_publishers(POSE))

    def begin(self):
        """Go on an hour later, with a node that knows of nothing before."""
        Stream.hour += 1
        self.start_ns = bags.START_NS + Stream.hour * 3600 * 10**9
        assert self.camera.call(Trigger, "/pose_estimator/relocalize").success

    def send(self, index, **more):
        return self.camera.send(
            self.start_ns + index * PERIOD_NS, image=self.images[index], **more
        )

    def pose(self, index):
        """Send an image until it is answered, and return the pose."""
        stamp_ns = self.start_ns + index * PERIOD_NS
        found = []

        def answered():
            found[:] = [
                item.message
                for item in self.ear.heard(POSE)
                if conversions.stamp_to_nanoseconds(item.message.header.stamp) == stamp_ns
            ]
            return found

        deadline = time.monotonic() + processes.PATIENCE_S
        while not answered():
            assert time.monotonic() < deadline, statuses(self.ear, "camera")[-1:]
            self.send(index)
            again = time.monotonic() + 3.0
            while time.monotonic() < again and not answered():
                time.sleep(0.01)
        return conversions.pose_to_se3(found[0].pose)

    def wait_for_message(self, words, **how):
        """Send images until the diagnostics say something; return that status."""
        index = 0
        known = len(statuses(self.ear, "camera"))
        deadline = time.monotonic() + processes.PATIENCE_S
        while True:
            for status in statuses(self.ear, "camera")[known:]:
                if words in status.message:
                    return status
            assert time.monotonic() < deadline, statuses(self.ear, "camera")[-1:]
            self.send(index % N_IMAGES, **how)
            index += 1
            time.sleep(0.1)


def test_truth_that_is_published_falsely_changes_nothing(stream):
    """Twice the same images: without truth, and with a false one; poses are equal to the bit."""

    def alone(index):
        # Each image after a reset: what was rendered for earlier ones may be used again.
        stream.begin()
        return stream.pose(index).matrix()

    without = [alone(index) for index in range(4)]
    false = stream.camera.node.create_publisher(PoseStamped, bags.TRUTH, 10)
    again = []
    for index in range(4):
        lie = SE3.exp(np.array([index, 1.0, 2.0, 0.3, 0.0, 0.0]))
        stamp_ns = stream.start_ns + 3600 * 10**9 + index * PERIOD_NS
        false.publish(conversions.se3_to_pose_stamped(lie, stamp_ns, "world"))
        again.append(alone(index))
    np.testing.assert_array_equal(without, again)
    listening = stream.camera.node.get_subscriptions_info_by_topic(bags.TRUTH)
    assert "pose_estimator" not in {item.node_name for item in listening}


def test_a_stream_whose_time_jumps_back_goes_on(stream):
    for index in (3, 4):
        assert_near(stream.pose(index), stream.poses[index])
    stream.start_ns -= 1800 * 10**9
    for index in (0, 1):
        assert_near(stream.pose(index), stream.poses[index])


def test_camera_info_of_another_size_or_uncalibrated_is_explained_and_forgiven(stream):
    other = Camera(640, 480, 600.0, 600.0, 319.5, 239.5)
    status = stream.wait_for_message("expected the 320x240 of the image, got 640x480", model=other)
    assert status.level == DiagnosticStatus.ERROR
    zeros = conversions.camera_to_message(CAMERA, conversions.header(0, "optical"))
    zeros.k = np.zeros(9)
    stream.camera.infos.publish(zeros)
    stream.wait_for_message("calibrat", info=False)
    stream.begin()
    assert_near(stream.pose(0), stream.poses[0])
    stream.wait_for_message("tracking")


def test_services_answer_while_images_come(stream):
    stop = threading.Event()

    def feed():
        index = 0
        while not stop.wait(0.05):
            stream.send(index % N_IMAGES)
            index += 1

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    asking = Driver(model=CAMERA)
    try:
        for _ in range(5):
            assert asking.call(Trigger, "/pose_estimator/relocalize").success
            assert asking.set("max_age", 0.0).successful
        assert not asking.set("max_age", -1.0).successful
    finally:
        stop.set()
        thread.join()
        asking.close()


def test_a_disabled_node_is_silent_until_it_is_enabled(stream):
    off = SetBool.Request(data=False)
    assert stream.camera.call(SetBool, "/pose_estimator/enable", off).message == "disabled"
    scripted.eventually(lambda: not stream.camera.images.get_subscription_count())
    on = SetBool.Request(data=True)
    assert stream.camera.call(SetBool, "/pose_estimator/enable", on).message == "active"
    stream.camera.wait()
    assert_near(stream.pose(2), stream.poses[2])


def test_the_lifecycle_goes_round_and_localises_again(stream):
    camera = stream.camera
    assert camera.state() == "active"
    assert camera.go("deactivate") == "inactive"
    scripted.eventually(lambda: not camera.images.get_subscription_count())
    assert camera.go("cleanup") == "unconfigured"
    assert camera.go("configure") == "inactive"
    assert camera.go("activate") == "active"
    camera.wait()
    assert_near(stream.pose(5), stream.poses[5])


def test_transforms_say_what_poses_say(stream):
    pose = stream.pose(1)
    stamp_ns = stream.start_ns + PERIOD_NS

    def sent():
        return [
            transform
            for item in stream.ear.heard("/tf")
            for transform in item.message.transforms
            if conversions.stamp_to_nanoseconds(transform.header.stamp) == stamp_ns
        ]

    scripted.eventually(sent)
    transform = sent()[0]
    assert (transform.header.frame_id, transform.child_frame_id) == ("world", "optical")
    found = conversions.transform_to_se3(transform.transform)
    np.testing.assert_allclose(found.matrix(), pose.matrix(), atol=1e-9)


# --- processes of their own


def test_simulated_time_of_a_looped_recording(place, pictures, tmp_path, listener):
    bag = recording(tmp_path, pictures)
    arguments = options(place, "--ros-args", "-p", "use_sim_time:=true")
    ear = listener(POSES, DIAGNOSTICS)
    replay = ("--loop", "--clock-rate", 50, "--rate", 0.4, "--wait-for-subscribers", 55)
    with (
        processes.Program(NODE, *arguments, environment=ONE_THREAD) as node,
        processes.Program(REPLAY, bag, *replay),
    ):

        def went_round():
            found = bags.stamps(ear.heard(POSE))
            return any(later < one for one, later in itertools.pairwise(found))

        try:
            ear.wait_until(lambda _: went_round())
        except AssertionError as error:
            raise AssertionError(node.output) from error
        assert_near_the_truth_of_their_stamps(ear.heard(POSE), pictures[1])
        # Stamps and the node's time are of one clock, so that a latency is known.
        ear.wait_until(
            lambda _: any("latency_ms" in values(status) for status in statuses(ear, "camera"))
        )


def assert_near_the_truth_of_their_stamps(heard, truth):
    for received in heard:
        stamp_ns = conversions.stamp_to_nanoseconds(received.message.header.stamp)
        found = conversions.pose_to_se3(received.message.pose)
        assert_near(found, truth[(stamp_ns - bags.START_NS) // PERIOD_NS])


def test_two_cameras_are_localised_by_one_process(place, pictures, listener, driver):
    names = ("front", "rear")
    topics = [f"/pose_estimator/{name}/camera_pose" for name in names]
    ear = listener(*((topic, PoseStamped, processes.reliable()) for topic in topics))
    arguments = options(place, "--cameras", "front,rear")
    with processes.Program(NODE, *arguments, environment=ONE_THREAD) as node:
        cameras = [driver(name, f"{name}_optical", CAMERA) for name in names]
        deadline = time.monotonic() + 2 * processes.PATIENCE_S
        index = 0
        while not all(ear.heard(topic) for topic in topics):
            assert time.monotonic() < deadline, node.output
            for camera, shown in zip(cameras, (0, 6), strict=True):
                camera.send(stamp_of(index), image=pictures[0][shown])
            index += 1
            time.sleep(0.2)
    for topic, shown in zip(topics, (0, 6), strict=True):
        found = conversions.pose_to_se3(ear.heard(topic)[0].message.pose)
        assert_near(found, pictures[1][shown])


def test_a_misspelt_key_and_an_absent_scene_end_the_node_with_one_line(tmp_path):
    path = tmp_path / "params.yaml"
    section = {"tf": {"mod": "camera"}}
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": section}}))
    status, output = processes.run(NODE, "--ros-args", "--params-file", path)
    assert status == 2
    assert "did you mean tf.mode?" in output
    assert f"{path}:" in output
    status, output = processes.run(NODE, "--scene", tmp_path / "absent.yaml")
    assert status == 2
    assert "absent.yaml" in output.splitlines()[-1]
    assert "Traceback" not in output


def test_images_of_another_place_are_lost_and_never_a_pose(place, external_data, listener):
    bag = external_data("ros_bag") / "aruco_ros2_mcap"
    ear = listener(POSES, DIAGNOSTICS)
    more = ["--image-topics", "/raspicam_node/image", "--transport", "compressed"]
    with processes.Program(NODE, *options(place, *more), environment=ONE_THREAD) as node:
        replay = ("--restamp", "--wait-for-subscribers", 55, "--loop")
        with processes.Program(REPLAY, bag, *replay):
            try:
                ear.wait_until(
                    lambda _: any(int(values(s)["lost"]) > 2 for s in statuses(ear, "camera"))
                )
            except AssertionError as error:
                raise AssertionError(str(statuses(ear, "camera")[-1:]) + node.output) from error
    assert not ear.heard(POSE)
