"""Topic names for objects."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable


def topic_token(label: str) -> str:
    """Return a label as a part of a topic name: letters, digits and single underscores.

    What ROS does not allow becomes an underscore; a part that begins with a digit, or of which
    nothing is left, gets a prefix.
    """
    token = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9_]", "_", label)).strip("_")
    return token if token[:1].isalpha() else f"object_{token}".rstrip("_")


def object_tokens(labels: Iterable[str]) -> dict[tuple[str, int], str]:
    """Name every object of a scene for its topic, by label and number among those of its label.

    A single object of a label has its name alone, others get _0, _1, ...; labels that look alike
    after `topic_token` are told apart by the same numbers, and a number that would give a name
    twice is left out.
    """
    ordered = list(labels)
    alike = Counter(map(topic_token, ordered))
    taken = {token for token, count in alike.items() if count == 1}
    instances: Counter[str] = Counter()
    names = {}
    for label in ordered:
        token = topic_token(label)
        name = token if alike[token] == 1 else _free_name(token, taken)
        taken.add(name)
        names[(label, instances[label])] = name
        instances[label] += 1
    return names


def _free_name(token: str, taken: set[str]) -> str:
    numbered = (f"{token}_{number}" for number in itertools.count())
    return next(name for name in numbered if name not in taken)
