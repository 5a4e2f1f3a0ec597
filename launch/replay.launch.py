"""Plays a rosbag2 or a folder of images; with a scene, localises in it, and shows it in rviz.

    ros2 launch fast_inerf_ros replay.launch.py bag:=/data/kitchen rate:=0.5 clock_rate:=100
    ros2 launch fast_inerf_ros replay.launch.py bag:=/data/kitchen restamp:=true \
        scene:=/data/kitchen/scene.yaml rviz:=true

Every option of `replay` can be set in params_file; the arguments below go before it. Those of
pose_estimator.launch.py can be given as well.
"""

from __future__ import annotations

import os

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
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

PASSED_ON = ("namespace", "log_level", "scene", "use_sim_time", "rviz")
"""Arguments that pose_estimator.launch.py is given as they are."""


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start `replay` with them, and the rest where a scene is given."""
    config = PathJoinSubstitution([FindPackageShare(PACKAGE), "config"])
    # Images lose frames without it, see docs/ros.md; a profile that the user has set stays.
    profile = SetEnvironmentVariable(PROFILES, PathJoinSubstitution([config, "fastdds_shm.xml"]))
    environment = [] if PROFILES in os.environ else [profile]
    return LaunchDescription([*_arguments(config), *environment, OpaqueFunction(function=_start)])


def _arguments(config: PathJoinSubstitution) -> list[DeclareLaunchArgument]:
    options = [
        DeclareLaunchArgument(name, default_value="", description=f"{meaning}; empty: params_file")
        for name, meaning in OPTIONS.items()
    ]
    others = {
        "params_file": (
            PathJoinSubstitution([config, "replay.yaml"]),
            "YAML file with the options of replay",
        ),
        "estimator_params_file": (
            PathJoinSubstitution([config, "pose_estimator.yaml"]),
            "YAML file with the options of pose_estimator",
        ),
        "scene": ("", "the scene file, scene.yaml; without one nothing is localised"),
        "namespace": ("", "namespace of the nodes"),
        "log_level": ("info", "level of their logs"),
        "use_sim_time": ("false", "pose_estimator takes the time from /clock (true or false)"),
        "rviz": ("false", "show everything in rviz2, where a scene is given (true or false)"),
    }
    return options + [
        DeclareLaunchArgument(name, default_value=default, description=meaning)
        for name, (default, meaning) in others.items()
    ]


def _start(context: LaunchContext) -> list[Node | IncludeLaunchDescription]:
    node = Node(
        package=PACKAGE,
        executable="replay",
        name="replay",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params_file"), _given(context)],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
        output="screen",
    )
    located = LaunchConfiguration("scene").perform(context)
    return [node, _estimator()] if located else [node]


def _estimator() -> IncludeLaunchDescription:
    path = PathJoinSubstitution([FindPackageShare(PACKAGE), "launch", "pose_estimator.launch.py"])
    arguments = {name: LaunchConfiguration(name) for name in PASSED_ON}
    arguments["params_file"] = LaunchConfiguration("estimator_params_file")
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(path), launch_arguments=arguments.items()
    )


def _given(context: LaunchContext) -> dict[str, object]:
    """Return the options that were given as launch arguments, with their types."""
    texts = {name: LaunchConfiguration(name).perform(context) for name in OPTIONS}
    values = {name: text for name, text in texts.items() if text}
    return {name: text if name == "bag" else yaml.safe_load(text) for name, text in values.items()}
