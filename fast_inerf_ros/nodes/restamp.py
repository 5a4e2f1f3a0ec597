"""Gives recorded messages the present time."""

from __future__ import annotations

import functools
import re
import struct
from collections import OrderedDict
from typing import Any

from rclpy.serialization import deserialize_message, serialize_message

from fast_inerf_ros.nodes.distribution import message_class as message_class_of
from fast_inerf_ros.nodes.poses import nanoseconds_to_stamp

# OMG DDS-XTypes 1.3, table 60: the plain encapsulations, in which a leading struct lies at the
# start of the body; the odd ones are little-endian.
_PLAIN_ENCAPSULATIONS = (0x0000, 0x0001, 0x0006, 0x0007)
_BODY = 4
_REMEMBERED_STAMPS = 256


class Restamper:
    """Replaces the stamps of messages by the time of their publication.

    Messages that carried the same stamp (an image and its CameraInfo) carry the same new one,
    so that what was synchronised remains so.
    """

    def __init__(self) -> None:
        self._new_stamps: OrderedDict[tuple[int, int], int] = OrderedDict()

    def forget(self) -> None:
        """Forget the stamps seen, when a recording starts over."""
        self._new_stamps.clear()

    def restamp(self, data: bytes, message_class: Any, now_ns: int) -> bytes:
        """Return a serialised message with a new stamp; one without a header stays as it is.

        The stamp of a leading header is overwritten in place, whatever the size of the message;
        only lists of stamped messages (TFMessage, MarkerArray) are taken apart.
        """
        if _starts_with_header(message_class) and _encapsulation(data) in _PLAIN_ENCAPSULATIONS:
            return self._patched(data, now_ns)
        lists = _lists_of_stamped(message_class)
        if not lists:
            return data
        message = deserialize_message(data, message_class)
        for item in [item for name in lists for item in getattr(message, name)]:
            old = item.header.stamp
            new_ns = self._new_stamp((old.sec, old.nanosec), now_ns)
            item.header.stamp = nanoseconds_to_stamp(new_ns)
        return serialize_message(message)

    def _patched(self, data: bytes, now_ns: int) -> bytes:
        little_endian = _encapsulation(data) & 1
        layout = "<iI" if little_endian else ">iI"
        new_ns = self._new_stamp(struct.unpack_from(layout, data, _BODY), now_ns)
        stamp = nanoseconds_to_stamp(new_ns)
        patched = bytearray(data)
        struct.pack_into(layout, patched, _BODY, stamp.sec, stamp.nanosec)
        return bytes(patched)

    def _new_stamp(self, old: tuple[int, ...], now_ns: int) -> int:
        key = (old[0], old[1])
        if key not in self._new_stamps:
            self._new_stamps[key] = now_ns
            if len(self._new_stamps) > _REMEMBERED_STAMPS:
                self._new_stamps.popitem(last=False)
        return self._new_stamps[key]


def _encapsulation(data: bytes) -> int:
    return int.from_bytes(data[:2], "big")


@functools.cache
def _starts_with_header(message_class: Any) -> bool:
    fields = message_class.get_fields_and_field_types()
    return next(iter(fields.items()), None) == ("header", "std_msgs/Header")


@functools.cache
def _lists_of_stamped(message_class: Any) -> tuple[str, ...]:
    """Return the names of fields that are lists of messages with a header."""
    fields = message_class.get_fields_and_field_types()
    return tuple(name for name, kind in fields.items() if _lists_stamped(kind))


def _lists_stamped(kind: str) -> bool:
    match = re.fullmatch(r"sequence<(\w+)/(\w+)(, \d+)?>", kind)
    if match is None:
        return False
    element = message_class_of(f"{match[1]}/msg/{match[2]}")
    return element is not None and _starts_with_header(element)
