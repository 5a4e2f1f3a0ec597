"""What every solver offers."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from fast_inerf_ros.inerf.observer import Observer
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.result import Result


class Solver(Protocol):
    """Refines poses. Stateless: one solver may solve any number of problems, in any order."""

    @property
    def name(self) -> str:
        """Name in the registry."""

    def solve(
        self,
        problem: Problem,
        generator: np.random.Generator,
        observer: Observer | None = None,
    ) -> Result:
        """Refine the start of a problem. Never raises for what an image or a pose contains.

        generator: source of every random choice; equal generators give equal results.
        """
