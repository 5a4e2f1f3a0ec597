"""Printed packaging: faces of boxes and labels of cans, drawn with words that mean nothing.

Text is drawn with the scalable font that Pillow carries inside itself, so that nothing is
downloaded. All functions return (height, width, 3) uint8 RGB.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from fast_inerf_ros.datasets.synthetic.noise import fractal_noise, mix, smoothstep
from fast_inerf_ros.datasets.synthetic.printing import (
    Colour,
    badge,
    barcode,
    facts_table,
    fit_text,
    paragraph,
    word,
)

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Brand:
    """What all faces of one package share."""

    name: str
    product: str
    background: Colour
    block: Colour
    accent: Colour
    ink: Colour
    seed: int

    @property
    def generator(self) -> np.random.Generator:
        """A fresh generator: every face of the brand draws the same decoration."""
        return np.random.default_rng([self.seed, 0xB0C5])


def make_brand(generator: np.random.Generator) -> Brand:
    """Invent a name, a product and a palette."""
    hue = generator.random()
    other = (hue + float(generator.choice([0.08, 0.33, 0.5, 0.62]))) % 1.0
    pale = generator.random() < 0.4
    background = _hsv(
        hue,
        generator.uniform(0.05, 0.2) if pale else generator.uniform(0.6, 0.9),
        generator.uniform(0.85, 0.96) if pale else generator.uniform(0.35, 0.85),
    )
    block = _hsv(other, generator.uniform(0.5, 0.9), generator.uniform(0.35, 0.9))
    accent = _hsv((hue + 0.45) % 1.0, generator.uniform(0.5, 0.95), generator.uniform(0.6, 0.95))
    ink = (25, 22, 30) if sum(background) > 390 else (246, 244, 236)
    name = word(generator, int(generator.integers(2, 4))).capitalize()
    product = " ".join(word(generator, 2) for _ in range(2))
    return Brand(name, product, background, block, accent, ink, int(generator.integers(2**31)))


def front_face(brand: Brand, size: tuple[int, int], variant: int = 0) -> Pixels:
    """The face that sells: background, picture, name, product line, badges.

    size: (width, height) in pixels.
    """
    generator = np.random.default_rng([brand.seed, variant])
    width, height = size
    image = _background(brand, size)
    if min(size) > 60:
        picture_height = int(height * generator.uniform(0.36, 0.5))
        picture = photograph(generator, (int(width * 0.86), picture_height), brand)
        top = int(height * generator.uniform(0.40, 0.46))
        image.paste(picture, (int(width * 0.07), top), _rounded_mask(picture.size, generator))
    draw = ImageDraw.Draw(image)
    fit_text(
        draw,
        brand.name,
        (0.06 * width, 0.06 * height, 0.94 * width, 0.26 * height),
        brand.ink,
        stroke=brand.block,
        bold=True,
    )
    fit_text(
        draw, brand.product, (0.15 * width, 0.28 * height, 0.85 * width, 0.37 * height), brand.ink
    )
    strip = (0, int(0.92 * height), width, height)
    draw.rectangle(strip, fill=brand.accent)
    weight = f"{int(generator.integers(10, 95)) * 10} g  {word(generator, 3)}"
    fit_text(
        draw, weight, (0.06 * width, 0.93 * height, 0.94 * width, 0.99 * height), (20, 20, 20)
    )
    badge(
        draw, generator, brand.accent, (0.80 * width, 0.44 * height), 0.11 * min(width, height) + 6
    )
    return printed(image, generator)


def side_face(brand: Brand, size: tuple[int, int], variant: int) -> Pixels:
    """The face that informs: a table of contents, paragraphs of small print and a barcode."""
    generator = np.random.default_rng([brand.seed, 1000 + variant])
    width, height = size
    image = _background(brand, size, plain=True)
    draw = ImageDraw.Draw(image)
    fit_text(
        draw,
        brand.name,
        (0.08 * width, 0.03 * height, 0.92 * width, 0.13 * height),
        brand.ink,
        stroke=brand.block,
        bold=True,
    )
    margin = 0.08 * width
    top = 0.17 * height
    if variant % 2 == 0:
        top = facts_table(draw, generator, (margin, top, width - margin, 0.58 * height))
    else:
        draw.rectangle((0, top, width, top + 0.10 * height), fill=brand.block)
        fit_text(
            draw, brand.product, (margin, top, width - margin, top + 0.09 * height), (250,) * 3
        )
        top += 0.13 * height
    paragraph(draw, generator, (margin, top, width - margin, 0.80 * height), brand.ink)
    barcode(draw, generator, (0.2 * width, 0.83 * height, 0.8 * width, 0.97 * height))
    return printed(image, generator)


def end_face(brand: Brand, size: tuple[int, int], variant: int) -> Pixels:
    """A lid or a bottom: the name across, or flaps with a stamp."""
    generator = np.random.default_rng([brand.seed, 2000 + variant])
    width, height = size
    image = _background(brand, size, plain=True)
    draw = ImageDraw.Draw(image)
    if variant % 2 == 0:
        draw.rectangle((0, 0.36 * height, width, 0.64 * height), fill=brand.block)
        fit_text(
            draw,
            brand.name,
            (0.1 * width, 0.38 * height, 0.9 * width, 0.62 * height),
            (250, 248, 240),
            bold=True,
        )
    else:
        draw.line((0, height / 2, width, height / 2), fill=brand.block, width=3)
        stamp = f"{word(generator, 2).upper()} {generator.integers(10**6):06d}"
        fit_text(
            draw, stamp, (0.2 * width, 0.15 * height, 0.8 * width, 0.32 * height), (30, 30, 35)
        )
    return printed(image, generator)


def can_label(brand: Brand, size: tuple[int, int]) -> Pixels:
    """A label around a can: front, facts, barcode, front again, so that no view is like another.

    size: (width, height) in pixels; the width is the circumference.
    """
    width, height = size
    quarter = width // 4
    faces = [
        front_face(brand, (quarter, height)),
        side_face(brand, (quarter, height), 0),
        front_face(brand, (quarter, height), 1),
        side_face(brand, (width - 3 * quarter, height), 1),
    ]
    return np.concatenate(faces, axis=1)


def photograph(generator: np.random.Generator, size: tuple[int, int], brand: Brand) -> Image.Image:
    """Something like a picture of food: shaded pieces in a heap before a soft background."""
    width, height = max(size[0], 8), max(size[1], 8)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    haze = fractal_noise(generator, (height, width), (2, 3), 4)
    canvas = mix(
        np.array(brand.accent, np.float32) / 255,
        (0.97, 0.93, 0.85),
        smoothstep(-1.4, 1.6, haze + 1.5 * (0.5 - rows / height)),
    )
    tone = np.array(colorsys.hsv_to_rgb(generator.uniform(0.0, 0.16), 0.75, 0.8), np.float32)
    for _ in range(int(generator.integers(14, 30))):
        centre = generator.normal([0.5 * width, 0.62 * height], [0.2 * width, 0.14 * height])
        radius = generator.uniform(0.07, 0.16) * min(width, height) * np.array([1.5, 1.0])
        angle = generator.uniform(0, np.pi)
        dx, dy = columns - centre[0], rows - centre[1]
        along = (dx * np.cos(angle) + dy * np.sin(angle)) / radius[0]
        across = (dy * np.cos(angle) - dx * np.sin(angle)) / radius[1]
        squared = (along**2 + across**2).astype(np.float32)
        light = 0.45 + 0.55 * np.clip(0.4 - 0.5 * dx / radius[0] - 0.5 * dy / radius[1], 0, 1)
        piece = tone * (1 + generator.normal(0, 0.16, 3).astype(np.float32))
        shaded = piece * light[..., None].astype(np.float32)
        shadow = smoothstep(1.9, 0.9, squared) * 0.35
        canvas = mix(
            canvas * (1 - shadow[..., None]),
            np.clip(shaded, 0, 1),
            smoothstep(1.05, 0.92, squared),
        )
    grain = fractal_noise(generator, (height, width), (32, 32), 3, 0.8)
    canvas = np.clip(canvas * (1 + 0.07 * grain[..., None]), 0, 1)
    return Image.fromarray((canvas * 255).astype(np.uint8))


def printed(image: Image.Image, generator: np.random.Generator) -> Pixels:
    """Print on cardboard: paper grain, slight unevenness of the ink, worn borders."""
    pixels = np.asarray(image, dtype=np.float32)
    shape = pixels.shape[:2]
    grain = fractal_noise(generator, shape, (32, 32), 4, 0.7)
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    border = np.minimum.reduce([rows, columns, shape[0] - 1 - rows, shape[1] - 1 - columns])
    worn = smoothstep(3.0, 0.0, border.astype(np.float32) + 1.2 * grain) * 0.25
    pixels = mix(pixels * (1 + 0.014 * grain[..., None]), (205.0, 195.0, 180.0), worn)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return int(red * 255), int(green * 255), int(blue * 255)


def _background(brand: Brand, size: tuple[int, int], plain: bool = False) -> Image.Image:
    """Vertical gradient with one decoration of the brand: waves, diagonals, rays or dots."""
    generator = brand.generator
    style = int(generator.integers(5))
    width, height = size
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    down, right = rows / height, columns / width
    base = np.array(brand.background, np.float32)
    block = np.array(brand.block, np.float32)
    canvas = mix(base, base * 0.8, smoothstep(0.1, 1.1, down))
    pitch = generator.uniform(4, 9)
    if style == 0:
        weight = smoothstep(0.0, 0.01, down - 0.36 - 0.05 * np.sin(right * 6.3 + pitch))
    elif style == 1:
        weight = smoothstep(0.0, 0.01, down - 0.7 * right - 0.15)
    elif style == 2:
        angle = np.arctan2(down - 0.5, right - 0.5)
        weight = smoothstep(-0.05, 0.05, np.sin(angle * np.round(2 * pitch))) * np.float32(0.55)
    elif style == 3:
        dots = np.hypot(
            np.mod(columns / width * pitch, 1) - 0.5, np.mod(rows / width * pitch, 1) - 0.5
        )
        weight = smoothstep(0.27, 0.24, dots) * np.float32(0.6)
    else:
        weight = smoothstep(0.42, 0.40, np.abs(down - 0.5))
    canvas = mix(canvas, block, (weight * (0.25 if plain else 1.0)).astype(np.float32))
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))


def _rounded_mask(size: tuple[int, int], generator: np.random.Generator) -> Image.Image:
    mask = Image.new("L", size, 0)
    draw = ImageDraw.Draw(mask)
    box = (0, 0, size[0] - 1, size[1] - 1)
    if generator.random() < 0.4:
        draw.ellipse(box, fill=255)
    else:
        draw.rounded_rectangle(box, radius=min(size) // 6, fill=255)
    return mask
