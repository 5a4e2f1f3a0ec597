"""The page that shows a run: one file with plots and pictures."""

from __future__ import annotations

import base64
import html
from pathlib import Path

import cv2
import numpy as np

from fast_inerf_ros.io.atomic import write_text
from fast_inerf_ros.nodes.image_encoding import compress
from scripts.demo.figures import Figures, rows
from scripts.demo.plots import STYLE as PLOTS
from scripts.demo.plots import Line, plot

N_PICTURES = 6
PICTURE_WIDTH = 320
BLUE, ORANGE, GREY = "#1f6fd0", "#d9730d", "#888"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; color: #222 }
table { border-collapse: collapse; margin: 1em 0 }
td { padding: .25em 1.5em .25em 0; border-bottom: 1px solid #ddd; vertical-align: top }
.good { color: #14803c } .bad { color: #b42318 }
.pictures { display: grid; grid-template-columns: repeat(3, 1fr); gap: 6px }
.pictures img { width: 100% }
"""


def write_report(results: Path, figures: Figures, complaint: str) -> Path:
    """Write report.html beside the results and return its path."""
    judgement = (
        f'<p class="bad">Failed: {html.escape(complaint)}</p>'
        if complaint
        else '<p class="good">The camera was localised.</p>'
    )
    page = (
        "<!doctype html><meta charset=utf-8><title>Localisation</title>"
        f"<style>{STYLE}{PLOTS}</style><h1>Localisation of a hand-held camera</h1>{judgement}"
        f"{_table(rows(figures))}<h2>What the node saw</h2>{_pictures(results)}"
        f"<h2>How well and how soon</h2><div class=plots>{''.join(_plots(figures))}</div>"
        f"<h2>What the node said</h2>{_diagnostics(figures)}"
    )
    path = results / "report.html"
    write_text(path, page)
    return path


def _table(pairs: list[tuple[str, str]]) -> str:
    lines = [
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>"
        for name, value in pairs
    ]
    return f"<table>{''.join(lines)}</table>"


def _pictures(results: Path) -> str:
    video = results / "overlay.mp4"
    frames = _frames(video) if video.exists() else []
    if not frames:
        return "<p>No pictures came.</p>"
    chosen = np.linspace(0, len(frames) - 1, min(N_PICTURES, len(frames))).astype(int)
    images = "".join(_image(frames[index]) for index in chosen)
    return (
        f'<div class=pictures>{images}</div><p><a href="overlay.mp4">overlay.mp4</a>, '
        f'<a href="overlay.gif">overlay.gif</a>: boxes of the scene\'s objects and the axes of '
        "the world, drawn where the pose says that they are seen.</p>"
    )


def _frames(video: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(video))
    frames = []
    while True:
        there, frame = capture.read()
        if not there:
            capture.release()
            return frames
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))


def _image(frame: np.ndarray) -> str:
    height = round(frame.shape[0] * PICTURE_WIDTH / frame.shape[1])
    small = cv2.resize(frame, (PICTURE_WIDTH, height), interpolation=cv2.INTER_AREA)
    data = base64.b64encode(compress(small, "jpeg", 85)).decode()
    return f'<img alt="" src="data:image/jpeg;base64,{data}">'


def _plots(figures: Figures) -> list[str]:
    made = []
    if len(figures.latencies_ms):
        line = Line("", figures.times_s, figures.latencies_ms, BLUE)
        made.append(plot("From stamp to pose in another process", [line], "s", "ms"))
    if len(figures.rotation_deg) == len(figures.times_s) > 0:
        rotation = Line("", figures.times_s, figures.rotation_deg, BLUE)
        translation = Line("", figures.times_s, figures.translation_m * 1e3, BLUE)
        made.append(plot("Rotation error", [rotation], "s", "degrees"))
        made.append(plot("Translation error", [translation], "s", "mm"))
    if figures.n_poses:
        lines = [Line("estimate", *figures.positions[:, :2].T, BLUE)]
        if len(figures.truth):
            lines.append(Line("truth", *figures.truth[:, :2].T, ORANGE, dashed=True))
        made.append(plot("The camera's way, from above", lines, "x in m", "y in m", equal=True))
    return made


def _diagnostics(figures: Figures) -> str:
    return "".join(
        f"<h3>{html.escape(name)}</h3>{_table(list(values.items()))}"
        for name, values in figures.diagnostics.items()
    )
