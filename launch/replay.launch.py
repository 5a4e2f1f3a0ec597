"""Plays a rosbag2 or a folder of images.

    ros2 launch fast_inerf_ros replay.launch.py bag:=/data/kitchen rate:=0.5 clock_rate:=100

Every option of `replay` can be set in params_file; the arguments below go before it.
"""

from __future__ import annotations

import os

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

PACKAGE = "fast_inerf_ros"
PROFILES = "FASTDDS_DEFAULT_PROFILES_FILE"

OPTIONS = {
    "bag": "rosbag2 folder, .mcap or .db3 file, or folder of .jpg or .png images",
    "rate": "seconds of recording per second",
    "loop": "start over at the end (true or false)",
    "start_offset": "begin this many seconds after the start of the recording",
    "duration": "play this many seconds of the recording",
    "clock_rate": "publish /clock this often in Hz, for nodes with use_sim_time",
    "restamp": "give messages the time of their publication (true or false)",
    "publish_ground_truth": "publish the ground truth too (true or false)",
    "wait_for_subscribers": "wait up to this many seconds for a subscriber to the images",
}
"""Options of `replay` that are launch arguments as well; empty leaves them to params_file."""


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start `replay` with them."""
    config = PathJoinSubstitution([FindPackageShare(PACKAGE), "config"])
    options = [
        DeclareLaunchArgument(name, default_value="", description=f"{meaning}; empty: params_file")
        for name, meaning in OPTIONS.items()
    ]
    others = [
        DeclareLaunchArgument(
            "params_file",
            default_value=PathJoinSubstitution([config, "replay.yaml"]),
            description="YAML file with the options of replay",
        ),
        DeclareLaunchArgument("namespace", default_value="", description="namespace of the node"),
        DeclareLaunchArgument("log_level", default_value="info", description="level of its log"),
    ]
    # Images lose frames without it, see docs/ros.md; a profile that the user has set stays.
    profile = SetEnvironmentVariable(PROFILES, PathJoinSubstitution([config, "fastdds_shm.xml"]))
    environment = [] if PROFILES in os.environ else [profile]
    return LaunchDescription([*options, *others, *environment, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[Node]:
    node = Node(
        package=PACKAGE,
        executable="replay",
        name="replay",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params_file"), _given(context)],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
        output="screen",
    )
    return [node]


def _given(context: LaunchContext) -> dict[str, object]:
    """Return the options that were given as launch arguments, with their types."""
    texts = {name: LaunchConfiguration(name).perform(context) for name in OPTIONS}
    values = {name: text for name, text in texts.items() if text}
    return {name: text if name == "bag" else yaml.safe_load(text) for name, text in values.items()}
