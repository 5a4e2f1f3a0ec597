"""The command that makes synthetic data: NeRF and pose data sets, recordings, scene files."""

from __future__ import annotations

import logging
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fast_inerf_ros.command_line import run
from fast_inerf_ros.config import option
from fast_inerf_ros.datasets.pose_set_writer import Style
from fast_inerf_ros.datasets.synthetic.bag import BagPlan, write_bag
from fast_inerf_ros.datasets.synthetic.bop import PoseSetPlan, write_pose_set
from fast_inerf_ros.datasets.synthetic.layout import PROTOCOL_SEEDS_FROM, make_layout
from fast_inerf_ros.datasets.synthetic.mesh_files import read_mesh_folder
from fast_inerf_ros.datasets.synthetic.nerf import NerfPlan, camera_entry, write_nerf
from fast_inerf_ros.datasets.synthetic.objects import ObjectModel, object_set
from fast_inerf_ros.datasets.synthetic.output import finished_folder
from fast_inerf_ros.datasets.synthetic.photographs import Randomisation
from fast_inerf_ros.datasets.synthetic.protocol import load_protocol, write_protocol
from fast_inerf_ros.datasets.synthetic.render import Renderer
from fast_inerf_ros.datasets.synthetic.scene_file import write_scene
from fast_inerf_ros.datasets.synthetic.sensor import Sensor
from fast_inerf_ros.datasets.synthetic.trajectories import ViewRange, hand_held
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera

LOGGER = logging.getLogger(__name__)

LAST_SEED = PROTOCOL_SEEDS_FROM - 1
"""Seeds beyond belong to the benchmark protocol: no data set for training may use them."""


@dataclass(frozen=True)
class TabletopConfig:
    """Options of the command."""

    output: str = option(doc="Folder to write; it appears when it is complete.")
    format: Literal["nerf", "bop", "props", "bag", "scene"] = option(
        "nerf",
        doc="""nerf: photographs of one layout with transforms files. bop, props: a pose data
        set, every image with its own layout, table, room, light, view and sensor. bag: a
        rosbag2 of a hand-held trajectory. scene: only scene.yaml (nerf and bag have it too).""",
    )
    layout_seed: int = option(
        0,
        doc="Where things stand, table, room and light. Pose data sets count up from it.",
        minimum=0,
        maximum=LAST_SEED,
    )
    object_set_seed: int = option(
        0, doc="What the known objects look like.", minimum=0, maximum=LAST_SEED
    )
    n_boxes: int = option(4, doc="Known boxes.", minimum=0, maximum=12)
    n_cans: int = option(3, doc="Known cans.", minimum=0, maximum=12)
    meshes: str | None = option(
        None, doc="Folder of more known objects: textured OBJ, PLY, GLB, ... in metres."
    )
    n_clutter: int = option(
        3, doc="Unknown things on the table; at most, in pose data sets.", minimum=0, maximum=12
    )
    crowding: float = option(
        0.5, doc="How tightly things stand (not in pose data sets).", minimum=0.0, maximum=1.0
    )
    pose_crowding: tuple[float, float] = option(
        (0.2, 1.0),
        doc="Least and greatest of it in pose data sets; things hide each other from 0.8 on.",
        minimum=0.0,
        maximum=1.0,
    )
    n_train: int = option(100, doc="Training images.", minimum=1)
    n_val: int = option(10, doc="Validation images.", minimum=0)
    n_test: int = option(10, doc="Test images (nerf).", minimum=0)
    width: int = option(640, doc="Image width.", unit="px", minimum=16, maximum=8192)
    height: int = option(480, doc="Image height.", unit="px", minimum=16, maximum=8192)
    field_of_view_deg: float = option(
        56.0, doc="Across the image's width.", unit="deg", minimum=5.0, maximum=150.0
    )
    distortion_model: Literal["none", "plumb_bob", "rational_polynomial", "equidistant"] = option(
        "none", doc="Lens."
    )
    distortion: tuple[float, ...] = option((), doc="Its coefficients, in the order of OpenCV.")
    noise_sigma: float = option(0.01, doc="Noise in the image's [0, 1].", minimum=0.0, maximum=0.5)
    exposure_ev: float = option(
        0.0, doc="Greatest change of exposure either way (not in bags).", unit="stops",
        minimum=0.0, maximum=3.0,
    )  # fmt: skip
    blur_px: float = option(
        0.0, doc="Greatest motion blur of single images.", unit="px", minimum=0.0, maximum=40.0
    )
    occluders: float = option(
        0.3, doc="How often a hand or pole is in front (pose data sets).", minimum=0.0, maximum=1.0
    )
    distance: tuple[float, float] = option(
        (0.6, 1.0), doc="Least and greatest distance of the camera.", unit="m", minimum=0.2,
        maximum=1.5,
    )  # fmt: skip
    elevation_deg: tuple[float, float] = option(
        (15.0, 65.0), doc="Least and greatest elevation of the camera.", unit="deg", minimum=5.0,
        maximum=85.0,
    )  # fmt: skip
    cut_out: bool = option(False, doc="RGBA images, transparent around the table (nerf).")
    depth: bool = option(True, doc="Depth images too (nerf).")
    duration_s: float = option(10.0, doc="Length of the trajectory (bag).", unit="s", minimum=0.1)
    rate_hz: float = option(30.0, doc="Images a second (bag).", unit="Hz", minimum=0.1)
    max_speed: float = option(0.5, doc="Of the hand (bag).", unit="m/s", minimum=0.01)
    max_rate_deg: float = option(90.0, doc="Of the hand (bag).", unit="deg/s", minimum=1.0)
    exposure_s: float = option(
        0.007, doc="Shutter time, which makes the blur (bag).", unit="s", minimum=0.0
    )
    storage: Literal["mcap", "sqlite3"] = option("mcap", doc="Kind of bag.")
    encoding: Literal["rgb8", "jpeg", "png"] = option(
        "jpeg", doc="rgb8: sensor_msgs/Image; jpeg, png: CompressedImage (bag)."
    )
    protocol: str | None = option(
        None, doc="Write the test data of this protocol instead; only output and threads count."
    )
    threads: int = option(0, doc="Threads; 0 for all processors.", minimum=0, maximum=256)
    overwrite: bool = option(False, doc="Replace a folder that holds something.")


def generate(config: TabletopConfig) -> None:
    """Write what a configuration asks for.

    Raises InputError for values that do not go together and folders that cannot be written.
    """
    renderer = Renderer(config.threads or None)
    if config.protocol is not None:
        protocol = load_protocol(config.protocol)
        with finished_folder(config.output, config.overwrite) as folder:
            write_protocol(folder, protocol, renderer)
        return
    camera = make_camera(config)
    models = make_models(config)
    for name in ("distance", "elevation_deg", "pose_crowding"):
        low, high = getattr(config, name)
        if low > high:
            raise InputError(f"{name}: expected the lesser value first, got {low}, {high}")
    with finished_folder(config.output, config.overwrite) as folder:
        if config.format in ("bop", "props"):
            _generate_pose_set(config, folder, renderer, camera, models)
        else:
            _generate_layout(config, folder, renderer, camera, models)
    LOGGER.info("wrote %s", config.output)


def make_camera(config: TabletopConfig) -> Camera:
    """The camera of a configuration; InputError for coefficients that do not fit the lens."""
    half_angle = math.radians(config.field_of_view_deg) / 2
    fisheye = config.distortion_model == "equidistant"
    focal = config.width / 2 / (half_angle if fisheye else math.tan(half_angle))
    camera = Camera(
        config.width,
        config.height,
        focal,
        focal,
        (config.width - 1) / 2,
        (config.height - 1) / 2,
        config.distortion_model,
        config.distortion,
    )
    if config.format == "nerf":
        camera_entry(camera)
    return camera


def make_models(config: TabletopConfig) -> tuple[ObjectModel, ...]:
    """The known objects of a configuration; InputError where there are none."""
    models = object_set(config.object_set_seed, config.n_boxes, config.n_cans)
    if config.meshes is not None:
        models += read_mesh_folder(config.meshes, len(models) + 1)
    if not models:
        raise InputError(
            "expected known objects, got none: raise n_boxes or n_cans, or use meshes"
        )
    return models


def _randomisation(config: TabletopConfig, pose_set: bool) -> Randomisation:
    return Randomisation(
        exposure_ev=(-config.exposure_ev, config.exposure_ev),
        noise_sigma=(0.0 if pose_set else config.noise_sigma, config.noise_sigma),
        blur_px=(0.0, config.blur_px),
        softness_px=(0.3, 0.9) if pose_set else (0.45, 0.45),
        occluder_probability=config.occluders if pose_set else 0.0,
    )


def _generate_pose_set(
    config: TabletopConfig,
    folder: Path,
    renderer: Renderer,
    camera: Camera,
    models: tuple[ObjectModel, ...],
) -> None:
    last = config.layout_seed + config.n_train + config.n_val - 1
    if last > LAST_SEED:
        raise InputError(
            f"layout_seed: expected the last image's seed to be at most {LAST_SEED}, got {last}: "
            "seeds beyond belong to the benchmark protocol"
        )
    splits = {}
    first = config.layout_seed
    for split, count in (("train", config.n_train), ("val", config.n_val)):
        if count:
            splits[split] = PoseSetPlan(
                first,
                count,
                _randomisation(config, True),
                _views(config),
                config.n_clutter,
                config.pose_crowding,
            )
        first += count
    style: Style = "props" if config.format == "props" else "bop"
    write_pose_set(folder, style, renderer, camera, models, splits)


def _generate_layout(
    config: TabletopConfig,
    folder: Path,
    renderer: Renderer,
    camera: Camera,
    models: tuple[ObjectModel, ...],
) -> None:
    layout = make_layout(config.layout_seed, models, config.n_clutter, config.crowding)
    write_scene(folder, layout)
    if config.format == "scene":
        return
    world = renderer.prepare(layout)
    generator = np.random.default_rng([config.layout_seed, 0x6E4E])
    if config.format == "nerf":
        counts = {"train": config.n_train, "val": config.n_val, "test": config.n_test}
        plan = NerfPlan(
            {split: count for split, count in counts.items() if count},
            _randomisation(config, False),
            _views(config),
            config.cut_out,
            config.depth,
        )
        write_nerf(folder, renderer, world, camera, plan, generator)
        return
    trajectory = hand_held(
        generator, config.duration_s, config.max_speed, config.max_rate_deg, _views(config)
    )
    bag_plan = BagPlan(
        Sensor(noise_sigma=config.noise_sigma),
        config.rate_hz,
        config.exposure_s,
        config.storage,
        config.encoding,
    )
    write_bag(folder, renderer, world, camera, trajectory, bag_plan, generator)


def _views(config: TabletopConfig) -> ViewRange:
    return ViewRange(config.distance, config.elevation_deg)


def main() -> int:
    """Run the command."""
    return run(
        TabletopConfig,
        generate,
        prog="generate_tabletop",
        description="Make synthetic photographs of a table with exact truth.",
    )


if __name__ == "__main__":
    sys.exit(main())
