"""The voxel field as the training loop takes it: photographs, box, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.voxel import Shading, VoxelField
from fast_inerf_ros.fields.voxel_grid import Domain
from fast_inerf_ros.rendering.rays import RayBank
from fast_inerf_ros.training.processes import Processes
from fast_inerf_ros.training.shared_voxel_trainer import SharedVoxelTrainer
from fast_inerf_ros.training.trainer import StepReport
from fast_inerf_ros.training.voxel_options import VoxelTraining
from fast_inerf_ros.training.voxel_trainer import draw_rays

STATE = "voxel_training"
"""Key of the trainer's state in a checkpoint."""


class VoxelFieldTraining:
    """Trains a voxel field; see `trainer.FieldTraining`."""

    kind = "voxel"

    def __init__(
        self,
        bank: RayBank,
        domain: Domain,
        shading: Shading,
        options: VoxelTraining,
        posed: PosedImages,
        processes: Processes,
        seed: int,
    ) -> None:
        self._bank = bank
        self._frame = posed.frame
        generator = np.random.default_rng(seed)
        arguments = (domain, options, shading, generator, bank.device)
        self._trainer = SharedVoxelTrainer(processes, *arguments)

    @property
    def step_count(self) -> int:
        """Steps done so far."""
        return self._trainer.step_count

    def prepare(self) -> None:
        """Compile the kernels, where they are not cached."""
        self._trainer.compiled()

    def step(self, progress: float) -> StepReport:
        """One step on random rays of all photographs."""
        stats = self._trainer.step(draw_rays(self._bank, self._trainer), progress)
        details = {
            "hit_share": stats.hit_share,
            "samples_per_hit": stats.samples_per_hit,
            "n_bricks": float(stats.n_bricks),
        }
        return StepReport(self.step_count, stats.n_rays, stats.loss, stats.loss, details)

    def field(self) -> VoxelField:
        """The field as it is now; its memory is shared with the training."""
        return self._trainer.field(self._frame)

    def finished_field(self) -> VoxelField:
        """The field without what has become empty."""
        self._trainer.prune()
        return self._trainer.field(self._frame)

    def state(self) -> dict[str, Any]:
        """Grid, moments and the states of the random numbers."""
        return {STATE: self._trainer.state()}

    def restore(self, state: Mapping[str, Any], source: str) -> None:
        """Go on from a state."""
        own = state.get(STATE)
        if not isinstance(own, dict):
            found = ", ".join(sorted(map(str, state))[:8]) or "nothing"
            raise InputError(
                f"{source}: expected the training of a voxel field ({STATE}), got {found}; give "
                "the kind of field that was trained"
            )
        try:
            _check_tensors(own, self._trainer.state())
            self._trainer.restore(own)
        except InputError as error:
            raise InputError(f"{source}: {error}") from None
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:120]
            raise InputError(
                f"{source}: expected the training of a voxel field, got entries that do not fit "
                f"({type(error).__name__}: {reason}); remove the file"
            ) from None


def _check_tensors(found: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Compare kinds and shapes, but for the number of bricks, which training changes."""
    problems = []
    counts = set()
    for name, value in own.items():
        if not isinstance(value, torch.Tensor) or name == "torch_generator":
            continue
        other = found.get(name)
        if not isinstance(other, torch.Tensor):
            problems.append(f"missing {name}")
        elif other.dtype != value.dtype or other.shape[1:] != value.shape[1:] or not other.ndim:
            problems.append(
                f"{name} expected {value.dtype} (n, {', '.join(map(str, value.shape[1:]))}) got "
                f"{other.dtype} {tuple(other.shape)}"
            )
        else:
            counts.add(len(other))
    if len(counts) > 1:
        problems.append(f"expected equally many bricks in all tensors, got {sorted(counts)}")
    if problems:
        raise InputError("state of training: " + ", ".join(problems))
