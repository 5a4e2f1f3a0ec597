"""Building configurations: from values, YAML text and files, and changing one option."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any, TypeVar

from fast_inerf_ros.config.declaration import Option, options, unknown_name, values_of
from fast_inerf_ros.config.params_file import values_for
from fast_inerf_ros.config.value_rule import Value
from fast_inerf_ros.config.yaml_text import Located, parse_yaml, read_yaml
from fast_inerf_ros.errors import InputError

Config = TypeVar("Config")


def build(config_class: type[Config], values: Mapping[str, object]) -> Config:
    """Build a configuration from values by dotted name; the rest are defaults.

    Raises InputError for unknown names, missing required options and values that break a rule.
    """
    known = {item.name: item for item in options(config_class)}
    for name in values:
        if name not in known:
            raise unknown_name(name, known)
    checked: dict[str, Value] = {}
    for item in known.values():
        if item.required and item.name not in values:
            raise InputError(f"{item.name}: a value is required: {item.rule.expected()}")
        checked[item.name] = item.checked(values.get(item.name, item.default))
    return _assembled(config_class, checked, "")


def replace(config: Config, name: str, value: object) -> Config:
    """Return a copy with one option changed, `name` dotted; InputError as from `build`."""
    return build(type(config), {**values_of(config), name: value})


def check(config: Config) -> Config:
    """Return a configuration that was built by hand with every value checked."""
    return build(type(config), values_of(config))


def load(
    config_class: type[Config], path: str | PathLike[str], node_name: str | None = None
) -> Config:
    """Load a configuration from a YAML file, in the shape of ROS 2 or as a plain mapping.

    node_name: whose section is read where the file has sections; see params_file.values_for.

    Raises InputError that names file, line, key, what was expected and what was got.
    """
    return build(config_class, _file_values(config_class, read_yaml(path), node_name))


def parse(
    config_class: type[Config],
    text: str,
    node_name: str | None = None,
    source: str = "<text>",
) -> Config:
    """Load a configuration from YAML text; as `load`."""
    document = parse_yaml(text, source)
    return build(config_class, _file_values(config_class, document, node_name))


def file_values(
    config_class: type,
    path: str | PathLike[str],
    node_name: str | None = None,
    required: bool = True,
) -> dict[str, Value]:
    """Read the checked values of a YAML file by dotted name, without the defaults.

    required: whether a file with sections, but none for the node, is an error.
    """
    return _file_values(config_class, read_yaml(path), node_name, required)


def _file_values(
    config_class: type, document: Located, node_name: str | None, required: bool = True
) -> dict[str, Value]:
    known = {item.name: item for item in options(config_class)}
    checked: dict[str, Value] = {}
    for name, value in values_for(document, node_name, required).items():
        if value.content == {} and _inside(known, name):
            continue
        try:
            checked[name] = _file_value(known, name, value)
        except InputError as error:
            raise value.error(str(error)) from None
    return checked


def _file_value(known: Mapping[str, Option], name: str, value: Located) -> Value:
    if name in known:
        return known[name].checked(value.plain())
    for parent in known:
        if name.startswith(f"{parent}."):
            raise InputError(f"{parent}: expected {known[parent].rule.expected()}, got a mapping")
    if _inside(known, name):
        raise InputError(f"{name}: expected a mapping of {', '.join(_inside(known, name))}")
    raise unknown_name(name, known)


def _inside(known: Iterable[str], section_name: str) -> list[str]:
    return [name for name in known if name.startswith(f"{section_name}.")]


def _assembled(config_class: type[Config], values: Mapping[str, Value], prefix: str) -> Config:
    arguments: dict[str, Any] = {}
    annotations = typing.get_type_hints(config_class)
    for field in dataclasses.fields(typing.cast(Any, config_class)):
        name = prefix + field.name
        if dataclasses.is_dataclass(annotations[field.name]):
            nested = typing.cast(type, annotations[field.name])
            arguments[field.name] = _assembled(nested, values, f"{name}.")
        else:
            arguments[field.name] = values[name]
    return config_class(**arguments)
