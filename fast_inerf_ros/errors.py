"""The error of bad input: one line that says what was expected, what was got and what to do."""


class InputError(ValueError):
    """Input that a user can correct.

    The message is one line: what was expected, what was got, the remedy. Command lines print
    it without a traceback and exit with status 2; nodes log it and stay alive.
    """
