"""Requests are served in threads; everything else where the executor spins."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from functools import partial

import pytest
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.node import Node
from rclpy.waitable import NumberOfEntities, Waitable
from std_msgs.msg import String
from std_srvs.srv import Trigger

from fast_inerf_ros.nodes.executor import OneThreadExecutor, ServiceThreadsExecutor

PATIENCE_S = 20.0


@contextmanager
def running(make_executor):
    context = Context()
    context.init(args=["test"])
    node = Node("busy", context=context)
    executor = make_executor(context=context)
    executor.add_node(node)
    try:
        yield node, executor
    finally:
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()


TWO_THREADS = partial(ServiceThreadsExecutor, 2)


@pytest.fixture
def node_and_executor():
    with running(TWO_THREADS) as found:
        yield found


@pytest.fixture(params=[TWO_THREADS, OneThreadExecutor], ids=["service_threads", "one_thread"])
def node_and_each_executor(request):
    with running(request.param) as found:
        yield found


def spin_until(executor, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        executor.spin_once(0.05)
    assert condition()


def test_a_request_that_takes_long_keeps_nobody_waiting(node_and_executor):
    node, executor = node_and_executor
    finish, ticks, serving = threading.Event(), [], []

    def serve(request, response):
        serving.append(threading.current_thread())
        finish.wait(PATIENCE_S)
        return response

    group = ReentrantCallbackGroup()
    node.create_service(Trigger, "~/slow", serve, callback_group=group)
    client = node.create_client(Trigger, "~/slow")
    node.create_timer(0.01, lambda: ticks.append(threading.current_thread()))
    futures = [client.call_async(Trigger.Request()) for _ in range(2)]
    spin_until(executor, lambda: len(serving) == 2)
    before = len(ticks)
    spin_until(executor, lambda: len(ticks) > before + 3)
    assert not any(future.done() for future in futures)
    finish.set()
    spin_until(executor, lambda: all(future.done() for future in futures))
    assert set(ticks) == {threading.current_thread()}
    assert threading.current_thread() not in serving


def test_what_a_callback_raises_ends_the_spinning(node_and_executor):
    node, executor = node_and_executor

    def fail():
        raise ValueError("on purpose")

    node.create_timer(0.01, fail)
    with pytest.raises(ValueError, match="on purpose"):
        spin_until(executor, lambda: False)


def test_what_a_request_raises_ends_the_spinning(node_and_executor):
    node, executor = node_and_executor

    def fail(request, response):
        raise ValueError("on purpose")

    node.create_service(Trigger, "~/broken", fail)
    client = node.create_client(Trigger, "~/broken")
    client.call_async(Trigger.Request())
    with pytest.raises(ValueError, match="on purpose"):
        spin_until(executor, lambda: False)


class Destroyer(Waitable):
    """Destroys a subscription as another thread would: just before it is waited for."""

    def __init__(self, node):
        super().__init__(ReentrantCallbackGroup())
        self._node = node
        self.victim = None

    def __enter__(self):
        if self.victim is not None:
            victim, self.victim = self.victim, None
            self._node.destroy_subscription(victim)

    def __exit__(self, *_):
        pass

    def get_num_entities(self):
        return NumberOfEntities()

    def add_to_wait_set(self, wait_set):
        pass

    def is_ready(self, wait_set):
        return False


def test_what_is_destroyed_while_it_looks_does_not_end_the_spinning(node_and_each_executor):
    node, executor = node_and_each_executor
    destroyer, ticks = Destroyer(node), []
    node.add_waitable(destroyer)
    # Its events become waited for as well, after the destroyer.
    destroyer.victim = node.create_subscription(String, "word", print, 10)
    assert destroyer.victim.event_handlers
    node.create_timer(0.01, lambda: ticks.append(0))
    spin_until(executor, lambda: len(ticks) > 2)
    assert destroyer.victim is None


def test_a_callback_that_the_end_overtakes_ends_quietly(node_and_each_executor):
    node, executor = node_and_each_executor
    node.create_timer(0.001, lambda: None)
    taken = []
    wait = executor.wait_for_ready_callbacks

    def shut_down_after(*args, **options):
        taken.append(wait(*args, **options))
        executor.shutdown()
        return taken[-1]

    executor.wait_for_ready_callbacks = shut_down_after
    executor.spin_once(PATIENCE_S)
    assert len(taken) == 1
