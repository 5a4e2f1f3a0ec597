"""Trains PoseCNN on images with known objects; launched again, it resumes.

    ros2 launch fast_inerf_ros train_posecnn.launch.py data:=/data/tabletop output:=/data/posecnn

Every option of `train_posecnn` can be set in params_file; the arguments below go before it.
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
    "data": "folder of a data set in BOP's or PROPS' layout",
    "output": "folder for checkpoints and networks",
    "backbone": "efficientnet_lite0 or vgg16",
    "start_from": "checkpoint of a network with the same classes to start from",
}
OPTIONS = TEXTS | {
    "max_epochs": "epochs in all",
    "max_steps": "steps in all, instead of epochs",
    "max_seconds": "time of training in all, in seconds",
    "resume": "go on from the newest checkpoint (true or false)",
}
"""Options of `train_posecnn` that are launch arguments too; empty leaves them to params_file."""


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start `train_posecnn` with them."""
    config = PathJoinSubstitution([FindPackageShare(PACKAGE), "config"])
    options = [
        DeclareLaunchArgument(name, default_value="", description=f"{meaning}; empty: params_file")
        for name, meaning in OPTIONS.items()
    ]
    others = [
        DeclareLaunchArgument(
            "params_file",
            default_value=PathJoinSubstitution([config, "train_posecnn.yaml"]),
            description="YAML file with the options of train_posecnn",
        ),
        DeclareLaunchArgument("namespace", default_value="", description="namespace of the node"),
        DeclareLaunchArgument("log_level", default_value="info", description="level of its log"),
    ]
    return LaunchDescription([*options, *others, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[Node]:
    node = Node(
        package=PACKAGE,
        executable="train_posecnn",
        name="train_posecnn",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params_file"), _given(context)],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
        output="screen",
        # Saving after Ctrl-C may take longer than the usual five seconds.
        sigterm_timeout="60",
        sigkill_timeout="60",
    )
    return [node]


def _given(context: LaunchContext) -> dict[str, object]:
    """Return the options that were given as launch arguments, with their types."""
    texts = {name: LaunchConfiguration(name).perform(context) for name in OPTIONS}
    values = {name: text for name, text in texts.items() if text}
    return {name: text if name in TEXTS else yaml.safe_load(text) for name, text in values.items()}
