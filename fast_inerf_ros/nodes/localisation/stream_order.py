"""Tells the next image of a stream from repeated ones and from a stream that starts over."""

from __future__ import annotations

from enum import Enum

JUMP_NS = 200_000_000
"""A stamp that lies further back belongs to a recording that starts over, not to a late image."""

FAR_NS = 60_000_000_000
"""A stamp that lies further from the present belongs to another clock or to a recording."""


class Order(Enum):
    """How an image follows the one before."""

    NEXT = "next"
    OUT_OF_ORDER = "out of order"
    STARTS_OVER = "starts over"


class StreamOrder:
    """Remembers the stamp of the newest image of a stream."""

    def __init__(self) -> None:
        self._newest_ns: int | None = None

    def next(self, stamp_ns: int) -> Order:
        """Take note of an image and tell how it follows."""
        newest = self._newest_ns
        if newest is not None and newest - JUMP_NS < stamp_ns <= newest:
            return Order.OUT_OF_ORDER
        self._newest_ns = stamp_ns
        starts_over = newest is not None and stamp_ns <= newest
        return Order.STARTS_OVER if starts_over else Order.NEXT

    def forget(self) -> None:
        """Begin with a new stream."""
        self._newest_ns = None


def age_ns(stamp_ns: int, arrival_ns: int, now_ns: int) -> int:
    """Return how old an image is: by its stamp, or since its arrival where stamps are no help.

    Stamps of another clock, and those of a recording that is played without /clock, are far from
    the present and say nothing about delay.
    """
    by_stamp = now_ns - stamp_ns
    return by_stamp if abs(by_stamp) <= FAR_NS else now_ns - arrival_ns


def is_live(stamp_ns: int, now_ns: int) -> bool:
    """Tell whether a stamp and the present are of one clock."""
    return abs(now_ns - stamp_ns) <= FAR_NS
