"""Watching a refinement while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from fast_inerf_ros.geometry.se3 import SE3


@dataclass(frozen=True, eq=False)
class Iteration:
    """The state after one step of a solver.

    stage: the name of the part of the solver. step: counts all steps of the refinement from 0,
    which is the start. seconds: since the start. loss: robust mean cost of its pixels, comparable
    within a stage only.
    """

    stage: str
    step: int
    seconds: float
    T_world_camera: SE3
    loss: float
    n_pixels: int


class Observer(Protocol):
    """Is told of every step; must not change anything."""

    def __call__(self, iteration: Iteration) -> bool | None:
        """Look at a step; False asks the solver to stop."""


@dataclass(eq=False)
class Recorder:
    """An observer that keeps all steps."""

    iterations: list[Iteration] = field(default_factory=list)

    def __call__(self, iteration: Iteration) -> None:
        """Keep the step."""
        self.iterations.append(iteration)

    @property
    def poses(self) -> SE3:
        """T_world_camera of all steps, batch shape (n,)."""
        return SE3.stack([iteration.T_world_camera for iteration in self.iterations])
