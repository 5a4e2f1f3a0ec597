"""Which topics of a recording are played."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.nodes.recording import Topic
from fast_inerf_ros.nodes.replay_config import ReplayConfig


def select(topics: Iterable[Topic], config: ReplayConfig) -> tuple[Topic, ...]:
    """Return the topics to play; the ground truth is among them only if it was asked for.

    Raises:
        InputError: A name in ``config.topics`` matches nothing, or nothing is left to play.
    """
    present = [topic for topic in topics if topic.count]
    names = ", ".join(topic.name for topic in present)
    for pattern in config.topics:
        if not any(fnmatchcase(topic.name, pattern) for topic in present):
            raise InputError(f"topics: {pattern!r} matches nothing; recorded are {names}")
    chosen = tuple(topic for topic in present if _is_chosen(topic.name, config))
    if not chosen:
        raise InputError(
            f"expected topics to play, but all of {names} are excluded or ground truth: change "
            "topics or exclude_topics, or set publish_ground_truth"
        )
    return chosen


def withheld(topics: Iterable[Topic], config: ReplayConfig) -> list[Topic]:
    """Return the topics that are not played because they hold the ground truth."""
    if config.publish_ground_truth:
        return []
    return [topic for topic in topics if is_ground_truth(topic.name, config)]


def is_ground_truth(name: str, config: ReplayConfig) -> bool:
    """Tell whether a topic is one of the ground-truth topics or below one."""
    roots = [root.rstrip("/") for root in config.ground_truth_topics]
    return any(name == root or name.startswith(f"{root}/") for root in roots if root)


def _is_chosen(name: str, config: ReplayConfig) -> bool:
    if is_ground_truth(name, config) and not config.publish_ground_truth:
        return False
    if any(fnmatchcase(name, pattern) for pattern in config.exclude_topics):
        return False
    return not config.topics or any(fnmatchcase(name, pattern) for pattern in config.topics)
