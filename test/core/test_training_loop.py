"""The loop: budgets, what happens between steps, how it ends."""

from __future__ import annotations

import pytest

from fast_inerf_ros.training.loop import Budget, Task, run_training
from fast_inerf_ros.training.trainer import StepReport


class Counting:
    """A training that counts; every step takes a second of a false clock."""

    kind = "counting"

    def __init__(self, start=0):
        self.step_count = start
        self.seen = []
        self.now = 100.0

    def step(self, progress):
        self.seen.append(progress)
        self.step_count += 1
        self.now += 1.0
        return StepReport(self.step_count, 10, 0.5, 0.25)

    def clock(self):
        return self.now


def run(training, budget, tasks=(), stop=lambda: False, seconds_before=0.0):
    return run_training(
        training, budget, tasks, stop, seconds_before, clock=lambda: training.clock()
    )


@pytest.mark.parametrize(
    ("budget", "steps"),
    [
        (Budget(steps=5), 5),
        (Budget(seconds=3.0), 3),
        (Budget(steps=9, seconds=3.0), 3),
        (Budget(steps=2, seconds=30.0), 2),
    ],
)
def test_whichever_limit_comes_first_ends_the_training(budget, steps):
    training = Counting()
    end = run(training, budget)
    assert (end.step, end.progress) == (steps, 1.0)
    assert training.seen == sorted(training.seen)
    assert training.seen[0] == 0.0


def test_steps_and_seconds_of_earlier_runs_count():
    training = Counting(start=4)
    assert run(training, Budget(steps=10), seconds_before=50.0).seconds == 56.0
    assert training.seen[0] == 0.4
    assert run(Counting(), Budget(seconds=10.0), seconds_before=8.0).step == 2
    done = run(Counting(start=7), Budget(steps=5))
    assert (done.step, done.report) == (7, None)


def test_a_wish_to_stop_ends_after_the_step_in_work():
    training = Counting()
    end = run(training, Budget(steps=100), stop=lambda: training.step_count >= 3)
    assert end.step == 3
    assert end.progress < 1.0


def test_tasks_run_by_steps_by_seconds_and_at_the_end():
    training, by_steps, by_seconds, last = Counting(), [], [], []
    tasks = [
        Task(lambda moment: by_steps.append(moment.step), every_steps=3),
        Task(lambda moment: by_seconds.append(moment.step), every_seconds=4.0),
        Task(lambda moment: last.append(moment.step), at_end=True),
        Task(lambda moment: pytest.fail("never due")),
    ]
    run(training, Budget(steps=10), tasks)
    assert by_steps == [3, 6, 9]
    assert by_seconds == [4, 8]
    assert last == [10]


def test_nothing_is_done_at_the_end_of_a_training_that_was_stopped():
    training, last = Counting(), []
    tasks = [Task(lambda moment: last.append(moment.step), at_end=True)]
    run(training, Budget(steps=10), tasks, stop=lambda: training.step_count >= 2)
    assert last == []


def test_the_report_knows_its_psnr():
    assert StepReport(1, 1, 0.0, 0.01).psnr_db == pytest.approx(20.0)
    assert StepReport(1, 1, 0.0, 0.0).psnr_db == pytest.approx(120.0)
