"""``record_poses``: writes the poses of a topic as TUM and CSV, with figures about them.

record_poses pose_estimator/camera_pose --output out --truth-topic /ground_truth/camera_pose
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage

from fast_inerf_ros.io.atomic import write_text
from fast_inerf_ros.nodes.conversions import image_to_rgb
from fast_inerf_ros.nodes.distribution import TF_QOS
from fast_inerf_ros.nodes.pose_recording import PoseRecording
from fast_inerf_ros.nodes.program import node_of, run_until_stopped
from fast_inerf_ros.nodes.record_config import RecordConfig
from fast_inerf_ros.nodes.stopping import StopSignal
from fast_inerf_ros.nodes.trajectory_files import write_csv, write_tum
from fast_inerf_ros.training.pictures import write_gif, write_video

NAME = "record_poses"
DESCRIPTION = "Write the poses of a topic as TUM and CSV, with figures about them."
SUMMARY, POSES, TABLE, TRUTH = "summary.json", "poses.tum", "poses.csv", "truth.tum"
VIDEO = "overlay"
POLL_S = 0.05
POSE_QOS = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
PICTURE_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the executable and return its exit status: 1 where no pose came."""
    return run_until_stopped(RecordConfig, _run, argv, prog=NAME, description=DESCRIPTION)


def _run(flags: RecordConfig, arguments: Sequence[str], stop: StopSignal) -> int:
    recording = PoseRecording()
    with node_of(NAME, flags, arguments) as (node, config):
        topic = _subscribe(node, config, recording)
        _wait(config, recording, stop)
    _write(Path(config.output).expanduser(), topic, config, recording)
    if not recording.poses:
        sys.stderr.write(f"error: no pose came on {topic} within {config.timeout:g} s\n")
        return 1
    return 0


def _subscribe(node: Node, config: RecordConfig, recording: PoseRecording) -> str:
    """Subscribe to everything; return the resolved name of the poses' topic."""

    def on_picture(message: Image) -> None:
        recording.add_picture(image_to_rgb(message))

    poses = node.create_subscription(PoseStamped, config.topic, recording.add_pose, POSE_QOS)
    node.create_subscription(TFMessage, "/tf", recording.add_transforms, TF_QOS)
    node.create_subscription(DiagnosticArray, "/diagnostics", recording.add_diagnostics, POSE_QOS)
    if config.truth_topic:
        node.create_subscription(PoseStamped, config.truth_topic, recording.add_truth, POSE_QOS)
    if config.overlay_topic:
        node.create_subscription(Image, config.overlay_topic, on_picture, PICTURE_QOS)
    node.get_logger().info(f"listening to {poses.topic_name}")
    return str(poses.topic_name)


def _wait(config: RecordConfig, recording: PoseRecording, stop: StopSignal) -> None:
    deadline = time.monotonic() + config.timeout
    while not stop.wait(POLL_S):
        if config.count and len(recording.poses) >= config.count:
            return
        last_s = recording.last_arrival_s
        if time.monotonic() > (deadline if last_s is None else last_s + config.quiet):
            return


def _write(folder: Path, topic: str, config: RecordConfig, recording: PoseRecording) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_tum(folder / POSES, recording.poses)
    write_csv(folder / TABLE, recording.poses)
    if config.truth_topic:
        write_tum(folder / TRUTH, recording.truth)
    if recording.pictures:
        _write_videos(folder, config, recording)
    summary: dict[str, Any] = {"topic": topic, **recording.summary()}
    write_text(folder / SUMMARY, json.dumps(summary, indent=2) + "\n")
    sys.stdout.write(f"{len(recording.poses)} poses of {topic} -> {folder / POSES}\n")


def _write_videos(folder: Path, config: RecordConfig, recording: PoseRecording) -> None:
    rate_hz = max(recording.picture_rate_hz(), 1.0)
    if config.video in ("mp4", "both"):
        write_video(folder / f"{VIDEO}.mp4", recording.pictures, rate_hz)
    if config.video in ("gif", "both"):
        write_gif(folder / f"{VIDEO}.gif", recording.pictures, rate_hz)


if __name__ == "__main__":
    sys.exit(main())
