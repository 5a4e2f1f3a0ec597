"""Training of the original NeRF: Adam on the error of coarse and fine colour."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.vanilla import VanillaField
from fast_inerf_ros.fields.vanilla_checkpoint import VanillaCheckpoint, check_optimizer
from fast_inerf_ros.fields.vanilla_options import VanillaTraining
from fast_inerf_ros.fields.vanilla_rendering import Jitter, NetworkPass, Rays, render_rays


@dataclass(frozen=True)
class TrainingStats:
    """What one step did; tensors without gradient on the device, so that nothing waits for it.

    step: number of the step, from 0. loss: sum of both errors. error, coarse_error: mean
    squared error of the final colour and, where there are two passes, of the coarse one.
    """

    step: int
    n_rays: int
    learning_rate: float
    loss: torch.Tensor
    error: torch.Tensor
    coarse_error: torch.Tensor | None

    @property
    def psnr_db(self) -> float:
        """Peak signal-to-noise ratio of the final colour in this batch."""
        return float(-10.0 * torch.log10(self.error))


class VanillaTrainer:
    """Trains the networks of a field in place.

    Everything random in step k is drawn from the seed and k alone, so that training resumed
    from a checkpoint is the same as training that was never interrupted.

    For several processes call `accumulate`, average the gradients of `field.networks`, then
    `update`; `step` does both.
    """

    def __init__(
        self,
        field: VanillaField,
        options: VanillaTraining,
        *,
        start_step: int = 0,
        optimizer_state: Mapping[str, Any] | None = None,
    ) -> None:
        self.field = field
        self.options = options
        self.global_step = start_step
        parameters = field.networks.parameters()
        self._optimizer = torch.optim.Adam(
            parameters, lr=options.learning_rate, betas=(0.9, 0.999)
        )
        if optimizer_state is not None:
            check_optimizer(optimizer_state, field.networks, "optimizer state")
            # A copy: torch would go on to change the tensors of the checkpoint itself.
            self._optimizer.load_state_dict(copy.deepcopy(dict(optimizer_state)))

    @classmethod
    def resumed(
        cls, checkpoint: VanillaCheckpoint, field: VanillaField, options: VanillaTraining
    ) -> VanillaTrainer:
        """Continue from a checkpoint, whose networks `field` holds."""
        return cls(
            field, options, start_step=checkpoint.step, optimizer_state=checkpoint.optimizer
        )

    @property
    def learning_rate(self) -> float:
        """Step of Adam in the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def checkpoint(self) -> VanillaCheckpoint:
        """Everything needed to go on from here; shares memory with the networks."""
        field = self.field
        optimizer = self._optimizer.state_dict()
        return VanillaCheckpoint(
            self.global_step, field.networks, optimizer, field.setting, field.frame
        )

    def step(
        self, rays: tuple[torch.Tensor, torch.Tensor], targets: torch.Tensor
    ) -> TrainingStats:
        """One step of training; arguments and errors as of `accumulate`."""
        stats = self.accumulate(rays, targets)
        self.update()
        return stats

    def accumulate(
        self, rays: tuple[torch.Tensor, torch.Tensor], targets: torch.Tensor
    ) -> TrainingStats:
        """Compute the gradients of a batch, in parts that the options of rendering bound.

        They are summed over the parts: how large these are changes memory and speed, and which
        random numbers a ray gets, but not what is learnt.

        rays: origins and directions, each (N, 3), in field coordinates. Samples lie between
            `near` and `far` times the length of the direction, so give directions of unit depth
            for limits that are depths, as nerf-pytorch does.
        targets: colours (N, 3) in [0, 1], over the field's background.
        """
        origins, directions = rays
        _check_batch(origins, directions, targets)
        self._optimizer.zero_grad()
        generator = np.random.default_rng((self.options.seed, self.global_step))
        jitter = Jitter(generator, self.options.perturb > 0, self.options.density_noise)
        size, limit = len(origins), self._rays_per_part()
        totals = torch.zeros(2, device=origins.device)
        for start in range(0, size, limit):
            part = slice(start, start + limit)
            chunk = self._rays(origins[part], directions[part])
            errors = self._errors(chunk, targets[part], jitter) / (3 * size)
            errors.sum().backward()  # type: ignore[no-untyped-call]
            totals = totals + errors.detach()
        return self._stats(size, totals)

    def update(self) -> None:
        """Apply the gradients; then set the learning rate as nerf-pytorch does."""
        self._optimizer.step()
        decay = self.global_step / (1000.0 * self.options.learning_rate_decay)
        for group in self._optimizer.param_groups:
            group["lr"] = self.options.learning_rate * 0.1**decay
        self.global_step += 1

    def _rays_per_part(self) -> int:
        """The graph of a part holds every point of its rays: they must fit as one chunk."""
        rendering = self.field.setting.rendering
        samples = rendering.n_samples + rendering.n_importance
        return max(1, min(rendering.rays_per_chunk, rendering.points_per_chunk // samples))

    def _rays(self, origins: torch.Tensor, directions: torch.Tensor) -> Rays:
        setting = self.field.setting
        near, far = (0.0, torch.inf) if setting.ndc else (setting.near, setting.far)
        first, last = (origins.new_full((len(origins),), limit) for limit in (near, far))
        return Rays.through(origins, directions, first, last, setting.ndc)

    def _errors(self, rays: Rays, targets: torch.Tensor, jitter: Jitter) -> torch.Tensor:
        """Summed squared errors (2,) of the final and the coarse colour (0 without one)."""
        rendering = self.field.setting.rendering
        final, coarse = render_rays(self.field.networks, rays, rendering, jitter)
        background = targets.new_full((3,), float(rendering.white_background))
        errors = [
            targets.new_zeros(()) if one is None else _squared_error(one, background, targets)
            for one in (final, coarse)
        ]
        return torch.stack(errors)

    def _stats(self, size: int, totals: torch.Tensor) -> TrainingStats:
        coarse = totals[1] if self.field.setting.rendering.n_importance > 0 else None
        return TrainingStats(
            self.global_step, size, self.learning_rate, totals.sum(), totals[0], coarse
        )


def _squared_error(
    rendered: NetworkPass, background: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    return ((rendered.composited.over(background) - targets) ** 2).sum()


def _check_batch(origins: torch.Tensor, directions: torch.Tensor, targets: torch.Tensor) -> None:
    shapes = [tuple(values.shape) for values in (origins, directions, targets)]
    if len(set(shapes)) != 1 or len(shapes[0]) != 2 or shapes[0][1] != 3 or shapes[0][0] == 0:
        raise InputError(
            "batch: expected origins, directions and targets (N, 3) of the same rays, got "
            + ", ".join(map(str, shapes))
        )
