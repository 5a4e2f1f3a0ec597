"""Writes bags as `ros2 bag record` would, with rclpy's own serialisation."""

from __future__ import annotations

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

START_NS = 1_700_000_000_000_000_000
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
