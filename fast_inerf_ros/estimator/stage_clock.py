"""How long the stages of an estimate take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fast_inerf_ros.estimator.estimate import Timing


@dataclass
class StageClock:
    """Collects the timings of stages, in the order in which they end."""

    timings: list[Timing] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what is done within."""
        began = time.perf_counter()
        yield
        self.timings.append(Timing(name, time.perf_counter() - began))
