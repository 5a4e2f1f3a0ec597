"""Layouts: where things stand on the table, which table and room, and the light, by seed.

World frame: z up, table top z = 0 centred at the origin, metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.synthetic.clutter import distractor
from fast_inerf_ros.datasets.synthetic.objects import ObjectModel
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3

PROTOCOL_SEEDS_FROM = 9_000_000
"""Seeds from here on belong to the benchmark protocol and never occur in training."""

TABLE_HALF = (0.5, 0.35)
TABLE_POOL, ROOM_POOL, DISTRACTOR_POOL, OCCLUDER_POOL = 24, 12, 24, 96
DYED_SHARE = 0.75
GAP_METRES = 0.006
EDGE_METRES = 0.02
ARRANGEMENTS = 12

Floats = npt.NDArray[np.float64]
Dye = tuple[tuple[float, float, float], ...]

UNDYED: Dye = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True, eq=False)
class Placement:
    """A model and where it stands. dye: what turns the linear RGB of its texture into its own."""

    model: ObjectModel
    T_world_object: SE3
    dye: Dye = UNDYED


@dataclass(frozen=True)
class Lamp:
    """A round area light; power: RGB irradiance at one metre, facing it."""

    position: tuple[float, float, float]
    radius: float
    power: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Layout:
    """One scene: known objects (instances 1..), clutter, table, room and light.

    occluders: things in the air before the camera. ambient: irradiance in the room without its
    lamps. window: radiance of the windows.
    """

    seed: int
    objects: tuple[Placement, ...]
    clutter: tuple[Placement, ...]
    occluders: tuple[Placement, ...]
    lamps: tuple[Lamp, ...]
    table_seed: int
    room_seed: int
    ambient: tuple[float, float, float]
    window: float

    @property
    def placements(self) -> tuple[Placement, ...]:
        """Everything placed, known objects first."""
        return self.objects + self.clutter + self.occluders


def texture_seed(layout_seed: int, pool: int, generator: np.random.Generator) -> int:
    """Seed of one of a training pool of textures, or one of the protocol's own.

    Training layouts share a bounded pool, so that textures are made once; seeds of the protocol
    give textures that no pool has.
    """
    choice = int(generator.integers(2**20))
    return choice % pool if layout_seed < PROTOCOL_SEEDS_FROM else PROTOCOL_SEEDS_FROM + choice


def make_layout(
    seed: int,
    models: Sequence[ObjectModel],
    n_clutter: int = 3,
    crowding: float = 0.5,
    n_distractors: int = DISTRACTOR_POOL,
) -> Layout:
    """Put all models and some clutter on a table.

    crowding: 0 spreads things over the table, 1 packs them, so that they hide each other.
    n_distractors: the pool that training layouts draw their clutter from.

    Raises InputError where the models do not fit on the table.
    """
    generator = np.random.default_rng([seed, 0x1A707])
    table_seed = texture_seed(seed, TABLE_POOL, generator)
    room_seed = texture_seed(seed, ROOM_POOL, generator)
    things = [distractor(texture_seed(seed, n_distractors, generator)) for _ in range(n_clutter)]
    everything = [*models, *things]
    placed = _arrange(everything, generator, spread=0.30 - 0.21 * crowding)
    lamps, ambient, window = _lighting(generator)
    return Layout(
        seed=seed,
        objects=tuple(placed[: len(models)]),
        clutter=tuple(placed[len(models) :]),
        occluders=(),
        lamps=lamps,
        table_seed=table_seed,
        room_seed=room_seed,
        ambient=ambient,
        window=window,
    )


def rearranged(layout: Layout, n_moved: int, generator: np.random.Generator) -> Layout:
    """The layout with some of what stands on the table put elsewhere; all else as it is.

    n_moved: how many of ``objects + clutter``, drawn at random; with all of them the table is
    laid anew.

    Raises InputError where one of them finds no other place.
    """
    things = list(layout.objects + layout.clutter)
    moved = generator.permutation(len(things))[:n_moved].tolist()
    taken = [_shadow(thing) for index, thing in enumerate(things) if index not in moved]
    for index in moved:
        model = things[index].model
        placed = _place(model, generator, taken, np.zeros(2), 0.2)
        if placed is None:
            raise InputError(f"found no other place for {model.label}: move fewer things")
        things[index] = placed
    n_objects = len(layout.objects)
    return replace(layout, objects=tuple(things[:n_objects]), clutter=tuple(things[n_objects:]))


def dyed(layout: Layout, generator: np.random.Generator) -> Layout:
    """The layout with most of its unknown things in colours of their own.

    Their models come from a pool; a network that always sees them in the same colours learns
    those by heart, and takes what it does not know for one of its objects.
    """
    return replace(
        layout,
        clutter=tuple(_dyed(thing, generator) for thing in layout.clutter),
        occluders=tuple(_dyed(thing, generator) for thing in layout.occluders),
    )


def _dyed(placement: Placement, generator: np.random.Generator) -> Placement:
    """Hue turned, more or less of colour and light; greys stay grey."""
    turn, colour = generator.uniform(0, 2 * np.pi), generator.uniform(0.4, 1.2)
    light, change = generator.uniform(0.6, 1.2), generator.random() < DYED_SHARE
    grey = np.full((3, 3), 1 / 3)
    # Rodrigues' formula about the axis of greys.
    axis = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / np.sqrt(3)
    hue = np.cos(turn) * (np.eye(3) - grey) + np.sin(turn) * axis
    rows = (light * (grey + colour * hue)).tolist()
    return replace(placement, dye=tuple((r, g, b) for r, g, b in rows)) if change else placement


def _shadow(placement: Placement) -> Floats:
    """Outline (N, 2) on the table of a thing that stands there."""
    vertices = placement.model.mesh.vertices.astype(np.float64)
    return _outline(np.asarray(placement.T_world_object @ vertices)[:, :2])


def _arrange(
    models: Sequence[ObjectModel], generator: np.random.Generator, spread: float
) -> list[Placement]:
    """Place all models, in a random order; start anew where one finds no room."""
    for _ in range(ARRANGEMENTS):
        centre = generator.uniform(-1, 1, 2) * (0.12, 0.06)
        taken: list[Floats] = []
        placed: dict[int, Placement | None] = {}
        for index in generator.permutation(len(models)).tolist():
            placed[index] = _place(models[index], generator, taken, centre, spread)
            if placed[index] is None:
                break
        found = [placed.get(k) for k in range(len(models))]
        complete = [placement for placement in found if placement is not None]
        if len(complete) == len(models):
            return complete
    raise InputError(
        f"found no room for {len(models)} things on a table of {2 * TABLE_HALF[0]} x "
        f"{2 * TABLE_HALF[1]} m: use fewer or smaller objects, or less clutter"
    )


def _place(
    model: ObjectModel,
    generator: np.random.Generator,
    taken: list[Floats],
    centre: Floats,
    spread: float,
) -> Placement | None:
    """Find a free place near the centre; the search widens to the whole table."""
    rotation = _resting_rotation(model, generator)
    vertices = model.mesh.vertices.astype(np.float64) @ rotation.T
    height = -float(vertices[:, 2].min())
    outline = _outline(vertices[:, :2])
    for attempt in range(400):
        if attempt < 200:
            reach = spread * (1 + attempt / 60)
            shift = centre + generator.normal(0, 1, 2) * (reach, 0.7 * reach)
        else:
            shift = generator.uniform(-1, 1, 2) * TABLE_HALF
        moved = outline + shift
        if _on_table(moved) and all(_apart(moved, other) for other in taken):
            taken.append(moved)
            translation = np.array([shift[0], shift[1], height])
            return Placement(model, SE3(SO3.nearest(rotation), translation))
    return None


def _resting_rotation(model: ObjectModel, generator: np.random.Generator) -> Floats:
    """Mostly upright, sometimes tipped over, any yaw."""
    upright = generator.random() < 0.7
    rest = model.rests[0 if upright else int(generator.integers(len(model.rests)))]
    roll = generator.uniform(0, 2 * np.pi) if model.rolls else 0.0
    return _about_z(generator.uniform(0, 2 * np.pi)) @ rest @ _about_z(roll)


def _about_z(angle: float) -> Floats:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _outline(points: Floats) -> Floats:
    """Convex outline (N, 2) of a shadow from above."""
    return np.asarray(cv2.convexHull(points.astype(np.float32))[:, 0], dtype=np.float64)


def _on_table(outline: Floats) -> bool:
    return bool(np.all(np.abs(outline) < np.array(TABLE_HALF) - EDGE_METRES))


def _apart(first: Floats, second: Floats) -> bool:
    """Whether two convex outlines keep their distance (separating axis theorem)."""
    for outline in (first, second):
        edges = np.roll(outline, -1, axis=0) - outline
        normals = np.stack([edges[:, 1], -edges[:, 0]], axis=1)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        a, b = first @ normals.T, second @ normals.T
        gap = np.maximum(b.min(axis=0) - a.max(axis=0), a.min(axis=0) - b.max(axis=0))
        if gap.max() >= GAP_METRES:
            return True
    return False


def _lighting(
    generator: np.random.Generator,
) -> tuple[tuple[Lamp, ...], tuple[float, float, float], float]:
    """A key light from above, perhaps a second one, and daylight through the windows."""
    lamps = []
    for index in range(int(generator.integers(1, 3))):
        azimuth = generator.uniform(0, 2 * np.pi)
        reach = generator.uniform(0.3, 1.6)
        height = generator.uniform(0.9, 1.75)
        strength = (1.0, 0.4)[index] * (reach**2 + height**2) * generator.uniform(0.7, 1.3)
        lamps.append(
            Lamp(
                (float(reach * np.cos(azimuth)), float(reach * np.sin(azimuth)), float(height)),
                float(generator.uniform(0.04, 0.22)),
                _scaled(white_point(generator.uniform(2900, 6500)), strength),
            )
        )
    daylight = white_point(generator.uniform(5000, 9000))
    return (
        tuple(lamps),
        _scaled(daylight, generator.uniform(0.25, 0.6)),
        float(generator.uniform(2.0, 6.0)),
    )


def white_point(kelvin: float) -> tuple[float, float, float]:
    """Linear RGB of a black body, green 1, halfway adapted as a camera's white balance does."""
    warmth = (6500.0 - kelvin) / 3600.0
    return (1.0 + 0.16 * warmth, 1.0, 1.0 - 0.26 * warmth)


def _scaled(colour: tuple[float, float, float], factor: float) -> tuple[float, float, float]:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)
