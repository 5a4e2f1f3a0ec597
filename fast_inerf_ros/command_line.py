"""Command lines generated from a configuration dataclass.

Values come from the defaults, then from --params-file, then from the flags.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Optional, TypeVar

from fast_inerf_ros.config import Option, build, dump, file_values, options
from fast_inerf_ros.config.value_rule import NONE_WORDS, Value
from fast_inerf_ros.config.yaml_text import parse_yaml, resolve_scalar
from fast_inerf_ros.errors import InputError, suggestion

Config = TypeVar("Config")
Main = Callable[[Config], Optional[int]]

LOG_LEVELS = ("debug", "info", "warning", "error")
_logger = logging.getLogger(__name__)


def run(
    config_class: type[Config],
    main: Main[Config],
    argv: Sequence[str] | None = None,
    prog: str | None = None,
    description: str | None = None,
) -> int:
    """Parse a command line, call `main` with the configuration and return the exit status.

    argv: arguments without the program's name; None for those of the process.
    prog: the program's name, which also chooses its section of a parameter file.

    0 or what `main` returns; other statuses as of `guarded`.
    """

    def body() -> int:
        parser = _parser(config_class, prog, description)
        arguments = parser.parse_known(sys.argv[1:] if argv is None else argv)
        logging.getLogger().setLevel(arguments.log_level.upper())
        config = _configured(config_class, arguments, prog)
        if arguments.print_config:
            sys.stdout.write(dump(config))
            return 0
        return main(config) or 0

    return guarded(body)


def guarded(body: Callable[[], int]) -> int:
    """Run a program with logging set up and return its exit status.

    What `body` returns; 2 for bad input, 1 for a file that cannot be read or written, both with
    a line `error: ...` on stderr; 130 after Ctrl-C.
    """
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger().setLevel(logging.INFO)
    try:
        return body()
    except (InputError, OSError) as error:
        _logger.debug("the traceback of the error below", exc_info=True)
        sys.stderr.write(f"error: {error}\n")
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are InputError and name the nearest known flag."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see --help)")

    def parse_known(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse `argv`; InputError for flags that do not exist."""
        arguments, unknown = self.parse_known_args(self._joined(argv))
        for text in unknown:
            raise self._unknown(text)
        return arguments

    def _joined(self, argv: Sequence[str]) -> list[str]:
        """Join each flag with its value, so that a value may begin with a minus ("-1e-3")."""
        joined: list[str] = []
        remaining = iter(argv)
        for text in remaining:
            if text == "--":
                return [*joined, text, *remaining]
            flag, equals, value = text.partition("=")
            flag = flag.replace("_", "-") if flag.startswith("--") else flag
            action = self._option_string_actions.get(flag)
            if action is not None and not equals and action.nargs is None:
                equals, value = "=", next(remaining, "--")
                if value in self._option_string_actions or value == "--":
                    raise InputError(f"{flag} needs a value (see --help)")
            joined.append(flag + equals + value)
        return joined

    def _unknown(self, text: str) -> InputError:
        flag = text.partition("=")[0]
        if not flag.startswith("-"):
            return InputError(f"unexpected argument {text} (see --help)")
        return InputError(f"unknown flag {flag}: {suggestion(flag, self._option_string_actions)}")


def _parser(config_class: type, prog: str | None, description: str | None) -> _Parser:
    parser = _Parser(
        prog=prog,
        description=description,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--params-file", metavar="FILE", help="YAML file of these options")
    parser.add_argument(
        "--print-config",
        action="store_true",
        default=False,
        help="print the resulting options as a YAML file and exit",
    )
    parser.add_argument("--log-level", choices=LOG_LEVELS, default="info", help="default: info")
    groups: dict[str, Any] = {"": parser}
    for item in options(config_class):
        name = item.name.rpartition(".")[0]
        if name not in groups:
            groups[name] = parser.add_argument_group(name)
        _add_argument(groups[name], item)
    return parser


def _add_argument(group: Any, item: Option) -> None:
    text = _help(item)
    if item.positional:
        # Optional even where required: a parameter file may give it, and `build` insists on it.
        group.add_argument(item.name, nargs="?", metavar=item.name.upper(), help=text)
        return
    flag = f"--{item.name.replace('_', '-')}"
    if item.rule.kind is bool and item.rule.container is None and not item.rule.optional:
        action = argparse.BooleanOptionalAction
        added = group.add_argument(flag, dest=item.name, action=action)
        added.help = text  # set late, because Python 3.10 adds a default of its own
        return
    group.add_argument(flag, dest=item.name, metavar=_metavar(item), help=text)


def _metavar(item: Option) -> str:
    if item.rule.choices is not None and item.rule.container is None:
        return "{" + ",".join(str(choice) for choice in item.rule.choices) + "}"
    name = {bool: "BOOL", int: "INT", float: "NUMBER", str: "TEXT"}[item.rule.kind]
    return f"{name},..." if item.rule.container is not None else name


def _help(item: Option) -> str:
    details = [] if item.rule.unit is None else [item.rule.unit]
    details += [item.rule.bounds()] if item.rule.bounds() else []
    if item.required:
        details.append("required")
    elif item.default is not None:
        details.append(f"default: {written(item.default)}")
    text = f"{item.doc} ({'; '.join(details)})" if details else item.doc
    return text.replace("%", "%%")


def written(value: Value) -> str:
    """Write a value as a command line takes it."""
    if isinstance(value, (tuple, list)):
        return ",".join(written(element) for element in value)
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def _configured(
    config_class: type[Config], arguments: argparse.Namespace, prog: str | None
) -> Config:
    values: dict[str, object] = {}
    if "params_file" in arguments:
        values.update(file_values(config_class, arguments.params_file, prog))
    for item in options(config_class):
        if item.name in arguments:
            try:
                values[item.name] = _read(item, getattr(arguments, item.name))
            except InputError as error:
                raise InputError(f"{item.name}: {error}") from None
    return build(config_class, values)


def _read(item: Option, text: Any) -> object:
    """Read a flag's text by the rules of the YAML files."""
    if isinstance(text, bool) or (item.rule.optional and text in NONE_WORDS):
        return text
    if item.rule.container is None:
        return text if item.rule.kind is str else resolve_scalar(text)
    if text.startswith("["):
        return parse_yaml(text, source="value").plain()
    parts = [part.strip() for part in text.split(",")] if text else []
    return parts if item.rule.kind is str else [resolve_scalar(part) for part in parts]
