"""Fixtures of the core's tests."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(params=["numpy-float64", "numpy-float32", "torch-float64", "torch-float32"])
def like(request):
    """An array of each kind and dtype that geometry works with, to convert others to."""
    kind, dtype = request.param.split("-")
    if kind == "numpy":
        return np.zeros((), dtype=dtype)
    torch = pytest.importorskip("torch")
    return torch.zeros((), dtype=getattr(torch, dtype))


@pytest.fixture(scope="module")
def one_thread():
    """Small tensors are faster on one thread, above all beside other work."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
