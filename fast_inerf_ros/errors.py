"""The error of bad input: one line that says what was expected, what was got and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Input that a user can correct.

    The message is one line: what was expected, what was got, the remedy. Command lines print
    it without a traceback and exit with status 2; nodes log it and stay alive.
    """


def suggestion(name: str, known: Iterable[str]) -> str:
    """Say what an unknown name may have meant: the nearest known one, or all of them.

    Of dotted names the last part counts too: `steps` may have meant `solver.steps`.
    """
    full_names = {known_name: known_name for known_name in known}
    last_parts = {known_name.rpartition(".")[2]: known_name for known_name in full_names}
    for wanted, names in ((name, full_names), (name.rpartition(".")[2], last_parts)):
        for nearest in difflib.get_close_matches(wanted, names, n=1, cutoff=0.7):
            return f"did you mean {names[nearest]}?"
    return f"known are {', '.join(full_names)}"
