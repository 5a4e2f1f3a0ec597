"""Voxel fields: quality after a time, rendering speed, what it costs: python -m benchmarks.fields.

Needs FAST_INERF_DATA. Prints a table and writes JSON. Times count everything but imports, reading
photographs and compiling kernels, which are printed apart. ``--validation`` scores photographs
held back from training instead of the test photographs: what options are chosen by.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._command import module
from benchmarks._machine import peak_memory_gb
from benchmarks._scenes import SCENES, data_root, voxel_trainer
from fast_inerf_ros.config import options as options_of
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.evaluation.images import psnr
from fast_inerf_ros.fields.checkpoint import load_field, save_field
from fast_inerf_ros.fields.voxel import VoxelField
from fast_inerf_ros.fields.voxel_grid import COLORS
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.training.views import render_view
from fast_inerf_ros.training.voxel_options import VoxelTraining, options_for
from fast_inerf_ros.training.voxel_scene import ray_bank
from fast_inerf_ros.training.voxel_trainer import StepStats, train_voxel

CORNERS = 8
BYTES_PER_SAMPLE = CORNERS * (4 + COLORS)
"""Density and colour of the eight corners of a cell, none of it in a cache."""

CLOCKS = {"wall": time.perf_counter, "thread": time.thread_time}


def main() -> int:
    """Run the benchmark."""
    arguments = parsed()
    root = data_root()
    if root is None:
        return 2
    torch.set_num_threads(1)
    results = []
    for name in arguments.scenes:
        if arguments.evaluate:
            results += evaluated(name, root, arguments.evaluate / f"{name}.npz")
            continue
        for seconds in arguments.seconds if not arguments.steps else [0.0]:
            result = measured(name, root, seconds, arguments)
            results.append(result)
            print(table_row(result), flush=True)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(results, indent=1) + "\n")
    return 0


def parsed() -> argparse.Namespace:
    """Command line; NAME=VALUE changes an option of the training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", nargs="+", default=["lego", "fox", "fern"], choices=SCENES)
    parser.add_argument("--seconds", nargs="+", type=float, default=[60.0, 300.0])
    parser.add_argument("--steps", type=int, default=0, help="train this many steps instead")
    parser.add_argument("--validation", action="store_true")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="thread: main thread's CPU"
    )
    parser.add_argument("--options", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/fields.json"))
    parser.add_argument("--save", type=Path, help="folder for the trained fields")
    parser.add_argument("--evaluate", type=Path, help="measure the fields there, train nothing")
    return parser.parse_args()


def training_options(
    scene_type: str, seconds: float, arguments: argparse.Namespace
) -> VoxelTraining:
    """Defaults of the type of scene with the changes of the command line."""
    known = {item.name: item for item in options_of(VoxelTraining)}
    changes: dict[str, Any] = {"seconds": seconds}
    if arguments.steps:
        changes = {"steps": arguments.steps, "seconds": 0.0}
    for text in arguments.options:
        name, _, value = text.partition("=")
        changes[name] = known[name].checked(json.loads(value))
    return options_for(scene_type, **changes)


def measured(
    name: str, root: Path, seconds: float, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Train one scene and measure all that is reported of it."""
    start = time.perf_counter()
    training, scored, scene_type = SCENES[name](root, arguments.validation)
    bank = ray_bank(training, torch.device("cpu"))
    reading = time.perf_counter() - start
    options = training_options(scene_type, seconds, arguments)
    trainer = voxel_trainer(training, scene_type, options)
    compiling = trainer.compiled() + trainer.field().prepared()
    clock = CLOCKS[arguments.clock]
    begun, wall = clock(), time.perf_counter()
    field = train_voxel(bank, trainer, Trace(clock, begun, seconds), clock)
    field = field.with_frame(training.frame)
    trained = clock() - begun
    result = {
        "scene": name,
        "scored": "validation" if arguments.validation else "test",
        "psnr_db": score(field, scored),
        "training_s": trained,
        "training_wall_s": time.perf_counter() - wall,
        "steps": trainer.step_count,
        "clock": arguments.clock,
        "reading_s": reading,
        "compiling_s": compiling,
        "bricks": field.grid.n_bricks,
        "threads": field.grid.n_threads,
        "load": os.getloadavg()[0],
        "peak_memory_gb": peak_memory_gb(),
        "options": dataclasses.asdict(options),
    }
    result |= as_read(field, scored, arguments, name)
    return result


def evaluated(name: str, root: Path, path: Path) -> list[dict[str, Any]]:
    """Measure a field that was trained before; none where it is not there."""
    if not path.exists():
        print(f"{name}: no field {path}: left out", flush=True)
        return []
    _, scored, _ = SCENES[name](root, False)
    field = load_field(path)
    assert isinstance(field, VoxelField)
    field.prepared()
    result: dict[str, Any] = {
        "scene": name,
        "scored": "test",
        "psnr_db": score(field, scored),
        "bricks": field.grid.n_bricks,
        "load": os.getloadavg()[0],
    }
    result |= storage(path, scored) | rendering(field, scored) | derivatives(field, scored)
    print(
        f"{name}: {result['psnr_db']:.2f} dB, {result['render_rays_per_s'] / 1e6:.2f} M rays/s, "
        f"2000 rays with derivatives {result['derivatives_2000_rays_ms']:.1f} ms",
        flush=True,
    )
    return [result]


class Trace:
    """Prints how training goes, four times."""

    def __init__(self, clock: Callable[[], float], begun: float, seconds: float) -> None:
        self.clock, self.begun, self.seconds, self.printed = clock, begun, seconds, 0

    def __call__(self, stats: StepStats) -> bool:
        """Print a line when another quarter is done."""
        if stats.progress * 4 >= self.printed + 1:
            self.printed += 1
            print(
                f"  {self.clock() - self.begun:6.1f} s step {stats.step} PSNR {stats.psnr:.2f} dB"
                f" hits {stats.hit_share:.2f} samples/hit {stats.samples_per_hit:.1f}"
                f" bricks {stats.n_bricks}",
                flush=True,
            )
        return True


def score(field: VoxelField, scored: PosedImages) -> float:
    """Mean PSNR of whole photographs, transparency over white."""
    values = []
    for index in range(len(scored)):
        view = render_view(field, scored.cameras[index], scored.T_field_camera[index])
        values.append(psnr(np.clip(view.color, 0.0, 1.0), scored.colors(index)))
    return float(np.mean(values))


def rays_of(field: VoxelField, scored: PosedImages) -> tuple[torch.Tensor, torch.Tensor]:
    """Rays of the scored photographs that meet occupied space, image after image."""
    origins, directions = [], []
    for index in range(len(scored)):
        camera, pose = scored.cameras[index], scored.T_field_camera[index]
        bearings = np.asarray(camera.bearings(camera.pixel_grid())).reshape(-1, 3)
        turned = bearings @ np.asarray(pose.rotation.matrix).T
        directions.append(torch.tensor(turned, dtype=torch.float32))
        place = torch.tensor(np.asarray(pose.translation), dtype=torch.float32)
        origins.append(place.expand(len(turned), 3))
    rays = torch.cat(origins), torch.cat(directions)
    hit = field.count_samples(*rays) > 0
    return rays[0][hit].contiguous(), rays[1][hit].contiguous()


def rendering(field: VoxelField, scored: PosedImages) -> dict[str, float]:
    """Rays per second, samples per ray, and what the memory alone would allow."""
    rays = rays_of(field, scored)
    samples = float(field.count_samples(*rays).float().mean())
    fastest = min(timed(lambda: field.render(*rays)) for _ in range(5))
    bandwidth = memory_bandwidth()
    return {
        "render_rays_per_s": len(rays[0]) / fastest,
        "samples_per_ray": samples,
        "bytes_per_sample": BYTES_PER_SAMPLE,
        "bandwidth_gb_per_s": bandwidth / 1e9,
        "roofline_rays_per_s": bandwidth / (samples * BYTES_PER_SAMPLE),
    }


def derivatives(field: VoxelField, scored: PosedImages) -> dict[str, float]:
    """Milliseconds of 2000 random rays with their Jacobians."""
    origins, directions = rays_of(field, scored)
    chosen = torch.from_numpy(np.random.default_rng(0).permutation(len(origins))[:2000])
    rays = origins[chosen].contiguous(), directions[chosen].contiguous()
    times = [timed(lambda: field.render_with_ray_derivatives(*rays)) for _ in range(20)]
    return {"derivatives_2000_rays_ms": 1e3 * float(np.median(times))}


def as_read(
    field: VoxelField, scored: PosedImages, arguments: argparse.Namespace, name: str
) -> dict[str, float]:
    """Speeds and memory of a field that was saved and read again, as whoever renders has it."""
    with tempfile.TemporaryDirectory() as folder:
        path = (arguments.save or Path(folder)) / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_field(path, field)
        read = load_field(path)
        assert isinstance(read, VoxelField)
        return storage(path, scored) | rendering(read, scored) | derivatives(read, scored)


def storage(path: Path, scored: PosedImages) -> dict[str, float]:
    """Size of the checkpoint, the time to load it, and the memory to render from it."""
    return {
        "checkpoint_mb": path.stat().st_size / 1e6,
        "loading_s": min(timed(lambda: load_field(path)) for _ in range(3)),
        "render_peak_memory_gb": memory_to_render(
            path, scored.cameras[0], scored.T_field_camera[0]
        ),
    }


def memory_to_render(path: Path, camera: Camera, T_field_camera: SE3) -> float:
    """Gigabytes that a process takes, all libraries included, to load a field and show a view."""
    view = {
        "camera": dataclasses.asdict(camera),
        "T_field_camera": np.asarray(T_field_camera.matrix()).tolist(),
    }
    command = module("benchmarks._field_memory", path, json.dumps(view))
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def memory_bandwidth() -> float:
    """Bytes per second that the cores read and write together, copying a large array."""
    source = torch.zeros(1 << 27)
    target = torch.empty_like(source)
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    fastest = min(timed(lambda: target.copy_(source)) for _ in range(4))
    torch.set_num_threads(threads)
    return 2.0 * source.numel() * 4 / fastest


def timed(action: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def table_row(result: dict[str, Any]) -> str:
    """One line of the table."""
    r = result
    return (
        f"{r['scene']:5} {r['scored']} {r['psnr_db']:.2f} dB after {r['training_s']:.0f} s"
        f" ({r['clock']}), {r['steps']} steps; {r['render_rays_per_s'] / 1e6:.2f} M rays/s,"
        f" {r['samples_per_ray']:.1f} samples/ray, {r['bytes_per_sample']} B/sample, roofline"
        f" {r['roofline_rays_per_s'] / 1e6:.2f} M rays/s; 2000 rays with derivatives"
        f" {r['derivatives_2000_rays_ms']:.1f} ms; {r['checkpoint_mb']:.1f} MB, loads in"
        f" {r['loading_s']:.2f} s; memory {r['peak_memory_gb']:.1f} GB to train,"
        f" {r['render_peak_memory_gb']:.2f} GB to render; compiling"
        f" {r['compiling_s']:.1f} s; load {r['load']:.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
