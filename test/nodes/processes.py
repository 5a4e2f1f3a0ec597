"""Runs executables of this package in processes of their own and listens to them over DDS."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from rclpy.context import Context
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_srvs.srv import Trigger

PATIENCE_S = 60.0
# rclpy's own callback warns of incompatible publishers through a deprecated function.
QUIET = SubscriptionEventCallbacks(use_default_callbacks=False)
REPOSITORY = Path(__file__).parents[2]


def quiet_domain():
    """Find a DDS domain in 1..100 whose first participant's port is free."""
    first = os.getpid() % 100
    for offset in range(100):
        domain = 1 + (first + offset) % 100
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", 7400 + 250 * domain + 10))  # RTPS 2.5, section 9.6.2.3
                return domain
            except OSError:
                continue
    raise AssertionError("all DDS domains from 1 to 100 are in use")


class Program:
    """A module of this package run as a process; ended by its id when the block ends."""

    def __init__(self, module, *arguments, environment=None):
        self._command = [sys.executable, "-m", module, *map(str, arguments)]
        self._environment = {**os.environ, **(environment or {})}
        self._environment["PYTHONPATH"] = os.pathsep.join(
            [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        )

    def __enter__(self):
        self._output = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE_S)
        self._output.close()

    def wait(self):
        """Wait for the end and return the exit status."""
        try:
            return self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running; so far it said:\n{self.output}") from None

    def send(self, number=signal.SIGINT):
        self._process.send_signal(number)

    def send_until_end(self):
        """Send SIGINT and SIGTERM in turn until it has ended; return the exit status."""
        deadline = time.monotonic() + PATIENCE_S
        for number in itertools.cycle([signal.SIGINT, signal.SIGTERM]):
            if self._process.poll() is not None:
                return self._process.returncode
            assert time.monotonic() < deadline, f"still running; so far it said:\n{self.output}"
            self.send(number)
            time.sleep(0.005)

    @property
    def output(self):
        """What it has written to stdout and stderr so far."""
        self._output.seek(0)
        return self._output.read()


def run(module, *arguments, environment=None):
    """Run a module to its end; return exit status and output."""
    with Program(module, *arguments, environment=environment) as program:
        status = program.wait()
        return status, program.output


class Received(NamedTuple):
    """A message, the wall time and the node's own (perhaps simulated) time of its arrival."""

    message: object
    wall_ns: int
    node_ns: int


class Listener:
    """A node of this process that keeps everything it hears.

    topics: (name, type) or (name, type, QoSProfile); reliable with a deep queue by default, as
    only that promises every message; what is published at best effort must be asked for so.
    """

    def __init__(self, topics, use_sim_time=False):
        self._context = Context()
        self._context.init(args=["listener"])
        self._node = Node(
            "listener",
            context=self._context,
            parameter_overrides=[Parameter("use_sim_time", value=use_sim_time)],
        )
        self._heard = defaultdict(list)
        self._news = threading.Condition()
        for name, kind, *qos in topics:
            profile = qos[0] if qos else reliable()
            self._node.create_subscription(
                kind, name, self._keeper(name), profile, event_callbacks=QUIET
            )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def wait_for(self, name, count):
        """Wait until so many messages came; return all that have come."""
        return self.wait_until(lambda heard: len(heard[name]) >= count)[name]

    def wait_until(self, condition):
        """Wait until a condition on everything heard, by topic, is true; return all that."""
        deadline = time.monotonic() + PATIENCE_S
        with self._news:
            while not condition(self._heard):
                # Conditions may look at other things than messages, so they are asked again.
                self._news.wait(0.05)
                if time.monotonic() > deadline:
                    counts = {name: len(items) for name, items in self._heard.items()}
                    raise AssertionError(f"waited in vain; heard {counts}")
        return self._heard

    def heard(self, name):
        """Return what has come so far."""
        with self._news:
            return list(self._heard[name])

    def topic_names(self):
        """Return the names of all topics that someone publishes."""
        return [
            name
            for name, _ in self._node.get_topic_names_and_types()
            if self._node.count_publishers(name)
        ]

    def close(self):
        self._executor.shutdown(timeout_sec=1.0)
        self._thread.join(5.0)
        self._node.destroy_node()
        self._context.try_shutdown()

    def _keeper(self, name):
        def keep(message):
            received = Received(message, time.time_ns(), self._node.get_clock().now().nanoseconds)
            with self._news:
                self._heard[name].append(received)
                self._news.notify_all()

        return keep

    def _spin(self):
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()


def best_effort(depth=1000):
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)


def reliable(depth=1000, latched=False):
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def call_trigger(service):
    """Call a std_srvs/Trigger once and return the response."""
    context = Context()
    context.init(args=["caller"])
    node = Node("caller", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    client = node.create_client(Trigger, service)
    try:
        assert client.wait_for_service(timeout_sec=PATIENCE_S)
        future = client.call_async(Trigger.Request())
        executor.spin_until_future_complete(future, timeout_sec=PATIENCE_S)
        return future.result()
    finally:
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()
