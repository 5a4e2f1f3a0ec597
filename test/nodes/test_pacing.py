from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from fast_inerf_ros.nodes.pacing import ClockTick, Pacer, with_clock
from fast_inerf_ros.nodes.recording import TimedMessage, Topic

TOPIC = Topic("/t", "std_msgs/msg/String", 1)


class FakeTime:
    """A clock that only moves while somebody waits; it is also the stop signal."""

    def __init__(self, oversleeps_ns=0):
        self.now_ns = 1_000
        self.oversleeps_ns = oversleeps_ns
        self.stops_at_ns = None

    def __call__(self):
        return self.now_ns

    def wait(self, timeout):
        self.now_ns += round(timeout * 1e9) + self.oversleeps_ns
        return self.is_set()

    def is_set(self):
        return self.stops_at_ns is not None and self.now_ns >= self.stops_at_ns


def message(time_ns):
    return TimedMessage(time_ns, TOPIC, b"")


def test_ticks_are_even_and_come_before_messages_of_their_time():
    events = list(with_clock(iter([message(100), message(135), message(150)]), 100, 25))
    kinds = [(type(event).__name__[0], event.time_ns) for event in events]
    assert kinds == [("C", 100), ("T", 100), ("C", 125), ("T", 135), ("C", 150), ("T", 150)]


def test_no_period_means_no_ticks():
    events = list(with_clock(iter([message(1), message(9)]), 0, 0))
    assert not any(isinstance(event, ClockTick) for event in events)


@pytest.mark.parametrize("rate", [0.5, 1.0, 4.0])
def test_errors_of_single_waits_do_not_add_up(rate):
    time = FakeTime(oversleeps_ns=70_000)
    pacer = Pacer(rate, time, clock=time)
    pacer.start(5_000_000_000)
    for index in range(1000):
        assert pacer.wait_until(5_000_000_000 + index * 33_333_333)
    assert time.now_ns - 1_000 == pytest.approx(999 * 33_333_333 / rate, abs=71_000)
    assert pacer.lateness.late == 0
    assert pacer.lateness.worst_s == pytest.approx(70e-6, rel=1e-3)


def test_after_a_stall_what_was_missed_is_due_at_once_and_counted():
    time = FakeTime()
    pacer = Pacer(1.0, time, clock=time)
    pacer.start(0)
    pacer.wait_until(0)
    time.now_ns += 1_000_000_000  # a stall of one second
    before = time.now_ns
    assert all(pacer.wait_until(index * 100_000_000) for index in range(1, 11))
    assert time.now_ns == before
    assert pacer.lateness.late == 9  # the tenth is just in time
    assert pacer.lateness.worst_s == pytest.approx(0.9)


def test_a_stop_ends_the_wait():
    time = FakeTime()
    time.stops_at_ns = 10_000_000
    pacer = Pacer(1.0, time, clock=time)
    pacer.start(0)
    assert pacer.wait_until(1_000_000)
    assert not pacer.wait_until(20_000_000)
    assert not pacer.wait_until(0)


def test_a_delayed_start_is_in_recorded_time():
    time = FakeTime()
    pacer = Pacer(2.0, time, clock=time)
    pacer.start(0, delay_ns=1_000_000)
    pacer.wait_until(0)
    assert time.now_ns == 1_000 + 500_000
