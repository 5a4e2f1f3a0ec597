"""Images a second of the tabletop generator at 640 x 480, with and without PNG encoding.

python -m benchmarks.generator [--n-images N] [--threads N]; JSON in benchmarks/results/.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fast_inerf_ros.command_line import run
from fast_inerf_ros.config import option
from fast_inerf_ros.datasets.synthetic.bop import PoseSetPlan, pose_photographs, write_split
from fast_inerf_ros.datasets.synthetic.layout import make_layout
from fast_inerf_ros.datasets.synthetic.nerf import NerfPlan, nerf_photographs, write_nerf
from fast_inerf_ros.datasets.synthetic.objects import object_set
from fast_inerf_ros.datasets.synthetic.photographs import Randomisation
from fast_inerf_ros.datasets.synthetic.render import Renderer
from fast_inerf_ros.datasets.synthetic.trajectories import ViewRange, hemisphere_views
from fast_inerf_ros.geometry.camera import Camera

CAMERA = Camera(640, 480, 600.0, 600.0, 319.5, 239.5)
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class GeneratorBenchmarkConfig:
    """Options of the benchmark."""

    n_images: int = option(60, doc="Images of each measurement.", minimum=2)
    threads: int = option(0, doc="Threads; 0 for all processors.", minimum=0)
    output: str = option(str(RESULTS / "generator.json"), doc="Where the figures go.")


def measure(n_images: int, work: Callable[[], Iterable[Any]]) -> dict[str, float]:
    """Images a wall-clock second and processor seconds an image."""
    wall, processor = time.perf_counter(), time.process_time()
    for _ in work():
        pass
    return {
        "images_per_s": n_images / (time.perf_counter() - wall),
        "processor_s_per_image": (time.process_time() - processor) / n_images,
    }


def main_with(config: GeneratorBenchmarkConfig) -> None:
    """Measure a trajectory (one layout) and a pose set (a layout an image) and print both."""
    renderer = Renderer(config.threads or None)
    models = object_set(0)
    world = renderer.prepare(make_layout(0, models))
    nerf = NerfPlan({"train": config.n_images}, Randomisation(noise_sigma=(0.01, 0.01)))
    poses = hemisphere_views(config.n_images, np.random.default_rng(0), ViewRange())
    plan = PoseSetPlan(
        0, config.n_images, Randomisation((-0.5, 0.5), (0.0, 0.02), (0.0, 5.0), (0.3, 0.9), 0.3)
    )
    # Textures of the training pool are made once a process; kernels are compiled once ever.
    for _ in pose_photographs(renderer, CAMERA, models, plan):
        pass

    def write_nerf_images() -> Iterable[Any]:
        with tempfile.TemporaryDirectory() as folder:
            write_nerf(Path(folder), renderer, world, CAMERA, nerf, np.random.default_rng(0))
        return ()

    def write_pose_images() -> Iterable[Any]:
        with tempfile.TemporaryDirectory() as folder:
            items = pose_photographs(renderer, CAMERA, models, plan)
            write_split(Path(folder), "train", "bop", items, models)
        return ()

    n = config.n_images
    result = {
        "threads": renderer.threads,
        "one_layout": measure(
            n,
            lambda: nerf_photographs(
                renderer, world, CAMERA, nerf, poses, np.random.default_rng(0)
            ),
        ),
        "one_layout_written": measure(n, write_nerf_images),
        "layout_an_image": measure(n, lambda: pose_photographs(renderer, CAMERA, models, plan)),
        "layout_an_image_written": measure(n, write_pose_images),
    }
    Path(config.output).parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1)
    Path(config.output).write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(run(GeneratorBenchmarkConfig, main_with, prog="generator_benchmark"))
