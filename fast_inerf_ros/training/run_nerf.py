"""``run_nerf``: the training command of the seed project, with its options, files and names.

run_nerf --config configs/nerf/lego.txt
run_nerf --config configs/nerf/lego.txt --render_only --render_test
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from fast_inerf_ros.command_line import guarded
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.checkpoint import save_field
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.fields.vanilla_seed import vanilla_options
from fast_inerf_ros.io.atomic import write_text
from fast_inerf_ros.io.seed_command_line import (
    SeedCommand,
    help_text,
    parse_seed_command,
    wants_help,
)
from fast_inerf_ros.io.seed_config import dump_seed_config
from fast_inerf_ros.io.seed_options import SeedNerfOptions
from fast_inerf_ros.training.checkpoints import CheckpointStore, read_checkpoint
from fast_inerf_ros.training.loop import Budget, Moment
from fast_inerf_ros.training.nerf import FIELD_FILE
from fast_inerf_ros.training.processes import Processes, joined_processes
from fast_inerf_ros.training.progress import Observer, ProgressBar, ScalarLog, tensorboard_log
from fast_inerf_ros.training.reporting import SCALARS_FILE
from fast_inerf_ros.training.seed_results import SeedResults
from fast_inerf_ros.training.seed_scene import seed_photographs, seed_setting
from fast_inerf_ros.training.session import (
    SavingPlan,
    Session,
    make_folder,
    only_writer,
    resume_newest,
)
from fast_inerf_ros.training.stop_request import StopRequest
from fast_inerf_ros.training.trainer import Training, as_field_training
from fast_inerf_ros.training.vanilla_training import PhotographRays, VanillaFieldTraining

NAME = "run_nerf"
DESCRIPTION = "Train the original NeRF, or render it, with the options of the seed project."

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the executable and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if wants_help(arguments):
        sys.stdout.write(help_text(SeedNerfOptions, NAME, DESCRIPTION))
        return 0
    return guarded(lambda: run_nerf(parse_seed_command(SeedNerfOptions, arguments)))


def run_nerf(command: SeedCommand[SeedNerfOptions], stop: StopRequest | None = None) -> int:
    """Train or render as the options say; return the exit status.

    Raises InputError for bad input, OSError where results cannot be written.
    """
    options, request = command.options, stop or StopRequest()
    if not options.expname:
        raise InputError("expname: expected a name for the experiment, got none; give --expname")
    with ExitStack() as stack:
        processes, device = stack.enter_context(joined_processes("auto"))
        posed = seed_photographs(options)
        folder = make_folder(str(Path(options.basedir) / options.expname))
        stack.enter_context(only_writer(folder, processes))
        if processes.is_first:
            _write_options(command, folder)
        setting, background = seed_setting(posed, options), _background(options)
        rays = PhotographRays.of(posed, background)
        training = VanillaFieldTraining(
            rays, setting, vanilla_options(options), posed, processes, device
        )
        store = CheckpointStore(folder)
        budget = Budget(steps=options.N_iters)
        session = Session(training, budget, store, dump_seed_config(options), processes)
        _resume(session, store, options, processes)
        results = SeedResults(folder, options, posed, background)
        if options.render_only:
            if processes.is_first:
                results.render_only(training.field(), training.step_count)
            return 0
        _train(session, results, request, processes, folder)
        return request.exit_status


def _resume(
    session: Session[Training],
    store: CheckpointStore,
    options: SeedNerfOptions,
    processes: Processes,
) -> None:
    if options.ft_path is not None:
        session.resume(read_checkpoint(Path(options.ft_path).expanduser()))
        return
    wanted = options.render_only or not options.no_reload
    if processes.is_first and wanted:
        store.remove_left_behind()
    resume_newest(session, store, processes, wanted=wanted)
    if options.render_only and session.training.step_count == 0:
        logger.warning("%s: no checkpoint; rendering an untrained field", store.folder)


def _train(
    session: Session[Training],
    results: SeedResults,
    stop: StopRequest,
    processes: Processes,
    folder: Path,
) -> None:
    options = results.options
    if session.is_finished:
        logger.info("trained already: %d steps; raise --N_iters to go on", options.N_iters)
        return
    observers: list[Observer] = []
    if processes.is_first:
        observers = _observers(session, options, folder)
    with stop:
        moment = session.run(
            results.tasks(observers), observers, stop, SavingPlan(every_steps=options.i_weights)
        )
    if processes.is_first and moment.step:
        _export(moment, folder)


def _observers(
    session: Session[Training], options: SeedNerfOptions, folder: Path
) -> list[Observer]:
    step = session.training.step_count
    bar = ProgressBar(session.budget.progress(step, session.seconds), options.i_print)
    observers: list[Observer] = [bar, ScalarLog(folder / SCALARS_FILE, step)]
    board = tensorboard_log(folder / "summaries", step)
    return observers if board is None else [*observers, board]


def _export(moment: Moment, folder: Path) -> None:
    field: Field = as_field_training(moment.training).finished_field()
    save_field(folder / FIELD_FILE, field)
    logger.info("%d steps; field -> %s", moment.step, folder / FIELD_FILE)


def _write_options(command: SeedCommand[SeedNerfOptions], folder: Path) -> None:
    write_text(folder / "args.txt", dump_seed_config(command.options))
    if command.config_text is not None:
        write_text(folder / "config.txt", command.config_text)


def _background(options: SeedNerfOptions) -> tuple[float, float, float]:
    level = float(options.white_bkgd)
    return level, level, level


if __name__ == "__main__":
    sys.exit(main())
