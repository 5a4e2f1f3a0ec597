"""Clears away what launch leaves open, which pytest would report as errors of this project."""

from __future__ import annotations

import gc
import warnings

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish():
    """Collect the event loop that launch never closes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
