"""The room around the table: walls with windows, doors, pictures and shelves, floor, ceiling."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.synthetic.noise import Image, fractal_noise
from fast_inerf_ros.datasets.synthetic.textures import floor_texture, to_uint8, wall_texture

Pixels = npt.NDArray[np.uint8]

WALL_SHAPE = (384, 768)
FLOOR_SHAPE = (512, 512)


@dataclass(frozen=True, eq=False)
class Room:
    """Size in metres around the table (whose top is z = 0) and one picture a side.

    sides: (H, W, 4) uint8 for +x, -x, +y, -y, ceiling, floor: sRGB and how much of it is a
    window that shines.
    """

    key: str
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    sides: tuple[Pixels, ...]


@functools.lru_cache(maxsize=12)
def make_room(seed: int) -> Room:
    """The room of a seed."""
    generator = np.random.default_rng([seed, 0x4004])
    width, depth = generator.uniform(4.2, 6.5), generator.uniform(4.0, 6.0)
    shift = generator.uniform(-0.5, 0.5, 2)
    low = (float(-width / 2 + shift[0]), float(-depth / 2 + shift[1]), -0.74)
    high = (float(width / 2 + shift[0]), float(depth / 2 + shift[1]), 1.86)
    style_seed = int(generator.integers(2**31))
    windows = generator.permutation(4)[: int(generator.integers(1, 3))]
    sides = [
        _wall(np.random.default_rng(style_seed), generator, side in windows) for side in range(4)
    ]
    ceiling = np.full((*FLOOR_SHAPE, 4), 225, np.uint8)
    ceiling[..., :3] = to_uint8(
        0.86
        + 0.012
        * fractal_noise(generator, FLOOR_SHAPE, (4, 4), 6)[..., None]
        * np.ones(3, np.float32)
    )
    ceiling[..., 3] = 0
    return Room(
        f"room{seed}", low, high, (*sides, ceiling, _opaque(floor_texture(generator, FLOOR_SHAPE)))
    )


def _opaque(image: Image) -> Pixels:
    pixels = np.zeros((*image.shape[:2], 4), np.uint8)
    pixels[..., :3] = to_uint8(image)
    return pixels


def _wall(style: np.random.Generator, generator: np.random.Generator, window: bool) -> Pixels:
    image = np.ascontiguousarray(wall_texture(style, WALL_SHAPE))
    shining = np.zeros(WALL_SHAPE, np.float32)
    slots = generator.permutation(4)
    kinds = [
        "window" if window else "picture",
        *generator.permutation(["picture", "shelf", "door", "pictures", "plain", "shelf"])[:3],
    ]
    for slot, kind in zip(slots, kinds, strict=True):
        left = int((slot + generator.uniform(0.05, 0.15)) * WALL_SHAPE[1] / 4)
        right = int((slot + generator.uniform(0.75, 0.95)) * WALL_SHAPE[1] / 4)
        _furnish(str(kind), generator, image, shining, left, right)
    height = WALL_SHAPE[0]
    image[int(0.965 * height) :] = generator.uniform(0.35, 0.9)  # skirting board
    image[int(0.962 * height) : int(0.966 * height)] *= 0.5
    pixels = _opaque(np.clip(image, 0, 1))
    pixels[..., 3] = to_uint8(shining)
    return pixels


def _furnish(
    kind: str, generator: np.random.Generator, image: Image, shining: Image, left: int, right: int
) -> None:
    height = WALL_SHAPE[0]
    if kind == "window":
        _window(generator, image, shining, (left, int(0.14 * height), right, int(0.62 * height)))
    elif kind == "door":
        _door(generator, image, (left + 30, int(0.2 * height), right - 20, height))
    elif kind == "shelf":
        _shelf(generator, image, (left, int(0.22 * height), right, int(0.97 * height)))
    elif kind == "picture":
        _picture(generator, image, (left + 20, int(0.22 * height), right - 20, int(0.52 * height)))
    elif kind == "pictures":
        middle = (left + right) // 2
        _picture(generator, image, (left, int(0.30 * height), middle - 10, int(0.48 * height)))
        _picture(generator, image, (middle + 10, int(0.24 * height), right, int(0.50 * height)))


Box = tuple[int, int, int, int]


def _window(generator: np.random.Generator, image: Image, shining: Image, box: Box) -> None:
    left, top, right, bottom = box
    frame = (0.92, 0.92, 0.90)
    cv2.rectangle(image, (left - 7, top - 7), (right + 7, bottom + 7), frame, -1)
    shape = (bottom - top, right - left)
    down = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None, None]
    sky = (1 - down) * np.array([0.72, 0.85, 1.0]) + down * np.array([0.97, 0.98, 1.0])
    clouds = fractal_noise(generator, shape, (3, 3), 5)[..., None]
    outside = np.clip(sky + 0.04 * clouds, 0, 1)
    skyline = 0.72 + 0.06 * fractal_noise(generator, (1, shape[1]), (1, 8), 3)[0]
    trees = down[:, 0, :] > skyline[None, :]
    green = 0.42 + 0.07 * fractal_noise(generator, shape, (16, 16), 4)[..., None]
    outside = np.where(trees[..., None], green * np.array([0.8, 1.0, 0.6]), outside)
    image[top:bottom, left:right] = outside
    shining[top:bottom, left:right] = 1.0
    panes = int(generator.integers(1, 4))
    for k in range(1, panes + 1):
        x = left + (right - left) * k // (panes + 1)
        cv2.rectangle(image, (x - 3, top), (x + 3, bottom), frame, -1)
        shining[top:bottom, x - 3 : x + 4] = 0.0
    cv2.rectangle(image, (left - 12, bottom + 7), (right + 12, bottom + 13), (0.8, 0.8, 0.78), -1)


def _door(generator: np.random.Generator, image: Image, box: Box) -> None:
    left, top, right, bottom = box
    colour = np.array(generator.uniform(0.3, 0.85) * np.array([1.0, 0.9, 0.78]))
    cv2.rectangle(image, (left - 8, top - 8), (right + 8, bottom), (colour * 0.8).tolist(), -1)
    cv2.rectangle(image, (left, top), (right, bottom), colour.tolist(), -1)
    width = right - left
    for low, high in ((0.08, 0.42), (0.50, 0.92)):
        corner = (left + width // 6, top + int(low * (bottom - top)))
        other = (right - width // 6, top + int(high * (bottom - top)))
        cv2.rectangle(image, corner, other, (colour * 0.72).tolist(), 3)
    cv2.circle(image, (right - width // 12, (top + bottom) // 2), 5, (0.65, 0.6, 0.45), -1)


def _picture(generator: np.random.Generator, image: Image, box: Box) -> None:
    left, top, right, bottom = box
    cv2.rectangle(image, (left + 3, top + 4), (right + 4, bottom + 6), (0.3, 0.3, 0.3), -1)
    frame = (generator.uniform(0.08, 0.6) * np.array([1.0, 0.85, 0.7])).tolist()
    cv2.rectangle(image, (left, top), (right, bottom), frame, -1)
    mat = 5
    cv2.rectangle(image, (left + mat, top + mat), (right - mat, bottom - mat), (0.93,) * 3, -1)
    inner = (slice(top + 2 * mat, bottom - 2 * mat), slice(left + 2 * mat, right - 2 * mat))
    shape = (inner[0].stop - inner[0].start, inner[1].stop - inner[1].start)
    if min(shape) < 8:
        return
    art = np.stack([fractal_noise(generator, shape, (2, 2), 5) for _ in range(3)], axis=-1)
    image[inner] = np.clip(generator.uniform(0.2, 0.8, 3) + 0.16 * art, 0, 1)


def _shelf(generator: np.random.Generator, image: Image, box: Box) -> None:
    left, top, right, bottom = box
    wood = generator.uniform(0.25, 0.8) * np.array([1.0, 0.85, 0.66])
    cv2.rectangle(image, (left, top), (right, bottom), (wood * 0.45).tolist(), -1)
    boards = np.linspace(top, bottom - 4, int(generator.integers(4, 6))).astype(int)
    for upper, lower in pairwise(boards):
        _books(generator, image, (left + 6, upper + 6, right - 6, lower))
    for row in boards:
        cv2.rectangle(image, (left, row), (right, row + 5), wood.tolist(), -1)
    for column in (left, right - 5):
        cv2.rectangle(image, (column, top), (column + 5, bottom), (wood * 0.9).tolist(), -1)


def _books(generator: np.random.Generator, image: Image, box: Box) -> None:
    left, top, right, bottom = box
    x = left
    while x < right - 4:
        width = int(generator.integers(4, 13))
        if generator.random() < 0.2:
            x += int(generator.integers(8, 40))
            continue
        height = int((bottom - top) * generator.uniform(0.6, 0.95))
        colour = np.clip(
            generator.uniform(0.1, 0.75) * (1 + generator.normal(0, 0.35, 3)), 0.03, 1
        )
        stop = min(x + width, right)
        cv2.rectangle(image, (x, bottom - height), (stop, bottom), colour.tolist(), -1)
        cv2.line(image, (stop, bottom - height), (stop, bottom), (colour * 0.4).tolist(), 1)
        label = bottom - int(height * 0.75)
        cv2.line(image, (x + 1, label), (stop - 1, label), (0.85, 0.8, 0.6), 1)
        x += width + 1
