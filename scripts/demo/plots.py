"""Line plots as SVG, for a page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 28, 36
N_TICKS = 5
STYLE = """
.plots { display: grid; grid-template-columns: 1fr 1fr; gap: 10px }
.plot { width: 100%; font: 12px system-ui, sans-serif }
.frame { fill: none; stroke: #bbb } .grid { stroke: #eee } .title { font-weight: 600 }
.label, .tick { fill: #555; text-anchor: middle } .end { text-anchor: end }
polyline { stroke-width: 1.5 }
"""
"""Rules of a page with plots."""


@dataclass(frozen=True, eq=False)
class Line:
    """Points to join, and how."""

    name: str
    x: Floats
    y: Floats
    colour: str
    dashed: bool = False


def plot(
    title: str, lines: Sequence[Line], x_label: str, y_label: str, equal: bool = False
) -> str:
    """Return a plot as SVG. equal: a unit has the same length along both axes."""
    x_range = _range([line.x for line in lines])
    y_range = _range([line.y for line in lines], from_zero=not equal)
    if equal:
        x_range, y_range = _equal(x_range, y_range)
    parts = [_frame(title, x_label, y_label), *_ticks(x_range, y_range)]
    parts += [_path(line, x_range, y_range) for line in lines]
    parts += _legend(lines)
    body = "\n".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" class="plot">{body}</svg>'


def _range(values: Sequence[Floats], from_zero: bool = False) -> tuple[float, float]:
    joined = np.concatenate([*values, np.zeros(1 if from_zero else 0)])
    joined = joined[np.isfinite(joined)]
    if not len(joined):
        return 0.0, 1.0
    low, high = float(joined.min()), float(joined.max())
    margin = 0.05 * (high - low) or 0.5
    return (low if from_zero else low - margin), high + margin


def _equal(
    x_range: tuple[float, float], y_range: tuple[float, float]
) -> tuple[tuple[float, float], tuple[float, float]]:
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    unit = max((x_range[1] - x_range[0]) / width, (y_range[1] - y_range[0]) / height)

    def around(limits: tuple[float, float], pixels: int) -> tuple[float, float]:
        middle = sum(limits) / 2
        return middle - unit * pixels / 2, middle + unit * pixels / 2

    return around(x_range, width), around(y_range, height)


def _column(x: Floats | float, limits: tuple[float, float]) -> Floats:
    share = (np.asarray(x) - limits[0]) / (limits[1] - limits[0])
    return np.asarray(LEFT + share * (WIDTH - LEFT - RIGHT))


def _row(y: Floats | float, limits: tuple[float, float]) -> Floats:
    share = (np.asarray(y) - limits[0]) / (limits[1] - limits[0])
    return np.asarray(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM))


def _frame(title: str, x_label: str, y_label: str) -> str:
    middle = (TOP + HEIGHT - BOTTOM) // 2
    return (
        f'<text x="{LEFT}" y="17" class="title">{title}</text>'
        f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" '
        f'height="{HEIGHT - TOP - BOTTOM}" class="frame"/>'
        f'<text x="{(LEFT + WIDTH - RIGHT) // 2}" y="{HEIGHT - 5}" class="label">{x_label}</text>'
        f'<text x="14" y="{middle}" class="label" transform="rotate(-90 14 {middle})">'
        f"{y_label}</text>"
    )


def _ticks(x_range: tuple[float, float], y_range: tuple[float, float]) -> list[str]:
    parts = []
    for value in _round_values(x_range):
        x = float(_column(value, x_range))
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 14}" class="tick">{value:g}</text>')
    for value in _round_values(y_range):
        y = float(_row(value, y_range))
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
            f'<text x="{LEFT - 5}" y="{y + 4:.1f}" class="tick end">{value:g}</text>'
        )
    return parts


def _round_values(limits: tuple[float, float]) -> list[float]:
    rough = (limits[1] - limits[0]) / N_TICKS
    power = 10.0 ** np.floor(np.log10(rough))
    spacing = float(next(step * power for step in (1, 2, 5, 10) if step * power >= rough))
    first = np.ceil(limits[0] / spacing)
    values = spacing * np.arange(first, np.floor(limits[1] / spacing) + 1)
    return [round(float(value), 10) + 0.0 for value in values]  # no -0


def _path(line: Line, x_range: tuple[float, float], y_range: tuple[float, float]) -> str:
    points = zip(_column(line.x, x_range), _row(line.y, y_range), strict=True)
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points if np.isfinite(x) and np.isfinite(y))
    dash = ' stroke-dasharray="5 4"' if line.dashed else ""
    return f'<polyline points="{text}" fill="none" stroke="{line.colour}"{dash}/>'


def _legend(lines: Sequence[Line]) -> list[str]:
    if len(lines) < 2:
        return []
    return [
        f'<text x="{WIDTH - RIGHT - 8}" y="{TOP + 16 * (number + 1)}" class="tick end" '
        f'style="fill: {line.colour}">{line.name}</text>'
        for number, line in enumerate(lines)
    ]
