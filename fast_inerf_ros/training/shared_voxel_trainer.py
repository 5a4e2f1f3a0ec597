"""A voxel trainer among several processes: all hold the same grid, each renders its own rays."""

from __future__ import annotations

from typing import Any

import torch

from fast_inerf_ros.rendering.rays import RayBatch
from fast_inerf_ros.training.processes import Processes
from fast_inerf_ros.training.voxel_batch import RayResults
from fast_inerf_ros.training.voxel_trainer import VoxelTrainer


class SharedVoxelTrainer(VoxelTrainer):
    """Takes the whole batch, equal in all processes, and renders this process's share of it.

    Gradients are added up over the processes before any voxel moves, so that the grids, and with
    them all that is pruned and drawn, stay equal.
    """

    def __init__(self, processes: Processes, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._processes = processes

    def accumulate(self, rays: RayBatch, jitter: torch.Tensor) -> RayResults:
        """Add the gradients of the whole batch to the buffers; results of all its rays."""
        processes, count = self._processes, len(jitter)
        if processes.count == 1:
            return super().accumulate(rays, jitter)
        own = processes.share(count)
        part = RayBatch(
            rays.origins[own], rays.directions[own], rays.target[own], rays.background[own]
        )
        results = super().accumulate(part, jitter[own])
        self._share_gradients(weight=(own.stop - own.start) / count)
        return RayResults(
            processes.join(results.color, count),
            processes.join(results.light, count),
            processes.join(results.distortion, count),
            processes.join(results.n_samples, count),
        )

    def _share_gradients(self, weight: float) -> None:
        """Put the weighted sum over all processes into the first buffer, and empty the others."""
        values, touched = self.buffers.values, self.buffers.touched
        bits = self._processes.either(_either(touched))
        bricks = torch.nonzero(bits).view(-1)
        slots = values.view(len(values), len(bits), -1)
        total = self._processes.add(slots[:, bricks].sum(0) * weight)
        slots[:, bricks] = 0.0
        slots[0, bricks] = total
        touched.zero_()
        touched[0] = bits


def _either(touched: torch.Tensor) -> torch.Tensor:
    bits = touched[0].clone()
    for other in touched[1:]:
        bits |= other
    return bits
