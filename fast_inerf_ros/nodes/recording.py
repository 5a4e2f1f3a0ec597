"""What a player plays: topics and timed, serialised messages, wherever they come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)


@dataclass(frozen=True)
class Topic:
    """One topic of a recording.

    name: as recorded, before ROS remapping. type_name: ``package/msg/Name``.
    type_hash: REP 2011 hash of the type's definition, or "" where the recording has none.
    reliable, latched: the strongest quality of service that its publishers offered.
    depth: the longest history that they offered.
    """

    name: str
    type_name: str
    count: int
    type_hash: str = ""
    reliable: bool = True
    latched: bool = False
    depth: int = 10


class TimedMessage(NamedTuple):
    """One message: when it was recorded (nanoseconds), where, and its CDR bytes."""

    time_ns: int
    topic: Topic
    data: bytes


class Recording(Protocol):
    """A rosbag or an image folder."""

    @property
    def topics(self) -> tuple[Topic, ...]:
        """All topics, by name."""
        ...

    @property
    def start_ns(self) -> int:
        """Time of the first message."""
        ...

    @property
    def end_ns(self) -> int:
        """Time of the last message."""
        ...

    @property
    def period_ns(self) -> int:
        """Mean time between the messages of the most frequent topic."""
        ...

    def messages(
        self, topics: tuple[Topic, ...], start_ns: int, end_ns: int
    ) -> Iterator[TimedMessage]:
        """Yield the messages of some topics from start to end, both included, by time."""
        ...

    def close(self) -> None:
        """Release files."""
        ...
