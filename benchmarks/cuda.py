"""The same on a GPU: python -m benchmarks.cuda --fields FOLDER.

Needs FAST_INERF_DATA and ``lego.npz`` and ``fox.npz`` in the folder. Rays a second and 2000 rays
with their derivatives, as `benchmarks.fields` measures them on the processor, and the latency of
the pose network. Where torch finds no GPU the JSON says that nothing was measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._machine import gpu
from benchmarks._scenes import SCENES, data_root
from benchmarks.fields import rays_of
from benchmarks.posecnn import untrained_network
from fast_inerf_ros.fields.checkpoint import load_field
from fast_inerf_ros.fields.voxel import VoxelField

REPEATS = 20


def main() -> int:
    """Measure what there is a GPU for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=Path, default=Path("benchmarks/results/fields"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/cuda.json"))
    arguments = parser.parse_args()
    root = data_root()
    if root is None:
        return 2
    result: dict[str, Any] = {"gpu": gpu(), "rows": []}
    if result["gpu"] is None:
        print("no GPU: not measured")
    else:
        result["rows"] = [*field_rows(root, arguments.fields), *network_rows()]
        for name, value, unit in result["rows"]:
            print(f"{name}: {value:.3g} {unit}")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def field_rows(root: Path, folder: Path) -> list[tuple[str, float, str]]:
    """Rendering and derivatives of trained fields."""
    rows = []
    for name in ("lego", "fox"):
        path = folder / f"{name}.npz"
        if not path.exists():
            continue
        _, scored, _ = SCENES[name](root, False)
        on_host, field = load_field(path), load_field(path, "cuda")
        assert isinstance(on_host, VoxelField)
        assert isinstance(field, VoxelField)
        origins, directions = rays_of(on_host, scored)
        rays = origins.cuda(), directions.cuda()
        chosen = np.random.default_rng(0).permutation(len(origins))[:2000]
        few = tuple(part[torch.from_numpy(chosen).cuda()].contiguous() for part in rays)
        seconds = timed(partial(field.render, *rays))
        rows.append((f"{name}, rendered", len(origins) / seconds / 1e6, "M rays/s"))
        seconds = timed(partial(field.render_with_ray_derivatives, *few))
        rows.append((f"{name}, 2000 rays with derivatives", 1e3 * seconds, "ms"))
    return rows


def network_rows() -> list[tuple[str, float, str]]:
    """The pose network alone."""
    network = untrained_network().cuda().eval()
    rows = []
    for width, height in ((320, 240), (640, 480)):
        images = torch.rand(1, 3, height, width, device="cuda")
        with torch.inference_mode():
            seconds = timed(partial(network.dense, images))
        rows.append((f"PoseCNN {width}x{height}, network alone", 1e3 * seconds, "ms"))
    return rows


def timed(action: Callable[[], object]) -> float:
    """Median seconds of a call, all of its work on the GPU included."""
    times = []
    for _ in range(REPEATS + 3):
        began = time.perf_counter()
        action()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return float(np.median(times[3:]))


if __name__ == "__main__":
    sys.exit(main())
