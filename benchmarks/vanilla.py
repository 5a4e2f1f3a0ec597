"""The original NeRF against the voxel field, and what baking loses: python -m benchmarks.vanilla.

Needs FAST_INERF_DATA; all on lego at 400x400. Prints two rows and writes JSON:

- *ratio*: the vanilla field (the seed's networks and samples) is trained for ``--seconds`` and
  reaches P dB; then a voxel field with the defaults of a training of 60 s is trained until it
  reaches P. Both are scored on the same random pixels of the test photographs, whose rendering
  is not timed.
- *bake*: a vanilla network of at least 25 dB is baked. Training one from photographs takes hours
  on a CPU, so it is distilled: it learns from a voxel field (``--field``, or trained here).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks._distillation import distilled
from benchmarks._scenes import SCENES, WHITE, data_root, voxel_trainer
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.fields.bake import BakeOptions, bake, psnr_lost
from fast_inerf_ros.fields.checkpoint import load_field
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.fields.vanilla import VanillaField
from fast_inerf_ros.fields.vanilla_options import (
    VanillaArchitecture,
    VanillaOptions,
    VanillaRendering,
    VanillaTraining,
)
from fast_inerf_ros.fields.voxel import VoxelField
from fast_inerf_ros.training.processes import Processes
from fast_inerf_ros.training.vanilla_training import (
    PhotographRays,
    VanillaFieldTraining,
    vanilla_setting,
)
from fast_inerf_ros.training.voxel_options import options_for
from fast_inerf_ros.training.voxel_scene import ray_bank
from fast_inerf_ros.training.voxel_trainer import VoxelTrainer, draw_rays, train_voxel

CLOCKS = {"wall": time.perf_counter, "thread": time.thread_time}
PIXELS_PER_IMAGE = 600
SEED_ARCHITECTURE = VanillaArchitecture(view_directions=True)
SEED_RENDERING = VanillaRendering(n_samples=64, n_importance=128, white_background=True)
SEED_TRAINING = VanillaTraining(rays_per_step=1024, learning_rate_decay=500)


def main() -> int:
    """Run the benchmark."""
    arguments = parsed()
    root = data_root()
    if root is None:
        return 2
    training, scored, scene_type = SCENES["lego"](root, False)
    rays = ScoredRays.of(scored)
    results: dict[str, object] = {"clock": arguments.clock, "load": os.getloadavg()[0]}
    if "ratio" in arguments.parts:
        results |= ratio(training, rays, scene_type, arguments)
    if "bake" in arguments.parts:
        results |= baking(training, rays, scene_type, arguments)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(results, indent=1) + "\n")
    return 0


def parsed() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", default=["ratio", "bake"], choices=["ratio", "bake"])
    parser.add_argument("--seconds", type=float, default=600.0, help="training of the vanilla one")
    parser.add_argument("--distil-steps", type=int, default=5000)
    parser.add_argument("--field", type=Path, help="voxel field to distil")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="thread: main thread's CPU"
    )
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/vanilla.json"))
    return parser.parse_args()


@dataclass(frozen=True)
class ScoredRays:
    """Random pixels of photographs: rays (N, 3), cosines to the optical axis, true colours."""

    origins: torch.Tensor
    directions: torch.Tensor
    forward: torch.Tensor
    colors: torch.Tensor

    @staticmethod
    def of(posed: PosedImages) -> ScoredRays:
        """The same pixels every time."""
        generator = np.random.default_rng(0)
        parts = []
        for index in range(len(posed)):
            camera, pose = posed.cameras[index], posed.T_field_camera[index]
            bearings = np.asarray(camera.bearings(camera.pixel_grid())).reshape(-1, 3)
            chosen = generator.choice(len(bearings), PIXELS_PER_IMAGE, replace=False)
            turned = bearings[chosen] @ np.asarray(pose.rotation.matrix).T
            origins = np.broadcast_to(np.asarray(pose.translation), turned.shape)
            colors = posed.colors(index).reshape(-1, 3)[chosen]
            parts.append((origins, turned, bearings[chosen, 2], colors))
        columns = (np.concatenate(column) for column in zip(*parts, strict=True))
        return ScoredRays(*(torch.tensor(column, dtype=torch.float32) for column in columns))

    def limits(self, field: Field) -> tuple[torch.Tensor | float, torch.Tensor | float]:
        """Near and far: those of a vanilla field are depths."""
        if isinstance(field, VanillaField):
            return field.setting.near / self.forward, field.setting.far / self.forward
        return 0.0, float("inf")

    def psnr(self, field: Field) -> float:
        """Over all pixels, dB."""
        seen = field.render(self.origins, self.directions, *self.limits(field)).color
        error = float((seen.clamp(0.0, 1.0) - self.colors).square().mean())
        return float(-10.0 * np.log10(error))


def ratio(
    training: PosedImages, rays: ScoredRays, scene_type: str, arguments: argparse.Namespace
) -> dict[str, object]:
    """Train the vanilla field for its time, then a voxel field until it is as good."""
    clock = CLOCKS[arguments.clock]
    steps, vanilla_seconds, reached = vanilla_after(training, rays, arguments.seconds, clock)
    torch.set_num_threads(1)
    seconds, voxel_psnr = voxel_until(training, rays, scene_type, reached, clock)
    print(
        f"lego: vanilla {reached:.2f} dB after {vanilla_seconds:.0f} s ({arguments.clock}),"
        f" {steps} steps of {SEED_TRAINING.rays_per_step} rays; voxel {voxel_psnr:.2f} dB after"
        f" {seconds:.2f} s; ratio {vanilla_seconds / seconds:.0f}",
        flush=True,
    )
    return {
        "vanilla_psnr_db": reached,
        "vanilla_s": vanilla_seconds,
        "vanilla_steps": steps,
        "voxel_psnr_db": voxel_psnr,
        "voxel_s": seconds,
        "ratio": vanilla_seconds / seconds,
    }


def vanilla_after(
    training: PosedImages, rays: ScoredRays, seconds: float, clock: Callable[[], float]
) -> tuple[int, float, float]:
    """Steps, time and PSNR of a vanilla field trained for a time; torch uses all cores."""
    options = VanillaOptions(SEED_ARCHITECTURE, SEED_RENDERING, SEED_TRAINING)
    photographs = PhotographRays.of(training, WHITE)
    setting = vanilla_setting(training, options)
    vanilla = VanillaFieldTraining(
        photographs, setting, options, training, Processes(), torch.device("cpu")
    )
    start = clock()
    while clock() - start < seconds:
        vanilla.step(0.0)
    return vanilla.step_count, clock() - start, rays.psnr(vanilla.field())


def compiled_trainer(training: PosedImages, scene_type: str, **changes: float) -> VoxelTrainer:
    """A trainer with the defaults of the type of scene, its kernels compiled."""
    trainer = voxel_trainer(training, scene_type, options_for(scene_type, **changes))
    trainer.compiled()
    trainer.field().prepared()
    return trainer


def voxel_until(
    training: PosedImages,
    rays: ScoredRays,
    scene_type: str,
    wanted: float,
    clock: Callable[[], float],
) -> tuple[float, float]:
    """Time in which a voxel field reaches a PSNR, and what it has then; scored every 5 steps."""
    trainer = compiled_trainer(training, scene_type, seconds=60.0)
    bank = ray_bank(training, torch.device("cpu"))
    spent, reached = 0.0, 0.0
    while reached < wanted:
        start = clock()
        for _ in range(5):
            trainer.step(draw_rays(bank, trainer), spent / trainer.options.seconds)
        spent += clock() - start
        reached = rays.psnr(trainer.field())
    return spent, reached


def baking(
    training: PosedImages, rays: ScoredRays, scene_type: str, arguments: argparse.Namespace
) -> dict[str, object]:
    """Distil a vanilla field, bake it, and compare the two with the photographs."""
    if arguments.field:
        teacher = load_field(arguments.field)
        assert isinstance(teacher, VoxelField)
    else:
        trainer = compiled_trainer(training, scene_type, seconds=60.0)
        teacher = train_voxel(ray_bank(training, torch.device("cpu")), trainer)
    student = distilled(teacher, training, arguments.distil_steps)
    views = torch.from_numpy(np.asarray(training.T_field_camera.rotation.matrix)[:, :, 2])
    start = time.perf_counter()
    baked = bake(student, BakeOptions(), directions=views[::4])
    seconds = time.perf_counter() - start
    loss = psnr_lost(
        student, baked, rays.origins, rays.directions, rays.colors, *rays.limits(student)
    )
    print(
        f"lego: distilled vanilla field {loss.original:.2f} dB, baked {loss.baked:.2f} dB, lost"
        f" {loss.lost:.2f} dB; {seconds:.0f} s (wall)",
        flush=True,
    )
    return {
        "distilled_psnr_db": loss.original,
        "baked_psnr_db": loss.baked,
        "lost_db": loss.lost,
        "between_db": loss.between,
        "bake_wall_s": seconds,
    }


if __name__ == "__main__":
    sys.exit(main())
