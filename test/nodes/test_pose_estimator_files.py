"""What is shipped and written about `pose_estimator` is true: parameters, launch, rviz, manual."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import scripted
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

from fast_inerf_ros.command_line import written
from fast_inerf_ros.config import dump, options
from fast_inerf_ros.nodes import distribution
from fast_inerf_ros.nodes.localisation.settings import PoseEstimatorConfig

MANUAL = Path(__file__).parents[2] / "docs" / "ros.md"
# rviz knows its displays by these names; each shows one type of message.
DISPLAYED = {
    "rviz_default_plugins/Pose": "geometry_msgs/msg/PoseStamped",
    "rviz_default_plugins/PoseWithCovariance": "geometry_msgs/msg/PoseWithCovarianceStamped",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
}
TOOLS = {"rviz_default_plugins/SetInitialPose": "geometry_msgs/msg/PoseWithCovarianceStamped"}


@pytest.fixture(scope="module")
def node(own_domain):
    made = scripted.RunningNode(scripted.ScriptedModel()).start()
    yield made.node
    made.close()


def shipped(folder, name):
    return distribution.share_directory() / folder / name


def test_the_parameter_file_holds_the_defaults():
    expected = dump(PoseEstimatorConfig())
    assert shipped("config", "pose_estimator.yaml").read_text() == expected, (
        "write it anew: pose_estimator --print-config > config/pose_estimator.yaml"
    )


@pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None, reason="launch_ros is not installed"
)
def test_every_launch_argument_is_an_option():
    path = shipped("launch", "pose_estimator.launch.py")
    spec = importlib.util.spec_from_file_location("pose_estimator_launch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert set(module.OPTIONS) <= {item.name for item in options(PoseEstimatorConfig)}


def rviz_config():
    return yaml.safe_load(shipped("config", "pose_estimator.rviz").read_text())


def test_everything_that_rviz_shows_is_published_in_that_type_and_quality(node):
    shown = [
        item for item in rviz_config()["Visualization Manager"]["Displays"] if "Topic" in item
    ]
    assert {item["Class"] for item in shown} == set(DISPLAYED)
    for item in shown:
        topic = item["Topic"]
        scripted.eventually(lambda: node.get_publishers_info_by_topic(topic["Value"]))  # noqa: B023
        (publisher,) = node.get_publishers_info_by_topic(topic["Value"])
        assert publisher.topic_type == DISPLAYED[item["Class"]], topic["Value"]
        wants_reliable = topic["Reliability Policy"] == "Reliable"
        offers = publisher.qos_profile
        assert offers.reliability == ReliabilityPolicy.RELIABLE or not wants_reliable
        wants_latched = topic["Durability Policy"] == "Transient Local"
        assert offers.durability == DurabilityPolicy.TRANSIENT_LOCAL or not wants_latched


def test_what_rviz_sends_is_subscribed_to(node):
    tools = [item for item in rviz_config()["Visualization Manager"]["Tools"] if "Topic" in item]
    assert {item["Class"] for item in tools} == set(TOOLS)
    for item in tools:
        name = item["Topic"]["Value"]
        scripted.eventually(lambda: node.get_subscriptions_info_by_topic(name))  # noqa: B023
        (subscription,) = node.get_subscriptions_info_by_topic(name)
        assert subscription.topic_type == TOOLS[item["Class"]]


def test_the_fixed_frame_of_rviz_is_that_of_generated_scenes():
    from fast_inerf_ros.datasets.synthetic.scene_file import WORLD_FRAME

    assert rviz_config()["Visualization Manager"]["Global Options"]["Fixed Frame"] == WORLD_FRAME


# --- the manual


def section(title):
    """The text of the manual below a heading, up to the next of its level."""
    text = MANUAL.read_text()
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, title
    return found.group(1)


def test_the_manual_lists_every_option_of_the_node_with_its_default():
    rows = [line.split(" | ") for line in MANUAL.read_text().splitlines() if line[:3] == "| `"]
    documented = {(row[0].strip("| `"), row[1].strip("`")) for row in rows}
    own = [
        item
        for item in options(PoseEstimatorConfig)
        if not item.name.startswith(("estimator.", "tracker."))
    ]
    wanted = {(item.name, written(item.default) or "empty") for item in own}
    assert wanted <= documented


def test_the_manual_lists_exactly_the_topics_that_are_published(node):
    text = section("pose_estimator")
    documented = set(re.findall(r"^\| `(~/[^`]+|/[^`]+)` \| out", text, re.MULTILINE))
    wanted = {"/diagnostics", "/tf"}
    for name, _ in node.get_publisher_names_and_types_by_node("pose_estimator", "/"):
        if name.startswith("/pose_estimator/"):
            wanted.add("~" + name.removeprefix("/pose_estimator"))
    found = {name for name in wanted if not re.search("/objects/|transition_event", name)}
    assert documented == found | {"~/objects/<label>[_<n>]/pose"}


def test_the_manual_lists_exactly_the_services(node):
    text = section("pose_estimator")
    documented = set(re.findall(r"^\| `(~/[^`]+)` \| (?:Trigger|SetBool)", text, re.MULTILINE))
    services = node.get_service_names_and_types_by_node("pose_estimator", "/")
    own = {
        "~" + name.removeprefix("/pose_estimator")
        for name, kinds in services
        if kinds[0].startswith("std_srvs/")
    }
    assert documented == own


# --- the security policy


def test_the_policy_allows_exactly_what_the_node_does(node):
    import xml.etree.ElementTree as ElementTree

    tree = ElementTree.parse(shipped("config", "sros2_policy.xml"))
    profile = tree.find(".//profile[@node='pose_estimator']")

    def allowed(kind, rule):
        names = [
            item.text for group in profile.findall(f"{kind}s[@{rule}='ALLOW']") for item in group
        ]
        return {
            name.replace("~", "/pose_estimator") if name[0] == "~" else f"/{name.lstrip('/')}"
            for name in names
        }

    def names(pairs):
        return {re.sub("/objects/.*", "/objects/*", name) for name, _ in pairs}

    place = ("pose_estimator", "/")
    published = names(node.get_publisher_names_and_types_by_node(*place))
    assert allowed("topic", "publish") == published
    heard = names(node.get_subscriber_names_and_types_by_node(*place))
    # Those of other options: compressed images, simulated time.
    others = {"/camera/image_raw/compressed", "/clock"}
    assert allowed("topic", "subscribe") == heard | others
    services = names(node.get_service_names_and_types_by_node(*place))
    assert services <= allowed("service", "reply")
