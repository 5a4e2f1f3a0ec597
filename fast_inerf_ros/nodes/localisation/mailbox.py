"""Hands the newest item of several senders to one receiver; what is older is dropped."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """At most one item of each sender, the newest; senders take turns."""

    def __init__(self) -> None:
        self._items: OrderedDict[str, Item] = OrderedDict()
        self._news = threading.Condition()
        self._woken = False

    def put(self, sender: str, item: Item) -> Item | None:
        """Leave an item; return the one of the same sender that it replaces, if any.

        A replaced item gives its place in the queue to the new one, so that a fast sender
        neither starves nor is starved.
        """
        with self._news:
            replaced = self._items.get(sender)
            self._items[sender] = item
            self._news.notify()
        return replaced

    def take(self, timeout_s: float) -> tuple[str, Item] | None:
        """Wait for an item and return it with its sender; None where none came in time."""
        with self._news:
            if not self._items and not self._woken:
                self._news.wait(timeout_s)
            self._woken = False
            return self._items.popitem(last=False) if self._items else None

    def clear(self) -> list[str]:
        """Throw everything away; return the senders of what was there."""
        with self._news:
            senders = list(self._items)
            self._items.clear()
        return senders

    def wake(self) -> None:
        """Make the receiver return from this or the next waiting, maybe empty-handed."""
        with self._news:
            self._woken = True
            self._news.notify_all()
