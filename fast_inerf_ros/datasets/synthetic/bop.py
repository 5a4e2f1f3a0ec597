"""Writes pose data sets in BOP's layout, or in that of the PROPS data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fast_inerf_ros.datasets.pose_set_writer import (
    InstanceTruth,
    LabelledImage,
    Style,
    write_camera,
    write_images,
)
from fast_inerf_ros.datasets.synthetic.layout import dyed, make_layout
from fast_inerf_ros.datasets.synthetic.model_files import model_info, write_model
from fast_inerf_ros.datasets.synthetic.objects import ObjectModel
from fast_inerf_ros.datasets.synthetic.output import progress, write_json
from fast_inerf_ros.datasets.synthetic.photographs import (
    Photograph,
    Randomisation,
    expose_randomised,
    instance_truths,
    pipelined,
    with_occluder,
)
from fast_inerf_ros.datasets.synthetic.render import Rendered, Renderer
from fast_inerf_ros.datasets.synthetic.trajectories import ViewRange, random_view
from fast_inerf_ros.datasets.synthetic.world import PreparedWorld
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3

N_DISTRACTORS = 192
"""Models of unknown things in all images, each dyed anew. With the few of other layouts a network
learns these by heart: it took 7 % of what it said to be objects from things it had never seen."""

Item = tuple[Photograph, list[InstanceTruth]]


@dataclass(frozen=True)
class PoseSetPlan:
    """What a pose data set shows: every image has its own layout, table, room, light and view."""

    first_seed: int
    n_images: int
    randomisation: Randomisation
    views: ViewRange = field(default_factory=ViewRange)
    max_clutter: int = 5
    crowding: tuple[float, float] = (0.2, 1.0)


@dataclass(frozen=True, eq=False)
class _Setup:
    """A layout looked at, before the sensor: what the first stage hands to the second."""

    world: PreparedWorld
    T_world_camera: SE3
    rendered: Rendered
    generator: np.random.Generator


def pose_photographs(
    renderer: Renderer, camera: Camera, models: Sequence[ObjectModel], plan: PoseSetPlan
) -> Iterator[Item]:
    """Yield the photographs of a plan and the truth of their objects, one layout each.

    Everything in a photograph follows from its layout's seed.
    """

    def look(seed: int) -> _Setup:
        return _look(renderer, camera, models, plan, seed)

    def record(seed: int, setup: _Setup) -> Item:
        photograph = expose_randomised(
            setup.rendered, camera, setup.T_world_camera, plan.randomisation, setup.generator
        )
        return photograph, instance_truths(renderer, setup.world, photograph)

    yield from pipelined(look, record, range(plan.first_seed, plan.first_seed + plan.n_images))


def _look(
    renderer: Renderer,
    camera: Camera,
    models: Sequence[ObjectModel],
    plan: PoseSetPlan,
    seed: int,
) -> _Setup:
    generator = np.random.default_rng([seed, 0xB0B])
    n_clutter = int(generator.integers(0, plan.max_clutter + 1))
    crowding = float(generator.uniform(*plan.crowding))
    layout = make_layout(seed, models, n_clutter, crowding, N_DISTRACTORS)
    T_world_camera = random_view(generator, plan.views)
    if generator.random() < plan.randomisation.occluder_probability:
        layout = with_occluder(layout, T_world_camera, generator)
    layout = dyed(layout, np.random.default_rng([seed, 0xD1E]))
    world = renderer.prepare(layout)
    rendered = renderer.render(world, camera, T_world_camera)
    return _Setup(world, T_world_camera, rendered, generator)


def write_pose_set(
    folder: Path,
    style: Style,
    renderer: Renderer,
    camera: Camera,
    models: Sequence[ObjectModel],
    splits: dict[str, PoseSetPlan],
) -> None:
    """Write all splits, the models and the camera into a folder.

    Raises InputError for a lens that distorts: the layouts have no place for it.
    """
    if camera.distortion_model != "none":
        raise InputError("BOP files cannot describe lens distortion: use distortion_model none")
    write_camera(folder, camera)
    write_models(folder / "models", models)
    for split, plan in splits.items():
        photographs = pose_photographs(renderer, camera, models, plan)
        bar = progress(photographs, plan.n_images, split)
        write_split(folder, split, style, bar, models)


def write_split(
    folder: Path, split: str, style: Style, items: Iterable[Item], models: Sequence[ObjectModel]
) -> None:
    """Write photographs and truth as one split of a data set."""
    write_images(folder, split, style, (_labelled(*item, models) for item in items))


def _labelled(
    photograph: Photograph, instances: list[InstanceTruth], models: Sequence[ObjectModel]
) -> LabelledImage:
    numbers = [model.class_id for model in models]
    return LabelledImage(
        photograph.image,
        photograph.camera,
        photograph.T_world_camera,
        photograph.rendered.depth,
        tuple(zip(numbers, instances, strict=True)),
        {
            "exposure_ev": photograph.sensor.exposure_ev,
            "noise_sigma": photograph.sensor.noise_sigma,
            "blur_px": photograph.blur_px,
        },
    )


def write_models(folder: Path, models: Sequence[ObjectModel]) -> None:
    """Write meshes, `models_info.json` and the names of the classes into a new folder."""
    folder.mkdir()
    for model in models:
        write_model(folder / f"obj_{model.class_id:06d}.ply", model, scale=1000.0)
    write_json(
        folder / "models_info.json", {str(model.class_id): model_info(model) for model in models}
    )
    write_json(folder / "labels.json", {str(model.class_id): model.label for model in models})
