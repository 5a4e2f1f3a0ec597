"""What the training loop needs of a field that is being trained; every kind of field gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from fast_inerf_ros.fields.field import Field

SMALLEST_ERROR = 1e-12


@dataclass(frozen=True)
class StepReport:
    """What one step did.

    step: number of steps done, this one included. n_rays: rays it rendered, over all processes.
    loss, error: the loss and the mean squared error of the colours; tensors without gradient or
        numbers, so that nothing waits for the device unless somebody looks.
    details: further figures by name, of this kind of field.
    """

    step: int
    n_rays: int
    loss: torch.Tensor | float
    error: torch.Tensor | float
    details: Mapping[str, float] = field(default_factory=dict)

    @property
    def psnr_db(self) -> float:
        """Peak signal-to-noise ratio of the step's rays."""
        return float(-10.0 * np.log10(max(float(self.error), SMALLEST_ERROR)))


class FieldTraining(Protocol):
    """A field, its photographs and its optimiser; one object trains one field.

    The loop owns everything else: budgets, files, signals, validation, what the user sees.
    """

    kind: str  # of the field, as in the registry

    @property
    def step_count(self) -> int:
        """Steps done so far."""

    def prepare(self) -> None:
        """Do what must not count as training: compile kernels, decode images."""

    def step(self, progress: float) -> StepReport:
        """Do one step; ``progress`` in [0, 1] is the share of the budget that is used up."""

    def field(self) -> Field:
        """The field as it is now, to be rendered from; shares its memory with the training."""

    def finished_field(self) -> Field:
        """The field as it is to be kept; no step may follow."""

    def state(self) -> dict[str, Any]:
        """Everything to go on from here: tensors and plain values, safe to load."""

    def restore(self, state: Mapping[str, Any], source: str) -> None:
        """Go on from a state; raises InputError, naming ``source``, for one that does not fit."""
