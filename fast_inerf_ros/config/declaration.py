"""Options: fields of configuration dataclasses, declared once with all that is known of them."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from fast_inerf_ros.config.value_rule import Scalar, Value, ValueRule, rule_of
from fast_inerf_ros.errors import InputError, suggestion

Config = TypeVar("Config")

_METADATA_KEY = "fast_inerf_ros.option"


@dataclass(frozen=True)
class Option:
    """One option of a configuration.

    name: dotted name, as in ROS parameters.
    default: its default, or dataclasses.MISSING where a value must be given.
    dynamic: whether it may change while a node runs.
    positional: whether command lines take it as a positional argument.
    """

    name: str
    rule: ValueRule
    default: Any
    doc: str
    dynamic: bool
    positional: bool

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is dataclasses.MISSING

    def checked(self, value: object) -> Value:
        """Return `value` in the declared type; InputError names the option otherwise."""
        try:
            return self.rule.checked(value)
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from None


def option(
    default: Any = dataclasses.MISSING,
    *,
    doc: str,
    unit: str | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Iterable[Scalar] | None = None,
    dynamic: bool = False,
    positional: bool = False,
    finite: bool = True,
) -> Any:
    """Declare a field of a configuration dataclass.

    default: its value unless given; without one the option is required.
    doc: its meaning, one or two sentences. unit: such as "m" or "rad"; None for plain numbers.
    minimum, maximum: inclusive bounds of the number or of each element.
    choices: allowed values, where the type is not already a Literal.
    dynamic: a running node accepts changes. positional: a positional command line argument.
    finite: NaN and infinity are refused.

    The type is the field's annotation: bool, int, float, str, Literal, tuple[X, ...],
    tuple[X, X, X], list[X] and X | None.
    """
    limits: dict[str, Any] = {
        "unit": unit,
        "minimum": minimum,
        "maximum": maximum,
        "finite": finite,
    }
    if choices is not None:
        limits["choices"] = tuple(choices)
    traits = {"doc": " ".join(doc.split()), "dynamic": dynamic, "positional": positional}
    metadata = {_METADATA_KEY: (limits, traits)}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def section(config_class: type[Config], **defaults: Any) -> Any:
    """Declare a field that holds a nested configuration; `defaults` override the nested ones."""
    factory = functools.partial(config_class, **defaults) if defaults else config_class
    return dataclasses.field(default_factory=factory)


def options(config_class: type) -> tuple[Option, ...]:
    """List the options of a configuration class, those of nested sections by dotted names.

    Raises TypeError where a field is no option or its default breaks its own rule.
    """
    return _options(typing.cast(Hashable, config_class))


def values_of(config: object) -> dict[str, Value]:
    """Return the values of a configuration by dotted name."""
    return {
        item.name: functools.reduce(getattr, item.name.split("."), typing.cast(Any, config))
        for item in options(type(config))
    }


def unknown_name(name: str, known: Iterable[str]) -> InputError:
    """Return the error of an unknown option: names the nearest known one, or lists all."""
    return InputError(f"unknown option {name}: {suggestion(name, known)}")


@functools.cache
def _options(config_class: Any) -> tuple[Option, ...]:
    found: list[Option] = []
    annotations = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        annotation = annotations[field.name]
        if dataclasses.is_dataclass(annotation):
            nested = options(typing.cast(type, annotation))
            found += _prefixed(nested, field, annotation)
        else:
            found.append(_option_of(field, annotation, config_class))
    return tuple(found)


def _option_of(field: dataclasses.Field[Any], annotation: Any, config_class: type) -> Option:
    if _METADATA_KEY not in field.metadata:
        raise TypeError(f"{config_class.__name__}.{field.name} is not declared with option()")
    limits, traits = field.metadata[_METADATA_KEY]
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    item = Option(name=field.name, rule=rule_of(annotation, **limits), default=default, **traits)
    if not item.required:
        _check_default(item, config_class)
    return item


def _check_default(item: Option, config_class: type) -> None:
    try:
        checked = item.checked(item.default)
    except InputError as error:
        raise TypeError(f"the default of {config_class.__name__}.{error}") from None
    if type(checked) is not type(item.default):
        raise TypeError(f"the default of {config_class.__name__}.{item.name} has another type")


def _prefixed(
    nested: Iterable[Option], field: dataclasses.Field[Any], config_class: Any
) -> list[Option]:
    """Put the name of a section before its options, and its own defaults into them."""
    defaults: dict[str, Value] = {}
    if field.default_factory not in (dataclasses.MISSING, config_class):
        defaults = values_of(typing.cast(Any, field.default_factory)())
    return [
        dataclasses.replace(
            item, name=f"{field.name}.{item.name}", default=defaults.get(item.name, item.default)
        )
        for item in nested
    ]
