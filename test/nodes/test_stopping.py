"""What signals do during a `StopSignal` and after it."""

from __future__ import annotations

import os
import signal

import pytest

from fast_inerf_ros.nodes.stopping import SIGNALS, StopSignal


@pytest.fixture
def earlier():
    """A handler for both signals that keeps what it gets."""
    received = []

    def keep(number, frame):
        received.append(number)

    before = [signal.signal(number, keep) for number in SIGNALS]
    yield received
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_asks_to_stop_and_the_earlier_handlers_come_back(earlier, number):
    with StopSignal() as stop:
        assert not stop.wait(0.0)
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        assert stop.wait(30.0)
    assert not earlier
    os.kill(os.getpid(), number)
    assert earlier == [number]


@pytest.mark.parametrize("number", SIGNALS)
def test_to_the_end_signals_are_ignored_afterwards(earlier, number):
    with StopSignal(to_the_end=True) as stop:
        assert not stop.is_set()
    os.kill(os.getpid(), number)
    assert not earlier
    assert signal.getsignal(number) is signal.SIG_IGN
