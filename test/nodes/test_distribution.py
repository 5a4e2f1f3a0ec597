from __future__ import annotations

import importlib.util
import os
import sys
import types
import xml.etree.ElementTree as ElementTree

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import processes
from geometry_msgs.msg import TransformStamped
from rclpy.context import Context
from rclpy.node import Node
from tf2_msgs.msg import TFMessage

from fast_inerf_ros.config import dump
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.nodes import distribution
from fast_inerf_ros.nodes.replay_config import ReplayConfig


@pytest.fixture
def node():
    context = Context()
    context.init()
    made = Node("sender", context=context)
    yield made
    made.destroy_node()
    context.try_shutdown()


def transform(child, x=0.0):
    message = TransformStamped(child_frame_id=child)
    message.transform.translation.x = x
    return message


def test_moving_transforms_arrive(node, listener):
    sender = distribution.transform_broadcaster(node)
    ear = listener(("/tf", TFMessage, processes.reliable()))
    ear.wait_until(lambda _: node.count_subscribers("/tf"))
    sender.sendTransform(transform("a"))
    sender.sendTransform([transform("b"), transform("c")])
    heard = ear.wait_for("/tf", 2)
    children = [[item.child_frame_id for item in one.message.transforms] for one in heard]
    assert children == [["a"], ["b", "c"]]


def test_late_subscribers_receive_every_static_transform(node, listener):
    sender = distribution.static_transform_broadcaster(node)
    sender.sendTransform([transform("a"), transform("b")])
    sender.sendTransform(transform("c"))
    sender.sendTransform(transform("a", x=5.0))
    ear = listener(("/tf_static", TFMessage, processes.reliable(latched=True)))
    latest = ear.wait_for("/tf_static", 1)[0].message.transforms
    assert {item.child_frame_id: item.transform.translation.x for item in latest} == {
        "a": 5.0,
        "b": 0.0,
        "c": 0.0,
    }


def test_the_broadcasters_of_tf2_ros_are_used_where_there_are_any(monkeypatch):
    fake = types.ModuleType("tf2_ros")
    fake.TransformBroadcaster = lambda node: ("moving", node)
    fake.StaticTransformBroadcaster = lambda node: ("static", node)
    monkeypatch.setitem(sys.modules, "tf2_ros", fake)
    assert distribution.transform_broadcaster("n") == ("moving", "n")
    assert distribution.static_transform_broadcaster("n") == ("static", "n")
    assert distribution.require_tf_lookup("tf_mode 'odom'") is fake


def test_looking_transforms_up_is_refused_without_tf2_ros(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    with pytest.raises(InputError, match=r"^tf_mode 'odom' .*source a ROS 2 distribution"):
        distribution.require_tf_lookup("tf_mode 'odom'")


def fake_tf2(answer):
    """What this package uses of tf2_ros, after its documented signatures."""
    fake = types.ModuleType("tf2_ros")

    class TransformException(Exception):
        pass

    class Buffer:
        def __init__(self, cache_time=None, node=None):
            self.node = node

        def lookup_transform(self, target_frame, source_frame, time, timeout):
            return answer(target_frame, source_frame, time.nanoseconds, timeout.nanoseconds)

    class TransformListener:
        ended = 0

        def __init__(self, buffer, node, *, spin_thread=False):
            assert buffer.node is node
            assert not spin_thread

        def unregister(self):
            TransformListener.ended += 1

    fake.TransformException, fake.Buffer = TransformException, Buffer
    fake.TransformListener = TransformListener
    return fake


def test_transforms_are_looked_up_through_tf2_ros(monkeypatch):
    def answer(target, source, time_ns, timeout_ns):
        if time_ns > 100:
            raise fake.TransformException("would require\nextrapolation")
        return target, source, time_ns, timeout_ns

    fake = fake_tf2(answer)
    monkeypatch.setitem(sys.modules, "tf2_ros", fake)
    lookup = distribution.transform_lookup("node", "tf.mode 'odom'")
    assert lookup.lookup("a", "b", 7, 0.5) == ("a", "b", 7, 500_000_000)
    with pytest.raises(distribution.TransformUnavailable, match="b in a: would require extrap"):
        lookup.lookup("a", "b", 101, 0.0)
    lookup.close()
    assert fake.TransformListener.ended == 1


def test_without_tf2_ros_there_is_no_lookup(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    assert distribution.transform_lookup_if_any("node") is None
    with pytest.raises(InputError, match="source a ROS 2 distribution"):
        distribution.transform_lookup("node", "tf.mode 'odom'")


def test_a_cv_bridge_is_used_only_with_a_distribution(monkeypatch):
    fake = types.ModuleType("cv_bridge")
    monkeypatch.setitem(sys.modules, "cv_bridge", fake)
    monkeypatch.setenv("ROS_DISTRO", "kilted")
    assert distribution.cv_bridge() is None  # it has no CvBridge: not the one meant
    fake.CvBridge = object
    assert distribution.cv_bridge() is fake
    monkeypatch.delenv("ROS_DISTRO")
    assert distribution.cv_bridge() is None


def test_message_classes_are_found_by_their_names():
    assert distribution.message_class("tf2_msgs/msg/TFMessage") is TFMessage
    for name in ("xyz_msgs/msg/No", "tf2_msgs/msg/No", "tf2_msgs/TFMessage", "", "a/msg/b c"):
        assert distribution.message_class(name) is None


def test_launch_and_config_files_are_found():
    share = distribution.share_directory()
    assert (share / "config" / "replay.yaml").is_file()
    assert (share / "launch" / "replay.launch.py").is_file()


def test_children_get_the_profile_and_stay_on_this_machine(monkeypatch):
    child = distribution.environment(42, base={})
    assert child["ROS_DOMAIN_ID"] == "42"
    assert child["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    root = ElementTree.parse(child["FASTDDS_DEFAULT_PROFILES_FILE"]).getroot()
    assert root.tag.endswith("profiles")
    own = {"FASTDDS_DEFAULT_PROFILES_FILE": "mine.xml", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}
    assert own.items() <= distribution.environment(base=own).items()
    assert "ROS_DOMAIN_ID" not in distribution.environment(base={})


def test_wheels_find_their_ament_index_first(monkeypatch):
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    child = distribution.environment(base={"AMENT_PREFIX_PATH": os.pathsep.join(["/a", "/b"])})
    assert child["AMENT_PREFIX_PATH"].split(os.pathsep) == [sys.prefix, "/a", "/b"]


def test_a_message_beyond_the_builtin_segment_needs_the_profile():
    """The number in the profile holds the image that the profile promises to carry."""
    path = distribution.share_directory() / "config" / "fastdds_shm.xml"
    values = {
        element.tag.rpartition("}")[2]: element.text for element in ElementTree.parse(path).iter()
    }
    full_hd = 1920 * 1080 * 3
    assert int(values["maxMessageSize"]) > full_hd + 4096
    assert int(values["segment_size"]) >= 5 * full_hd


def test_the_parameter_file_of_replay_holds_the_defaults():
    written = (distribution.share_directory() / "config" / "replay.yaml").read_text()
    assert written == dump(ReplayConfig()), "write it anew: replay --print-config > the file"


@pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None, reason="launch_ros is not installed"
)
def test_every_launch_argument_is_an_option_of_replay():
    pytest.importorskip("launch_ros", reason="launch_ros comes with a ROS distribution")
    path = distribution.share_directory() / "launch" / "replay.launch.py"
    spec = importlib.util.spec_from_file_location("replay_launch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert set(module.OPTIONS) <= set(ReplayConfig.__dataclass_fields__)
