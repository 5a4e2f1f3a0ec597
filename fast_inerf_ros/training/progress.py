"""What a user sees of a training: a bar or lines of log, and files of figures."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from fast_inerf_ros.io.atomic import write_text
from fast_inerf_ros.training.loop import Moment

logger = logging.getLogger(__name__)

BAR_PERIOD_S = 0.25
LOG_PERIOD_S = 10.0
SCALARS_PERIOD_S = 1.0


class Observer(Protocol):
    """Somebody who is told how a training goes."""

    def on_step(self, moment: Moment) -> None:
        """After every step; looking at the report's figures may wait for the device."""

    def on_figures(self, moment: Moment, figures: Mapping[str, float]) -> None:
        """After a validation."""

    def close(self) -> None:
        """At the end."""


class ItemRate:
    """Rays or images per second, smoothed over about the last seconds."""

    def __init__(self, memory_s: float = 5.0) -> None:
        self._memory_s = memory_s
        self._items = self._seconds = 0.0
        self._last: float | None = None

    def add(self, n_items: int, seconds: float) -> None:
        """Note a step that ended at ``seconds``."""
        if self._last is not None:
            passed = max(seconds - self._last, 0.0)
            kept = 1.0 / (1.0 + passed / self._memory_s)
            self._items = self._items * kept + n_items
            self._seconds = self._seconds * kept + passed
        self._last = seconds

    @property
    def per_second(self) -> float:
        """The rate; 0 before the second step."""
        return self._items / self._seconds if self._seconds > 0 else 0.0


class ProgressBar:
    """A bar with loss, PSNR of fields, rays or images/s and the time left.

    Lines of log where there is no terminal.

    every_steps: steps between lines of log, wherever the bar is shown; 0 for lines by the clock.
    """

    def __init__(self, first_progress: float, every_steps: int = 0) -> None:
        self._bar = tqdm(
            total=100.0,
            initial=100.0 * first_progress,
            disable=None,
            bar_format="{percentage:3.0f}%|{bar}|{postfix}",
        )
        self._every_steps = every_steps
        self._rate = ItemRate()
        self._shown = self._logged = float("-inf")
        self._first: Moment | None = None

    def on_step(self, moment: Moment) -> None:
        """Show it, from time to time."""
        assert moment.report is not None
        self._rate.add(moment.report.n_items, moment.seconds)
        self._first = self._first or moment
        if not self._bar.disable and moment.seconds - self._shown >= BAR_PERIOD_S:
            self._shown = moment.seconds
            self._bar.n = 100.0 * moment.progress
            self._bar.set_postfix_str(self._line(moment))
        if self._is_line_due(moment):
            self._logged = moment.seconds
            with self._bar.external_write_mode():
                logger.info("%s", self._line(moment))

    def on_figures(self, moment: Moment, figures: Mapping[str, float]) -> None:
        """Log the figures in a line."""
        text = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        with self._bar.external_write_mode():
            logger.info("step %d: %s", moment.step, text)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()

    def _is_line_due(self, moment: Moment) -> bool:
        if self._every_steps:
            return moment.step % self._every_steps == 0
        return bool(self._bar.disable) and moment.seconds - self._logged >= LOG_PERIOD_S

    def _line(self, moment: Moment) -> str:
        report = moment.report
        assert report is not None
        psnr = "" if report.psnr_db is None else f" PSNR {report.psnr_db:.2f} dB"
        rate = _short(self._rate.per_second)
        return (
            f"step {report.step} loss {float(report.loss):.5f}{psnr} "
            f"{rate} {report.unit}/s left {self._left(moment)}"
        )

    def _left(self, moment: Moment) -> str:
        """Time left at the pace of this run: earlier ones may have been slower."""
        assert self._first is not None
        progress = moment.progress - self._first.progress
        if progress <= 0.0:
            return "?"
        seconds = (moment.seconds - self._first.seconds) * (1.0 - moment.progress) / progress
        return str(tqdm.format_interval(seconds))


class ScalarLog:
    """Lines of JSON: what each second of training and each validation gave.

    A resumed training takes out the lines of steps that are to be done again.
    """

    def __init__(self, path: Path, first_step: int) -> None:
        if path.exists():
            kept = [line for line in _whole_lines(path) if _step(line) <= first_step]
            write_text(path, "".join(f"{line}\n" for line in kept))
        self._file = path.open("a", encoding="utf-8")
        self._written = float("-inf")

    def on_step(self, moment: Moment) -> None:
        """Write a line, from time to time."""
        if moment.report is None or moment.seconds - self._written < SCALARS_PERIOD_S:
            return
        self._written = moment.seconds
        report = moment.report
        counted = {f"n_{report.unit}": float(report.n_items)}
        self.on_figures(moment, {**counted, **report.figures()})

    def on_figures(self, moment: Moment, figures: Mapping[str, float]) -> None:
        """Write a line."""
        line = {"step": moment.step, "seconds": round(moment.seconds, 3), **figures}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TensorBoardLog:
    """Events for TensorBoard."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._written = float("-inf")

    def on_step(self, moment: Moment) -> None:
        """Write the figures, from time to time."""
        if moment.report is None or moment.seconds - self._written < SCALARS_PERIOD_S:
            return
        self._written = moment.seconds
        figures = moment.report.figures()
        self.on_figures(moment, {f"train/{name}": value for name, value in figures.items()})

    def on_figures(self, moment: Moment, figures: Mapping[str, float]) -> None:
        """Write the figures."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, moment.step)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def tensorboard_log(folder: Path, first_step: int) -> TensorBoardLog | None:
    """Events in a folder; None, with a line of log, where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logger.info("no TensorBoard events: pip install tensorboard for them (see scalars.jsonl)")
        return None
    writer = SummaryWriter(str(folder), purge_step=first_step + 1)
    return TensorBoardLog(writer)


def _short(rate: float) -> str:
    """Thousands where there are many."""
    return f"{rate / 1e3:.0f}k" if rate >= 1000 else f"{rate:.3g}"


def _whole_lines(path: Path) -> list[str]:
    """Lines of a file but for a last one that a kill has cut."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return text[: text.rfind("\n") + 1].splitlines()


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
