"""Publishes a recording in its own time."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.duration import Duration
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rosgraph_msgs.msg import Clock

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.nodes.distribution import message_class
from fast_inerf_ros.nodes.pacing import ClockTick, Pacer, Stop, with_clock
from fast_inerf_ros.nodes.poses import NANOSECONDS_PER_SECOND, nanoseconds_to_stamp
from fast_inerf_ros.nodes.recording import IMAGE_TYPES, Recording, TimedMessage, Topic
from fast_inerf_ros.nodes.replay_config import ReplayConfig
from fast_inerf_ros.nodes.restamp import Restamper

# A subscriber that this process has discovered may not yet have discovered this process, and
# drops best-effort messages until it has.
SETTLE_S = 1.0
POLL_S = 0.02
# Best-effort messages that are still in shared memory vanish with their publisher.
LINGER_S = 0.5
ACKNOWLEDGE_S = 5.0
_ACKNOWLEDGE_SLICE = Duration(seconds=0.1)
# Reliable, so that it matches both reliable subscribers and those of use_sim_time.
CLOCK_QOS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)

Progress = Callable[[int], None]


class Player:
    """Publishes the chosen topics of a recording.

    Messages go out as the serialised bytes that were recorded, without being taken apart. Topics
    whose type is not installed here, or is another version of it, are skipped with a warning.

    Args:
        node: Publishes; remapping is its business.
        recording: What is played.
        topics: Topics of the recording to play.
        stop: Ends the playing.
        progress: Called with the recorded time of each message.

    Raises:
        InputError: No topic can be played, or the start offset lies behind the end.
    """

    def __init__(
        self,
        node: Node,
        recording: Recording,
        topics: tuple[Topic, ...],
        config: ReplayConfig,
        stop: Stop,
        progress: Progress,
    ) -> None:
        self._node = node
        self._recording = recording
        self._config = config
        self._stop = stop
        self._progress = progress
        self._restamper = Restamper()
        self._classes: dict[Topic, Any] = {}
        self._publishers: dict[Topic, Publisher[Any]] = {}
        self._unchecked: set[Topic] = set()
        self.sent: Counter[str] = Counter()
        self.pacer = Pacer(config.rate, stop)
        self.start_ns, self.end_ns = _span(recording, config)
        for topic in topics:
            self._add(topic)
        if not self._publishers:
            raise InputError(
                "expected at least one topic of an installed type, found none: "
                "install the message packages named above"
            )
        self._clock = (
            node.create_publisher(Clock, "/clock", CLOCK_QOS) if (config.clock_rate) else None
        )

    def run(self) -> None:
        """Play to the end, or until told to stop."""
        if not self._wait_for_subscribers():
            return
        delay_ns = 0
        while not self._stop.is_set():
            self._play_once(delay_ns)
            if not self._config.loop:
                break
            self._restamper.forget()
            delay_ns = self._recording.period_ns
        self._flush()

    def resolved_name(self, topic: Topic) -> str:
        """Return the name under which a topic is published, after remapping."""
        return str(self._publishers[topic].topic_name)

    @property
    def topics(self) -> tuple[Topic, ...]:
        """The topics that are published."""
        return tuple(self._publishers)

    def _play_once(self, delay_ns: int) -> None:
        messages = self._recording.messages(self.topics, self.start_ns, self.end_ns)
        events = with_clock(messages, self.start_ns, _clock_period_ns(self._config))
        # Each message is read, or decoded, before the wait for its time; so is the first.
        first = list(itertools.islice(events, 1))
        self.pacer.start(self.start_ns, delay_ns)
        for event in itertools.chain(first, events):
            if not self.pacer.wait_until(event.time_ns):
                return
            if isinstance(event, ClockTick):
                assert self._clock is not None
                self._clock.publish(Clock(clock=nanoseconds_to_stamp(event.time_ns)))
            else:
                self._publish(event)

    def _publish(self, message: TimedMessage) -> None:
        if message.topic in self._unchecked and not self._fits(message):
            self._drop(message.topic)
        publisher = self._publishers.get(message.topic)
        if publisher is None:
            return
        data = message.data
        if self._config.restamp:
            data = self._restamper.restamp(data, self._classes[message.topic], time.time_ns())
        publisher.publish(data)
        self.sent[message.topic.name] += 1
        self._progress(message.time_ns)

    def _add(self, topic: Topic) -> None:
        found = message_class(topic.type_name)
        if found is None:
            self._warn_skipped(topic, f"the type {topic.type_name} is not installed here")
            return
        try:
            publisher = self._node.create_publisher(found, topic.name, _qos(topic, self._config))
        except InvalidTopicNameException as error:
            self._warn_skipped(topic, " ".join(str(error).split()))
            return
        self._classes[topic] = found
        self._publishers[topic] = publisher
        self._unchecked.add(topic)
        own_hash = self._own_hash(publisher)
        if topic.type_hash and own_hash and own_hash != topic.type_hash:
            self._warn_skipped(topic, f"it holds another version of {topic.type_name}")
            self._drop(topic)

    def _own_hash(self, publisher: Publisher[Any]) -> str:
        """Return the hash of the installed type, or "" where this distribution has none."""
        endpoints = self._node.get_publishers_info_by_topic(publisher.topic_name)
        own = [item for item in endpoints if item.node_name == self._node.get_name()]
        return str(getattr(own[0], "topic_type_hash", "")) if own else ""

    def _fits(self, message: TimedMessage) -> bool:
        """Tell whether the first message of a topic can be read as the installed type."""
        self._unchecked.discard(message.topic)
        try:
            deserialize_message(message.data, self._classes[message.topic])
        except Exception as error:  # the middleware raises its own kinds
            reason = f"its messages are no {message.topic.type_name} ({type(error).__name__})"
            self._warn_skipped(message.topic, reason)
            return False
        return True

    def _drop(self, topic: Topic) -> None:
        self._node.destroy_publisher(self._publishers.pop(topic))
        self._unchecked.discard(topic)

    def _warn_skipped(self, topic: Topic, reason: str) -> None:
        self._node.get_logger().warning(f"skipping {topic.name}: {reason}")

    def _wait_for_subscribers(self) -> bool:
        """Wait as configured; return False where playing was stopped meanwhile."""
        deadline = time.monotonic() + self._config.wait_for_subscribers
        images = [topic for topic in self.topics if topic.type_name in IMAGE_TYPES]
        awaited = [self._publishers[topic] for topic in images or self.topics]
        while time.monotonic() < deadline:
            if any(publisher.get_subscription_count() for publisher in awaited):
                return not self._stop.wait(SETTLE_S)
            if self._stop.wait(POLL_S):
                return False
        if self._config.wait_for_subscribers:
            self._node.get_logger().warning(
                f"nobody subscribed within {self._config.wait_for_subscribers:g} s: playing anyway"
            )
        return not self._stop.is_set()

    def _flush(self) -> None:
        """Let subscribers receive the last messages before the publishers vanish."""
        if self._stop.is_set():
            return
        for topic in self.topics:
            if _qos(topic, self._config).reliability == ReliabilityPolicy.RELIABLE:
                self._wait_for_acknowledgement(self._publishers[topic])
        self._stop.wait(LINGER_S)

    def _wait_for_acknowledgement(self, publisher: Publisher[Any]) -> None:
        deadline = time.monotonic() + ACKNOWLEDGE_S
        while time.monotonic() < deadline and not self._stop.is_set():
            if publisher.wait_for_all_acked(_ACKNOWLEDGE_SLICE):
                return


def _span(recording: Recording, config: ReplayConfig) -> tuple[int, int]:
    start_ns = recording.start_ns + round(config.start_offset * NANOSECONDS_PER_SECOND)
    if start_ns > recording.end_ns:
        length_s = (recording.end_ns - recording.start_ns) / NANOSECONDS_PER_SECOND
        raise InputError(
            f"start_offset: expected less than the recording's {length_s:.3f} s, got "
            f"{config.start_offset:g} s"
        )
    if not config.duration:
        return start_ns, recording.end_ns
    end_ns = start_ns + round(config.duration * NANOSECONDS_PER_SECOND)
    return start_ns, min(end_ns, recording.end_ns)


def _clock_period_ns(config: ReplayConfig) -> int:
    """Return the recorded time between two clock messages; 0 for none."""
    if not config.clock_rate:
        return 0
    return max(1, round(config.rate / config.clock_rate * NANOSECONDS_PER_SECOND))


def _qos(topic: Topic, config: ReplayConfig) -> QoSProfile:
    reliable = (
        topic.reliable if config.reliability == "recorded" else (config.reliability == "reliable")
    )
    return QoSProfile(
        depth=config.depth or topic.depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=(
            DurabilityPolicy.TRANSIENT_LOCAL if topic.latched else DurabilityPolicy.VOLATILE
        ),
    )
