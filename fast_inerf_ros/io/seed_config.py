"""Configuration files of the seed project: `key = value` lines as configargparse reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TypeVar

from fast_inerf_ros import config
from fast_inerf_ros.config.declaration import unknown_name
from fast_inerf_ros.config.value_rule import Value
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.io.seed_options import (
    SeedFieldOptions,
    SeedInerfOptions,
    SeedNerfOptions,
)

Options = TypeVar("Options", SeedNerfOptions, SeedInerfOptions)

ALIASES = {"posecnn_pose_init": "posecnn_init_pose"}
"""Names that the seed's README uses for options that its code spells otherwise."""

_LINE = re.compile(
    r"(?:--)?(?P<key>[^:=;#\s\[\]]+)(?:\s*[:=\s]\s*(?P<value>[^=:\s].*?))?(?:\s[;#].*)?"
)
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


def load_seed_config(options_class: type[Options], path: str | PathLike[str]) -> Options:
    """Read a `.txt` configuration of `run_nerf` or `run_inerf`; raises InputError."""
    return parse_seed_config(options_class, read_seed_config(path), str(path))


def read_seed_config(path: str | PathLike[str]) -> str:
    """The text of a configuration file; raises InputError where it cannot be read."""
    file = Path(path)
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{file}: no such configuration file; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file}: expected a text file of key = value lines, which cannot be read: {error}"
        ) from None


def parse_seed_config(options_class: type[Options], text: str, source: str = "<text>") -> Options:
    """Options from `key = value` lines.

    As configargparse: `:`, `=` or a space between key and value, `#` and `;` before comments,
    a key alone for true, `[section]` and `---` lines ignored, the last of equal keys counts;
    `None` means that an option is not given.

    Raises InputError naming line, key, what was expected and what was got, and for an unknown
    key the nearest known one.
    """
    return config.build(options_class, seed_values(options_class, text, source))


def seed_values(options_class: type[Options], text: str, source: str) -> dict[str, Value]:
    """The checked values that lines of a configuration give; see `parse_seed_config`."""
    known = {item.name: item for item in config.options(options_class)}
    values: dict[str, Value] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        try:
            entry = _entry(line, known)
        except InputError as error:
            raise InputError(f"{source}, line {number}: {error}") from None
        if entry is not None:
            values[entry[0]] = entry[1]
    return values


def dump_seed_config(options: SeedFieldOptions) -> str:
    """The options as the seed writes them to `args.txt`: sorted, one `key = value` a line."""
    values = config.values_of(options)
    return "".join(f"{name} = {values[name]}\n" for name in sorted(values))


def checked_value(
    known: Mapping[str, config.Option], key: str, text: str | None
) -> tuple[str, Value]:
    """Name and value of an option from its text, None for a key alone; raises InputError."""
    key = ALIASES.get(key, key)
    if key not in known:
        raise unknown_name(key, known)
    return key, known[key].checked(_typed(known[key], text))


def _entry(line: str, known: Mapping[str, config.Option]) -> tuple[str, Value] | None:
    text = line.strip()
    if not text or text[0] in "#;[" or text.startswith("---"):
        return None
    match = _LINE.fullmatch(text)
    if match is None:
        raise InputError(f"expected key = value, got {text[:60]!r}")
    return checked_value(known, match["key"], match["value"])


def _typed(item: config.Option, text: str | None) -> object:
    """The value in the type of its option where the text allows; checked afterwards."""
    kind, plain = item.rule.kind, _unquoted(text)
    if plain is None:
        return True if kind is bool else None
    if item.rule.optional and plain.lower() == "none":
        return None
    if kind is bool and plain.lower() in (*_TRUE, *_FALSE):
        return plain.lower() in _TRUE
    if kind in (int, float):
        return _number(kind, plain)
    return plain


def _unquoted(text: str | None) -> str | None:
    if text is not None and len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


def _number(kind: type, text: str) -> object:
    try:
        return int(text) if kind is int else float(text)
    except ValueError:
        return text
