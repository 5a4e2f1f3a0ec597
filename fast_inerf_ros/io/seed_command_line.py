"""Command lines of the seed project: `--config FILE`, then flags that go before the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fast_inerf_ros import config
from fast_inerf_ros.config.value_rule import Value
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.io.seed_config import ALIASES, checked_value, read_seed_config, seed_values
from fast_inerf_ros.io.seed_options import SeedInerfOptions, SeedNerfOptions

Options = TypeVar("Options", SeedNerfOptions, SeedInerfOptions)

HELP = ("-h", "--help")


@dataclass(frozen=True)
class SeedCommand(Generic[Options]):
    """Options of a command, and the text of its configuration file, if it has one."""

    options: Options
    config_text: str | None


def parse_seed_command(
    options_class: type[Options], arguments: Sequence[str]
) -> SeedCommand[Options]:
    """Read a command line as configargparse does: flags, then the file, then defaults.

    `--key value`, `--key=value`, and `--key` alone for true.

    Raises InputError naming the flag, or file and line, what was expected and what was got.
    """
    known = {item.name: item for item in config.options(options_class)}
    flags = _flag_values(known, arguments)
    values: dict[str, Value] = {}
    text: str | None = None
    path = flags.get("config")
    if isinstance(path, str):
        text = read_seed_config(path)
        values = seed_values(options_class, text, path)
    return SeedCommand(config.build(options_class, {**values, **flags}), text)


def wants_help(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for an explanation."""
    return any(text in HELP for text in arguments)


def help_text(options_class: type[Options], prog: str, description: str) -> str:
    """The explanation of all flags."""
    lines = [f"usage: {prog} --config FILE [flags]", "", description, "", "flags:"]
    for item in config.options(options_class):
        shown = "" if item.rule.kind is bool else f" {item.rule.kind.__name__.upper()}"
        lines.append(f"  --{item.name}{shown}")
        lines.append(f"        {item.doc} (default: {item.default})")
    return "\n".join(lines) + "\n"


def _flag_values(known: Mapping[str, config.Option], arguments: Sequence[str]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    remaining = list(arguments)
    while remaining:
        flag = remaining.pop(0)
        if not flag.startswith("--") or len(flag) < 3:
            raise InputError(f"expected a flag such as --config FILE, got {flag!r}; see --help")
        key, equals, text = flag[2:].partition("=")
        given: str | None = text if equals else None
        follows = bool(remaining) and not remaining[0].startswith("--")
        if not equals and follows and not _is_switch(known, key):
            given = remaining.pop(0)
        try:
            name, value = checked_value(known, key, given)
        except InputError as error:
            raise InputError(f"--{key}: {error}") from None
        if given is None and not _is_switch(known, key):
            raise InputError(f"--{key}: expected a value after it, got none; see --help")
        values[name] = value
    return values


def _is_switch(known: Mapping[str, config.Option], key: str) -> bool:
    name = ALIASES.get(key, key)
    return name in known and known[name].rule.kind is bool
