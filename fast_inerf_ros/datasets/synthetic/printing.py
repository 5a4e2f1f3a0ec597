"""The marks that are printed on packages: text, badges, tables of facts, small print, barcodes."""

from __future__ import annotations

import numpy as np
from PIL import ImageDraw, ImageFont

Colour = tuple[int, int, int]

CONSONANTS = (
    "b",
    "br",
    "c",
    "d",
    "f",
    "g",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "st",
    "t",
    "v",
    "z",
)
VOWELS = ("a", "e", "i", "o", "u", "ea", "io", "y")


def word(generator: np.random.Generator, syllables: int) -> str:
    """Make a pronounceable word."""
    return "".join(
        CONSONANTS[generator.integers(len(CONSONANTS))] + VOWELS[generator.integers(len(VOWELS))]
        for _ in range(syllables)
    )


def fit_text(
    draw: ImageDraw.ImageDraw,
    text: str,
    box: tuple[float, float, float, float],
    fill: Colour,
    stroke: Colour | None = None,
    bold: bool = False,
) -> None:
    """Write text centred in a box (left, top, right, bottom) as large as it fits."""
    left, top, right, bottom = box
    size = max(6.0, bottom - top)
    probe = ImageFont.load_default(size=100.0)
    extent = probe.getbbox(text)
    size = max(5.0, min(size, 100.0 * (right - left) / max(extent[2] - extent[0], 1)))
    font = ImageFont.load_default(size=size)
    weight = max(1, round(size / 16)) if bold else 0
    draw.text(
        ((left + right) / 2, (top + bottom) / 2),
        text,
        fill=fill,
        font=font,
        anchor="mm",
        stroke_width=weight,
        stroke_fill=stroke if stroke and size > 18 else fill,
    )


def badge(
    draw: ImageDraw.ImageDraw,
    generator: np.random.Generator,
    fill: Colour,
    centre: tuple[float, float],
    radius: float,
) -> None:
    """A star with an exclamation, around a centre (x, y) in pixels."""
    angles = np.linspace(0, 2 * np.pi, 33)
    lengths = radius * (1 + 0.12 * np.cos(angles * 16))
    star = [
        (centre[0] + r * np.cos(a), centre[1] + r * np.sin(a))
        for a, r in zip(angles, lengths, strict=True)
    ]
    draw.polygon(star, fill=fill, outline=(250, 250, 250))
    fit_text(
        draw,
        word(generator, 1).upper() + "!",
        (
            centre[0] - 0.7 * radius,
            centre[1] - 0.4 * radius,
            centre[0] + 0.7 * radius,
            centre[1] + 0.4 * radius,
        ),
        (20, 20, 25),
        bold=True,
    )


def facts_table(
    draw: ImageDraw.ImageDraw,
    generator: np.random.Generator,
    box: tuple[float, float, float, float],
) -> float:
    """A white table of facts; returns the row below it."""
    left, top, right, bottom = box
    draw.rectangle(box, fill=(248, 248, 244), outline=(15, 15, 15), width=2)
    lines = int(np.clip((bottom - top) / 15, 3, 12))
    step = (bottom - top) / lines
    font = ImageFont.load_default(size=max(6.0, step * 0.68))
    for line in range(lines):
        y = top + line * step
        name = "FACTS" if line == 0 else word(generator, 3)
        draw.text(
            (left + 5, y + 0.12 * step),
            name,
            fill=(10, 10, 10),
            font=font,
            stroke_width=int(line == 0),
        )
        amount = f"{generator.uniform(0, 60):.1f} g"
        draw.text((right - 5, y + 0.12 * step), amount, fill=(10, 10, 10), font=font, anchor="ra")
        draw.line((left, y + step, right, y + step), fill=(60, 60, 60), width=1)
    return bottom + step * 0.5


def paragraph(
    draw: ImageDraw.ImageDraw,
    generator: np.random.Generator,
    box: tuple[float, float, float, float],
    ink: Colour,
) -> None:
    """Lines of small print that fill a box (left, top, right, bottom)."""
    left, top, right, bottom = box
    size = 10.0
    font = ImageFont.load_default(size=size)
    y = top
    while y + size < bottom:
        text = ""
        while font.getlength(text) < right - left and len(text) < 200:
            text += word(generator, int(generator.integers(1, 4))) + " "
        text = text.strip().rpartition(" ")[0]
        draw.text((left, y), text, fill=ink, font=font)
        y += size * (2.2 if generator.random() < 0.12 else 1.25)


def barcode(
    draw: ImageDraw.ImageDraw,
    generator: np.random.Generator,
    box: tuple[float, float, float, float],
) -> None:
    """Bars and digits on white in a box (left, top, right, bottom)."""
    left, top, right, bottom = box
    draw.rectangle((left - 4, top - 4, right + 4, bottom + 4), fill=(252, 252, 252))
    x = left
    while x < right:
        bar = float(generator.integers(1, 4)) * max((right - left) / 95, 1.0)
        draw.rectangle(
            (x, top, min(x + bar, right), bottom - 0.22 * (bottom - top)), fill=(8, 8, 8)
        )
        x += bar + float(generator.integers(1, 4)) * max((right - left) / 95, 1.0)
    digits = " ".join(str(d) for d in generator.integers(0, 10, 12))
    fit_text(draw, digits, (left, bottom - 0.2 * (bottom - top), right, bottom), (8, 8, 8))
