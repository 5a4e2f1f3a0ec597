"""Which transform each TF mode sends, when, and for which camera."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import scripted
from geometry_msgs.msg import TransformStamped

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.estimator.estimate import Tracked, TrackingState
from fast_inerf_ros.estimator.observation import Observation
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.nodes import conversions
from fast_inerf_ros.nodes.distribution import TransformUnavailable
from fast_inerf_ros.nodes.localisation.pipeline import Result
from fast_inerf_ros.nodes.localisation.settings import TransformConfig
from fast_inerf_ros.nodes.localisation.transforms import (
    CameraChoice,
    TransformOutput,
    child_frame,
    frame_pair,
    require_possible,
)

NOW = 1_700_000_000_000_000_000
POSE = scripted.T_WORLD_CAMERA
T_BASE_CAMERA = SE3.exp(np.array([0.1, 0.2, 0.3, 0.5, -0.4, 0.3]))
T_ODOM_BASE = SE3.exp(np.array([3.0, -1.0, 0.0, 0.0, 0.0, 1.2]))


def assert_same(first, second):
    np.testing.assert_allclose(first.matrix(), second.matrix(), atol=1e-12)


class Sender:
    def __init__(self):
        self.sent = []

    def sendTransform(self, message):
        self.sent.append(message)


class Lookup:
    """TF in which the camera is mounted on a base that moves in odom."""

    def __init__(self):
        self.asked = []
        self.available = True

    def lookup(self, target, source, stamp_ns, timeout_s):
        self.asked.append((target, source, stamp_ns))
        if not self.available:
            raise TransformUnavailable(f"{source} in {target}: extrapolation")
        T_camera = {"base_link": T_BASE_CAMERA, "odom": T_ODOM_BASE @ T_BASE_CAMERA}[source]
        pose = T_camera.inverse()
        return conversions.se3_to_transform_stamped(pose, stamp_ns, target, source)

    def close(self):
        pass


def result(camera="camera", pose=POSE, stamp_ns=NOW, covariance=None):
    image = np.zeros((4, 6, 3), np.uint8)
    observation = Observation(image, Camera(6, 4, 5.0, 5.0, 2.5, 1.5), stamp_ns, "optical")
    estimate = scripted.estimate_of(observation, pose, covariance)
    state = TrackingState.LOST if pose is None else TrackingState.TRACKING
    return Result(camera, observation, Tracked(state, estimate), 0)


def output(mode, lookup=None, cameras=("camera",), **more):
    sender = Sender()
    config = TransformConfig(mode=mode, **more)
    made = TransformOutput(sender, lambda: lookup, config, "map", cameras, lambda: NOW + 5)
    return made, sender


def only(sender) -> TransformStamped:
    (message,) = sender.sent
    return message


def pose_of(message):
    return conversions.transform_to_se3(message.transform)


def names(message):
    return message.header.frame_id, message.child_frame_id


def stamp(message):
    return conversions.stamp_to_nanoseconds(message.header.stamp)


def test_camera_places_the_optical_frame_in_the_world():
    made, sender = output("camera")
    made.send(result())
    assert names(only(sender)) == ("map", "optical")
    assert stamp(only(sender)) == NOW
    assert_same(pose_of(only(sender)), POSE)


def test_inverse_hangs_the_world_below_the_optical_frame():
    made, sender = output("inverse")
    made.send(result())
    assert names(only(sender)) == ("optical", "map")
    assert_same(pose_of(only(sender)), POSE.inverse())


def test_base_places_the_robot_through_its_mounting():
    made, sender = output("base", Lookup())
    made.send(result())
    assert names(only(sender)) == ("map", "base_link")
    assert_same(pose_of(only(sender)) @ T_BASE_CAMERA, POSE)


def test_odom_corrects_the_odometry_at_the_images_own_time():
    lookup = Lookup()
    made, sender = output("odom", lookup, transform_tolerance=0.25)
    made.send(result())
    assert names(only(sender)) == ("map", "odom")
    assert lookup.asked == [("optical", "odom", NOW)]
    assert_same(pose_of(only(sender)) @ T_ODOM_BASE @ T_BASE_CAMERA, POSE)
    assert stamp(only(sender)) == NOW + 5 + 250_000_000


def test_none_sends_nothing():
    made, sender = output("none")
    made.send(result())
    assert not sender.sent


@pytest.mark.parametrize("mode", ["camera", "inverse", "base"])
def test_nothing_is_sent_while_lost(mode):
    made, sender = output(mode, Lookup())
    made.send(result())
    made.send(result(pose=None, stamp_ns=NOW + 1))
    made.repeat_correction()
    assert len(sender.sent) == 1


def test_odom_keeps_its_last_correction_while_lost():
    made, sender = output("odom", Lookup())
    made.send(result())
    made.send(result(pose=None, stamp_ns=NOW + 1))
    made.repeat_correction()
    first, repeated = sender.sent
    assert_same(pose_of(first), pose_of(repeated))
    made.forget()
    made.repeat_correction()
    assert len(sender.sent) == 2


def test_a_transform_that_tf_does_not_know_is_a_problem_and_passes():
    lookup = Lookup()
    lookup.available = False
    made, sender = output("base", lookup)
    made.send(result())
    assert not sender.sent
    assert "base_link in optical: extrapolation" in made.problem
    lookup.available = True
    made.send(result(stamp_ns=NOW + 1))
    assert made.problem == ""
    assert len(sender.sent) == 1


def test_a_blocked_output_is_silent():
    made, sender = output("camera")
    made.blocked = "two parents"
    made.send(result())
    assert not sender.sent


def test_the_robots_frames_need_a_metric_scene():
    for mode in ("base", "odom"):
        require_possible(TransformConfig(mode=mode), metric=True)
        with pytest.raises(InputError, match="not metric"):
            require_possible(TransformConfig(mode=mode), metric=False)
    for mode in ("camera", "inverse", "none"):
        require_possible(TransformConfig(mode=mode), metric=False)


@pytest.mark.parametrize("mode", ["camera", "inverse", "base", "odom", "none"])
def test_the_child_that_is_watched_is_the_child_that_is_sent(mode):
    config = TransformConfig(mode=mode)
    pair = frame_pair(config, "map", "optical", POSE, SE3.identity())
    assert child_frame(config, "map", "optical") == (None if pair is None else pair.child)


# --- several cameras


def test_the_first_camera_that_is_localised_speaks():
    choice = CameraChoice(("front", "rear"), by_covariance=False, hold_s=0.5)
    assert choice.speaks(result("rear"))
    assert choice.speaks(result("front", stamp_ns=NOW + 1))
    assert not choice.speaks(result("rear", stamp_ns=NOW + 2))
    choice.forget("front")
    assert choice.speaks(result("rear", stamp_ns=NOW + 3))


def test_a_silent_camera_loses_its_say_after_a_while():
    choice = CameraChoice(("front", "rear"), by_covariance=False, hold_s=0.5)
    assert choice.speaks(result("front"))
    assert not choice.speaks(result("rear", stamp_ns=NOW + 400_000_000))
    assert choice.speaks(result("rear", stamp_ns=NOW + 600_000_000))


def test_the_most_certain_camera_speaks():
    choice = CameraChoice(("front", "rear"), by_covariance=True, hold_s=0.5)
    assert choice.speaks(result("front", covariance=np.eye(6)))
    assert choice.speaks(result("rear", stamp_ns=NOW + 1, covariance=0.1 * np.eye(6)))
    assert not choice.speaks(result("front", stamp_ns=NOW + 2, covariance=np.eye(6)))


def test_one_transform_is_sent_for_several_cameras():
    made, sender = output("camera", cameras=("front", "rear"))
    for number, camera in enumerate(["front", "rear", "front", "rear"]):
        made.send(result(camera, stamp_ns=NOW + number))
    assert len(sender.sent) == 2


def test_live_options_reach_the_output():
    made, sender = output("odom", Lookup())
    made.config = dataclasses.replace(made.config, transform_tolerance=1.0)
    made.send(result())
    assert stamp(only(sender)) == NOW + 5 + 10**9
