"""Records a hand-held camera around a table, of which one object may have been moved."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fast_inerf_ros.datasets.synthetic.bag import BagPlan, write_bag
from fast_inerf_ros.datasets.synthetic.generate_tabletop import (
    TabletopConfig,
    make_camera,
    make_models,
)
from fast_inerf_ros.datasets.synthetic.layout import Layout, make_layout
from fast_inerf_ros.datasets.synthetic.render import Renderer
from fast_inerf_ros.datasets.synthetic.sensor import Sensor
from fast_inerf_ros.datasets.synthetic.trajectories import ViewRange, hand_held
from fast_inerf_ros.geometry.se3 import SE3

MOVED_BY_M = 0.08


@dataclass(frozen=True)
class RecordingPlan:
    """What is recorded. move_object: the first object stands elsewhere than in the scene."""

    layout_seed: int
    duration_s: float = 6.0
    rate_hz: float = 30.0
    noise_sigma: float = 0.01
    move_object: bool = False


def record(folder: Path, plan: RecordingPlan) -> None:
    """Write `folder`/bag in the place of what is there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = TabletopConfig(output=str(folder), format="bag", layout_seed=plan.layout_seed)
    models = make_models(config)
    layout = make_layout(plan.layout_seed, models, config.n_clutter, config.crowding)
    if plan.move_object:
        layout = with_first_object_moved(layout)
    renderer = Renderer()
    generator = np.random.default_rng([plan.layout_seed, 1])
    views = ViewRange(config.distance, config.elevation_deg)
    trajectory = hand_held(
        generator, plan.duration_s, config.max_speed, config.max_rate_deg, views
    )
    bag = BagPlan(Sensor(noise_sigma=plan.noise_sigma), plan.rate_hz, encoding="rgb8")
    camera = make_camera(config)
    write_bag(folder, renderer, renderer.prepare(layout), camera, trajectory, bag, generator)


def with_first_object_moved(layout: Layout) -> Layout:
    """Push the first object away from the middle of the table."""
    first, *others = layout.objects
    T_world_object = first.T_world_object
    away = np.array([*np.asarray(T_world_object.translation)[:2], 0.0])
    length = float(np.linalg.norm(away))
    push = MOVED_BY_M * (away / length if length > 1e-3 else np.array([1.0, 0.0, 0.0]))
    pushed = SE3(T_world_object.rotation, T_world_object.translation + push)
    return dataclasses.replace(
        layout, objects=(dataclasses.replace(first, T_world_object=pushed), *others)
    )
