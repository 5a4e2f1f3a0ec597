"""One fused training step on the device: rays in, gradients scattered, voxels moved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import warp as wp

from fast_inerf_ros.fields.voxel import to_box
from fast_inerf_ros.fields.voxel_grid import COLORS, VOXELS, VoxelGrid
from fast_inerf_ros.rendering import train_kernels
from fast_inerf_ros.rendering.grid import vec8, vec8i
from fast_inerf_ros.rendering.launch import launch
from fast_inerf_ros.rendering.rays import RayBatch
from fast_inerf_ros.rendering.train_kernels import vec16


@dataclass(frozen=True)
class LossOptions:
    """Weights of the terms of the loss, and the cut-offs of its rays.

    nearness: of light that ends at the camera; it falls to zero at a distance of ``reach``.
    huber: difference of a colour from which it counts by its size, not its square.
    """

    distortion: float = 0.0
    nearness: float = 0.0
    reach: float = 1.0
    cutoff: float = 0.0
    light_cutoff: float = 0.0
    huber: float = 1e6  # kernels know no infinity


@dataclass(frozen=True)
class RayResults:
    """What training rays saw: color (N, 3), light left, distortion and sample counts (N,)."""

    color: torch.Tensor
    light: torch.Tensor
    distortion: torch.Tensor
    n_samples: torch.Tensor


class GradientBuffers:
    """Gradients of a grid, one buffer for each launch that scatters at the same time.

    All zero between updates. spare: room for more bricks than the grid has, as a share of these,
    so that the buffers can serve the next grids, too: clearing new ones takes longer than a step.
    """

    def __init__(
        self, grid: VoxelGrid, max_samples: int, n_rays: int = 1, spare: float = 0.0
    ) -> None:
        device, slots = grid.device, int(len(grid.density) * (1.0 + spare))
        self.n_buffers = grid.n_threads
        rows = 1 if device.type == "cpu" else n_rays
        self.values = torch.zeros(self.n_buffers, slots * VOXELS, 16, device=device)
        self.touched = torch.zeros(self.n_buffers, slots, dtype=torch.int64, device=device)
        self._scratch = [_scratch(rows, max_samples, device) for _ in range(self.n_buffers)]
        self._structs = [self._struct(buffer) for buffer in range(self.n_buffers)]

    def fit(self, grid: VoxelGrid) -> bool:
        """Whether there is room for the gradients of a grid."""
        return len(grid.density) <= self.touched.shape[1]

    def _struct(self, buffer: int) -> Any:
        struct: Any = train_kernels.Gradients()
        struct.voxel = wp.from_torch(self.values[buffer], dtype=vec16)
        struct.touched = wp.from_torch(self.touched[buffer], dtype=wp.uint64)
        return struct

    def for_part(self, part: int) -> tuple[Any, Any]:
        """Scratch space and gradients of one launch."""
        return self._scratch[part], self._structs[part]

    def total(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Sums over the buffers: of density (n, 64) and of colour (n, 64, 12)."""
        summed = self.values.sum(0).view(-1, VOXELS, 16)
        return summed[..., COLORS], summed[..., :COLORS]


def accumulate(
    grid: VoxelGrid,
    struct: Any,
    rays: RayBatch,
    near: float,
    far: float,
    jitter: torch.Tensor,
    loss: LossOptions,
    buffers: GradientBuffers,
) -> RayResults:
    """Render rays and add the gradients of their loss to the buffers.

    struct is ``grid.struct(...)``; jitter (N,) in [0, 1) shifts the samples within their steps.
    """
    count, device = len(rays.origins), grid.device
    color = torch.empty(count, 3, device=device)
    stats = torch.empty(count, 3, device=device)
    batch, limits = _batch(grid, rays, near, far, jitter)
    terms: Any = train_kernels.Loss()
    terms.color_scale = 1.0 / (3 * count)
    terms.distortion = loss.distortion / count
    terms.nearness = loss.nearness / count
    terms.reach = loss.reach
    terms.huber = loss.huber
    terms.cutoff_optical = loss.cutoff
    terms.cutoff_light = loss.light_cutoff
    out: Any = train_kernels.Results()
    out.color, out.stats = (wp.from_torch(rows, dtype=wp.vec3) for rows in (color, stats))
    start, order = _sorted_hits(struct, batch, out, count, device, buffers.n_buffers)
    sequence = wp.from_torch(order)
    launch(
        train_kernels.train_rays,
        len(order),
        lambda part: (struct, batch, sequence, start, terms, *buffers.for_part(part), out),
        device,
        buffers.n_buffers,
    )
    del limits  # kept alive until the launch is over
    return RayResults(color, *stats.unbind(1))


def _sorted_hits(
    struct: Any, batch: Any, out: Any, count: int, device: torch.device, n_threads: int
) -> tuple[Any, torch.Tensor]:
    """Where the rays meet something first, and those that do, neighbours after each other."""
    start = torch.empty(count, device=device)
    place = torch.empty(count, dtype=torch.int32, device=device)
    arguments = (struct, batch, wp.from_torch(start), wp.from_torch(place), out)
    launch(train_kernels.find_first_samples, count, lambda _: arguments, device, n_threads)
    places, order = place.sort(stable=True)
    return wp.from_torch(start), order[int((places < 0).sum()) :]


@dataclass(frozen=True)
class Rates:
    """How far a step moves voxels.

    density, color: learning rates. decay: of the mean squares of gradients. color_smoothing:
    pull of a colour towards its neighbours', in units of its learning rate. side: whether these
    are the neighbours behind (1) or before (-1) a voxel; both come in turn.
    """

    density: float
    color: float
    decay: float
    color_smoothing: float = 0.0
    side: int = 1


def update(
    grid: VoxelGrid, struct: Any, moments: torch.Tensor, buffers: GradientBuffers, rates: Rates
) -> None:
    """Move touched voxels against their gradients, in place; moments (n, 64, 2)."""
    options: Any = train_kernels.UpdateOptions()
    options.density_rate, options.color_rate = rates.density, rates.color
    options.decay = rates.decay
    options.color_smoothing, options.side = rates.color_smoothing, rates.side
    options.n_buffers = buffers.n_buffers
    changes = wp.from_torch(buffers.values, dtype=vec16)
    touched = wp.from_torch(buffers.touched, dtype=wp.uint64)
    coordinates = wp.from_torch(grid.coordinates, dtype=wp.vec3i)
    means = wp.from_torch(moments.view(-1, 2), dtype=wp.vec2)
    plan = (struct, coordinates, options, changes, touched, means)
    for kernel, arguments in (
        (train_kernels.plan_changes, plan),
        (train_kernels.apply_changes, (struct, changes, touched)),
    ):
        launch(kernel, len(grid.density), partial(_same, arguments), grid.device, grid.n_threads)


def _same(arguments: tuple[Any, ...], _: int) -> tuple[Any, ...]:
    """Every part of a launch takes the same arguments."""
    return arguments


def _batch(
    grid: VoxelGrid, rays: RayBatch, near: float, far: float, jitter: torch.Tensor
) -> tuple[Any, tuple[torch.Tensor, ...]]:
    count = len(rays.origins)
    origins = to_box(grid.domain, rays.origins, shift=True)
    directions = to_box(grid.domain, rays.directions, shift=False)
    limits = (
        torch.tensor([[near], [far]], dtype=torch.float32, device=grid.device)
        .expand(2, count)
        .contiguous()
    )
    batch: Any = train_kernels.Batch()
    batch.origins = wp.from_torch(origins, dtype=wp.vec3)
    batch.directions = wp.from_torch(directions, dtype=wp.vec3)
    batch.views = wp.from_torch(rays.directions, dtype=wp.vec3)
    batch.near, batch.far = (wp.from_torch(row) for row in limits)
    batch.jitter = wp.from_torch(jitter)
    batch.target = wp.from_torch(rays.target, dtype=wp.vec3)
    batch.background = wp.from_torch(rays.background, dtype=wp.vec3)
    return batch, (origins, directions, limits)


def _scratch(rows: int, samples: int, device: torch.device) -> Any:
    target = wp.device_from_torch(device)
    scratch: Any = train_kernels.Scratch()
    scratch.corners = wp.zeros((rows, samples), dtype=vec8i, device=target)
    scratch.weights = wp.zeros((rows, samples), dtype=vec8, device=target)
    scratch.color = wp.zeros((rows, samples), dtype=wp.vec3, device=target)
    scratch.state = wp.zeros((rows, samples), dtype=wp.vec4, device=target)
    return scratch
