"""Trains a radiance field on posed photographs; launched again, it resumes.

    ros2 launch fast_inerf_ros train_nerf.launch.py data:=/data/fox output:=/data/fox_field

Every option of `train_nerf` can be set in params_file; the arguments below go before it.
"""

from __future__ import annotations

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

PACKAGE = "fast_inerf_ros"

TEXTS = {
    "data": "folder of the posed photographs",
    "output": "folder for checkpoints, the field and the results",
    "field": "kind of field: voxel or vanilla",
    "scene_type": "auto, object, unbounded or forward_facing",
}
OPTIONS = TEXTS | {
    "max_steps": "steps in all",
    "max_seconds": "time of training in all, in seconds",
    "resume": "go on from the newest checkpoint (true or false)",
    "render_test": "render the test photographs' views afterwards (true or false)",
}
"""Options of `train_nerf` that are launch arguments as well; empty leaves them to params_file."""


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start `train_nerf` with them."""
    config = PathJoinSubstitution([FindPackageShare(PACKAGE), "config"])
    options = [
        DeclareLaunchArgument(name, default_value="", description=f"{meaning}; empty: params_file")
        for name, meaning in OPTIONS.items()
    ]
    others = [
        DeclareLaunchArgument(
            "params_file",
            default_value=PathJoinSubstitution([config, "train_nerf.yaml"]),
            description="YAML file with the options of train_nerf",
        ),
        DeclareLaunchArgument("namespace", default_value="", description="namespace of the node"),
        DeclareLaunchArgument("log_level", default_value="info", description="level of its log"),
    ]
    return LaunchDescription([*options, *others, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[Node]:
    node = Node(
        package=PACKAGE,
        executable="train_nerf",
        name="train_nerf",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params_file"), _given(context)],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
        output="screen",
        # Saving a large field after Ctrl-C may take longer than the usual five seconds.
        sigterm_timeout="60",
        sigkill_timeout="60",
    )
    return [node]


def _given(context: LaunchContext) -> dict[str, object]:
    """Return the options that were given as launch arguments, with their types."""
    texts = {name: LaunchConfiguration(name).perform(context) for name in OPTIONS}
    values = {name: text for name, text in texts.items() if text}
    return {name: text if name in TEXTS else yaml.safe_load(text) for name, text in values.items()}
