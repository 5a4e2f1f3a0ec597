"""What one option may hold: its type, length, bounds and choices, and the check of a value."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union

from fast_inerf_ros.errors import InputError

Scalar = Union[bool, int, float, str]
Value = Union[Scalar, tuple[Scalar, ...], list[Scalar], None]

KIND_NAMES: dict[type, str] = {bool: "boolean", int: "integer", float: "double", str: "string"}
NONE_WORDS = ("", "null", "Null", "NULL", "~")
INT64_LIMITS = (-(2**63), 2**63 - 1)


@dataclass(frozen=True)
class ValueRule:
    """Type and limits of a value.

    kind: bool, int, float or str, of the value or of each element.
    optional: None is allowed; the strings "", "null" and "~" also mean None, because ROS 2
        parameters and command lines have no other way to write it.
    container: tuple or list where the value is a sequence, else None.
    length: number of elements of a sequence, or None for any.
    minimum, maximum: inclusive bounds of numbers, in `unit`.
    choices: the allowed values, or None.
    finite: whether NaN and infinity are refused.
    """

    kind: type
    optional: bool = False
    container: type | None = None
    length: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Scalar, ...] | None = None
    unit: str | None = None
    finite: bool = True

    def checked(self, value: object) -> Value:
        """Return `value` in its declared type (an int becomes a float where one is wanted).

        Raises InputError, in one line that says what was expected and what was got.
        """
        if self.optional and (value is None or value in NONE_WORDS):
            return None
        if self.container is None:
            return self._checked_scalar(value)
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            raise self._refusal(value)
        if self.length is not None and len(value) != self.length:
            raise self._refusal(value, f", which has {len(value)}")
        elements = [self._checked_scalar(element) for element in value]
        return elements if self.container is list else tuple(elements)

    def expected(self) -> str:
        """Describe the allowed values in words, such as "double in [0, 1] m"."""
        words = self.type_name()
        if self.choices is not None:
            words += " out of " + ", ".join(str(choice) for choice in self.choices)
        bounds = self.bounds()
        words += f" {bounds}" if bounds else ""
        words += f" {self.unit}" if self.unit else ""
        return words + (" or null" if self.optional else "")

    def type_name(self) -> str:
        """Name the type as ROS does, such as "double" or "list of 3 doubles"."""
        if self.container is None:
            return KIND_NAMES[self.kind]
        count = "" if self.length is None else f"{self.length} "
        return f"list of {count}{KIND_NAMES[self.kind]}s"

    def bounds(self) -> str:
        """Describe the bounds, such as "in [0, 1]" or ">= 0"; empty where there are none."""
        if self.minimum is not None and self.maximum is not None:
            return f"in [{_short(self.minimum)}, {_short(self.maximum)}]"
        if self.minimum is not None:
            return f">= {_short(self.minimum)}"
        return f"<= {_short(self.maximum)}" if self.maximum is not None else ""

    def _checked_scalar(self, value: object) -> Scalar:
        scalar = self._converted(value)
        if isinstance(scalar, float) and self.finite and not math.isfinite(scalar):
            raise self._refusal(value, " (NaN and infinity are not allowed)")
        if self.kind in (int, float) and not self._within_bounds(typing.cast(float, scalar)):
            raise self._refusal(value)
        if self.choices is not None and scalar not in self.choices:
            raise self._refusal(value)
        return scalar

    def _converted(self, value: object) -> Scalar:
        if self.kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if self.kind is int and isinstance(value, int) and not isinstance(value, bool):
            return int(value)
        if self.kind in (bool, str) and isinstance(value, self.kind):
            return typing.cast(Scalar, self.kind(value))
        hint = " (write it in quotes)" if self.kind is str and _is_plain_word(value) else ""
        raise self._refusal(value, hint)

    def _within_bounds(self, number: float) -> bool:
        lowest, highest = INT64_LIMITS if self.kind is int else (-math.inf, math.inf)
        lowest = lowest if self.minimum is None else self.minimum
        highest = highest if self.maximum is None else self.maximum
        return math.isnan(number) or lowest <= number <= highest

    def _refusal(self, value: object, hint: str = "") -> InputError:
        return InputError(f"expected {self.expected()}, got {in_words(value)}{hint}")


def rule_of(annotation: Any, **limits: Any) -> ValueRule:
    """Derive the rule of an annotated type; `limits` are the remaining fields of ValueRule.

    Understood are bool, int, float, str, Literal of these, tuple and list of these, and
    Optional of all of them. Raises TypeError for any other type.
    """
    optional, annotation = _without_none(annotation)
    container, length, element = _without_container(annotation)
    if typing.get_origin(element) is Literal:
        limits["choices"] = typing.get_args(element)
        element = type(limits["choices"][0])
    if element not in KIND_NAMES:
        raise TypeError(f"no option can have the type {annotation}")
    return ValueRule(kind=element, optional=optional, container=container, length=length, **limits)


def _without_none(annotation: Any) -> tuple[bool, Any]:
    if typing.get_origin(annotation) not in (Union, types.UnionType):
        return False, annotation
    members = [member for member in typing.get_args(annotation) if member is not type(None)]
    if len(members) != 1:
        raise TypeError(f"no option can have the type {annotation}: only X | None is a union")
    return True, members[0]


def _without_container(annotation: Any) -> tuple[type | None, int | None, Any]:
    container = typing.get_origin(annotation)
    if container not in (tuple, list):
        return None, None, annotation
    elements = typing.get_args(annotation)
    if container is list:
        return list, None, elements[0]
    if len(elements) == 2 and elements[1] is Ellipsis:
        return tuple, None, elements[0]
    if len(set(elements)) != 1:
        raise TypeError(f"no option can have the type {annotation}: elements differ in type")
    return tuple, len(elements), elements[0]


def _short(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.12g}"


def _is_plain_word(value: object) -> bool:
    return isinstance(value, (bool, int, float))


def in_words(value: object) -> str:
    """Name the type of a value and the value itself, shortened, in the words of a YAML file."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "a mapping"
    text = repr(list(value)) if isinstance(value, (list, tuple)) else repr(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    name = "list" if isinstance(value, (list, tuple)) else KIND_NAMES.get(type(value))
    return f"{name or type(value).__name__} {text}"
