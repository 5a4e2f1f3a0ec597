"""Localises cameras in a scene.

    ros2 launch fast_inerf_ros pose_estimator.launch.py scene:=/data/kitchen/scene.yaml \
        image_topics:=/camera/color/image_raw rviz:=true

Every option of `pose_estimator` can be set in params_file; the arguments below go before it.
"""

from __future__ import annotations

import os

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

PACKAGE = "fast_inerf_ros"
PROFILES = "FASTDDS_DEFAULT_PROFILES_FILE"

TEXTS = {
    "scene": "the scene file, scene.yaml",
    "device": "cpu, cuda:N or auto",
    "transport": "raw or compressed",
    "tf.mode": "camera, inverse, base, odom or none",
    "tf.base_frame": "frame of the robot",
    "tf.odom_frame": "frame of the odometry",
}
LISTS = {
    "cameras": "names of the cameras, separated by commas",
    "image_topics": "topic of each camera's images, separated by commas",
    "camera_info_topics": "topic of each camera's CameraInfo, separated by commas",
}
OPTIONS = {
    **TEXTS,
    **LISTS,
    "image_rectified": "whether images are rectified (true or false)",
    "autostart": "configure and activate at once (true or false)",
}
"""Options of `pose_estimator` that are launch arguments as well; empty leaves them to params_file.

In a launch argument's name the dot is an underscore: tf_mode.
"""


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; start `pose_estimator` with them, and rviz where it is asked for."""
    config = PathJoinSubstitution([FindPackageShare(PACKAGE), "config"])
    # Images lose frames without it, see docs/ros.md; a profile that the user has set stays.
    profile = SetEnvironmentVariable(PROFILES, PathJoinSubstitution([config, "fastdds_shm.xml"]))
    environment = [] if PROFILES in os.environ else [profile]
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", LaunchConfiguration("rviz_config")],
        parameters=[{"use_sim_time": LaunchConfiguration("use_sim_time")}],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return LaunchDescription(
        [*_arguments(config), *environment, OpaqueFunction(function=_start), rviz]
    )


def _arguments(config: PathJoinSubstitution) -> list[DeclareLaunchArgument]:
    options = [
        DeclareLaunchArgument(
            _argument(name), default_value="", description=f"{meaning}; empty: params_file"
        )
        for name, meaning in OPTIONS.items()
    ]
    others = {
        "params_file": (
            PathJoinSubstitution([config, "pose_estimator.yaml"]),
            "YAML file with the options of pose_estimator",
        ),
        "namespace": ("", "namespace of the node"),
        "log_level": ("info", "level of its log"),
        "use_sim_time": ("false", "take the time from /clock (true or false)"),
        "rviz": ("false", "show everything in rviz2 (true or false)"),
        "rviz_config": (
            PathJoinSubstitution([config, "pose_estimator.rviz"]),
            "what rviz2 shows; its topics are those of a node without a namespace",
        ),
    }
    return options + [
        DeclareLaunchArgument(name, default_value=default, description=meaning)
        for name, (default, meaning) in others.items()
    ]


def _start(context: LaunchContext) -> list[Node]:
    node = Node(
        package=PACKAGE,
        executable="pose_estimator",
        name="pose_estimator",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params_file"), _given(context)],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
        output="screen",
        # The estimate under way is waited for, which takes long on a busy machine.
        sigterm_timeout="20",
        sigkill_timeout="20",
    )
    return [node]


def _given(context: LaunchContext) -> dict[str, object]:
    """Return the options that were given as launch arguments, with their types."""
    sim_time = LaunchConfiguration("use_sim_time").perform(context)
    values: dict[str, object] = {"use_sim_time": yaml.safe_load(sim_time)}
    for name in OPTIONS:
        text = LaunchConfiguration(_argument(name)).perform(context)
        if not text:
            continue
        if name in LISTS:
            values[name] = [part.strip() for part in text.split(",")]
        else:
            values[name] = text if name in TEXTS else yaml.safe_load(text)
    return values


def _argument(option: str) -> str:
    return option.replace(".", "_")
