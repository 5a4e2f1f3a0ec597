"""The node `pose_estimator` with scripted trackers: topics, states, services, diagnostics.

Node and listener are of this process, but talk over DDS. Whole processes with the real
estimator are in test_pose_estimator_processes.py.
"""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import processes
import scripted
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from driver import CAMERA, statuses, values
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from rclpy.lifecycle import TransitionCallbackReturn
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.io.scene import save_scene
from fast_inerf_ros.nodes import conversions, distribution
from fast_inerf_ros.nodes.localisation import diagnostics as diagnosis

POSE = "/pose_estimator/camera_pose"
DIAGNOSTICS = ("/diagnostics", DiagnosticArray, processes.reliable())
ACTIVE = "active"


@pytest.fixture
def running():
    """Start nodes that live as long as the test."""
    made = []

    def start(model=None, begin=True, **parameters):
        made.append(scripted.RunningNode(model or scripted.ScriptedModel(), **parameters))
        return made[-1].start() if begin else made[-1]

    yield start
    for item in made:
        item.close()


# --- what is published


def test_everything_about_a_localised_image_is_published_with_its_stamp(running, driver, listener):
    mug = scripted.moved_mug()
    model = scripted.ScriptedModel(
        lambda seen: scripted.estimate_of(seen, scripted.T_WORLD_CAMERA, objects=[mug])
    )
    node = running(model)
    prefix = "/pose_estimator/"
    kinds = {
        "camera_pose": PoseStamped,
        "camera_pose_cov": PoseWithCovarianceStamped,
        "objects/mug/pose": PoseStamped,
        "markers": MarkerArray,
        "mask": Image,
        "overlay": Image,
    }
    topics = [(prefix + name, kind, processes.reliable()) for name, kind in kinds.items()]
    ear = listener(*topics, ("/tf", TFMessage, processes.reliable()))
    camera = driver().wait()
    sent = []
    everything = [prefix + name for name in kinds] + ["/tf"]
    camera.send_until(
        lambda: sent.append(camera.send()) or all(ear.heard(topic) for topic in everything)
    )
    stamps = {item.stamp_ns for item in node.tracker.observations}
    for name in ("camera_pose", "camera_pose_cov", "objects/mug/pose"):
        for received in ear.heard(prefix + name):
            header = received.message.header
            assert header.frame_id == "world"
            assert conversions.stamp_to_nanoseconds(header.stamp) in stamps
    pose = conversions.pose_to_se3(ear.heard(prefix + "camera_pose")[0].message.pose)
    np.testing.assert_allclose(pose.matrix(), scripted.T_WORLD_CAMERA.matrix(), atol=1e-9)
    seen_mug = conversions.pose_to_se3(ear.heard(prefix + "objects/mug/pose")[0].message.pose)
    np.testing.assert_allclose(seen_mug.matrix(), mug.T_world_object.matrix(), atol=1e-9)
    transform = ear.heard("/tf")[0].message.transforms[0]
    assert (transform.header.frame_id, transform.child_frame_id) == ("world", "optical")
    picture = ear.heard(prefix + "overlay")[0].message
    assert (picture.width, picture.height, picture.header.frame_id) == (32, 24, "optical")
    drawn = {item.ns: item for item in ear.heard(prefix + "markers")[0].message.markers}
    assert drawn["frustum"].action == Marker.ADD
    assert len(drawn["frustum"].points) == 16


def test_lost_is_lost_no_pose_no_transform_and_a_reason(running, driver, listener):
    running(scripted.ScriptedModel(lambda seen: None))
    topics = [(POSE, PoseStamped, processes.reliable()), ("/tf", TFMessage, processes.reliable())]
    ear = listener(*topics, DIAGNOSTICS)
    camera = driver().wait()
    camera.send_until(lambda: any("lost" in item.message for item in statuses(ear, "camera")))
    status = statuses(ear, "camera")[-1]
    assert status.level == DiagnosticStatus.WARN
    assert "told to be lost" in status.message
    assert values(status)["state"] == "lost"
    assert not ear.heard(POSE)
    assert not ear.heard("/tf")


def test_published_covariance_is_that_of_fixed_axes_of_the_header():
    """Monte Carlo: poses that truly scatter as the estimator says scatter as the message says."""
    from fast_inerf_ros.geometry.covariance import tangent_covariance_to_ros

    generator = np.random.default_rng(5)
    root = generator.normal(size=(6, 6)) * 2e-3
    covariance = root @ root.T
    pose = scripted.T_WORLD_CAMERA
    message = conversions.se3_to_pose_with_covariance(
        pose, tangent_covariance_to_ros(covariance, pose), 0, "world"
    )
    published = conversions.covariance_from_message(message)
    twists = generator.multivariate_normal(np.zeros(6), covariance, 200_000)
    scattered = pose @ SE3.exp(twists)
    moved = scattered.translation - pose.translation
    turned = (scattered.rotation @ pose.rotation.inverse()).log()
    sampled = np.cov(np.hstack([moved, turned]).T)
    scale = np.sqrt(np.outer(np.diagonal(sampled), np.diagonal(sampled)))
    assert np.abs((published - sampled) / scale).max() < 0.02
    assert isinstance(pose.rotation, SO3)


def test_nothing_is_computed_that_nobody_listens_to(running, driver, monkeypatch):
    from fast_inerf_ros.nodes.localisation import outputs

    def forbidden(*_):
        raise AssertionError("computed in vain")

    for name in ("overlay", "class_mask", "markers", "tangent_covariance_to_ros"):
        monkeypatch.setattr(outputs, name, forbidden)
    node = running()
    camera = driver().wait()
    camera.send_until(lambda: len(node.tracker.observations) > 5)
    counts = node.node._session.cameras["camera"].counts
    assert counts.snapshot()["failed"] == 0


# --- images that cannot be used


def test_an_image_without_camera_info_is_explained(running, driver, listener):
    running()
    ear = listener(DIAGNOSTICS)
    camera = driver().wait()
    camera.send_until(
        lambda: any("got none yet" in item.message for item in statuses(ear, "camera")), info=False
    )
    status = [item for item in statuses(ear, "camera") if "got none yet" in item.message][-1]
    assert status.level == DiagnosticStatus.ERROR
    assert "/camera/camera_info" in status.message


def test_malformed_images_are_counted_and_the_log_is_throttled(running, driver, listener, capfd):
    node = running()
    camera = driver().wait()
    counts = node.node._session.cameras["camera"].counts
    began = time.monotonic()

    def sent():
        camera.send(data=b"short")
        return counts.snapshot()["malformed"] > 100

    scripted.eventually(sent)
    found = counts.snapshot()
    assert found["received"] - found["malformed"] <= 1
    lines = capfd.readouterr().err.count("image data: expected")
    assert lines <= 1 + (time.monotonic() - began) / 5.0
    camera.send_until(lambda: counts.snapshot()["localised"] > 0)


def test_compressed_images_are_understood_and_truncated_ones_counted(running, driver):
    node = running(transport="compressed")
    camera = driver()
    camera.wait(camera.compressed)
    counts = node.node._session.cameras["camera"].counts
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)

    def send():
        header = conversions.header(time.time_ns(), "optical")
        camera.infos.publish(conversions.camera_to_message(CAMERA, header))
        message = conversions.encode_compressed(image, header, "png")
        camera.compressed.publish(message)
        message.data = message.data[:50]
        camera.compressed.publish(message)
        time.sleep(0.05)
        return counts.snapshot()

    scripted.eventually(lambda: (found := send())["localised"] and found["malformed"])
    np.testing.assert_array_equal(node.tracker.observations[-1].image, image)


def test_a_topic_without_publisher_is_an_error_and_a_silent_one_a_warning(
    running, driver, listener
):
    running()
    ear = listener(DIAGNOSTICS)
    scripted.eventually(lambda: statuses(ear, "camera"))
    assert "nobody publishes images on /camera/image_raw" in statuses(ear, "camera")[0].message
    driver().wait()
    scripted.eventually(
        lambda: any("no images come" in item.message for item in statuses(ear, "camera"))
    )


# --- lifecycle and services


def test_inactive_means_no_subscriptions_and_the_node_can_be_configured_again(running, driver):
    node = running(begin=False)
    camera = driver()
    for _ in range(2):
        assert camera.go("configure") == "inactive"
        assert not node.node.count_subscribers("/camera/image_raw")
        assert not node.node.count_subscribers("/initialpose")
        assert camera.go("activate") == ACTIVE
        camera.wait()
        camera.send_until(lambda: node.tracker.observations)
        assert camera.go("deactivate") == "inactive"
        scripted.eventually(lambda: not node.node.count_subscribers("/camera/image_raw"))
        assert not node.node.count_subscribers("/tf")
        assert camera.go("activate") == ACTIVE
        assert camera.go("deactivate") == "inactive"
        assert camera.go("cleanup") == "unconfigured"
        scripted.eventually(lambda: not node.node.count_publishers(POSE))
        node.models.append(scripted.ScriptedModel())
    assert camera.go("shutdown") == "finalized"


def test_a_configuration_that_takes_long_keeps_nobody_waiting(running, driver, monkeypatch):
    entered, finish = threading.Event(), threading.Event()
    node = running(begin=False)

    def load(config):
        entered.set()
        assert finish.wait(processes.PATIENCE_S)
        return scripted.ScriptedModel()

    monkeypatch.setattr(node.node, "_load", load)
    camera = driver()
    for _ in range(6):  # the first request to a server that does not know the client can get lost
        if not entered.is_set():
            camera.begin("configure")
            entered.wait(processes.PATIENCE_S / 6)
    assert entered.is_set()
    assert camera.state() == "configuring"
    assert not camera.call(Trigger, "/pose_estimator/relocalize").success
    assert camera.set("max_age", 2.0).successful
    finish.set()
    scripted.eventually(lambda: camera.state() == "inactive")


def test_services_answer_while_an_image_is_estimated(running, driver):
    entered, finish = threading.Event(), threading.Event()

    def script(observation):
        entered.set()
        assert finish.wait(processes.PATIENCE_S)
        return scripted.T_WORLD_CAMERA

    node = running(scripted.ScriptedModel(script))
    camera = driver().wait()
    camera.send_until(entered.is_set)
    assert camera.call(Trigger, "/pose_estimator/relocalize").success
    counts = node.node._session.cameras["camera"].counts
    camera.send_until(lambda: counts.snapshot()["replaced"] > 1)
    known = len(node.tracker.resets)
    finish.set()
    scripted.eventually(lambda: len(node.tracker.resets) > known)
    scripted.eventually(lambda: len(node.tracker.observations) > 1)


def test_a_disabled_node_does_not_subscribe(running, driver):
    node = running()
    camera = driver().wait()
    off = camera.call(SetBool, "/pose_estimator/enable", SetBool.Request(data=False))
    assert (off.success, off.message) == (True, "disabled")
    scripted.eventually(lambda: not node.node.count_subscribers("/camera/image_raw"))
    assert not camera.call(Trigger, "/pose_estimator/relocalize").success
    on = camera.call(SetBool, "/pose_estimator/enable", SetBool.Request(data=True))
    assert on.message == ACTIVE
    camera.wait()
    camera.send_until(lambda: node.tracker.observations)


def test_an_error_in_configure_is_told_and_leaves_the_node_unconfigured(running, monkeypatch):
    from fast_inerf_ros.errors import InputError

    node = running(begin=False)

    def load(config):
        raise InputError("scene: expected a scene, got none: give one")

    monkeypatch.setattr(node.node, "_load", load)
    assert node.node.trigger_configure() is TransitionCallbackReturn.FAILURE
    assert node.node.problem == "scene: expected a scene, got none: give one"
    monkeypatch.undo()
    assert node.node.trigger_configure() is TransitionCallbackReturn.SUCCESS


@pytest.mark.parametrize("mode", ["base", "odom"])
def test_modes_that_look_up_are_refused_clearly_without_tf2_ros(running, monkeypatch, mode):
    monkeypatch.setattr(distribution, "_optional_module", lambda name: None)
    node = running(begin=False, **{"tf.mode": mode})
    assert node.node.trigger_configure() is TransitionCallbackReturn.FAILURE
    assert f"tf.mode '{mode}' looks frames up in TF" in node.node.problem
    assert "tf2_ros" in node.node.problem


def test_a_scene_without_scale_refuses_the_robots_frames(running):
    import dataclasses

    scene = dataclasses.replace(scripted.SCENE, metric=False)
    node = running(scripted.ScriptedModel(scene=scene), begin=False, **{"tf.mode": "base"})
    assert node.node.trigger_configure() is TransitionCallbackReturn.FAILURE
    assert "not metric" in node.node.problem


# --- another parent, another scene, another pose


def test_a_second_parent_of_the_optical_frame_ends_our_transforms(running, driver, listener):
    node = running()
    ear = listener(("/tf", TFMessage, processes.reliable()), DIAGNOSTICS)
    camera = driver().wait()
    sender = distribution.static_transform_broadcaster(camera.node)
    camera.send_until(lambda: ear.heard("/tf"))
    sender.sendTransform(
        conversions.se3_to_transform_stamped(SE3.identity(), 0, "base_link", "optical")
    )
    session = node.node._session
    camera.send_until(lambda: session.transforms.blocked)
    assert "'base_link'" in session.transforms.blocked
    assert "one parent only" in session.transforms.blocked
    known = len(ear.heard("/tf"))
    seen = len(node.tracker.observations)
    camera.send_until(lambda: len(node.tracker.observations) > seen + 3)
    assert len(ear.heard("/tf")) <= known + 1
    scripted.eventually(
        lambda: any("one parent only" in item.message for item in statuses(ear, "node"))
    )


def test_a_second_parent_that_was_there_before_is_noticed(running, driver):
    camera = driver()
    sender = distribution.static_transform_broadcaster(camera.node)
    sender.sendTransform(
        conversions.se3_to_transform_stamped(SE3.identity(), 0, "base_link", "optical")
    )
    node = running()
    camera.wait()
    camera.send_until(lambda: node.node._session.transforms.blocked)


def test_initialpose_reaches_the_tracker_as_the_pose_of_the_camera(running, driver):
    node = running(scripted.ScriptedModel(lambda seen: None))
    camera = driver().wait()
    camera.send_until(lambda: node.tracker.observations)
    publisher = camera.node.create_publisher(PoseWithCovarianceStamped, "/initialpose", 1)
    scripted.eventually(publisher.get_subscription_count)
    message = PoseWithCovarianceStamped(header=conversions.header(0, "world"))
    message.pose.pose = conversions.se3_to_pose(SE3.identity())
    message.pose.pose.position.x = 2.0
    publisher.publish(message)
    camera.send_until(lambda: any(prior is not None for prior in node.tracker.resets))
    prior = node.tracker.resets[-1]
    assert prior.T_world_camera.translation == pytest.approx([2.0, 0.0, 0.0])
    ahead = prior.T_world_camera.rotation.matrix @ [0.0, 0.0, 1.0]
    assert ahead == pytest.approx([1.0, 0.0, 0.0], abs=1e-9)
    assert np.diagonal(prior.covariance).max() > 1e5


def test_the_scene_changes_at_run_time_and_a_wrong_one_is_refused(
    running, driver, listener, tmp_path
):
    node = running()
    camera = driver().wait()
    ear = listener((POSE, PoseStamped, processes.reliable()))
    camera.send_until(lambda: ear.heard(POSE))
    refused = camera.set("scene", str(tmp_path / "absent.yaml"))
    assert not refused.successful
    assert "absent.yaml" in refused.reason
    import dataclasses

    other = dataclasses.replace(scripted.SCENE, frame_id="attic")
    save_scene(other, tmp_path / "scene.yaml")
    node.models.append(scripted.ScriptedModel(scene=other))
    assert camera.set("scene", str(tmp_path / "scene.yaml")).successful
    camera.send_until(
        lambda: any(item.message.header.frame_id == "attic" for item in ear.heard(POSE))
    )
    assert yaml.safe_load((tmp_path / "scene.yaml").read_text())["frame_id"] == "attic"


def test_two_cameras_have_topics_and_trackers_of_their_own_and_one_model(
    running, driver, listener
):
    model = scripted.ScriptedModel()
    running(model, cameras=["front", "rear"])
    front, rear = driver("front", "front_optical").wait(), driver("rear", "rear_optical").wait()
    topics = [f"/pose_estimator/{name}/camera_pose" for name in ("front", "rear")]
    ear = listener(
        *((topic, PoseStamped, processes.reliable()) for topic in topics),
        ("/tf", TFMessage, processes.reliable()),
    )
    front.send_until(lambda: rear.send() and all(ear.heard(topic) for topic in topics))
    first, second = model.trackers
    assert {item.frame_id for item in first.observations} == {"front_optical"}
    assert {item.frame_id for item in second.observations} == {"rear_optical"}
    front.send_until(lambda: ear.heard("/tf"))
    children = [item.message.transforms[0].child_frame_id for item in ear.heard("/tf")]
    assert children.count("front_optical") >= len(children) - 1


def test_a_stream_that_starts_over_goes_on(running, driver):
    node = running(max_age=0.0)
    camera = driver().wait()
    start = time.time_ns()
    camera.send_until(lambda: node.tracker.observations, stamp_ns=start)
    scripted.eventually(lambda: camera.send(start - 10**10) and len(node.tracker.observations) > 1)
    assert node.tracker.observations[-1].stamp_ns == start - 10**10
    assert None in node.tracker.resets


def test_memory_is_told():
    assert diagnosis.resident_mebibytes() > 10.0
