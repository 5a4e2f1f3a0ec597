"""Overlooks what launch leaves open, which pytest would report as errors of this project."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
LEFT_OPEN = ("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
"""launch never closes its event loop, which is found whenever garbage is collected."""


def pytest_collection_modifyitems(items):
    """Overlook it in the tests of this folder."""
    for item in items:
        if FOLDER in item.path.parents:
            for line in LEFT_OPEN:
                item.add_marker(pytest.mark.filterwarnings(line))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish():
    """Collect what is left of it at the end, when no test is there to overlook it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
