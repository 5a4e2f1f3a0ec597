"""Tabletops to localise in: python -m benchmarks.localisation_scenes --output FOLDER.

For each layout it makes what a user would have before the robot starts: reference photographs,
a field trained on them, and scene.yaml; and what the robot then sees, the frames of a hand-held
trajectory. ``--seeds`` below 9 000 000 are layouts of the same kind to choose options by, those
of the protocol are for reporting alone. A layout that is complete is left as it is.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks._scenes import voxel_trainer
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.synthetic.bag import BagPlan, trajectory_photographs
from fast_inerf_ros.datasets.synthetic.layout import Layout, make_layout
from fast_inerf_ros.datasets.synthetic.nerf import NerfPlan, write_nerf
from fast_inerf_ros.datasets.synthetic.photographs import (
    Randomisation,
    expose_randomised,
    with_occluder,
)
from fast_inerf_ros.datasets.synthetic.protocol import Protocol, load_protocol, queries
from fast_inerf_ros.datasets.synthetic.render import Renderer
from fast_inerf_ros.datasets.synthetic.scene_file import write_scene
from fast_inerf_ros.datasets.synthetic.sensor import Sensor
from fast_inerf_ros.datasets.synthetic.trajectories import hand_held, random_view
from fast_inerf_ros.fields.checkpoint import save_field
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.io.scene import FieldReference, load_scene, save_scene
from fast_inerf_ros.training.build_landmarks import BuildLandmarksConfig
from fast_inerf_ros.training.build_landmarks import run as build_landmarks
from fast_inerf_ros.training.voxel_options import options_for
from fast_inerf_ros.training.voxel_scene import ray_bank
from fast_inerf_ros.training.voxel_trainer import StepStats, train_voxel

PROTOCOL = Path(__file__).with_name("protocol.yaml")


def main() -> int:
    """Make the layouts of the command line."""
    arguments = parsed()
    torch.set_num_threads(1)
    protocol, renderer = load_protocol(PROTOCOL), Renderer(arguments.threads)
    for seed in arguments.seeds:
        folder = arguments.output / f"layout_{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "transforms_val.json").exists():
            photograph_layout(folder, protocol, renderer, seed)
        if not (folder / "field.npz").exists():
            print(f"{folder}: PSNR {train(folder, arguments.seconds):.2f} dB", flush=True)
        if not (folder / "landmarks.npz").exists():
            build_landmarks(BuildLandmarksConfig(str(folder / "scene.yaml"), str(folder)))
        if arguments.routes and not (folder / "route.npz").exists():
            film(folder, protocol, renderer, seed)
    return 0


def parsed() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", nargs="+", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=100.0, help="training of each field")
    parser.add_argument("--routes", action="store_true", help="film the trajectories, too")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def layout_of(protocol: Protocol, seed: int) -> Layout:
    """A layout of the protocol, or of the same kind."""
    models = protocol.models()
    if seed in protocol.layout_seeds:
        return protocol.layout(seed, models)
    return make_layout(seed, models, protocol.n_clutter, protocol.crowding)


def photograph_layout(folder: Path, protocol: Protocol, renderer: Renderer, seed: int) -> None:
    """Write scene and reference photographs as the protocol has them."""
    layout = layout_of(protocol, seed)
    write_scene(folder, layout)
    sigma = protocol.query.noise_sigma / 4
    plan = NerfPlan(
        {"train": protocol.n_reference, "val": max(2, protocol.n_reference // 10)},
        Randomisation(noise_sigma=(sigma, sigma)),
        protocol.views,
        depth=False,
    )
    generator = np.random.default_rng([seed, 0x2EF])
    write_nerf(folder, renderer, renderer.prepare(layout), protocol.camera, plan, generator)


def train(folder: Path, seconds: float) -> float:
    """Train the field on half-size photographs and enter it in scene.yaml; its training PSNR."""
    posed = load_dataset(folder).split("train").downscaled(2)
    trainer = voxel_trainer(posed, "unbounded", options_for("unbounded", seconds=seconds))
    trainer.compiled()
    seen: list[float] = []

    def keep(stats: StepStats) -> bool:
        seen.append(stats.psnr)
        return True

    field = train_voxel(
        ray_bank(posed, torch.device("cpu")),
        trainer,
        keep,
        time.thread_time,
    )
    save_field(folder / "field.npz", field.with_frame(posed.frame))
    scene = load_scene(folder / "scene.yaml")
    reference = FieldReference("field.npz", posed.frame.metres_per_unit, posed.frame.T_world_field)
    save_scene(dataclasses.replace(scene, field=reference), folder / "scene.yaml")
    return float(np.mean(seen[-50:]))


def film(folder: Path, protocol: Protocol, renderer: Renderer, seed: int) -> None:
    """Write the frames of the layout's trajectory as JPEG pictures, and their poses."""
    route = protocol.route
    trajectory = (
        protocol.trajectory(seed)
        if seed in protocol.layout_seeds
        else hand_held(
            np.random.default_rng([seed, 0x201]),
            route.duration_s,
            route.max_speed,
            route.max_rate_deg,
            protocol.views,
        )
    )
    plan = BagPlan(Sensor(noise_sigma=protocol.query.noise_sigma), route.rate_hz, route.exposure_s)
    world = renderer.prepare(layout_of(protocol, seed))
    generator = np.random.default_rng([seed, 0x2F0])
    times, poses, pictures = [], [], []
    for moment, photograph in trajectory_photographs(
        renderer, world, protocol.camera, trajectory, plan, generator
    ):
        times.append(moment)
        poses.append(np.asarray(photograph.T_world_camera.matrix()))
        quality = [cv2.IMWRITE_JPEG_QUALITY, 92]
        pictures.append(cv2.imencode(".jpg", photograph.image[..., ::-1], quality)[1].ravel())
    sizes = np.array([len(picture) for picture in pictures])
    np.savez(
        folder / "route.npz",
        times=np.array(times),
        T_world_camera=np.array(poses),
        sizes=sizes,
        jpeg=np.concatenate(pictures),
    )


def queries_of(
    protocol: Protocol, renderer: Renderer, seed: int
) -> Iterator[tuple[np.ndarray, SE3]]:
    """Images (H, W, 3) and poses of still queries: the protocol's, or drawn in the same way."""
    models = protocol.models()
    if seed in protocol.layout_seeds:
        for query in queries(protocol, renderer, models, seed):
            yield query.item[0].image, query.item[0].T_world_camera
        return
    base = layout_of(protocol, seed)
    for index in range(4 * protocol.query.per_layout):
        generator = np.random.default_rng([seed, 0x51, index])
        T_world_camera = random_view(generator, protocol.views)
        layout = base
        if generator.random() < protocol.query.occluder_probability:
            layout = with_occluder(base, T_world_camera, generator)
        rendered = renderer.render(renderer.prepare(layout), protocol.camera, T_world_camera)
        photograph = expose_randomised(
            rendered, protocol.camera, T_world_camera, protocol.randomisation, generator
        )
        yield photograph.image, T_world_camera


def read_route(path: Path) -> list[tuple[float, SE3, np.ndarray]]:
    """Times in seconds, poses T_world_camera and images (H, W, 3) of a filmed trajectory."""
    with np.load(path) as stored:
        jpeg, ends = stored["jpeg"], np.cumsum(stored["sizes"])
        frames = []
        for index, end in enumerate(ends):
            data = jpeg[end - stored["sizes"][index] : end]
            image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1]
            pose = SE3.from_matrix(stored["T_world_camera"][index])
            frames.append((float(stored["times"][index]), pose, np.ascontiguousarray(image)))
    return frames


if __name__ == "__main__":
    sys.exit(main())
