"""The bookkeeping of one refinement: clock, observer, stages and the final verdict."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.brightness import Brightness
from fast_inerf_ros.inerf.held_out import Agreement, HeldOut
from fast_inerf_ros.inerf.normal_equations import NormalEquations
from fast_inerf_ros.inerf.observer import Iteration, Observer
from fast_inerf_ros.inerf.result import Residuals, Result, Stage, Status


class Run:
    """One refinement while it runs: the best pose so far and what is told about it.

    T_world_camera is the best pose that the held-out pixels agreed with.
    """

    def __init__(self, solver: str, held_out: HeldOut, observer: Observer | None) -> None:
        self.solver = solver
        self.held_out = held_out
        self.T_world_camera = held_out.problem.start
        self.best = held_out.start
        # Stages are measured by the best there was: a little worse each time would be a drift.
        self._lowest = held_out.start
        self.stages: list[Stage] = []
        self.stopped = False
        self._observer = observer
        self._began = time.perf_counter()
        self._seconds_rendering = 0.0
        self._n_steps = 0

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.perf_counter() - self._began

    @contextmanager
    def rendering(self) -> Iterator[None]:
        """Count the time inside as rendering."""
        start = time.perf_counter()
        yield
        self._seconds_rendering += time.perf_counter() - start

    def report(self, stage: str, T_world_camera: SE3, loss: float, n_pixels: int) -> None:
        """Tell the observer of a step; ``stopped`` says whether it has had enough."""
        number, self._n_steps = self._n_steps, self._n_steps + 1
        if self._observer is not None:
            step = Iteration(stage, number, self.seconds, T_world_camera, loss, n_pixels)
            self.stopped = self.stopped or self._observer(step) is False

    @contextmanager
    def stage(self, name: str) -> Iterator[list[SE3]]:
        """A part of the refinement; the last pose appended to the list is what it proposes."""
        start, rendering, steps = self.seconds, self._seconds_rendering, self._n_steps
        proposed: list[SE3] = []
        yield proposed
        before, after = self.best, self.best
        if proposed:
            with self.rendering():
                after = self.held_out.agreement(proposed[-1])
        accepted = bool(proposed) and self.held_out.accepts(self._lowest, before, after)
        if accepted:
            self.T_world_camera, self.best = proposed[-1], after
            self._lowest = Agreement(
                min(self._lowest.cost, after.cost),
                after.correlation,
                after.coverage,
                min(self._lowest.anchor_cost, after.anchor_cost),
            )
        self.stages.append(
            Stage(
                name=name,
                n_steps=self._n_steps - steps,
                seconds=self.seconds - start,
                seconds_rendering=self._seconds_rendering - rendering,
                held_out_before=before.cost,
                held_out_after=after.cost,
                accepted=accepted,
            )
        )

    def result(
        self,
        equations: NormalEquations,
        brightness: Brightness,
        rms: float,
        scale: float,
        limit: str | None = None,
    ) -> Result:
        """The answer. limit: what ended the refinement early, None where it converged."""
        status, reason = self._verdict(limit)
        residuals = Residuals(
            n_pixels=equations.n_pixels,
            rms=rms,
            scale=scale,
            inlier_share=equations.inlier_share,
            gain=brightness.gain,
            bias=brightness.bias,
            correlation=self.best.correlation,
            held_out_start=_finite(self.held_out.start),
            held_out_end=_finite(self.best),
        )
        return self._result(status, reason, residuals, equations.pose_information())

    def without_solution(self, reason: str) -> Result:
        """The answer where no step could be made: the start, REJECTED."""
        return self._result(Status.REJECTED, reason, None, np.zeros((6, 6)))

    def _verdict(self, limit: str | None) -> tuple[Status, str]:
        objection = self.held_out.objection(self.best)
        if objection is not None:
            return Status.REJECTED, objection
        if self.stages and not any(stage.accepted for stage in self.stages):
            return Status.REJECTED, "no stage made the held-out pixels agree better"
        if self.stopped:
            return Status.STOPPED, "the observer asked to stop"
        if limit is not None:
            return Status.STOPPED, limit
        return Status.CONVERGED, "the steps have become negligible"

    def _result(
        self,
        status: Status,
        reason: str,
        residuals: Residuals | None,
        information: np.ndarray,
    ) -> Result:
        return Result(
            solver=self.solver,
            status=status,
            reason=reason,
            T_world_camera=self.T_world_camera if status.refined else self.held_out.problem.start,
            residuals=residuals,
            information=information if status.refined else np.zeros((6, 6)),
            stages=tuple(self.stages),
            seconds=self.seconds,
        )


def _finite(agreement: Agreement) -> float:
    """Its cost, 1 (the worst there is) where nothing could be compared."""
    return agreement.cost if np.isfinite(agreement.cost) else 1.0
