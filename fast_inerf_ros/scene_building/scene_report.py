"""The page that tells how a scene was built and how well it works: one file, nothing beside it."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from fast_inerf_ros.evaluation.recall import wilson_interval
from fast_inerf_ros.io.atomic import write_text
from fast_inerf_ros.io.scene import Scene
from fast_inerf_ros.scene_building.scene_boxes import BOXES_PICTURE, flag_of
from fast_inerf_ros.scene_building.scene_evaluation import (
    Evaluation,
    HeldOut,
    load_evaluation,
    pictures,
)
from fast_inerf_ros.scene_building.world_placement import Placement

REPORT = "report.html"
EVALUATION = "evaluation"
LIMITS = ((5.0, 0.05), (1.0, 0.01))
"""Degrees, and shares of d, below which a photograph counts as localised."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; color: #222 }
table { border-collapse: collapse; margin: 1em 0 }
td, th { padding: .25em 1.2em .25em 0; border-bottom: 1px solid #ddd; text-align: left }
.bad { color: #b42318 }
.pictures { display: grid; grid-template-columns: repeat(3, 1fr); gap: 6px }
.pictures img, .wide { width: 100% }
"""


def write_report(
    folder: Path, scene: Scene, placement: Placement, seconds: Mapping[str, float]
) -> Path:
    """Write report.html of a scene folder and return its path."""
    found = load_evaluation(folder / EVALUATION)
    unit = "m" if scene.metric else "units"
    sections = [
        f"<h1>{html.escape(scene.description or folder.resolve().name)}</h1>",
        html_table(("", ""), _overview(scene, placement, found)),
        "<h2>Held-out photographs</h2>",
        _rates(found),
        _photographs(found, unit),
        _pictures(folder, found),
        "<h2>Boxes</h2>",
        _boxes(folder, scene, unit),
        "<h2>Time</h2>",
        html_table(("stage", "wall-clock time"), [(k, f"{v:.0f} s") for k, v in seconds.items()]),
        "<p>Of the run that finished each stage; earlier, interrupted ones do not count.</p>",
    ]
    page = f"<!doctype html><meta charset=utf-8><title>Scene</title><style>{STYLE}</style>"
    write_text(folder / REPORT, page + "\n".join(sections) + "\n")
    return folder / REPORT


def _overview(scene: Scene, placement: Placement, found: Evaluation) -> Iterable[tuple[str, ...]]:
    yield "scale", "metric" if scene.metric else "not known (metric: false)"
    for note in placement.notes:
        name, _, text = note.partition(": ")
        yield name, text
    yield "landmarks", "yes" if scene.landmarks else "no"
    yield "PoseCNN", "yes" if scene.detector else "no"
    if found.psnr_db is not None:
        ssim = "" if found.ssim is None else f", SSIM {found.ssim:.3f}"
        size = "x".join(map(str, found.render_size))
        yield "field, on held-out views", f"PSNR {found.psnr_db:.2f} dB{ssim} at {size}"
    if found.depth is not None:
        yield "d, median depth", f"{found.depth:.3g}"


def _rates(found: Evaluation) -> str:
    if not found.photographs:
        return "<p>None were held out, so that nothing was measured (--hold-out 8 does).</p>"
    header = ("localised from the photograph alone", "share, 95 % Wilson interval")
    total = len(found.photographs)
    return html_table(header, [(name, rate(count, total)) for name, count in _counts(found)])


def _counts(found: Evaluation) -> Iterator[tuple[str, int]]:
    """What the photographs have come to, and how many of them."""
    photographs = found.photographs
    for degrees, depths in LIMITS:
        count = sum(item.within(degrees, depths) for item in photographs)
        yield f"below {degrees:g}° and {depths:g} d", count
    degrees, depths = LIMITS[0]
    placed = [item for item in photographs if item.rotation_error_deg is not None]
    wrong = sum(not item.within(degrees, depths) for item in placed)
    yield f"wrong (outside {degrees:g}° or {depths:g} d) and accepted", wrong
    yield "lost, and said so", len(photographs) - len(placed)


def rate(count: int, total: int) -> str:
    """A share with its Wilson interval as text."""
    lower, upper = wilson_interval(count, total)
    return f"{count}/{total} [{float(lower):.2f}, {float(upper):.2f}]"


def _photographs(found: Evaluation, unit: str) -> str:
    header = ("photograph", "status", "from", "rotation", f"translation ({unit})", "(d)", "score",
              "time", "PSNR of the field")  # fmt: skip
    return html_table(header, [_row(item) for item in found.photographs])


def _row(item: HeldOut) -> tuple[str, ...]:
    return (
        item.name,
        item.status if item.rotation_error_deg is not None else f"{item.status}: {item.reason}",
        item.source,
        _number(item.rotation_error_deg, "{:.3f}°"),
        _number(item.translation_error, "{:.4g}"),
        _number(item.translation_error_d, "{:.4f}"),
        f"{item.score:.2f}",
        f"{item.seconds:.2f} s",
        _number(item.psnr_db, "{:.1f} dB"),
    )


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _pictures(folder: Path, found: Evaluation) -> str:
    cells = []
    for number, paths in pictures(folder / EVALUATION):
        if number < len(found.photographs):
            name = found.photographs[number].name
            cells += [_image(path, f"{name}: {path.stem.split('_')[1]}") for path in paths]
    if not cells:
        return ""
    return (
        f"<div class=pictures>{''.join(cells)}</div>"
        "<p>Photograph, what the field shows there, and its depth (red is near).</p>"
    )


def _boxes(folder: Path, scene: Scene, unit: str) -> str:
    flags = "<br>".join(html.escape(flag_of(item)) for item in scene.objects)
    said = f"<p><code>{flags}</code></p>" if flags else "<p>The scene has none.</p>"
    picture = _image(folder / BOXES_PICTURE, "the scene from above and from the sides", "wide")
    return (
        f"{said}{picture}<p>From above and from both sides, coordinates in {unit} of the scene. "
        "Correct boxes by giving them with --box, or in boxes.yaml, and run the same command "
        "again.</p>"
    )


def _image(path: Path, text: str, style: str = "") -> str:
    image = cv2.imread(str(path))
    if image is None:
        return f"<p>{html.escape(text)}: no picture</p>"
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])
    encoded = base64.b64encode(np.asarray(data).tobytes()).decode()
    shown = f'alt="{html.escape(text)}" title="{html.escape(text)}" class="{style}"'
    return f'<img {shown} src="data:image/jpeg;base64,{encoded}">'


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts, which are escaped."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
