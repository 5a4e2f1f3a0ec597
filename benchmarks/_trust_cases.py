"""Images and starts to judge trust by: good ones, and all kinds that may be answered wrongly.

Whether a pose is wrong is never assumed from its kind, but measured against the truth.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks.localisation_scenes import PROTOCOL, layout_of, queries_of
from fast_inerf_ros.datasets.synthetic.layout import rearranged
from fast_inerf_ros.datasets.synthetic.photographs import expose_randomised
from fast_inerf_ros.datasets.synthetic.protocol import load_protocol
from fast_inerf_ros.datasets.synthetic.render import Renderer
from fast_inerf_ros.estimator.observation import Observation
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3

N_NEAR, N_OTHER = 14, 5
"""Starts far off, and images of other places, for each image."""

N_MOVED = (3, None)
"""Things that are put elsewhere in one picture each; None for all of them."""

STRANGERS = range(1001, 1011)
"""Tabletops with the same objects, one picture of each among the foreign images."""

SELDOM = 4
"""One image in so many is also asked about in the ways that take long."""


@dataclass(frozen=True)
class Case:
    """A question to be judged. truth: None where there is none.

    way: "estimate" asks the estimator, with the prior if there is one; "landmarks" refines what
    landmarks say, if they say anything; "prior" refines the prior alone, without landmarks;
    "once" does so without the solver's further starts, which is quick and ends in wrong optima
    more often.
    """

    kind: str
    way: str
    observation: Observation
    truth: SE3 | None
    prior: SE3 | None = None


@dataclass(frozen=True)
class Material:
    """What cases of a place are made from. depth: of the scene, metres.

    foreign: images of other places. symmetric: mirrored images show the place as well, from a
    mirrored pose, and are not asked about.
    """

    depth: float
    foreign: Sequence[np.ndarray]
    symmetric: bool = False


def cases(
    seen: Observation,
    truth: SE3,
    number: int,
    given: Material,
    moved: Sequence[np.ndarray],
    generator: np.random.Generator,
) -> Iterator[Case]:
    """All cases of one image, the place's ``number``-th.

    moved: pictures of the place from the same pose after things were moved.
    """
    long = number % SELDOM == 0

    def start(least: float, most: float) -> SE3:
        return turned(truth, float(generator.uniform(least, most)), given.depth, generator)

    def another(image: np.ndarray) -> Observation:
        return dataclasses.replace(seen, image=image)

    yield Case("good", "estimate", seen, truth)
    yield Case("good", "estimate", seen, truth, start(8.0, 8.0))
    yield Case("good", "prior", seen, truth, start(8.0, 8.0))
    for index in range(N_NEAR):
        way = "prior" if long and index == 0 else "once"
        yield Case("near", way, seen, truth, start(10.0, 60.0))
    strange = [fitted(given.foreign[k], seen) for k in generator.permutation(len(given.foreign))]
    for way, prior in (("estimate", None), ("estimate", start(3.0, 3.0)),
                       ("once", start(0.0, 5.0)), ("once", start(5.0, 15.0))):  # fmt: skip
        image = occluded(seen.image, strange[-1], generator.uniform(0.4, 0.8), generator)
        yield Case("occluded", way, another(image), truth, prior)
    for image in strange[:N_OTHER]:
        yield Case("other", "once", another(image), None, start(0.0, 15.0))
        yield Case("other", "landmarks", another(image), None)
    if long:
        yield Case("other", "estimate", another(strange[-1]), None)
    for index, image in enumerate(moved):
        yield Case("rearranged", "once", another(image), truth, start(0.0, 10.0))
        if index == 0 or number % 2 == 0:
            yield Case("rearranged", "estimate", another(image), truth)
    # A camera that is rolled by a right angle sees the middle of the turned image.
    yield Case("turned", "estimate", another(rolled(seen)), truth @ QUARTER)
    if given.symmetric:
        return
    mirrored = np.ascontiguousarray(seen.image[:, ::-1])
    yield Case("turned", "once", another(mirrored), None, truth)
    yield Case("turned", "once", another(np.ascontiguousarray(seen.image[::-1])), None, truth)
    if long:
        yield Case("turned", "estimate", another(mirrored), None)


QUARTER = SE3(SO3.exp(np.array([0.0, 0.0, np.pi / 2])), np.zeros(3))
"""T_camera_rolled of a camera whose image is that of ``rolled``."""


def rolled(seen: Observation) -> np.ndarray:
    """The image turned by a right angle about its principal point; black where it ends."""
    camera = seen.camera
    turn = cv2.getRotationMatrix2D((camera.cx, camera.cy), 90.0, 1.0)
    return np.asarray(cv2.warpAffine(seen.image, turn, (camera.width, camera.height)))


def turned(truth: SE3, angle_deg: float, depth: float, generator: np.random.Generator) -> SE3:
    """The camera turned about what it looks at."""
    axis = generator.standard_normal(3)
    turn = SO3.exp(axis / np.linalg.norm(axis) * np.radians(angle_deg))
    pivot = np.asarray(truth @ np.array([0.0, 0.0, depth]))
    return SE3(turn, pivot - turn @ pivot) @ truth


def fitted(image: np.ndarray, seen: Observation) -> np.ndarray:
    """An image at the size of an observation."""
    return np.asarray(cv2.resize(image, (seen.camera.width, seen.camera.height)))


def occluded(
    image: np.ndarray, strange: np.ndarray, share: float, generator: np.random.Generator
) -> np.ndarray:
    """An image with boxes of another one over a share of it."""
    height, width = image.shape[:2]
    covered, hidden = image.copy(), np.zeros((height, width), dtype=bool)
    while hidden.mean() < share:
        size = generator.uniform(0.15, 0.5, 2) * (height, width)
        v, u = (int(generator.integers(-size[i] // 2, hidden.shape[i])) for i in (0, 1))
        box = (slice(max(v, 0), int(v + size[0])), slice(max(u, 0), int(u + size[1])))
        covered[box], hidden[box] = strange[box], True
    return covered


def strangers(renderer: Renderer) -> list[np.ndarray]:
    """Pictures of other tables with the same objects."""
    protocol = load_protocol(PROTOCOL)
    return [next(queries_of(protocol, renderer, seed))[0] for seed in STRANGERS]


def rearranged_pictures(
    renderer: Renderer, seed: int, number: int, truth: SE3
) -> list[np.ndarray]:
    """A layout from the pose of its ``number``-th image, with few and all things elsewhere."""
    protocol = load_protocol(PROTOCOL)
    layout = layout_of(protocol, seed)
    n_things = len(layout.objects) + len(layout.clutter)
    generator = np.random.default_rng([seed, 0x6E0, number])
    made = []
    for n_moved in N_MOVED:
        changed = rearranged(layout, n_things if n_moved is None else n_moved, generator)
        rendered = renderer.render(renderer.prepare(changed), protocol.camera, truth)
        randomised = protocol.randomisation
        made.append(
            expose_randomised(rendered, protocol.camera, truth, randomised, generator).image
        )
    return made
