"""Procedural surfaces of the tabletop and its room: wood, cloth, stone, tiles, plaster, floor.

Every function takes a generator and a size and returns (height, width, 3) float32 sRGB in
[0, 1], periodic in both directions where the material allows it. Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.synthetic.noise import (
    Image,
    displaced,
    fractal_noise,
    lattice_noise,
    mix,
    smoothstep,
)

TextureMaker = Callable[[np.random.Generator, tuple[int, int]], Image]

WOOD_TONES = (
    ((0.80, 0.63, 0.43), (0.62, 0.43, 0.25)),  # beech
    ((0.66, 0.47, 0.29), (0.42, 0.26, 0.14)),  # oak
    ((0.44, 0.29, 0.19), (0.23, 0.13, 0.08)),  # walnut
    ((0.85, 0.74, 0.57), (0.72, 0.57, 0.38)),  # maple
    ((0.57, 0.33, 0.20), (0.35, 0.17, 0.10)),  # cherry
    ((0.62, 0.58, 0.52), (0.42, 0.38, 0.33)),  # weathered
)
CLOTH_COLOURS = (
    ((0.91, 0.89, 0.84), (0.62, 0.14, 0.14)),
    ((0.90, 0.90, 0.90), (0.19, 0.31, 0.55)),
    ((0.85, 0.82, 0.72), (0.40, 0.47, 0.30)),
    ((0.30, 0.35, 0.42), (0.55, 0.60, 0.66)),
    ((0.79, 0.68, 0.53), (0.93, 0.88, 0.78)),
)


def _pick(generator: np.random.Generator, options: tuple[object, ...]) -> int:
    return int(generator.integers(len(options)))


def _grid(shape: tuple[int, int]) -> tuple[Image, Image]:
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    return rows, columns


def _knots(
    generator: np.random.Generator, shape: tuple[int, int], count: int
) -> tuple[Image, Image]:
    """Displacement of the growth rings (rows) and darkness around `count` knots."""
    rows, columns = _grid(shape)
    push = np.zeros(shape, dtype=np.float32)
    dark = np.zeros(shape, dtype=np.float32)
    for _ in range(count):
        centre_y, centre_x = generator.uniform(0.05, 0.95, 2) * shape
        size = generator.uniform(0.006, 0.016) * shape[1]
        dx, dy = (columns - centre_x) / (3.0 * size), (rows - centre_y) / (1.5 * size)
        falloff = np.exp(-(dx**2 + dy**2) / 2)
        push += (np.sign(dy) * (1 - np.exp(-np.abs(dy))) * falloff * size * 2.2).astype(np.float32)
        radius = np.hypot((columns - centre_x) / 1.4, rows - centre_y) / size
        dark = np.maximum(dark, smoothstep(1.1, 0.35, radius.astype(np.float32)))
    return push, dark


def wood(generator: np.random.Generator, shape: tuple[int, int]) -> Image:
    """Boards along the width with growth rings, fibres, pores and a few knots."""
    light, dark = WOOD_TONES[_pick(generator, WOOD_TONES)]
    boards = int(generator.integers(3, 8))
    rows, _ = _grid(shape)
    board = np.minimum((rows / shape[0] * boards).astype(np.int32), boards - 1)
    push, knot = _knots(generator, shape, int(generator.integers(0, 5)))
    bend = fractal_noise(generator, shape, (4, 2), 4) * shape[0] * 0.018
    offset = generator.uniform(0, 300, boards).astype(np.float32)[board]
    period = generator.uniform(0.012, 0.03) * shape[0]
    phase = (rows + bend + push) / period + offset
    # A saw-like ring: slow early wood, sharp late wood.
    ring = np.mod(phase + 0.25 * np.sin(0.7 * phase), 1.0)
    ring = smoothstep(0.0, 0.75, ring) * smoothstep(1.0, 0.82, ring)
    fibre = fractal_noise(generator, shape, (128, 4), 3, 0.7)
    pores = smoothstep(1.3, 2.3, lattice_noise(generator, shape, (512, 24)))
    cloud = fractal_noise(generator, shape, (2, 2), 4)
    tone = np.clip(0.30 + 0.34 * ring + 0.11 * fibre + 0.10 * cloud, 0, 1)
    shade = (1 + generator.normal(0, 0.07, boards).astype(np.float32))[board]
    colour = mix(light, dark, tone) * shade[..., None]
    colour *= (1 - 0.32 * pores - 0.62 * knot)[..., None]
    within = np.mod(rows / shape[0] * boards, 1.0) * shape[0] / boards
    seam = smoothstep(1.8, 0.4, np.minimum(within, shape[0] / boards - within))
    return np.clip(colour * (1 - 0.65 * seam[..., None]), 0, 1)


def cloth(generator: np.random.Generator, shape: tuple[int, int]) -> Image:
    """A woven table-cloth: plain, striped or checked, with threads, creases and wear."""
    base, accent = (
        np.array(c, np.float32) for c in CLOTH_COLOURS[_pick(generator, CLOTH_COLOURS)]
    )
    rows, columns = _grid(shape)
    repeat = shape[1] / float(generator.integers(8, 22))
    duty = generator.uniform(0.25, 0.5)
    across = smoothstep(duty + 0.02, duty - 0.02, np.abs(np.mod(columns / repeat, 1) - 0.5))
    along = smoothstep(duty + 0.02, duty - 0.02, np.abs(np.mod(rows / repeat, 1) - 0.5))
    pattern = int(generator.integers(4))
    weight = (0.5 * (across + along), across, along, 0.0 * across)[pattern]
    colour = mix(base, accent, weight)
    thread = 0.5 + 0.5 * np.sin(columns * 2 * np.pi / 4) * np.sin(rows * 2 * np.pi / 4)
    slub = fractal_noise(generator, shape, (256, 16), 2) + fractal_noise(
        generator, shape, (16, 256), 2
    )
    crease = fractal_noise(generator, shape, (3, 3), 5, 0.55)
    fold = lattice_noise(generator, shape, (2, 5)) * lattice_noise(generator, shape, (3, 2))
    shade = 0.90 + 0.10 * thread + 0.022 * slub + 0.03 * crease + 0.035 * np.tanh(fold)
    return np.asarray(np.clip(colour * shade[..., None], 0, 1), dtype=np.float32)


def marble(generator: np.random.Generator, shape: tuple[int, int]) -> Image:
    """Polished stone with veins along the ridges of warped noise."""
    dark_stone = generator.random() < 0.35
    base = np.array([0.16, 0.17, 0.18] if dark_stone else [0.86, 0.85, 0.82], np.float32)
    vein = np.array([0.70, 0.66, 0.58] if dark_stone else [0.48, 0.48, 0.50], np.float32)
    warp_x, warp_y = (
        fractal_noise(generator, shape, (3, 3), 4) * np.float32(shape[1] * 0.025) for _ in range(2)
    )
    strength = np.zeros(shape, np.float32)
    for cells, width in ((3, 0.05), (6, 0.07), (12, 0.10)):
        field = displaced(fractal_noise(generator, shape, (cells, cells), 4), warp_x, warp_y)
        ridge = np.abs(cv2.GaussianBlur(field, (0, 0), 1.5))
        strength = np.maximum(strength, smoothstep(width, 0.0, ridge) * (1.3 - 0.09 * cells))
    cloud = fractal_noise(generator, shape, (3, 3), 6, 0.6)
    fade = smoothstep(-0.8, 1.2, fractal_noise(generator, shape, (2, 2), 3))
    colour = mix(base, vein, np.clip(0.75 * strength * fade + 0.05 + 0.05 * cloud, 0, 1))
    return np.clip(colour, 0, 1)


def granite(generator: np.random.Generator, shape: tuple[int, int]) -> Image:
    """Speckled stone: several minerals, each where its own noise is high."""
    base = generator.uniform(0.2, 0.7) * (1 + generator.normal(0, 0.05, 3))
    colour = np.broadcast_to(base.astype(np.float32), (*shape, 3))
    minerals = ((0.12, 0.12, 0.13), (0.80, 0.77, 0.72), (0.52, 0.38, 0.31), (0.32, 0.32, 0.34))
    for mineral in minerals:
        cells = int(generator.integers(90, 300))
        threshold = generator.uniform(0.5, 1.5)
        grain = fractal_noise(generator, shape, (cells, cells), 2, 0.7)
        cover = smoothstep(threshold, threshold + 0.45, grain) * generator.uniform(0.5, 1)
        colour = mix(colour, mineral, cover.astype(np.float32))
    shade = 1 + 0.05 * fractal_noise(generator, shape, (3, 3), 4)
    return np.clip(colour * shade[..., None], 0, 1)


def tiles(generator: np.random.Generator, shape: tuple[int, int]) -> Image:
    """Glazed tiles with grout, a tone for every tile, some with an ornament."""
    count_x = int(generator.integers(5, 11))
    count_y = max(2, round(count_x * 0.7))
    rows, columns = _grid(shape)
    tile_y, tile_x = rows / shape[0] * count_y, columns / shape[1] * count_x
    index = (np.floor(tile_y) * count_x + np.floor(tile_x)).astype(np.int32)
    inside_y, inside_x = np.mod(tile_y, 1) - 0.5, np.mod(tile_x, 1) - 0.5
    base = _ceramic(generator)
    tone = (1 + generator.normal(0, 0.05, (count_x * count_y, 1)).astype(np.float32))[index]
    glaze = fractal_noise(generator, shape, (8, 8), 5)
    colour = np.clip(base * tone * (1 + 0.035 * glaze[..., None]), 0, 1)
    if generator.random() < 0.6:
        petals = int(generator.integers(3, 9))
        radius = np.hypot(inside_x, inside_y)
        flower = 0.25 + 0.12 * np.cos(petals * np.arctan2(inside_y, inside_x))
        ink = np.array(generator.uniform(0.08, 0.5, 3), np.float32)
        ornament = smoothstep(0.03, 0.0, np.abs(radius - flower))
        chosen = (generator.random(count_x * count_y) < 0.45)[index]
        colour = mix(colour, ink, (ornament * chosen * 0.85).astype(np.float32))
    edge = 0.5 - np.maximum(np.abs(inside_x), np.abs(inside_y))
    grout = smoothstep(0.030, 0.018, edge.astype(np.float32))
    rough = 0.55 + 0.05 * fractal_noise(generator, shape, (64, 64), 3)
    return np.clip(mix(colour, rough[..., None] * np.ones(3, np.float32), grout), 0, 1)


def _ceramic(generator: np.random.Generator) -> Image:
    options = ((0.88, 0.87, 0.83), (0.66, 0.40, 0.28), (0.36, 0.47, 0.52), (0.45, 0.46, 0.45))
    chosen = np.array(options[_pick(generator, options)], np.float32)
    return np.asarray(chosen * generator.uniform(0.85, 1.08), dtype=np.float32)


def laminate(generator: np.random.Generator, shape: tuple[int, int]) -> Image:
    """A plain worktop: concrete-like clouds, fine grain, scratches and stains."""
    value = generator.uniform(0.28, 0.85)
    tint = 1 + generator.normal(0, 0.05, 3)
    cloud = fractal_noise(generator, shape, (3, 3), 7, 0.62)
    grain = fractal_noise(generator, shape, (256, 256), 2)
    stain = smoothstep(1.2, 2.0, fractal_noise(generator, shape, (4, 4), 5))
    shade = value * (1 + 0.07 * cloud + 0.03 * grain - 0.16 * stain)
    image = np.ascontiguousarray(shade[..., None] * tint.astype(np.float32), dtype=np.float32)
    for _ in range(int(generator.integers(10, 40))):
        start = generator.uniform(0, 1, 2) * shape[::-1]
        stop = start + generator.normal(0, 0.06, 2) * shape[1]
        tone = (value * float(generator.choice([0.82, 1.14])) * tint).tolist()
        cv2.line(
            image, start.astype(int).tolist(), stop.astype(int).tolist(), tone, 1, cv2.LINE_AA
        )
    return np.clip(image, 0, 1)


TABLES: dict[str, TextureMaker] = {
    "wood": wood,
    "cloth": cloth,
    "marble": marble,
    "granite": granite,
    "tiles": tiles,
    "laminate": laminate,
}
GLOSS = {"wood": 0.35, "cloth": 0.0, "marble": 0.8, "granite": 0.6, "tiles": 0.8, "laminate": 0.3}


def table_texture(seed: int, shape: tuple[int, int]) -> tuple[Image, float]:
    """The table top of a seed: sRGB image (height, width, 3) and its gloss in [0, 1]."""
    generator = np.random.default_rng([seed, 0x7AB1E])
    weights = np.array([0.4, 0.15, 0.1, 0.1, 0.1, 0.15])
    kind = str(generator.choice(list(TABLES), p=weights))
    return TABLES[kind](generator, shape), GLOSS[kind]


def wall_texture(generator: np.random.Generator, shape: tuple[int, int]) -> Image:
    """A painted, papered or brick wall (without what hangs on it)."""
    paint = np.array(generator.uniform(0.55, 0.9) * (1 + generator.normal(0, 0.06, 3)), np.float32)
    plaster = fractal_noise(generator, shape, (4, 8), 6, 0.6)
    image = np.clip(paint * (1 + 0.025 * plaster[..., None]), 0, 1)
    style = generator.random()
    rows, columns = _grid(shape)
    if style < 0.25:
        stripe = smoothstep(0.30, 0.26, np.abs(np.mod(columns / shape[1] * 24, 1) - 0.5))
        image = image * (1 - 0.13 * stripe[..., None])
    elif style < 0.45:
        image = _bricks(generator, shape, rows, columns)
    return np.asarray(np.clip(image, 0, 1), dtype=np.float32)


def _bricks(
    generator: np.random.Generator, shape: tuple[int, int], rows: Image, columns: Image
) -> Image:
    course = rows / shape[0] * 34
    along = columns / shape[1] * 26 + 0.5 * np.mod(np.floor(course), 2)
    number = (np.floor(course) * 31 + np.mod(np.floor(along), 26)).astype(np.int32) % 997
    tone = (1 + generator.normal(0, 0.12, (997, 1)).astype(np.float32))[number]
    brick = np.array([0.56, 0.33, 0.26], np.float32) * generator.uniform(0.8, 1.4)
    edge = np.minimum(
        0.5 - np.abs(np.mod(course, 1) - 0.5), 2.5 * (0.5 - np.abs(np.mod(along, 1) - 0.5))
    )
    rough = fractal_noise(generator, shape, (32, 32), 4)
    colour = np.clip(brick * tone * (1 + 0.06 * rough[..., None]), 0, 1)
    return mix(colour, (0.66, 0.64, 0.61), smoothstep(0.12, 0.06, edge.astype(np.float32)))


def floor_texture(generator: np.random.Generator, shape: tuple[int, int]) -> Image:
    """Parquet, tiles or carpet."""
    kind = int(generator.integers(3))
    if kind == 0:
        return np.tile(wood(generator, (shape[0] // 2, shape[1])), (2, 1, 1)) * np.float32(0.85)
    if kind == 1:
        return tiles(generator, shape)
    colour = (generator.uniform(0.2, 0.55) * (1 + generator.normal(0, 0.12, 3))).astype(np.float32)
    pile = fractal_noise(generator, shape, (128, 128), 3, 0.8)
    cloud = fractal_noise(generator, shape, (4, 4), 5)
    return np.clip(colour * (1 + 0.13 * pile + 0.05 * cloud)[..., None], 0, 1)


def skin_texture(generator: np.random.Generator, shape: tuple[int, int]) -> Image:
    """Skin or a rubber glove, for hands in front of the camera."""
    options = ((0.80, 0.60, 0.49), (0.55, 0.37, 0.27), (0.91, 0.74, 0.64), (0.25, 0.32, 0.45))
    colour = np.array(options[_pick(generator, options)], np.float32)
    blotch = fractal_noise(generator, shape, (6, 6), 6, 0.6)
    warm = np.array([0.07, 0.03, 0.02], np.float32) * blotch[..., None]
    fine = 0.02 * fractal_noise(generator, shape, (128, 128), 2)
    return np.asarray(np.clip(colour + 0.5 * warm + fine[..., None], 0, 1), dtype=np.float32)


def to_uint8(image: Image) -> npt.NDArray[np.uint8]:
    """Round an image in [0, 1] to 8 bits."""
    return np.asarray(np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
