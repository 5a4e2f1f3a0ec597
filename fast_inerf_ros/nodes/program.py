"""Runs a node as a program that takes plain flags and ROS arguments alike.

replay BAG --rate 2
replay --params-file replay.yaml
replay BAG --ros-args -r /camera/image_raw:=/image -p loop:=true
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import rclpy
from rclpy.context import Context
from rclpy.exceptions import ParameterException
from rclpy.executors import Executor, ExternalShutdownException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from fast_inerf_ros import command_line
from fast_inerf_ros.config import options, values_of
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.nodes.executor import OneThreadExecutor
from fast_inerf_ros.nodes.parameters import check_params_files, declare_parameters, ros_value
from fast_inerf_ros.nodes.stopping import StopSignal

Config = TypeVar("Config")
AnyNode = TypeVar("AnyNode", bound=Node)


def run_program(
    config_class: type[Config],
    body: Callable[[Config, Sequence[str]], int | None],
    argv: Sequence[str] | None,
    prog: str,
    description: str,
) -> int:
    """Run a program and return its exit status; wrong input is one line and status 2.

    Args:
        config_class: The program's options.
        body: Takes the options given as plain flags and all arguments, for `node_of`.
        argv: Arguments without the program's name; None for those of the process.
        prog: The program's name, also that of its section in parameter files.
        description: What the program does, for ``--help``.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        own = own_arguments(arguments)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return command_line.run(
        config_class, lambda flags: body(flags, arguments), own, prog, description
    )


def run_until_stopped(
    config_class: type[Config],
    body: Callable[[Config, Sequence[str], StopSignal], int | None],
    argv: Sequence[str] | None,
    prog: str,
    description: str,
) -> int:
    """Run a program that SIGINT and SIGTERM ask to end, which is no failure.

    Args:
        config_class: See `run_program`, as for all others.
        body: Takes what that of `run_program` takes, and the signal to stop at.
        argv: None also says that the process ends with the program.
        prog: The program's name.
        description: What the program does.
    """

    def stoppable(flags: Config, arguments: Sequence[str]) -> int | None:
        with StopSignal(to_the_end=argv is None) as stop:
            return body(flags, arguments, stop)

    return run_program(config_class, stoppable, argv, prog, description)


def own_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that are not for ROS (``--ros-args ... --``).

    Raises:
        InputError: The ROS arguments cannot be parsed.
    """
    with _parse_errors(arguments):
        return list(remove_ros_args(["program", *arguments]))[1:]


@contextmanager
def node_of(name: str, flags: Config, arguments: Sequence[str]) -> Iterator[tuple[Node, Config]]:
    """Start ROS and a plain node with the options as parameters; see `started`."""
    with started(
        name, flags, arguments, Node, OneThreadExecutor, declare_parameters
    ) as node_and_config:
        yield node_and_config


@contextmanager
def started(
    name: str,
    flags: Config,
    arguments: Sequence[str],
    make_node: Callable[..., AnyNode],
    make_executor: Callable[..., Executor],
    declare: Callable[[AnyNode, type[Config]], Config],
) -> Iterator[tuple[AnyNode, Config]]:
    """Start ROS and a node that answers requests in the background; end both afterwards.

    Signals are left to the caller, see `run_until_stopped`: rclpy's own handler would shut the
    context down in the midst of a publication.

    Args:
        name: Name of the node.
        flags: Options from plain flags; those that differ from their defaults go before the ROS
            parameters of the same name.
        arguments: Arguments of the program, those for ROS among them.
        make_node: Makes the node; is given what `Node` is.
        make_executor: Makes the executor; is given its context.
        declare: Declares the options as parameters of the node and returns their values.

    Yields:
        The node and its configuration.

    Raises:
        InputError: ROS arguments, parameters or parameter files that are wrong.
    """
    check_params_files(type(flags), name, arguments)
    context = Context()
    with _parse_errors(arguments):
        rclpy.init(
            args=["program", *arguments],
            context=context,
            signal_handler_options=SignalHandlerOptions.NO,
        )
    try:
        with _parse_errors(arguments):
            node = make_node(name, context=context, parameter_overrides=_overrides(flags))
        config = declare(node, type(flags))
        with _spinning(node, make_executor(context=context)):
            yield node, config
    finally:
        rclpy.try_shutdown(context=context)


@contextmanager
def _spinning(node: Node, executor: Executor) -> Iterator[None]:
    executor.add_node(node)
    thread = threading.Thread(target=_spin, args=(executor,), name="executor", daemon=True)
    thread.start()
    try:
        yield
    finally:
        executor.shutdown(timeout_sec=1.0)
        thread.join(timeout=1.0)
        node.destroy_node()


def _spin(executor: Executor) -> None:
    with suppress(ExternalShutdownException):
        executor.spin()


def _overrides(flags: Any) -> list[Parameter[Any]]:
    defaults = {item.name: item.default for item in options(type(flags))}
    return [
        Parameter(name, value=ros_value(value))
        for name, value in values_of(flags).items()
        if value != defaults[name]
    ]


@contextmanager
def _parse_errors(arguments: Sequence[str]) -> Iterator[None]:
    """Turn what rclpy raises for wrong arguments into an InputError."""
    try:
        yield
    except (ParameterException, RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = " ".join(str(error).split())
        raise InputError(
            f"ROS arguments: expected --ros-args as in 'ros2 run', got {' '.join(arguments)!r} "
            f"({reason})"
        ) from None
