"""Where a radiance field lies in the world, and how long its unit is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.arrays import Array, constant
from fast_inerf_ros.geometry.se3 import SE3


@dataclass(frozen=True)
class FieldFrame:
    """Where a field lies in the world: p_world = T_world_field @ (metres_per_unit * p_field).

    ``metric`` is False while the true scale of the scene is unknown.
    """

    T_world_field: SE3 = field(default_factory=SE3.identity)
    metres_per_unit: float = 1.0
    metric: bool = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.metres_per_unit) and self.metres_per_unit > 0):
            raise InputError(
                f"metres_per_unit: expected a positive number, got {self.metres_per_unit!r}; "
                "give the length of one field unit in metres"
            )

    def matrix(self) -> np.ndarray:
        """T_world_field as a float64 array (4, 4)."""
        return np.asarray(self.T_world_field.matrix(), dtype=np.float64)

    def rays_to_field(self, origins: Array, directions: Array) -> tuple[Array, Array]:
        """Rays in the world (metres) as rays in the field (field units), each (N, 3)."""
        matrix = constant(self.matrix(), origins)
        rotation, translation = matrix[:3, :3], matrix[:3, 3]
        return (origins - translation) @ rotation / self.metres_per_unit, directions @ rotation
