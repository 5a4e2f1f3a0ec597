"""``collect_images``: listens to an image topic; writes some images, a sheet and a summary.

collect_images /camera/image_raw --output out --count 90
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fast_inerf_ros.datasets.contact_sheet import contact_sheet
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.io.atomic import atomic_path
from fast_inerf_ros.nodes.collect_config import CollectConfig
from fast_inerf_ros.nodes.collection import Collection, EvenSample, Frame
from fast_inerf_ros.nodes.conversions import (
    camera_from_message,
    compress,
    image_to_rgb,
    stamp_to_nanoseconds,
)
from fast_inerf_ros.nodes.program import node_of, run_until_stopped
from fast_inerf_ros.nodes.stopping import StopSignal

NAME = "collect_images"
DESCRIPTION = "Write images of a topic, with a contact sheet and a summary of what arrived."
SUMMARY = "summary.json"
SHEET = "contact_sheet"
POLL_S = 0.05
SHEET_TILE_WIDTH = 320
SUFFIX = {"jpeg": ".jpg", "png": ".png"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the executable and return its exit status: 1 where no image came."""
    return run_until_stopped(CollectConfig, _run, argv, prog=NAME, description=DESCRIPTION)


def _run(flags: CollectConfig, arguments: Sequence[str], stop: StopSignal) -> int:
    with node_of(NAME, flags, arguments) as (node, config):
        collection = Collection(EvenSample(config.keep))
        topic = _subscribe(node, config, collection)
        _wait(config, collection, stop)
        problem = _problem(node, topic, config, collection)
    if problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1
    _write(Path(config.output).expanduser(), topic, config, collection)
    return 0


def _subscribe(node: Node, config: CollectConfig, collection: Collection) -> str:
    """Subscribe to images and CameraInfo; return the resolved name of the images' topic."""
    qos = QoSProfile(depth=config.depth, reliability=ReliabilityPolicy[config.reliability.upper()])

    def on_image(message: Any) -> None:
        try:
            image = image_to_rgb(message)
        except InputError as error:
            collection.add_error(error)
            node.get_logger().warning(str(error), throttle_duration_sec=5.0)
        else:
            collection.add(stamp_to_nanoseconds(message.header.stamp), image)

    def on_camera_info(message: CameraInfo) -> None:
        if collection.camera is None:
            try:
                collection.camera = camera_from_message(message, rectified=False)
            except InputError as error:
                node.get_logger().warning(str(error), throttle_duration_sec=5.0)

    kind = CompressedImage if config.transport == "compressed" else Image
    images = node.create_subscription(kind, config.topic, on_image, qos)
    node.create_subscription(CameraInfo, _camera_info_topic(config), on_camera_info, qos)
    node.get_logger().info(f"listening to {images.topic_name}")
    return str(images.topic_name)


def _camera_info_topic(config: CollectConfig) -> str:
    if config.camera_info_topic:
        return config.camera_info_topic
    topic = config.topic.removesuffix("/compressed")
    parent, slash, _ = topic.rpartition("/")
    return f"{parent}{slash}camera_info"


def _wait(config: CollectConfig, collection: Collection, stop: StopSignal) -> None:
    deadline = time.monotonic() + config.timeout
    while not stop.wait(POLL_S):
        arrived = collection.arrived()
        if config.count and arrived >= config.count:
            return
        now = time.monotonic()
        if now > (collection.last_arrival_s + config.quiet if arrived else deadline):
            return


def _problem(node: Node, topic: str, config: CollectConfig, collection: Collection) -> str | None:
    """Return in one line why there is nothing to write, or None."""
    if collection.stamps_ns:
        return None
    if collection.undecodable:
        return f"no image of {topic} could be decoded: {collection.last_error}"
    kinds = dict(node.get_topic_names_and_types()).get(topic, [])
    publishers = node.count_publishers(topic)
    return (
        f"no image came on {topic} within {config.timeout:g} s ({publishers} publishers, types "
        f"{', '.join(kinds) or 'unknown'}; expected {config.transport} images): check that the "
        "publisher runs with the same ROS_DOMAIN_ID, that topic and transport are right, and "
        "its quality of service"
    )


def _write(folder: Path, topic: str, config: CollectConfig, collection: Collection) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    suffix = SUFFIX[config.image_format]
    frames = collection.sample.frames()
    names = [f"{frame.number:06d}{suffix}" for frame in frames]
    for name, frame in zip(names, frames, strict=True):
        _write_image(folder / name, frame.image, config)
    sheet = contact_sheet(
        [frame.image for frame in frames],
        config.columns,
        _labels(frames),
        tile_width=SHEET_TILE_WIDTH,
    )
    _write_image(folder / f"{SHEET}{suffix}", sheet, config)
    summary = {"topic": topic, **collection.summary(), "files": names}
    with atomic_path(folder / SUMMARY) as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{_sentence(summary)} -> {folder / (SHEET + suffix)}\n")


def _write_image(path: Path, image: Any, config: CollectConfig) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(compress(image, config.image_format))


def _labels(frames: Sequence[Frame]) -> list[str]:
    start_ns = frames[0].stamp_ns
    return [f"#{frame.number}  {(frame.stamp_ns - start_ns) * 1e-9:.2f} s" for frame in frames]


def _sentence(summary: dict[str, Any]) -> str:
    latency = summary["latency_ms"]
    delay = f", latency {latency['median']:.1f} ms median" if latency else ""
    rate = f" at {summary['rate_hz']:.1f} Hz" if summary["rate_hz"] else ""
    return (
        f"{summary['received']} of {summary['expected']} images of {summary['topic']} "
        f"({summary['width']}x{summary['height']}){rate}{delay}"
    )


if __name__ == "__main__":
    sys.exit(main())
