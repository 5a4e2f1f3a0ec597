"""Refines the poses of photographs against a radiance field and publishes them.

    ros2 launch fast_inerf_ros inerf.launch.py data:=/data/fox field:=/data/fox_field/field.npz

Every option of `inerf` can be set in params_file; the arguments below go before it.
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

PACKAGE = "fast_inerf_ros"

OPTIONS = {
    "data": "data set with the photographs",
    "field": "trained field",
    "scene": "scene file with field and objects",
    "output": "folder for the results",
    "solver": "keyframe, lm or adam",
}
"""Options of `inerf` that are launch arguments as well; empty leaves them to params_file."""


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start `inerf` with them."""
    config = PathJoinSubstitution([FindPackageShare(PACKAGE), "config"])
    options = [
        DeclareLaunchArgument(name, default_value="", description=f"{meaning}; empty: params_file")
        for name, meaning in OPTIONS.items()
    ]
    others = [
        DeclareLaunchArgument(
            "params_file",
            default_value=PathJoinSubstitution([config, "inerf.yaml"]),
            description="YAML file with the options of inerf",
        ),
        DeclareLaunchArgument("namespace", default_value="", description="namespace of the node"),
        DeclareLaunchArgument("log_level", default_value="info", description="level of its log"),
    ]
    return LaunchDescription([*options, *others, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[Node]:
    texts = {name: LaunchConfiguration(name).perform(context) for name in OPTIONS}
    given = {name: text for name, text in texts.items() if text}
    node = Node(
        package=PACKAGE,
        executable="inerf",
        name="inerf",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params_file"), given],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
        output="screen",
    )
    return [node]
