"""Training a voxel field from rays: coarse to fine, pruning and regrowing on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.voxel import NEVER, Shading, VoxelField
from fast_inerf_ros.fields.voxel_grid import VOXELS, Domain, VoxelGrid, resolution
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.rendering import grid_kernels, kernels, ray_kernels, train_kernels
from fast_inerf_ros.rendering.launch import compile_kernels
from fast_inerf_ros.rendering.rays import RayBank, RayBatch
from fast_inerf_ros.training.voxel_batch import (
    GradientBuffers,
    LossOptions,
    Rates,
    RayResults,
    accumulate,
    update,
)
from fast_inerf_ros.training.voxel_options import VoxelTraining

CANDIDATES = 4
"""Rays drawn per step, at most, as a multiple of those that should meet something."""

CROP_OPACITY = 10.0
"""What shapes a cropped box is this much denser than what is pruned: fog does not."""

CROP_MARGIN = 2.0
"""Voxels between what is in a cropped box and its faces."""


FAR = 1.8
"""Contracted radius of the far end of a scene: five half sizes of its box."""

SEEN_AFTER = 1_000_000
"""Rays of a stage after which what none of them met is out of sight."""
NEAR_REACH = 3.0
"""Distance from a camera, in units of that where nothing is, up to which ``nearness`` counts."""


MOST_BRICKS = 2**31 // (4 * 16 * VOXELS)
"""Kernels find gradients, 16 numbers of 4 bytes for each voxel, by offsets of 31 bits."""

SPARE = 0.2
"""Room in the buffers for bricks that are yet to come."""


@dataclass(frozen=True)
class StepStats:
    """How a step went: mean squared error over all its rays, and what these were."""

    step: int
    progress: float
    loss: float
    n_rays: int
    hit_share: float  # of rays that met something
    samples_per_hit: float
    n_bricks: int

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio of the rays of the step, in dB."""
        return float(-10.0 * np.log10(max(self.loss, 1e-12)))


class VoxelTrainer:
    """Trains a voxel field step by step; knows nothing of files, clocks or data sets."""

    def __init__(
        self,
        domain: Domain,
        options: VoxelTraining,
        shading: Shading,
        generator: np.random.Generator,
        device: torch.device | str = "cpu",
        n_threads: int | None = None,
    ) -> None:
        self.options = options
        self.generator = generator
        self.step_count = 0
        self.stage = 0
        self._stage_rays = 0
        self.shading = replace(
            shading,
            step=options.voxels_per_step,
            optical_scale=options.optical_scale / float(domain.unit.max()),
        )
        self._torch_generator = torch.Generator(device)
        self._torch_generator.manual_seed(int(generator.integers(2**62)))
        start = resolution(domain, options.resolutions[0])
        one = start.optical_step(self.shading.step, self.shading.optical_scale)
        grid = VoxelGrid.dense(start, options.initial_opacity / one, device, n_threads)
        if domain.contracted:
            grid.density[1:][grid.contracted_radius()[1:] > FAR] = options.far_opacity / one
        self.buffers = self._new_buffers(grid)
        self._replace(grid)
        self._hit_share = 1.0

    def compiled(self) -> float:
        """Compile the kernels of training, where they are not cached; seconds it took."""
        modules = [train_kernels, grid_kernels, ray_kernels, kernels]
        return compile_kernels(modules, self.grid.device)

    @property
    def n_candidates(self) -> int:
        """How many rays to draw so that about ``rays_per_step`` meet something."""
        wanted = self.options.rays_per_step
        return int(min(wanted / max(self._hit_share, 1e-3), CANDIDATES * wanted))

    def random(self, *shape: int) -> torch.Tensor:
        """Uniform random numbers in [0, 1)."""
        return torch.rand(*shape, generator=self._torch_generator, device=self.grid.device)

    def advance(self, progress: float) -> None:
        """Do what the schedule asks before a step: refine the grid, or prune it."""
        options = self.options
        due = options.stage_is_due(self.stage + 1, progress, self.step_count)
        if due and self._fits(options.resolutions[self.stage + 1]):
            self.stage += 1
            self.refine(options.resolutions[self.stage])
        elif self.step_count % options.prune_every == options.prune_every - 1:
            self.prune()

    def step(self, rays: RayBatch, progress: float) -> StepStats:
        """One step of training on rays (in field units) at the given progress of the whole."""
        options = self.options
        self.advance(progress)
        results = self.accumulate(rays, self.random(len(rays.origins)))
        factor = options.final_rate**progress
        rise = min(1.0, (self.step_count + 1) / max(options.warm_up, 1))
        rates = Rates(
            options.density_rate * rise * factor / float(self._struct.optical_step),
            options.color_rate * factor,
            options.moment_decay,
            options.color_smoothing,
            1 if self.step_count % 2 else -1,
        )
        update(self.grid, self._struct, self.moments, self.buffers, rates)
        self.step_count += 1
        self._stage_rays += len(rays.origins)
        return self._stats(rays, results, progress)

    def accumulate(self, rays: RayBatch, jitter: torch.Tensor) -> RayResults:
        """Add the gradients of the loss of rays to the buffers."""
        options = self.options
        loss = LossOptions(
            options.distortion,
            options.nearness,
            max(NEAR_REACH * self.shading.near, 1e-6),
            options.cutoff,
            options.light_cutoff,
            options.huber or LossOptions.huber,
        )
        return accumulate(
            self.grid, self._struct, rays, self.shading.near, NEVER, jitter, loss, self.buffers
        )

    def prune(self) -> None:
        """Drop bricks that are empty or out of sight, and store those that surfaces grow into."""
        # A moment of zero: no ray has met the voxel since the grid was refined.
        seen = self.moments.any(-1).any(-1) if self._stage_rays > SEEN_AFTER else None
        grid, source = self.grid.reallocated(self._empty_density(), seen)
        self._replace(grid, self.moments[source])

    def refine(self, voxels: int) -> None:
        """Bring the field to another resolution, and its box to what is in it."""
        domain = self.grid.domain
        if self.options.crop and not domain.contracted:
            threshold = CROP_OPACITY * self._empty_density()
            domain = self.grid.occupied_domain(threshold, CROP_MARGIN)
        self._replace(self.grid.resampled(resolution(domain, voxels)))
        self._stage_rays = 0
        self.prune()

    def field(self, frame: FieldFrame | None = None) -> VoxelField:
        """The field as it is now; its tensors are shared with the trainer."""
        return VoxelField(self.grid, self.shading, frame or FieldFrame())

    def state(self) -> dict[str, Any]:
        """Everything that ``restore`` needs to go on as if nothing had happened."""
        domain = self.grid.domain
        return {
            "step_count": self.step_count,
            "stage": self.stage,
            "stage_rays": self._stage_rays,
            "hit_share": self._hit_share,
            "domain": {
                "center": domain.center,
                "half_size": domain.half_size,
                "contracted": domain.contracted,
                "bricks": domain.bricks,
            },
            "generator": self.generator.bit_generator.state,
            "torch_generator": self._torch_generator.get_state(),
            "coordinates": self.grid.coordinates,
            "density": self.grid.density,
            "color": self.grid.color,
            "mask": self.grid.mask,
            "moments": self.moments,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state; raises InputError listing what it lacks."""
        missing = sorted(set(self.state()) - set(state))
        if missing:
            raise InputError(f"state of training: expected more entries, lacks {missing}")
        device, threads = self.grid.device, self.grid.n_threads
        self.step_count, self.stage = state["step_count"], state["stage"]
        self._stage_rays = state["stage_rays"]
        grid = VoxelGrid(
            Domain(**state["domain"]),
            state["coordinates"].to(device),
            state["density"].to(device),
            state["color"].to(device),
            threads,
        )
        grid.mask.copy_(state["mask"])
        self._replace(grid, state["moments"].to(device))
        self._hit_share = state["hit_share"]
        self.generator.bit_generator.state = state["generator"]
        self._torch_generator.set_state(state["torch_generator"])

    def _replace(self, grid: VoxelGrid, moments: torch.Tensor | None = None) -> None:
        self.grid = grid
        if moments is None:
            moments = torch.zeros(len(grid.density), VOXELS, 2, device=grid.device)
        self.moments = moments
        if not self.buffers.fit(grid):
            del self.buffers  # its memory is needed
            self.buffers = self._new_buffers(grid)
        self._struct = grid.struct(self.shading.step, self.shading.optical_scale)

    def _fits(self, voxels: int) -> bool:
        """Whether a finer grid can be addressed; a full one has to be pruned first."""
        finer = (voxels / self.options.resolutions[self.stage]) ** 3
        return self.grid.n_bricks * finer * (1.0 + SPARE) < MOST_BRICKS

    def _new_buffers(self, grid: VoxelGrid) -> GradientBuffers:
        most = self.options.rays_per_step * CANDIDATES
        return GradientBuffers(grid, self.options.max_samples, most, SPARE)

    def _empty_density(self) -> float:
        return self.options.prune_opacity / float(self._struct.optical_step)

    def _stats(self, rays: RayBatch, results: RayResults, progress: float) -> StepStats:
        hits = int((results.n_samples > 0).sum())
        count = len(rays.origins)
        self._hit_share = hits / count
        loss = float((results.color - rays.target).square().mean())
        samples = float(results.n_samples.sum()) / max(hits, 1)
        return StepStats(
            self.step_count, progress, loss, count, hits / count, samples, self.grid.n_bricks
        )


def draw_rays(bank: RayBank, trainer: VoxelTrainer) -> RayBatch:
    """Random rays of a bank for the next step of a trainer."""
    count = trainer.n_candidates
    chosen = torch.from_numpy(trainer.generator.integers(0, len(bank), count)).to(bank.device)
    if bank.has_alpha and trainer.options.random_background:
        background = trainer.random(count, 3)
    else:
        color = torch.tensor(trainer.shading.background, device=bank.device)
        background = color.expand(count, 3).contiguous()
    return bank.gather(chosen, background)


def train_voxel(
    bank: RayBank,
    trainer: VoxelTrainer,
    progress: Callable[[StepStats], bool] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> VoxelField:
    """Train until the options' steps or seconds are over, or ``progress`` returns False."""
    options = trainer.options
    start = clock()
    while True:
        done = trainer.step_count / options.steps
        if options.seconds > 0:
            done = (clock() - start) / options.seconds
        if done >= 1.0:
            break
        stats = trainer.step(draw_rays(bank, trainer), done)
        if progress is not None and progress(stats) is False:
            break
    trainer.prune()
    return trainer.field()
