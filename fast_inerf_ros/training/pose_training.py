"""A pose network as the training loop takes it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.posecnn.losses import LossConfig, Losses, dense_losses
from fast_inerf_ros.posecnn.network import PoseNetwork
from fast_inerf_ros.posecnn.point_matching import ModelPoints, point_matching
from fast_inerf_ros.posecnn.prediction import Prediction
from fast_inerf_ros.posecnn.weights import check_weights, require_tensors
from fast_inerf_ros.training.pose_batches import BatchMaker, PoseBatch, Prefetcher, Size
from fast_inerf_ros.training.pose_options import PoseSchedule
from fast_inerf_ros.training.processes import Processes, average_gradients
from fast_inerf_ros.training.trainer import StepReport
from fast_inerf_ros.training.weight_average import WeightAverage

STATE = "posecnn_training"
"""Key of the trainer's state in a checkpoint."""

BACKBONES = ("backbone.", "feat_extract.")
"""How the weights of the backbones are called."""


class PoseTraining:
    """Trains a pose network; see `trainer.Training`.

    network: on its device. sizes: of the network's input at first and later.
    """

    kind = "posecnn"

    def __init__(
        self,
        network: PoseNetwork,
        models: ModelPoints,
        maker: BatchMaker,
        sizes: tuple[Size, Size],
        schedule: PoseSchedule,
        loss: LossConfig,
        processes: Processes,
        threads: int,
        half_precision: bool = False,
    ) -> None:
        self.network = network.train()
        network.requires_grad_(True)
        network.freeze(schedule.frozen_blocks)
        network.to(memory_format=torch.channels_last)
        self.average = WeightAverage(network, schedule.average)
        self.progress_of_validation: dict[str, float] = {}
        self._device = next(network.parameters()).device
        self._models = models.to(self._device)
        self._batches = Prefetcher(maker, threads)
        self._plan = maker.plan
        self._sizes = sizes
        self._schedule = schedule
        self._loss = loss
        self._processes = processes
        self._half = half_precision and self._device.type == "cuda"
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=self._half)
        self._optimiser = _optimiser(network, schedule)
        self._step = 0

    @property
    def step_count(self) -> int:
        """Steps done so far."""
        return self._step

    def prepare(self) -> None:
        """Nothing: the images are decoded, and there is nothing to compile."""

    def size(self, progress: float) -> Size:
        """Width and height of the network's input."""
        return self._sizes[int(progress >= self._schedule.first_share)]

    def rate(self, progress: float) -> float:
        """Share of the largest learning rate: a linear rise, then half a cosine."""
        warm_up = min(1.0, (self._step + 1) / max(self._schedule.warm_up_steps, 1))
        final = self._schedule.final_rate
        fall = 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
        return warm_up * (final + (1.0 - final) * fall)

    def step(self, progress: float) -> StepReport:
        """One step on the images that belong to its number."""
        batch = self._batches.batch(self._step, self.size(progress)).to(self._device)
        share = len(batch.images) / self._plan.batch_size
        rate = self.rate(progress)
        for group in self._optimiser.param_groups:
            group["lr"] = group["largest_rate"] * rate
        losses = self._losses(batch)
        total = losses.total(self._loss)
        self._optimiser.zero_grad(set_to_none=True)
        self._scaler.scale(total).backward()  # type: ignore[no-untyped-call]
        self._update(share)
        self._step += 1
        self.average.update(self.network, self._step)
        parts = torch.stack([part.detach() for part in (total, *vars(losses).values())]) * share
        parts = self._processes.add(parts)
        names = (f"loss_{name}" for name in vars(losses))
        details = dict(zip(names, parts[1:], strict=True)) | {"learning_rate": rate}
        return StepReport(
            self._step, self._plan.batch_size, parts[0], details=details, unit="images"
        )

    def state(self) -> dict[str, Any]:
        """Weights, their average, the optimiser, and how validation went."""
        return {
            STATE: {
                "step": self._step,
                "weights": _on_cpu(self.network.state_dict()),
                "average": _on_cpu(self.average.network.state_dict()),
                "optimiser": self._optimiser.state_dict(),
                "scaler": self._scaler.state_dict(),
                "validation": dict(self.progress_of_validation),
            }
        }

    def restore(self, state: Mapping[str, Any], source: str) -> None:
        """Go on from a state."""
        own = state.get(STATE)
        if not isinstance(own, Mapping):
            found = ", ".join(sorted(map(str, state))[:8]) or "nothing"
            raise InputError(
                f"{source}: expected the training of a pose network ({STATE}), got {found}; give "
                "another output folder"
            )
        for name, network in (("weights", self.network), ("average", self.average.network)):
            tensors = require_tensors(own.get(name), f"{source}: {name}")
            shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
            check_weights(tensors, shapes, f"{source}: {name}")
            network.load_state_dict(tensors)
        try:
            _restore_moments(self._optimiser, own["optimiser"])
            self._scaler.load_state_dict(own["scaler"])
            self.progress_of_validation = {k: float(v) for k, v in own["validation"].items()}
            self._step = int(own["step"])
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:120]
            raise InputError(
                f"{source}: expected the training of this network, got entries that do not fit "
                f"({type(error).__name__}: {reason}); keep frozen_blocks, or start again with "
                "--no-resume"
            ) from None

    def close(self) -> None:
        """End the threads that make batches."""
        self._batches.close()

    def _losses(self, batch: PoseBatch) -> Losses:
        with torch.autocast(self._device.type, torch.float16, enabled=self._half):
            images = batch.images.to(torch.float32) / 255
            images = images.contiguous(memory_format=torch.channels_last)
            prediction = self.network(images, batch.focal_px)
            rotation = self._rotation_errors(prediction, batch)
        return dense_losses(prediction, batch.targets, self._loss, rotation)

    def _rotation_errors(self, prediction: Prediction, batch: PoseBatch) -> Tensor | None:
        if len(batch.boxes) == 0:
            return None
        every = self.network.rotations(prediction.features, batch.boxes)
        chosen = torch.arange(len(every), device=every.device)
        predicted = every[chosen, batch.class_ids - 1].float()
        return point_matching(predicted, batch.rotations, batch.class_ids, self._models)

    def _update(self, share: float) -> None:
        trained = [p for group in self._optimiser.param_groups for p in group["params"]]
        self._scaler.unscale_(self._optimiser)
        for parameter in trained:
            if parameter.grad is None:  # no object in this process's share, maybe in another's
                parameter.grad = torch.zeros_like(parameter)
        average_gradients(self._processes, trained, share)
        torch.nn.utils.clip_grad_norm_(trained, self._schedule.largest_gradient)
        self._scaler.step(self._optimiser)
        self._scaler.update()


def _optimiser(network: PoseNetwork, schedule: PoseSchedule) -> torch.optim.Optimizer:
    """AdamW, slower in the backbone; `largest_rate` of each group is what the schedule scales."""
    groups: list[dict[str, Any]] = []
    for inside, factor in ((True, schedule.backbone_rate), (False, 1.0)):
        parameters = [
            parameter
            for name, parameter in network.named_parameters()
            if parameter.requires_grad and name.startswith(BACKBONES) == inside
        ]
        if parameters:
            rate = factor * (schedule.learning_rate or network.learning_rate)
            groups.append({"params": parameters, "lr": rate, "largest_rate": rate})
    return torch.optim.AdamW(groups, weight_decay=schedule.weight_decay)


def _restore_moments(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Take an optimiser's moments from a state; rates and the like stay what is asked for now."""
    asked = [
        {name: value for name, value in group.items() if name != "params"}
        for group in optimiser.param_groups
    ]
    optimiser.load_state_dict(state)
    for group, options in zip(optimiser.param_groups, asked, strict=True):
        group.update(options)


def _on_cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu() for name, value in state.items()}
