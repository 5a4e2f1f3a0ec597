"""Pieces of the report: paragraphs, tables and plots as HTML."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fast_inerf_ros.scene_building.scene_report import STYLE as PAGE
from fast_inerf_ros.scene_building.scene_report import html_table, rate
from scripts.demo.plots import STYLE as PLOTS
from scripts.demo.plots import Line, plot

STYLE = PAGE + PLOTS
COLOURS = ("#1f6fd0", "#d9730d", "#14803c", "#8b3fc4", "#888888")
NOT_MEASURED = "not measured"

Row = Sequence[str]
Points = tuple[str, Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Found:
    """What was measured. results: content of the JSON files by part; parts: what became of each.

    training: what was written while artefacts were trained. machine: of this run.
    """

    results: dict[str, Any]
    parts: dict[str, dict[str, Any]]
    training: dict[str, Any]
    machine: dict[str, Any]

    def section(self, title: str, part: str, make: Callable[[Any], Iterable[str]]) -> list[str]:
        """A section of a part's result, or why there is none."""
        made = [f"<h2>{html.escape(title)}</h2>"]
        content = self.results.get(part)
        if content:
            return [*made, *make(content), *self._caution(part)]
        said = self.parts.get(part, {}).get("reason", "")
        return [*made, paragraph(f"{part}: {NOT_MEASURED}{f' ({said})' if said else ''}.")]

    def _caution(self, part: str) -> list[str]:
        record = self.parts.get(part, {})
        if not record.get("command"):
            return []
        load = f"load {record['load_before']:.1f} before, {record['load_after']:.1f} after"
        quick = ", quick: few trials" if record.get("quick") else ""
        return [f"<p class=origin>{html.escape(record['command'])} ({load}{quick})</p>"]


def paragraph(text: str) -> str:
    """Text, escaped."""
    return f"<p>{html.escape(text)}</p>"


def table(header: Row, rows: Iterable[Row]) -> str:
    """A table of texts, which are escaped."""
    return html_table(header, rows)


def plots(*drawn: str) -> str:
    """Plots side by side; those without points are left out."""
    return f"<div class=plots>{''.join(drawn)}</div>"


def curves(title: str, lines: Iterable[Points], x_label: str, y_label: str) -> str:
    """A plot of named lines; "" where there is nothing to draw."""
    shown = [
        Line(name, np.asarray(x, dtype=float), np.asarray(y, dtype=float), colour)
        for (name, x, y), colour in zip(lines, _colours(), strict=False)
        if len(x)
    ]
    if not shown:
        return ""
    if len(shown) == 1:
        title = f"{title}: {shown[0].name}" if shown[0].name else title
    return plot(title, shown, x_label, y_label)


def share(good: Sequence[bool]) -> str:
    """k/N with its Wilson interval."""
    return rate(sum(map(bool, good)), len(good)) if len(good) else "0/0"


def number(value: float | None, form: str = "{:.3g}") -> str:
    """A figure as text; "not measured" for None, "none" where it is not finite."""
    if value is None:
        return NOT_MEASURED
    return form.format(value) if np.isfinite(value) else "none"


def middle(values: Iterable[float | None]) -> float | None:
    """Median, in which a missing value counts as infinite; None of nothing."""
    known = [float("inf") if value is None else value for value in values]
    return float(np.median(known)) if known else None


def within(trial: dict[str, Any], degrees: float, distance: float) -> bool:
    """Whether a trial has errors below limits."""
    angle, off = trial.get("angle_deg"), trial.get("distance", trial.get("distance_d"))
    return angle is not None and off is not None and angle < degrees and off < distance


def _colours() -> Iterable[str]:
    while True:
        yield from COLOURS
