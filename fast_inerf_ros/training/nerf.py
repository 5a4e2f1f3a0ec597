"""`train_nerf`: photographs to a radiance field, resumed by the same command."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from fast_inerf_ros.config import dump
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.checkpoint import load_field, save_field
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.io.atomic import write_text
from fast_inerf_ros.training.checkpoints import CheckpointStore
from fast_inerf_ros.training.loop import Budget, Moment, Task
from fast_inerf_ros.training.options import TrainNerfConfig
from fast_inerf_ros.training.processes import Processes, joined_processes
from fast_inerf_ros.training.progress import Observer
from fast_inerf_ros.training.recipes import budget_of, new_training
from fast_inerf_ros.training.reporting import (
    CHECKPOINTS,
    CONFIG_FILE,
    Watch,
    log_end,
    report_changes,
    usual_observers,
)
from fast_inerf_ros.training.results import VideoFiles, render_path, render_test_set, write_videos
from fast_inerf_ros.training.session import (
    SavingPlan,
    Session,
    make_folder,
    only_writer,
    resume_newest,
    tell_figures,
)
from fast_inerf_ros.training.stop_request import StopRequest
from fast_inerf_ros.training.trainer import FieldTraining, as_field_training
from fast_inerf_ros.training.validation import evaluate, evenly

FIELD_FILE = "field.npz"

logger = logging.getLogger(__name__)


Watcher = Callable[[PosedImages], Watch]


def train_nerf(
    config: TrainNerfConfig, stop: StopRequest | None = None, watcher: Watcher | None = None
) -> int:
    """Train, render what was asked for, and return the exit status.

    stop: asks the training to end; made here unless given. watcher: is given the photographs.

    0 at the end, 130 and 143 after Ctrl-C and SIGTERM, when everything is saved. Raises
    InputError for bad input, OSError where results cannot be written.
    """
    if not config.data:
        raise InputError("data: expected a folder of posed photographs, got nothing; give --data")
    request = stop or StopRequest()
    with ExitStack() as stack:
        processes, device = stack.enter_context(joined_processes(config.device))
        posed = photographs(config)
        folder = make_folder(config.output)
        stack.enter_context(only_writer(folder, processes))
        if config.render_only:
            if processes.is_first:
                _render(_stored_field(config, posed, device, folder), config, posed, folder)
            return 0
        session = _session(config, posed, processes, device, folder)
        watch = watcher(posed) if watcher is not None and processes.is_first else Watch()
        _train(session, config, posed, request, watch, processes, folder)
        if processes.is_first:
            _finish(session, config, posed, request, folder)
        return request.exit_status


def photographs(config: TrainNerfConfig) -> PosedImages:
    """The data set, with validation photographs held out where asked for."""
    posed = load_dataset(config.data, config.dataset)
    if config.validation.hold_out:
        posed = posed.with_splits(posed.splits.with_validation(config.validation.hold_out))
    return posed


def _session(
    config: TrainNerfConfig,
    posed: PosedImages,
    processes: Processes,
    device: torch.device,
    folder: Path,
) -> Session[FieldTraining]:
    store = _store(config, folder)
    if processes.is_first:
        store.folder.mkdir(exist_ok=True)
        store.remove_left_behind()
    training = new_training(config, posed, processes, device)
    session = Session(training, budget_of(config), store, dump(config), processes)
    resume_newest(session, store, processes, wanted=config.resume)
    if processes.is_first:
        report_changes(config, folder)
        write_text(folder / CONFIG_FILE, dump(config))
    return session


def _train(
    session: Session[FieldTraining],
    config: TrainNerfConfig,
    posed: PosedImages,
    stop: StopRequest,
    watch: Watch,
    processes: Processes,
    folder: Path,
) -> None:
    if session.is_finished:
        logger.info(
            "trained already: %d steps in %.1f s; raise max_steps or max_seconds to go on",
            session.training.step_count,
            session.seconds,
        )
        return
    session.training.prepare()
    observers: list[Observer] = []
    if processes.is_first:
        observers = [
            *usual_observers(session, folder, tensorboard=config.tensorboard),
            *watch.observers,
        ]
    tasks = [*_validation(config, posed, observers), *watch.tasks]
    plan = SavingPlan(config.checkpoint_steps, config.checkpoint_seconds)
    with stop:
        moment = session.run(tasks, observers, stop, plan)
    log_end(moment, stop)


def _finish(
    session: Session[FieldTraining],
    config: TrainNerfConfig,
    posed: PosedImages,
    stop: StopRequest,
    folder: Path,
) -> None:
    """Write the field, and render unless somebody waits for the end."""
    if session.training.step_count == 0:
        return
    field = session.training.finished_field()
    save_field(folder / FIELD_FILE, field)
    logger.info("field -> %s", folder / FIELD_FILE)
    if stop.is_set():
        return
    if config.render_test or config.video.path != "none":
        _render(field, config, posed, folder)


def _render(field: Field, config: TrainNerfConfig, posed: PosedImages, folder: Path) -> None:
    if config.render_test:
        render_test_set(field, posed, config.background_color, folder / "test")
    if config.video.path != "none" or not config.render_test:
        frames = render_path(field, posed, config.video)
        write_videos(frames, VideoFiles(folder, "path"), config.video)


def _stored_field(
    config: TrainNerfConfig, posed: PosedImages, device: torch.device, folder: Path
) -> Field:
    """The field of the newest checkpoint, or the exported one where there is none."""
    saved = _store(config, folder).newest()
    if saved is None and (folder / FIELD_FILE).exists():
        return load_field(folder / FIELD_FILE, device)
    if saved is None:
        raise InputError(
            f"{folder}: expected a checkpoint to render, got none; train first, or give the "
            "output folder of a training"
        )
    training = new_training(config, posed, Processes(), device)
    Session(training, Budget(), _store(config, folder), "").resume(saved)
    return training.field()


def _store(config: TrainNerfConfig, folder: Path) -> CheckpointStore:
    return CheckpointStore(folder / CHECKPOINTS, config.keep_checkpoints)


def _validation(
    config: TrainNerfConfig, posed: PosedImages, observers: Sequence[Observer]
) -> Iterator[Task]:
    plan = config.validation
    if not (plan.every_seconds or plan.every_steps):
        return
    if not len(posed.splits.val):
        logger.info("no validation photographs: validation.hold_out 8 takes some from training")
        return
    chosen = evenly(posed.splits.val, plan.n_images)

    def validate(moment: Moment) -> None:
        scores = evaluate(
            as_field_training(moment.training).field(), posed, chosen, config.background_color
        )
        tell_figures(observers, moment, scores.figures("val/"))

    yield Task(validate, plan.every_steps, plan.every_seconds, at_end=True)
