"""Writes bags as `ros2 bag record` would, with rclpy's own serialisation."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.serialization import serialize_message
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.nodes import conversions

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 33_333_333
IMAGE = "/camera/image_raw"
INFO = "/camera/camera_info"
TRUTH = "/ground_truth/camera_pose"
STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}


def type_name(message):
    package, kind, _ = type(message).__module__.split(".", 2)
    return f"{package}/{kind}/{type(message).__name__}"


def write_bag(path, messages, storage="mcap", reliability="RELIABLE", durability="VOLATILE"):
    """Write (topic, time in ns after the start, message) triples; return the folder."""
    typestore = get_typestore(Stores.LATEST)
    qos = profile(reliability, durability)
    connections = {}
    with Writer(path, version=9, storage_plugin=STORAGES[storage]) as writer:
        for topic, time_ns, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(
                    topic,
                    type_name(message),
                    typestore=typestore,
                    offered_qos_profiles=[qos],
                )
            writer.write(connections[topic], START_NS + time_ns, serialize_message(message))
    return path


def profile(reliability, durability):
    forever = QosTime(9223372036, 854775807)
    return Qos(
        QosHistory.KEEP_LAST,
        10,
        QosReliability[reliability],
        QosDurability[durability],
        forever,
        forever,
        QosLiveliness.AUTOMATIC,
        forever,
        False,
    )


def picture(index, height=480, width=640):
    return np.random.default_rng(index).integers(0, 256, (height, width, 3), np.uint8)


def camera_messages(count, height=12, width=16, compressed=False):
    """Images with CameraInfo, and the truth about them, at 30 Hz."""
    camera = Camera(width, height, 20.0, 20.0, 8.0, 6.0)
    for index in range(count):
        time_ns = index * PERIOD_NS
        header = conversions.header(START_NS + time_ns, "camera_optical_frame")
        image = picture(index, height, width)
        yield INFO, time_ns, conversions.camera_to_message(camera, header)
        if compressed:
            message = conversions.encode_compressed(image, header, "png")
            yield f"{IMAGE}/compressed", time_ns, message
        else:
            yield IMAGE, time_ns, conversions.encode_image(image, header)
        yield TRUTH, time_ns, PoseStamped(header=header)


def stamps(received):
    return [conversions.stamp_to_nanoseconds(item.message.header.stamp) for item in received]
