"""The benchmark protocol: test scenes fixed before anything was tuned (benchmarks/protocol.yaml).

Its layouts, tables, rooms, clutter and lamps come from seeds that training refuses, so that
nothing of them can be learned beforehand. Every test layout comes with reference photographs
(its radiance field is trained on these), still queries with start poses, and a trajectory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fast_inerf_ros.config import load, option, section
from fast_inerf_ros.datasets.synthetic.bag import BagPlan, write_bag
from fast_inerf_ros.datasets.synthetic.bop import Item, write_models, write_split
from fast_inerf_ros.datasets.synthetic.layout import PROTOCOL_SEEDS_FROM, Layout, make_layout
from fast_inerf_ros.datasets.synthetic.nerf import NerfPlan, transform_matrix, write_nerf
from fast_inerf_ros.datasets.synthetic.objects import ObjectModel, object_set
from fast_inerf_ros.datasets.synthetic.output import write_json
from fast_inerf_ros.datasets.synthetic.photographs import (
    Randomisation,
    expose_randomised,
    instance_truths,
    with_occluder,
)
from fast_inerf_ros.datasets.synthetic.render import Renderer
from fast_inerf_ros.datasets.synthetic.scene_file import write_scene
from fast_inerf_ros.datasets.synthetic.sensor import Sensor
from fast_inerf_ros.datasets.synthetic.trajectories import (
    TARGET,
    Trajectory,
    ViewRange,
    hand_held,
    random_view,
)
from fast_inerf_ros.datasets.synthetic.world import PreparedWorld
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3

Range = tuple[float, float]


@dataclass(frozen=True)
class QueryConfig:
    """Still images whose camera is asked for."""

    per_layout: int = option(5, doc="Images of each layout.", minimum=1)
    noise_sigma: float = option(0.02, doc="Noise in the image's [0, 1].", minimum=0.0)
    blur_px: Range = option((0.0, 7.0), doc="Least and greatest motion blur.", unit="px")
    exposure_ev: Range = option((-0.7, 0.7), doc="Change of exposure.", unit="stops")
    occluder_probability: float = option(
        0.5, doc="How often a hand or a pole hides a part.", minimum=0.0, maximum=1.0
    )
    start_angle_deg: tuple[float, ...] = option(
        (5.0, 10.0, 20.0, 30.0),
        doc="Start poses: the true camera turned about the point it looks at on the table.",
        unit="deg",
        minimum=0.0,
        maximum=90.0,
    )
    starts_per_angle: int = option(3, doc="Start poses of each angle.", minimum=1)


@dataclass(frozen=True)
class RouteConfig:
    """The hand-held trajectory of each layout."""

    duration_s: float = option(8.0, doc="Length.", unit="s", minimum=0.5)
    rate_hz: float = option(30.0, doc="Images a second.", unit="Hz", minimum=1.0)
    max_speed: float = option(0.5, doc="Greatest speed.", unit="m/s", minimum=0.01)
    max_rate_deg: float = option(90.0, doc="Greatest angular rate.", unit="deg/s", minimum=1.0)
    exposure_s: float = option(0.007, doc="Shutter time.", unit="s", minimum=0.0)


@dataclass(frozen=True)
class Protocol:
    """Everything that fixes the test scenes."""

    version: Literal[1] = option(1, doc="Version of this description.")
    object_set_seed: int = option(
        0, doc="The known objects.", minimum=0, maximum=PROTOCOL_SEEDS_FROM - 1
    )
    first_layout_seed: int = option(
        PROTOCOL_SEEDS_FROM, doc="Seed of the first test layout.", minimum=PROTOCOL_SEEDS_FROM
    )
    n_layouts: int = option(20, doc="Test layouts.", minimum=1, maximum=1000)
    n_clutter: int = option(5, doc="Unknown things on each table.", minimum=0, maximum=12)
    crowding: float = option(0.9, doc="How tightly things stand.", minimum=0.0, maximum=1.0)
    width: int = option(640, doc="Image width.", unit="px", minimum=16)
    height: int = option(480, doc="Image height.", unit="px", minimum=16)
    focal_length: float = option(600.0, doc="Focal length.", unit="px", minimum=1.0)
    distance: Range = option((0.6, 1.0), doc="Camera to table.", unit="m", minimum=0.2)
    elevation_deg: Range = option((15.0, 60.0), doc="Camera above the table.", unit="deg")
    n_reference: int = option(80, doc="Reference photographs of each layout.", minimum=1)
    query: QueryConfig = section(QueryConfig)
    route: RouteConfig = section(RouteConfig)

    @property
    def camera(self) -> Camera:
        """The camera of all test images."""
        return Camera(
            self.width,
            self.height,
            self.focal_length,
            self.focal_length,
            (self.width - 1) / 2,
            (self.height - 1) / 2,
        )

    @property
    def views(self) -> ViewRange:
        """From where the camera looks."""
        return ViewRange(self.distance, self.elevation_deg)

    @property
    def layout_seeds(self) -> range:
        """Seeds of the test layouts."""
        return range(self.first_layout_seed, self.first_layout_seed + self.n_layouts)

    @property
    def randomisation(self) -> Randomisation:
        """What the queries' images suffer."""
        sigma = self.query.noise_sigma
        return Randomisation(
            exposure_ev=self.query.exposure_ev,
            noise_sigma=(sigma, sigma),
            blur_px=self.query.blur_px,
            softness_px=(0.4, 0.7),
            occluder_probability=self.query.occluder_probability,
        )

    def models(self) -> tuple[ObjectModel, ...]:
        """The known objects."""
        return object_set(self.object_set_seed)

    def layout(self, seed: int, models: Sequence[ObjectModel]) -> Layout:
        """A test layout. Raises InputError for a seed that the protocol does not have."""
        if seed not in self.layout_seeds:
            raise InputError(
                f"expected a test layout out of {self.layout_seeds[0]}..{self.layout_seeds[-1]}, "
                f"got {seed}"
            )
        return make_layout(seed, models, self.n_clutter, self.crowding)

    def trajectory(self, seed: int) -> Trajectory:
        """The hand-held trajectory of a test layout."""
        return hand_held(
            np.random.default_rng([seed, 0x201]),
            self.route.duration_s,
            self.route.max_speed,
            self.route.max_rate_deg,
            self.views,
        )


@dataclass(frozen=True, eq=False)
class Query:
    """One test image with its truth. starts: T_world_camera start poses by angle in degrees."""

    layout_seed: int
    index: int
    item: Item
    starts: dict[float, tuple[SE3, ...]]


def load_protocol(path: str | PathLike[str]) -> Protocol:
    """Read a protocol; InputError for unknown keys and values out of range."""
    return load(Protocol, path)


def queries(
    protocol: Protocol, renderer: Renderer, models: Sequence[ObjectModel], seed: int
) -> Iterator[Query]:
    """Render the still queries of one test layout, one after the other."""
    base = protocol.layout(seed, models)
    for index in range(protocol.query.per_layout):
        generator = np.random.default_rng([seed, 0x51, index])
        T_world_camera = random_view(generator, protocol.views)
        layout = base
        if generator.random() < protocol.query.occluder_probability:
            layout = with_occluder(base, T_world_camera, generator)
        world = renderer.prepare(layout)
        rendered = renderer.render(world, protocol.camera, T_world_camera)
        photograph = expose_randomised(
            rendered, protocol.camera, T_world_camera, protocol.randomisation, generator
        )
        starts = {
            angle: tuple(
                turned_start(T_world_camera, angle, generator)
                for _ in range(protocol.query.starts_per_angle)
            )
            for angle in protocol.query.start_angle_deg
        }
        item = (photograph, instance_truths(renderer, world, photograph))
        yield Query(seed, index, item, starts)


def turned_start(T_world_camera: SE3, angle_deg: float, generator: np.random.Generator) -> SE3:
    """A wrong start: the camera turned about the table's middle, so that it still sees it.

    The axis is random; axes that would put the camera under the table are drawn again.
    """
    for _ in range(1000):
        axis = generator.standard_normal(3)
        turn = SO3.exp(axis / np.linalg.norm(axis) * np.radians(angle_deg))
        start = SE3(turn, TARGET - turn @ TARGET) @ T_world_camera
        if float(np.asarray(start.translation)[2]) > 0.05:
            return start
    raise InputError(f"found no start {angle_deg} deg away above the table: use smaller angles")


def write_protocol(folder: Path, protocol: Protocol, renderer: Renderer) -> None:
    """Write every test layout: scene, reference photographs, queries, start poses, trajectory."""
    models = protocol.models()
    for seed in protocol.layout_seeds:
        target = folder / f"layout_{seed}"
        target.mkdir()
        _write_layout(target, protocol, renderer, models, seed)


def write_queries(folder: Path, protocol: Protocol, renderer: Renderer) -> None:
    """Write the still queries of all test layouts as one BOP data set, split `test`."""
    models = protocol.models()
    write_models(folder / "models", models)
    items = (
        query.item
        for seed in protocol.layout_seeds
        for query in queries(protocol, renderer, models, seed)
    )
    write_split(folder, "test", "bop", items, models)


def _write_layout(
    folder: Path,
    protocol: Protocol,
    renderer: Renderer,
    models: Sequence[ObjectModel],
    seed: int,
) -> None:
    world, generator = write_reference(folder, protocol, renderer, seed)
    sigma = protocol.query.noise_sigma
    plan = BagPlan(Sensor(noise_sigma=sigma), protocol.route.rate_hz, protocol.route.exposure_s)
    trajectory = protocol.trajectory(seed)
    write_bag(folder, renderer, world, protocol.camera, trajectory, plan, generator)
    starts: dict[str, Any] = {}
    write_split(
        folder,
        "queries",
        "bop",
        _recorded(queries(protocol, renderer, models, seed), starts),
        models,
    )
    write_json(folder / "queries" / "starts.json", starts)


def write_reference(
    folder: Path, protocol: Protocol, renderer: Renderer, seed: int
) -> tuple[PreparedWorld, np.random.Generator]:
    """Write the scene file and the reference photographs of one test layout.

    Returns its world, and the generator that the rest of the layout is drawn from.
    """
    layout = protocol.layout(seed, protocol.models())
    world = renderer.prepare(layout)
    sigma = protocol.query.noise_sigma
    write_scene(folder, layout)
    reference = NerfPlan(
        {"train": protocol.n_reference, "val": max(2, protocol.n_reference // 10)},
        Randomisation(noise_sigma=(sigma / 4, sigma / 4)),
        protocol.views,
    )
    generator = np.random.default_rng([seed, 0x2EF])
    write_nerf(folder, renderer, world, protocol.camera, reference, generator)
    return world, generator


def _recorded(items: Iterator[Query], starts: dict[str, Any]) -> Iterator[Item]:
    """Pass the photographs on and note their start poses (OpenGL axes, as transforms files)."""
    for query in items:
        starts[str(query.index)] = {
            f"{angle:g}": [transform_matrix(pose) for pose in poses]
            for angle, poses in query.starts.items()
        }
        yield query.item
