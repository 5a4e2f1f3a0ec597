"""``plot_inerf``: lays the CSVs of several runs over each other, against step and against time.

plot_inerf --runs out/lego_adam,out/lego_keyframe --output comparison.png
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fast_inerf_ros import command_line
from fast_inerf_ros.config import option
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.experiments.record import Steps, read_steps
from fast_inerf_ros.experiments.trial import STEPS_FILE
from fast_inerf_ros.io.atomic import atomic_path

NAME = "plot_inerf"
DESCRIPTION = "Plot loss and pose errors of several refinements against step and time."

ROWS = (
    ("rotation_error_deg", "rotation error / deg"),
    ("translation_error", "translation error"),
    ("loss", "loss"),
)
COLUMNS = (("step", "step"), ("seconds", "time / s"))

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlotConfig:
    """Options of `plot_inerf`."""

    runs: tuple[str, ...] = option(
        (), doc="CSV files of runs, or folders that hold a steps.csv, at any depth."
    )
    names: tuple[str, ...] = option(
        (), doc="Names of the runs in the legend; without them their paths are shown."
    )
    output: str = option("inerf_runs.png", doc="Picture that is written (PNG).")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the executable and return its exit status."""
    return command_line.run(PlotConfig, plot_inerf, argv, NAME, DESCRIPTION)


def plot_inerf(config: PlotConfig) -> int:
    """Plot the runs; raises InputError for what is no run."""
    files = [file for text in config.runs for file in _files(Path(text).expanduser())]
    if not files:
        raise InputError("runs: expected CSV files or folders of runs, got none; give --runs")
    if config.names and len(config.names) != len(files):
        raise InputError(f"names: expected one for each of {len(files)}, got {len(config.names)}")
    names = config.names or _labels(files)
    picture = drawn({name: read_steps(file) for name, file in zip(names, files, strict=True)})
    output = Path(config.output).expanduser()
    with atomic_path(output) as temporary:
        picture.savefig(temporary, format="png", dpi=120)
    logger.info("%d runs -> %s", len(files), output)
    return 0


def drawn(runs: dict[str, Steps]) -> Any:
    """Figure of runs by name: a row for each quantity, a column each for step and time."""
    # Here because it is slow to import; Figure needs no display and keeps nothing global.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 9.0), layout="constrained")
    axes = figure.subplots(len(ROWS), len(COLUMNS), sharey="row", sharex="col")
    for row, (quantity, title) in enumerate(ROWS):
        for column, (against, label) in enumerate(COLUMNS):
            axis = axes[row][column]
            for name, steps in runs.items():
                x, y = getattr(steps, against), getattr(steps, quantity)
                axis.plot(x, y, marker=".", markersize=3, linewidth=1, label=name)
            axis.set_yscale("log")
            axis.grid(visible=True, which="major", alpha=0.3)
            if row == len(ROWS) - 1:
                axis.set_xlabel(label)
        axes[row][0].set_ylabel(title)
    axes[0][-1].legend(fontsize="small")
    return figure


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(path.rglob(STEPS_FILE))
    if not found:
        raise InputError(f"{path}: expected a folder with a {STEPS_FILE}, got none in it")
    return found


def _labels(files: Sequence[Path]) -> tuple[str, ...]:
    """The paths, each once."""
    texts = [str(file.parent if file.name == STEPS_FILE else file) for file in files]
    return tuple(
        text if texts.count(text) == 1 else f"{text} ({number})"
        for number, text in enumerate(texts)
    )


if __name__ == "__main__":
    sys.exit(main())
