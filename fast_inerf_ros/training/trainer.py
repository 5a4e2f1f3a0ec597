"""What the training loop needs of something that is being trained; every kind gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch

from fast_inerf_ros.fields.field import Field

SMALLEST_ERROR = 1e-12

Number = torch.Tensor | float


@dataclass(frozen=True)
class StepReport:
    """What one step did.

    step: number of steps done, this one included. n_items: rays or images that it was made of,
        over all processes.
    loss, error: the loss and, of fields, the mean squared error of the colours; tensors without
        gradient or numbers, so that nothing waits for the device unless somebody looks.
    details: further figures by name, of this kind of training. unit: of the items.
    """

    step: int
    n_items: int
    loss: Number
    error: Number | None = None
    details: Mapping[str, Number] = field(default_factory=dict)
    unit: Literal["rays", "images"] = "rays"

    @property
    def psnr_db(self) -> float | None:
        """Peak signal-to-noise ratio of the step's rays, None where there are none."""
        if self.error is None:
            return None
        return float(-10.0 * np.log10(max(float(self.error), SMALLEST_ERROR)))

    def figures(self) -> dict[str, float]:
        """All figures by name; waits for the device."""
        found = {"loss": float(self.loss)}
        if self.psnr_db is not None:
            found["psnr_db"] = self.psnr_db
        return found | {name: float(value) for name, value in self.details.items()}


class Training(Protocol):
    """A model, its data and its optimiser; one object trains one model.

    The loop owns everything else: budgets, files, signals, validation, what the user sees.
    """

    kind: str  # of the model, such as that of a field in the registry

    @property
    def step_count(self) -> int:
        """Steps done so far."""

    def prepare(self) -> None:
        """Do what must not count as training: compile kernels, decode images."""

    def step(self, progress: float) -> StepReport:
        """Do one step; ``progress`` in [0, 1] is the share of the budget that is used up."""

    def state(self) -> dict[str, Any]:
        """Everything to go on from here: tensors and plain values, safe to load."""

    def restore(self, state: Mapping[str, Any], source: str) -> None:
        """Go on from a state; raises InputError, naming ``source``, for one that does not fit."""


@runtime_checkable
class FieldTraining(Training, Protocol):
    """The training of a radiance field on photographs."""

    def field(self) -> Field:
        """The field as it is now, to be rendered from; shares its memory with the training."""

    def finished_field(self) -> Field:
        """The field as it is to be kept; no step may follow."""


def as_field_training(training: Training) -> FieldTraining:
    """The same training where it is one of a field; TypeError otherwise."""
    if not isinstance(training, FieldTraining):
        raise TypeError(f"expected the training of a field, got one of {training.kind}")
    return training
