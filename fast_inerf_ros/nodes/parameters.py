"""Options as ROS 2 parameters: declared once from their dataclass, checked at start and live.

rclpy alone ignores a misspelt name in a parameter file and refuses an integer for a double.
Here every name given to the node must be declared, and `learning_rate: 1` is 1.0. A node needs
no special constructor arguments for it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from fast_inerf_ros.config import Option, build, file_values, options, values_of
from fast_inerf_ros.config.declaration import unknown_name
from fast_inerf_ros.config.params_file import ROS_OWN_PARAMETERS, belongs_to_ros
from fast_inerf_ros.config.value_rule import INT64_LIMITS, Value, ValueRule
from fast_inerf_ros.errors import InputError

Config = TypeVar("Config")


def declare_parameters(
    node: Node, config_class: type[Config], on_change: Callable[[Config], None] | None = None
) -> Config:
    """Declare the options of `config_class` on a node and return what it was started with.

    Call it once, after the constructor of Node or LifecycleNode and after every other parameter
    of the node is declared. Dynamic options accept changes while the node runs: each accepted
    set of changes reaches `on_change` as a whole new configuration; a refused one changes
    nothing and its result says why.

    Raises InputError where the node was given a value that breaks a rule, or a name that neither
    the options nor the node know.
    """
    given = _given_values(node, config_class)
    config = build(config_class, given)
    for item, value in zip(options(config_class), values_of(config).values(), strict=True):
        # The checked value, not the given one: an integer has become the double it stands for.
        node.declare_parameter(item.name, ros_value(value), _descriptor(item), True)
    _LiveParameters(node, config, on_change)
    return config


def check_params_files(
    config_class: type, node_name: str, arguments: Sequence[str] | None = None
) -> None:
    """Check the parameter files of a ROS command line before rclpy reads them.

    The parser of ROS keeps one of two duplicate keys and reports no line; this check names file
    and line. Files without a section for `node_name` are left alone, as ROS does.

    Raises InputError for the first thing that is wrong.
    """
    for path in _params_files(sys.argv if arguments is None else arguments):
        file_values(config_class, path, node_name, required=False)


class _LiveParameters(Generic[Config]):
    """Turns changes of a node's parameters into new configurations."""

    def __init__(
        self, node: Node, config: Config, on_change: Callable[[Config], None] | None
    ) -> None:
        self._config = config
        self._on_change = on_change
        node.add_on_set_parameters_callback(self._check)
        self._announces_late = hasattr(node, "add_post_set_parameters_callback")
        if self._announces_late:  # since ROS 2 Iron: other callbacks may still refuse before
            node.add_post_set_parameters_callback(self._apply)

    def _check(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        try:
            self._changed(parameters)
        except InputError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if not self._announces_late:
            self._apply(parameters)
        return SetParametersResult(successful=True)

    def _apply(self, parameters: list[Parameter[Any]]) -> None:
        config = self._changed(parameters)
        if config is not self._config:
            self._config = config
            if self._on_change is not None:
                self._on_change(config)

    def _changed(self, parameters: list[Parameter[Any]]) -> Config:
        own = {item.name for item in options(type(self._config))}
        changes: dict[str, object] = {}
        for parameter in parameters:
            if parameter.name in own:
                if parameter.type_ == Parameter.Type.NOT_SET:
                    raise InputError(f"{parameter.name}: an option cannot be deleted, only set")
                changes[parameter.name] = python_value(parameter.value)
        if not changes:
            return self._config
        return build(type(self._config), {**values_of(self._config), **changes})


def ros_value(value: Value) -> Any:
    """Return a value as rclpy stores it: None as "", tuples as lists."""
    if value is None:
        return ""
    return list(value) if isinstance(value, tuple) else value


def python_value(value: Any) -> Any:
    """Return a value of rclpy in plain Python: its arrays as lists."""
    return value if isinstance(value, (bool, int, float, str, type(None))) else list(value)


def _given_values(node: Node, config_class: type) -> dict[str, object]:
    """Return the values that the node was given for options, by name."""
    known = {item.name: item for item in options(config_class)}
    # rclpy has no public way to see what was given but not declared; this attribute has been in
    # every release since Foxy. The alternative, automatically_declare_parameters_from_overrides,
    # would fail silently wherever a node's constructor forgets it.
    given = node._parameter_overrides
    for name in given:
        if name not in known and not belongs_to_ros(name) and not node.has_parameter(name):
            error = unknown_name(name, [*known, *ROS_OWN_PARAMETERS])
            raise InputError(f"parameters of {node.get_fully_qualified_name()}: {error}")
    return {
        name: _override(item, given[name].value) for name, item in known.items() if name in given
    }


def _override(item: Option, value: Any) -> object:
    # The parser of ROS leaves an empty list without a type, and thus without a value.
    return [] if value is None and item.rule.container is not None else python_value(value)


def _descriptor(item: Option) -> ParameterDescriptor:
    rule = item.rule
    descriptor = ParameterDescriptor(
        name=item.name,
        description=f"{item.doc} [{rule.unit}]" if rule.unit else item.doc,
        additional_constraints=rule.expected(),
        read_only=not item.dynamic,
        dynamic_typing=rule.kind is float or rule.optional or rule.container is not None,
    )
    if rule.minimum is not None or rule.maximum is not None:
        _add_range(descriptor, rule)
    return descriptor


def _add_range(descriptor: ParameterDescriptor, rule: ValueRule) -> None:
    """Tell the bounds to tools that show sliders."""
    largest = sys.float_info.max
    lowest, highest = INT64_LIMITS if rule.kind is int else (-largest, largest)
    lowest = lowest if rule.minimum is None else rule.minimum
    highest = highest if rule.maximum is None else rule.maximum
    if rule.kind is int:
        integers = IntegerRange(from_value=math.ceil(lowest), to_value=math.floor(highest))
        descriptor.integer_range = [integers]
    else:
        doubles = FloatingPointRange(from_value=float(lowest), to_value=float(highest))
        descriptor.floating_point_range = [doubles]


def _params_files(arguments: Sequence[str]) -> Iterator[str]:
    for index, argument in enumerate(arguments):
        if argument == "--params-file" and index + 1 < len(arguments):
            yield arguments[index + 1]
