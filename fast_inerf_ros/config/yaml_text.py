"""Strict YAML with line numbers, read as the parameter files of ROS 2 are read.

PyYAML follows YAML 1.1, where `1e-3` is a string, `1:30` the number 90 and `2024-01-01` a date.
ROS 2 parameter files know booleans, integers, doubles and strings only, and `1e-3` is a double.
Plain scalars are resolved here by the rules of ROS, so that one file means the same to both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Union

import yaml

from fast_inerf_ros.errors import InputError

Content = Union[bool, int, float, str, None, list["Located"], dict[str, "Located"]]

_TRUE_WORDS = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}
_FALSE_WORDS = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}
_NULL_WORDS = {"", "~", "null", "Null", "NULL"}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*|0[xX][0-9a-fA-F]+)\Z")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_NON_FINITE = re.compile(r"([-+]?)\.?(inf|nan|infinity)\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Located:
    """A YAML value and where it stands.

    content: a scalar, a list of Located or a dict of str to Located.
    source: name of the file; line: counted from 1, of the key where the value has one.
    """

    content: Content
    source: str
    line: int

    def plain(self) -> Any:
        """Return the value without locations."""
        if isinstance(self.content, list):
            return [element.plain() for element in self.content]
        if isinstance(self.content, dict):
            return {key: value.plain() for key, value in self.content.items()}
        return self.content

    def at(self, path: str) -> Located:
        """Return the value at a path such as "objects[2].mesh"."""
        place = self
        for key, index in re.findall(r"([^.\[\]]+)|\[([0-9]+)\]", path):
            content = place.content
            if isinstance(content, dict):
                place = content[key]
            elif isinstance(content, list):
                place = content[int(index)]
        return place

    def error(self, message: str) -> InputError:
        """Return the error `message` at this place, as "file:line: message"."""
        return InputError(f"{self.source}:{self.line}: {message}")


def read_yaml(path: str | PathLike[str]) -> Located:
    """Read one YAML document from a file; an empty file gives an empty mapping.

    Raises InputError where the file is missing, not text or not strict YAML.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot read this file: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected UTF-8 text, got bytes at {error.start}") from error
    return parse_yaml(text, source=str(path))


def parse_yaml(text: str, source: str = "<text>") -> Located:
    """Parse one YAML document; empty text gives an empty mapping.

    Raises InputError for tabs, duplicate keys, tags, anchors, several documents and broken YAML.
    """
    try:
        _refuse_extensions(text, source)
        documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise _plain_error(error, text, source) from error
    if len(documents) > 1:
        line = documents[1].start_mark.line + 1
        raise InputError(f"{source}:{line}: expected one YAML document, got a second one ('---')")
    if not documents or _is_nothing(documents[0]):
        return Located({}, source, 1)
    return _located(documents[0], source, documents[0].start_mark.line + 1)


def resolve_scalar(text: str) -> bool | int | float | str | None:
    """Give an unquoted YAML scalar its type, by the rules of ROS 2 parameter files.

    Raises InputError for numbers with leading zeros, which ROS reads as octal.
    """
    if text in _NULL_WORDS:
        return None
    if text in _TRUE_WORDS or text in _FALSE_WORDS:
        return text in _TRUE_WORDS
    if _LEADING_ZERO.match(text):
        raise InputError(f"{text} has a leading zero: drop it, or quote it if it is a text")
    if _INTEGER.match(text):
        return int(text, 0)
    if _FLOAT.match(text):
        number = float(text)
        return number if math.isfinite(number) else text  # too large for a double: a text to ROS
    special = _NON_FINITE.match(text)
    return float(special[1] + special[2]) if special else text


def yaml_value(value: object) -> str:
    """Write a scalar or a list of them so that it reads back equal and of the same type.

    None becomes the empty string, which is how ROS 2 parameter files can say it.
    """
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(yaml_value(element) for element in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return _float(value) if isinstance(value, float) else _quoted(str(value or ""))


def _float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    text = repr(value)
    return text if "." in text else text.replace("e", ".0e")


def _quoted(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    return '"' + "".join(escapes.get(letter) or _escaped(letter) for letter in text) + '"'


def _escaped(letter: str) -> str:
    return letter if letter.isprintable() else f"\\U{ord(letter):08x}"


def _located(node: yaml.Node, source: str, line: int) -> Located:
    if isinstance(node, yaml.MappingNode):
        return Located(dict(_entries(node, source)), source, line)
    if isinstance(node, yaml.SequenceNode):
        elements = [_located(child, source, child.start_mark.line + 1) for child in node.value]
        return Located(elements, source, line)
    return Located(_scalar(node, source, line), source, line)


def _entries(node: yaml.MappingNode, source: str) -> Iterator[tuple[str, Located]]:
    first_lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise InputError(f"{source}:{line}: expected a name as key, got a list or a mapping")
        key = str(key_node.value)
        if key in first_lines:
            raise InputError(
                f"{source}:{line}: duplicate key '{key}' (first on line {first_lines[key]}): "
                "keep one of the two"
            )
        if key == "<<":
            raise InputError(f"{source}:{line}: merge keys ('<<') are not supported: write it out")
        first_lines[key] = line
        yield key, _located(value_node, source, line)


def _scalar(node: yaml.Node, source: str, line: int) -> bool | int | float | str | None:
    if getattr(node, "style", None) is not None:  # quoted, or a block of text
        return str(node.value)
    try:
        if _is_nothing(node):  # the parser of ROS refuses it too
            raise InputError("expected a value, got nothing: write one, or null")
        return resolve_scalar(node.value)
    except InputError as error:
        raise InputError(f"{source}:{line}: {error}") from None


def _is_nothing(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and not node.value


def _refuse_extensions(text: str, source: str) -> None:
    """Refuse what ROS 2 parameter files refuse: anchors, aliases, and tags of almost any kind."""
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark = event.start_mark
        place = f"{source}:{mark.line + 1 if mark else 1}"
        if getattr(event, "anchor", None) is not None:
            raise InputError(
                f"{place}: anchors and aliases ('&', '*') are not supported: write the value out"
            )
        explicit_tag = getattr(event, "tag", None)
        if explicit_tag is not None and not _is_launch_tuple(event):
            tag = explicit_tag.replace("tag:yaml.org,2002:", "!!")
            raise InputError(f"{place}: the tag {tag} is not allowed: write a plain value")


def _is_launch_tuple(event: yaml.Event) -> bool:
    """Tell whether a list is tagged as launch_ros tags those of launch files; ROS ignores it."""
    if not isinstance(event, yaml.SequenceStartEvent):
        return False
    return str(event.tag) == "tag:yaml.org,2002:python/tuple"


def _plain_error(error: yaml.YAMLError, text: str, source: str) -> InputError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark else text[: getattr(error, "position", 0)].count("\n") + 1
    line_text = text.splitlines()[line - 1] if mark and line <= len(text.splitlines()) else ""
    if "\t" in line_text:
        return InputError(f"{source}:{line}: a tab where YAML wants spaces: indent with spaces")
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "broken YAML"
    return InputError(f"{source}:{line}: not valid YAML: {problem}")
