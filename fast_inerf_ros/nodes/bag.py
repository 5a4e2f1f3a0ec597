"""Reads rosbag2 recordings (sqlite3 and mcap) without a ROS distribution, through rosbags."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection, QosDurability, QosReliability
from rosbags.rosbag2 import Reader

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.nodes.recording import TimedMessage, Topic

STORAGE_SUFFIXES = (".mcap", ".db3")
METADATA = "metadata.yaml"
LONGEST_DEPTH = 1000
DEFAULT_DEPTH = 10

_LOGGER = logging.getLogger(__name__)


def is_bag(path: Path) -> bool:
    """Tell whether a path is a rosbag2 folder or one of its storage files."""
    if path.is_dir():
        return (path / METADATA).exists() or bool(_storage_files(path))
    return path.suffix in STORAGE_SUFFIXES or path.suffix == ".bag"


class Bag:
    """An open rosbag2 recording; a `recording.Recording`.

    Args:
        path: A rosbag2 folder, or one ``.mcap`` or ``.db3`` file. A folder whose recorder was
            killed before it wrote ``metadata.yaml`` is read from its storage files.

    Raises:
        InputError: No such bag, a ROS 1 bag, an empty bag, or files that are truncated or
            corrupt.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = ExitStack()
        self._readers: list[Reader] = []
        with self._readable():
            for file in _files_to_open(path):
                self._readers.append(self._stack.enter_context(Reader(file)))
            self._topics = tuple(_topics(self._readers))
            times = [(reader.start_time, reader.end_time) for reader in self._readers]
        if not any(topic.count for topic in self._topics):
            self.close()
            raise InputError(f"bag {path}: expected messages, got none: record it again")
        self.start_ns = min(start for start, _ in times)
        self.end_ns = max(end for _, end in times) - 1

    @property
    def topics(self) -> tuple[Topic, ...]:
        """All topics, by name."""
        return self._topics

    @property
    def period_ns(self) -> int:
        """Mean time between the messages of the most frequent topic; 1 s for a single message."""
        intervals = max(topic.count for topic in self._topics) - 1
        return (self.end_ns - self.start_ns) // intervals if intervals else 1_000_000_000

    def messages(
        self, topics: tuple[Topic, ...], start_ns: int, end_ns: int
    ) -> Iterator[TimedMessage]:
        """Yield the messages of some topics from start to end, both included, by time.

        Raises:
            InputError: The bag turns out truncated or corrupt while it is read.
        """
        by_key = {(topic.name, topic.type_name): topic for topic in topics}
        streams = [self._stream(reader, by_key, start_ns, end_ns + 1) for reader in self._readers]
        yield from heapq.merge(*streams, key=lambda message: message.time_ns)

    def close(self) -> None:
        """Close the files."""
        self._stack.close()

    def _stream(
        self, reader: Reader, by_key: dict[tuple[str, str], Topic], start_ns: int, stop_ns: int
    ) -> Iterator[TimedMessage]:
        wanted = [item for item in reader.connections if (item.topic, item.msgtype) in by_key]
        if not wanted:
            return
        with self._readable():
            for connection, time_ns, data in reader.messages(wanted, start_ns, stop_ns):
                topic = by_key[connection.topic, connection.msgtype]
                yield TimedMessage(time_ns, topic, bytes(data))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn whatever a damaged file makes the reader raise into an InputError."""
        try:
            yield
        except InputError:
            raise
        except Exception as error:  # assertions, struct, sqlite, zstd, yaml, unicode, ...
            self.close()
            _LOGGER.debug("the traceback of the error below", exc_info=True)
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(
                f"bag {self._path}: expected a whole rosbag2 recording, got a truncated or "
                f"corrupt one ({reason}): copy it again, or repair it with 'mcap recover' "
                "(.mcap) or 'sqlite3 FILE .recover' (.db3) and 'ros2 bag reindex'"
            ) from None


def _files_to_open(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(f"bag {path}: expected a file or folder, found nothing: check the path")
    if path.suffix == ".bag":
        raise InputError(
            f"bag {path}: expected a ROS 2 bag, got a ROS 1 bag: convert it with "
            f"'rosbags-convert --src {path} --dst {path.with_suffix('')}'"
        )
    if not path.is_dir() or (path / METADATA).exists():
        return [path]
    files = _storage_files(path)
    if not files:
        raise InputError(
            f"bag {path}: expected {METADATA} or a .mcap or .db3 file in the folder, found "
            "none: give the folder that 'ros2 bag record' made"
        )
    _LOGGER.warning("%s has no %s: reading its %d storage file(s)", path, METADATA, len(files))
    return files


def _storage_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in STORAGE_SUFFIXES)


def _topics(readers: list[Reader]) -> Iterator[Topic]:
    groups: dict[tuple[str, str], list[Connection]] = {}
    for reader in readers:
        for connection in reader.connections:
            groups.setdefault((connection.topic, connection.msgtype), []).append(connection)
    for name, type_name in sorted(groups):
        yield _topic(name, type_name, groups[name, type_name])


def _topic(name: str, type_name: str, connections: list[Connection]) -> Topic:
    profiles = [profile for item in connections for profile in _profiles(item)]
    # A publisher that offers more than it is asked for matches every subscriber.
    best_effort = profiles and all(
        profile.reliability is QosReliability.BEST_EFFORT for profile in profiles
    )
    latched = any(profile.durability is QosDurability.TRANSIENT_LOCAL for profile in profiles)
    depths = [profile.depth for profile in profiles if 0 < profile.depth <= LONGEST_DEPTH]
    return Topic(
        name=name,
        type_name=type_name,
        count=sum(item.msgcount for item in connections),
        type_hash=next((item.digest for item in connections if item.digest), ""),
        reliable=not best_effort,
        latched=latched or name == "/tf_static",
        depth=max(depths, default=DEFAULT_DEPTH),
    )


def _profiles(connection: Connection) -> list[Any]:
    return list(getattr(connection.ext, "offered_qos_profiles", []))
