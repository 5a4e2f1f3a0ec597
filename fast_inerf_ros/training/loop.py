"""The one training loop: steps until the budget is used up or somebody asks to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fast_inerf_ros.training.processes import Processes
from fast_inerf_ros.training.trainer import StepReport, Training

Clock = Callable[[], float]


@dataclass(frozen=True)
class Budget:
    """How long to train, over all runs together: whichever ends first; 0 for no such limit."""

    steps: int = 0
    seconds: float = 0.0

    def progress(self, step: int, seconds: float) -> float:
        """Share that is used up, at most 1."""
        by_steps = step / self.steps if self.steps > 0 else 0.0
        by_clock = seconds / self.seconds if self.seconds > 0 else 0.0
        return min(1.0, max(by_steps, by_clock))


@dataclass(frozen=True)
class Moment:
    """A training after a step: what the tasks of the loop see.

    seconds: trained so far, in all runs. progress: share of the budget used up.
    report: of the last step, None before the first of this run.
    """

    training: Training
    seconds: float
    progress: float
    report: StepReport | None = None

    @property
    def step(self) -> int:
        """Steps done so far, in all runs."""
        return self.training.step_count


@dataclass
class Task:
    """Something done now and then between steps, by the first process alone.

    every_steps, every_seconds: how often; 0 for not by that measure. at_end: once more when the
    budget is used up.
    """

    action: Callable[[Moment], None]
    every_steps: int = 0
    every_seconds: float = 0.0
    at_end: bool = False
    last_seconds: float = 0.0

    def run_if_due(self, moment: Moment) -> None:
        """Do it, if the last time is long enough ago."""
        by_steps = self.every_steps > 0 and moment.step % self.every_steps == 0
        passed = moment.seconds - self.last_seconds
        if by_steps or (self.every_seconds > 0 and passed >= self.every_seconds):
            self.last_seconds = moment.seconds
            self.action(moment)


def run_training(
    training: Training,
    budget: Budget,
    tasks: Sequence[Task],
    stop: Callable[[], bool],
    seconds_before: float = 0.0,
    processes: Processes | None = None,
    clock: Clock = time.perf_counter,
) -> Moment:
    """Train until the budget is used up or ``stop`` says so; return where that was.

    seconds_before: trained in earlier runs. The clock runs during tasks, too: what a user waits
    for counts.
    """
    processes = processes or Processes()
    start = clock() - seconds_before
    for task in tasks:
        task.last_seconds = seconds_before
    report: StepReport | None = None
    while True:
        seconds, wanted = processes.agree(clock() - start, stop())
        progress = budget.progress(training.step_count, seconds)
        if wanted or progress >= 1.0:
            end = Moment(training, seconds, progress, report)
            for task in tasks if processes.is_first and not wanted else ():
                if task.at_end:
                    task.action(end)
            return end
        report = training.step(progress)
        moment = Moment(training, clock() - start, progress, report)
        for task in tasks if processes.is_first else ():
            task.run_if_due(moment)
