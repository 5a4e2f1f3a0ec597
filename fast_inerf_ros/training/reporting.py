"""What every training command tells its user, and leaves in its folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fast_inerf_ros.config import parse, values_of
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.training.loop import Moment, Task
from fast_inerf_ros.training.progress import Observer, ProgressBar, ScalarLog, tensorboard_log
from fast_inerf_ros.training.session import Session
from fast_inerf_ros.training.stop_request import StopRequest
from fast_inerf_ros.training.trainer import Training

CONFIG_FILE = "config.yaml"
SCALARS_FILE = "scalars.jsonl"
CHECKPOINTS = "checkpoints"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watch:
    """Somebody beside the loop, such as a ROS node: observers, and tasks between steps."""

    observers: Sequence[Observer] = ()
    tasks: Sequence[Task] = ()


def usual_observers(
    session: Session[Training], folder: Path, *, tensorboard: bool
) -> Iterator[Observer]:
    """Progress bar, figures in a file, and events for TensorBoard if wanted."""
    step = session.training.step_count
    yield ProgressBar(session.budget.progress(step, session.seconds))
    yield ScalarLog(folder / SCALARS_FILE, step)
    if tensorboard:
        board = tensorboard_log(folder / "tensorboard", step)
        if board is not None:
            yield board


def log_end(moment: Moment, stop: StopRequest) -> None:
    """Say where a training ended."""
    why = "stopped" if stop.is_set() else "trained"
    logger.info("%s: %d steps in %.1f s", why, moment.step, moment.seconds)


def report_changes(config: Any, folder: Path) -> None:
    """Say which options differ from those of the run before."""
    file = folder / CONFIG_FILE
    if not file.exists():
        return
    try:
        before = values_of(parse(type(config), file.read_text(encoding="utf-8")))
    except (InputError, UnicodeDecodeError) as error:
        logger.warning("options of the run before cannot be read: %s", error)
        return
    for name, value in values_of(config).items():
        if before[name] != value:
            logger.info(
                "changed since the run before: %s from %r to %r", name, before[name], value
            )
