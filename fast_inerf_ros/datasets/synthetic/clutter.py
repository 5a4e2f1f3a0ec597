"""Things that are not known objects: crockery, fruit, books, bottles; hands and poles in front."""

from __future__ import annotations

import colorsys
import functools
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.synthetic import textures
from fast_inerf_ros.datasets.synthetic.meshes import Mesh, ball, box, capsule, concatenate, lathe
from fast_inerf_ros.datasets.synthetic.noise import fractal_noise, mix, smoothstep
from fast_inerf_ros.datasets.synthetic.objects import (
    BOX_SIZES,
    CAN_SIZES,
    ObjectModel,
    Pixels,
    make_box,
    make_can,
)

Maker = Callable[[str, np.random.Generator], ObjectModel]
Profile = list[tuple[float, float]]


@functools.lru_cache(maxsize=256)
def distractor(seed: int) -> ObjectModel:
    """The unknown thing of a seed, class 0."""
    generator = np.random.default_rng([seed, 0xD15])
    makers: tuple[Maker, ...] = (_package, _tin, _fruit, _bowl, _mug, _bottle, _book)
    make = makers[int(generator.integers(len(makers)))]
    return make(f"distractor{seed}", generator)


@functools.lru_cache(maxsize=128)
def occluder(seed: int) -> ObjectModel:
    """A hand with its arm, or a pole: the part to show in front lies at the origin.

    It extends along -z, so that it can be pushed into a picture from outside.
    """
    generator = np.random.default_rng([seed, 0x0CC])
    key = f"occluder{seed}"
    if generator.random() < 0.65:
        skin = textures.skin_texture(generator, (256, 256))
        return _model(key, _hand(generator), skin, gloss=50)
    radius = generator.uniform(0.006, 0.018)
    pole = capsule((0, 0, -1.4), (0, 0, 0.15), radius)
    return _model(key, pole, _glaze(generator, (128, 128)), gloss=150)


def _model(key: str, mesh: Mesh, image: npt.NDArray[np.float32], gloss: int) -> ObjectModel:
    texture = np.empty((*image.shape[:2], 4), np.uint8)
    texture[..., :3] = textures.to_uint8(image)
    texture[..., 3] = gloss
    return ObjectModel(key, "clutter", 0, mesh, texture)


def _package(key: str, generator: np.random.Generator) -> ObjectModel:
    size = np.array(BOX_SIZES[generator.integers(len(BOX_SIZES))]) * generator.uniform(0.6, 1.1, 3)
    return make_box(key, "clutter", 0, size, generator)


def _tin(key: str, generator: np.random.Generator) -> ObjectModel:
    size = np.array(CAN_SIZES[generator.integers(len(CAN_SIZES))]) * generator.uniform(0.7, 1.1, 2)
    return make_can(key, "clutter", 0, size, generator)


def _fruit(key: str, generator: np.random.Generator) -> ObjectModel:
    """An orange, an apple, a lemon or a ball."""
    shape = (256, 512)
    hue = float(generator.choice([0.07, 0.0, 0.15, 0.27, 0.03]))
    ripe = np.array(colorsys.hsv_to_rgb(hue, 0.85, 0.85), np.float32)
    other = np.array(colorsys.hsv_to_rgb((hue + 0.08) % 1, 0.7, 0.75), np.float32)
    image = mix(ripe, other, smoothstep(-0.5, 1.8, fractal_noise(generator, shape, (3, 4), 5)))
    image = image * (1 + 0.05 * fractal_noise(generator, shape, (64, 128), 2)[..., None])
    radius = generator.uniform(0.028, 0.042)
    mesh = ball(
        radius * np.array([1.0, generator.uniform(0.85, 1.0), generator.uniform(0.85, 1.0)])
    )
    return _model(key, mesh, np.clip(image, 0, 1), gloss=int(generator.integers(60, 140)))


def _turned(
    key: str, generator: np.random.Generator, profile: Profile, gloss: int, handle: bool = False
) -> ObjectModel:
    heights = np.cumsum([0.0, *np.hypot(*np.diff(np.array(profile), axis=0).T)])
    steps = 1 - heights / heights[-1]
    v = list(zip(steps[:-1].tolist(), steps[1:].tolist(), strict=True))
    mesh = lathe(profile, v, 64, smooth=True)
    if handle:
        mesh = concatenate([mesh, *_handle(profile)])
    return _model(key, mesh, _glaze(generator, (256, 512)), gloss)


def _handle(profile: Profile) -> list[Mesh]:
    radius = max(r for r, _ in profile)
    low, high = min(z for _, z in profile), max(z for _, z in profile)
    angles = np.linspace(-0.42 * np.pi, 0.42 * np.pi, 8)
    middle, half = (low + high) / 2, (high - low) * 0.33
    points = [(radius - 0.004 + 0.028 * np.cos(a), 0.0, middle + half * np.sin(a)) for a in angles]
    return [capsule(a, b, 0.005) for a, b in pairwise(points)]


def _bowl(key: str, generator: np.random.Generator) -> ObjectModel:
    radius, height = generator.uniform(0.05, 0.075), generator.uniform(0.035, 0.06)
    angles = np.linspace(0.25, 1.0, 10) * np.pi / 2
    outside = [(radius * float(np.sin(a)), height * (1 - float(np.cos(a)))) for a in angles]
    inside = [(0.95 * r, 0.92 * z + 0.08 * height) for r, z in outside[::-1]]
    profile = [(0.0, 0.0), (outside[0][0], 0.0), *outside, *inside, (0.0, 0.12 * height)]
    return _turned(key, generator, profile, gloss=170)


def _mug(key: str, generator: np.random.Generator) -> ObjectModel:
    radius, height = generator.uniform(0.034, 0.043), generator.uniform(0.08, 0.105)
    profile = [
        (0.0, 0.0), (0.93 * radius, 0.0), (radius, 0.006), (radius, height - 0.002),
        (radius - 0.0015, height), (radius - 0.0035, height - 0.002),
        (radius - 0.004, 0.01), (0.0, 0.006),
    ]  # fmt: skip
    return _turned(key, generator, profile, gloss=170, handle=True)


def _bottle(key: str, generator: np.random.Generator) -> ObjectModel:
    radius, height = generator.uniform(0.026, 0.038), generator.uniform(0.16, 0.24)
    neck = 0.36 * radius
    profile = [
        (0.0, 0.0), (0.92 * radius, 0.0), (radius, 0.008), (radius, 0.60 * height),
        (0.93 * radius, 0.66 * height), (1.25 * neck, 0.80 * height), (neck, 0.86 * height),
        (neck, 0.94 * height), (1.15 * neck, 0.945 * height), (1.15 * neck, height),
        (0.0, height),
    ]  # fmt: skip
    return _turned(key, generator, profile, gloss=180)


def _book(key: str, generator: np.random.Generator) -> ObjectModel:
    size = np.array([0.14, 0.20, 0.022]) * generator.uniform([0.8, 0.8, 0.6], [1.15, 1.15, 1.8])
    made = make_box(key, "clutter", 0, size[[0, 2, 1]], generator)
    rest = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    return ObjectModel(key, "clutter", 0, made.mesh, made.texture, rests=(rest, rest.T))


def _glaze(generator: np.random.Generator, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Ceramic: one colour, a band or two, faint clouds."""
    hue, saturation = generator.random(), generator.uniform(0.0, 0.55)
    base = np.array(colorsys.hsv_to_rgb(hue, saturation, generator.uniform(0.3, 0.92)), np.float32)
    band = np.array(colorsys.hsv_to_rgb(generator.random(), 0.6, 0.6), np.float32)
    rows = np.mgrid[0 : shape[0], 0 : shape[1]][0].astype(np.float32) / shape[0]
    stripes = np.zeros(shape, np.float32)
    for _ in range(int(generator.integers(0, 4))):
        middle, width = generator.uniform(0.05, 0.95), generator.uniform(0.008, 0.05)
        stripes = np.maximum(stripes, smoothstep(width, 0.8 * width, np.abs(rows - middle)))
    cloud = fractal_noise(generator, shape, (4, 8), 5)
    return np.clip(mix(base, band, stripes) * (1 + 0.03 * cloud[..., None]), 0, 1)


def _hand(generator: np.random.Generator) -> Mesh:
    """Forearm, palm, four bent fingers and a thumb, along -z from the fingertips."""
    curl = generator.uniform(0.1, 0.5)
    spread = generator.uniform(0.85, 1.2)
    parts = [
        capsule((0, 0, -1.2), (0, 0, -0.20), 0.045, 0.62),
        capsule((0, 0, -0.22), (0, 0, -0.15), 0.028, 1.0),
        ball((0.043, 0.017, 0.058)).transformed(np.eye(3), (0, 0, -0.115)),
    ]
    for index, length in enumerate((0.068, 0.078, 0.072, 0.056)):
        x = (index - 1.5) * 0.0195 * spread
        knuckle = np.array([0.9 * x, 0.0, -0.075])
        middle = knuckle + np.array([0.25 * x, -curl * 0.4 * length, 0.55 * length])
        tip = middle + np.array([0.05 * x, -curl * 0.75 * length, 0.42 * length])
        parts += [capsule(knuckle, middle, 0.0095, 0.92), capsule(middle, tip, 0.0087, 0.85)]
    base = np.array([0.034, 0.0, -0.135])
    joint = base + np.array([0.034, -0.012, 0.03])
    parts += [
        capsule(base, joint, 0.0135, 0.8),
        capsule(joint, joint + np.array([0.01, -0.014, 0.033]), 0.0105, 0.8),
    ]
    return concatenate(parts)


def table_frame(half: tuple[float, float], thickness: float, texture: Pixels) -> ObjectModel:
    """What carries the table top: its edge (just below z = 0) and four legs."""
    width, depth = half
    slab = box((2 * width, 2 * depth, thickness), 0.002)
    parts = [slab.transformed(np.eye(3), (0, 0, -thickness / 2 - 2e-4))]
    for x in (-width + 0.05, width - 0.05):
        for y in (-depth + 0.05, depth - 0.05):
            leg = box((0.05, 0.05, 0.70), 0.003)
            parts.append(leg.transformed(np.eye(3), (x, y, -thickness - 0.35)))
    return ObjectModel("table", "table", 0, concatenate(parts), texture)
