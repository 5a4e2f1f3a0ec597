"""One training in one folder: resuming, saving now and then and at the end, being watched."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.training.checkpoints import (
    CheckpointStore,
    SavedTraining,
    TrainingRecord,
    locked,
)
from fast_inerf_ros.training.loop import Budget, Moment, Task, run_training
from fast_inerf_ros.training.processes import Processes
from fast_inerf_ros.training.progress import Observer
from fast_inerf_ros.training.stop_request import Stopping
from fast_inerf_ros.training.trainer import Training

SomeTraining = TypeVar("SomeTraining", bound=Training, covariant=True)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SavingPlan:
    """How often checkpoints are written; 0 for not by that measure."""

    every_steps: int = 0
    every_seconds: float = 0.0


class Session(Generic[SomeTraining]):
    """A training, its budget and its checkpoints.

    config: the options as text, kept in the checkpoints.
    """

    def __init__(
        self,
        training: SomeTraining,
        budget: Budget,
        store: CheckpointStore,
        config: str,
        processes: Processes | None = None,
    ) -> None:
        self.training = training
        self.budget = budget
        self.seconds = 0.0
        self._store = store
        self._config = config
        self._processes = processes or Processes()
        self._saved_step = -1

    def resume(self, saved: SavedTraining) -> None:
        """Go on from a checkpoint; raises InputError where it does not fit."""
        record = saved.record
        if record is not None and record.kind != self.training.kind:
            raise InputError(
                f"{saved.path}: expected a checkpoint of kind {self.training.kind}, got one "
                f"of kind {record.kind}; choose that kind or another output folder"
            )
        self.training.restore(saved.state, str(saved.path))
        self.seconds = record.seconds if record is not None else 0.0
        self._saved_step = self.training.step_count
        logger.info("resuming at step %d from %s", self.training.step_count, saved.path)

    @property
    def is_finished(self) -> bool:
        """Whether the budget was used up by earlier runs."""
        return self.budget.progress(self.training.step_count, self.seconds) >= 1.0

    def run(
        self,
        tasks: Sequence[Task],
        observers: Sequence[Observer],
        stop: Stopping,
        saving: SavingPlan,
    ) -> Moment:
        """Train to the end of the budget or until asked to stop, then save.

        A checkpoint that cannot be written on the way is an error in the log, and is tried again
        the next time. Raises OSError where the last one cannot be written, InputError where the
        training has diverged.
        """
        save = Task(self._save_on_the_way, saving.every_steps, saving.every_seconds)
        watch = Task(lambda moment: _tell_all(observers, moment), every_steps=1)
        with ExitStack() as closing:
            for observer in observers:
                closing.callback(observer.close)
            moment = run_training(
                self.training,
                self.budget,
                [watch, *tasks, save],
                stop.is_set,
                self.seconds,
                self._processes,
            )
        self.seconds = moment.seconds
        if self._processes.is_first:
            self._save(moment)
        return moment

    def _save_on_the_way(self, moment: Moment) -> None:
        try:
            self._save(moment)
        except OSError as error:
            logger.error("checkpoint not written, training goes on: %s", error)

    def _save(self, moment: Moment) -> None:
        if moment.step in (0, self._saved_step):
            return
        _check_finite(moment)
        kind = self.training.kind
        record = TrainingRecord(kind, moment.step, moment.seconds, self._config)
        path = self._store.save(record, self.training.state())
        self._saved_step = moment.step
        logger.info("saved %s", path)


def _check_finite(moment: Moment) -> None:
    """Keep what has diverged out of the checkpoints: nobody could go on from it."""
    if moment.report is not None and not math.isfinite(float(moment.report.loss)):
        raise InputError(
            f"training: expected a finite loss, got {float(moment.report.loss)} at step "
            f"{moment.step}; lower the learning rate, the last checkpoint is from before"
        )


def _tell_all(observers: Sequence[Observer], moment: Moment) -> None:
    for observer in observers:
        observer.on_step(moment)


def tell_figures(
    observers: Sequence[Observer], moment: Moment, figures: Mapping[str, float]
) -> None:
    """Tell the figures of a validation to everybody."""
    for observer in observers:
        observer.on_figures(moment, figures)


def resume_newest(
    session: Session[Training], store: CheckpointStore, processes: Processes, *, wanted: bool
) -> None:
    """Resume from the newest checkpoint, or set all of them aside; the first process reads.

    Raises InputError, in all processes, for one that does not fit.
    """
    saved: SavedTraining | None = None
    problem: str | None = None
    if processes.is_first:
        try:
            saved = _newest(store, wanted=wanted)
        except InputError as error:
            problem = str(error)
    saved, problem = processes.from_first((saved, problem))
    if problem is not None:
        raise InputError(problem)
    if saved is not None:
        session.resume(saved)


def _newest(store: CheckpointStore, *, wanted: bool) -> SavedTraining | None:
    if wanted:
        return store.newest()
    folder = store.set_aside()
    if folder is not None:
        logger.info("earlier checkpoints are now in %s", folder)
    return None


def make_folder(path: str) -> Path:
    """The folder of a training, made where it does not exist."""
    folder = Path(path).expanduser()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: expected a folder for the training, got a file; name another")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def only_writer(folder: Path, processes: Processes) -> Iterator[None]:
    """Keep other trainings out of a folder; the first process stands for all of its own."""
    if processes.is_first:
        with locked(folder):
            yield
    else:
        yield
