"""`train_nerf`: photographs to a radiance field, resumed by the same command."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from fast_inerf_ros.config import dump, parse, values_of
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
from fast_inerf_ros.training.progress import Observer, ProgressBar, ScalarLog, tensorboard_log
from fast_inerf_ros.training.recipes import budget_of, new_training
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
from fast_inerf_ros.training.validation import evaluate, evenly

FIELD_FILE = "field.npz"
CONFIG_FILE = "config.yaml"
SCALARS_FILE = "scalars.jsonl"
CHECKPOINTS = "checkpoints"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watch:
    """Somebody beside the loop, such as a ROS node: observers, and tasks between steps."""

    observers: Sequence[Observer] = ()
    tasks: Sequence[Task] = ()


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
) -> Session:
    store = _store(config, folder)
    if processes.is_first:
        store.folder.mkdir(exist_ok=True)
        store.remove_left_behind()
    training = new_training(config, posed, processes, device)
    session = Session(training, budget_of(config), store, dump(config), processes)
    resume_newest(session, store, processes, wanted=config.resume)
    if processes.is_first:
        _report_changes(config, folder)
        write_text(folder / CONFIG_FILE, dump(config))
    return session


def _train(
    session: Session,
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
        observers = [*_observers(session, config, folder), *watch.observers]
    tasks = [*_validation(config, posed, observers), *watch.tasks]
    plan = SavingPlan(config.checkpoint_steps, config.checkpoint_seconds)
    with stop:
        moment = session.run(tasks, observers, stop, plan)
    _log_end(moment, stop)


def _finish(
    session: Session, config: TrainNerfConfig, posed: PosedImages, stop: StopRequest, folder: Path
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


def _observers(session: Session, config: TrainNerfConfig, folder: Path) -> Iterator[Observer]:
    step = session.training.step_count
    yield ProgressBar(session.budget.progress(step, session.seconds))
    yield ScalarLog(folder / SCALARS_FILE, step)
    if config.tensorboard:
        board = tensorboard_log(folder / "tensorboard", step)
        if board is not None:
            yield board


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
        scores = evaluate(moment.training.field(), posed, chosen, config.background_color)
        tell_figures(observers, moment, scores.figures("val/"))

    yield Task(validate, plan.every_steps, plan.every_seconds, at_end=True)


def _log_end(moment: Moment, stop: StopRequest) -> None:
    why = "stopped" if stop.is_set() else "trained"
    logger.info("%s: %d steps in %.1f s", why, moment.step, moment.seconds)


def _report_changes(config: TrainNerfConfig, folder: Path) -> None:
    """Say which options differ from those of the run before."""
    file = folder / CONFIG_FILE
    if not file.exists():
        return
    try:
        before = values_of(parse(TrainNerfConfig, file.read_text(encoding="utf-8")))
    except (InputError, UnicodeDecodeError) as error:
        logger.warning("options of the run before cannot be read: %s", error)
        return
    for name, value in values_of(config).items():
        if before[name] != value:
            logger.info(
                "changed since the run before: %s from %r to %r", name, before[name], value
            )
