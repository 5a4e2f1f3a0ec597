"""How far a wrong rotation moves the points of a model, symmetries forgiven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.arrays import Array
from fast_inerf_ros.geometry.symmetry import Symmetry


@dataclass(frozen=True, eq=False)
class ModelPoints:
    """What the loss knows of C classes.

    points: (C, P, 3) about the object's origin, divided by the object's diameter.
    turns: (C, S, 3, 3) rotations after which an object looks the same, the identity first,
        repeated to equal numbers.
    """

    points: Tensor
    turns: Tensor

    @staticmethod
    def of(
        points: Sequence[Array], symmetries: Sequence[Symmetry], max_step_rad: float = 0.2
    ) -> ModelPoints:
        """From points (n, 3) in metres and symmetries of the classes 1, 2, ...

        An axis counts as the turns about it every `max_step_rad`. Of symmetries about a line
        that misses the object's origin only the rotation counts.

        Raises:
            InputError: different numbers, no points, or points that are not finite.
        """
        if len(points) != len(symmetries) or not points:
            raise InputError(
                f"expected points and a symmetry of each class, got {len(points)} and "
                f"{len(symmetries)}"
            )
        count = max(len(item) for item in points)
        clouds = np.stack([_scaled(item, count) for item in points])
        turns = [item.transforms(max_step_rad).rotation.matrix for item in symmetries]
        most = max(len(item) for item in turns)
        padded = [np.concatenate([t, np.tile(np.eye(3), (most - len(t), 1, 1))]) for t in turns]
        return ModelPoints(
            torch.from_numpy(clouds.astype(np.float32)),
            torch.from_numpy(np.stack(padded).astype(np.float32)),
        )

    def to(self, device: torch.device) -> ModelPoints:
        """The same on a device."""
        return ModelPoints(self.points.to(device), self.turns.to(device))


def point_matching(
    predicted: Tensor, truth: Tensor, class_ids: Tensor, models: ModelPoints
) -> Tensor:
    """Mean distance (N,) of a model's points under both rotations, in diameters.

    min_S mean_x |R_predicted x - R_truth S x|: the points keep their partners, unlike in the
    ShapeMatch loss of PoseCNN (Xiang et al. 2018, eq. 6), whose nearest partners let textures
    turn and have wrong minima.

    predicted, truth: (N, 3, 3). class_ids: (N,) from 1.
    """
    index = class_ids - 1
    points, turns = models.points[index], models.turns[index]
    with torch.no_grad():
        equivalents = truth[:, None] @ turns
        error = points[:, None] @ (equivalents - predicted[:, None]).mT
        best = torch.linalg.vector_norm(error, dim=-1).mean(dim=-1).argmin(dim=1)
        target = equivalents[torch.arange(len(best), device=best.device), best]
    moved = points @ (predicted - target).mT
    return torch.sqrt((moved * moved).sum(dim=-1) + 1e-12).mean(dim=-1)


def _scaled(points: Array, count: int) -> Array:
    cloud = np.asarray(points, dtype=np.float64)
    if (
        cloud.ndim != 2
        or cloud.shape[1:] != (3,)
        or len(cloud) == 0
        or not np.isfinite(cloud).all()
    ):
        raise InputError(f"expected finite model points (n, 3), got shape {cloud.shape}")
    diameter = np.linalg.norm(cloud.max(axis=0) - cloud.min(axis=0))
    if not diameter > 0:
        raise InputError("expected model points with an extent, got a single place")
    return cloud[np.arange(count) % len(cloud)] / diameter
