"""Normalised device coordinates of forward-facing scenes: NeRF (2020), appendix C.

They map the frustum of one reference camera, which looks along -z from the origin (OpenGL
axes), from its near plane to infinity, to the cube [-1, 1]^3. Straight lines stay straight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from fast_inerf_ros.errors import InputError


@dataclass(frozen=True)
class NdcFrustum:
    """The frustum that is mapped: image size and focal length in pixels, near plane distance."""

    width: float
    height: float
    focal: float
    near: float = 1.0

    def __post_init__(self) -> None:
        for name in ("width", "height", "focal", "near"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(
                    f"NDC {name}: expected a positive number, got {value!r}; "
                    "take it from the camera that the field was trained with"
                )

    def scales(self) -> tuple[float, float]:
        """Factors from x/-z and y/-z to normalised coordinates."""
        return 2.0 * self.focal / self.width, 2.0 * self.focal / self.height

    def points(self, points: torch.Tensor) -> torch.Tensor:
        """Points (..., 3) with z < 0 in normalised coordinates: equation 11."""
        scale_x, scale_y = self.scales()
        x, y, z = points.unbind(-1)
        return torch.stack([-scale_x * x / z, -scale_y * y / z, 1.0 + 2.0 * self.near / z], dim=-1)

    def stretched(self, points: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
        """Normalised length (...,) of a unit step from each point along its direction."""
        scale_x, scale_y = self.scales()
        x, y, z = points.unbind(-1)
        step_x, step_y, step_z = directions.unbind(-1)
        moved = torch.stack(
            [
                -scale_x * (step_x - x / z * step_z) / z,
                -scale_y * (step_y - y / z * step_z) / z,
                -2.0 * self.near * step_z / z**2,
            ],
            dim=-1,
        )
        lengths: torch.Tensor = torch.linalg.vector_norm(moved, dim=-1)
        return lengths

    def rays(
        self, origins: torch.Tensor, directions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised rays (N, 3), (N, 3) of rays that look along -z: equations 24-26.

        They start on the near plane (t = 0) and end at infinity (t = 1).
        """
        shift = -(self.near + origins[:, 2]) / directions[:, 2]
        x, y, z = (origins + shift[:, None] * directions).unbind(-1)
        slope_x, slope_y = directions[:, 0] / directions[:, 2], directions[:, 1] / directions[:, 2]
        scale_x, scale_y = self.scales()
        ndc_origins = torch.stack(
            [-scale_x * x / z, -scale_y * y / z, 1.0 + 2.0 * self.near / z], dim=-1
        )
        ndc_directions = torch.stack(
            [
                -scale_x * (slope_x - x / z),
                -scale_y * (slope_y - y / z),
                -2.0 * self.near / z,
            ],
            dim=-1,
        )
        return ndc_origins, ndc_directions

    def to_ndc_distance(
        self, distances: torch.Tensor, origins: torch.Tensor, directions: torch.Tensor
    ) -> torch.Tensor:
        """Normalised distance of original distances (N,), clipped to the frustum, [0, 1].

        With z = o_z + t d_z on the ray, t' = 1 + near / z: equation 18.
        """
        z = origins[:, 2] + distances * directions[:, 2]
        behind_near = z >= -self.near
        safe = torch.where(behind_near, torch.full_like(z, -self.near), z)
        return 1.0 + self.near / safe

    def from_ndc_distance(
        self, distances: torch.Tensor, origins: torch.Tensor, directions: torch.Tensor
    ) -> torch.Tensor:
        """Original distance of normalised distances (N,) in [0, 1); infinity at 1."""
        z = -self.near / (1.0 - distances)
        return (z - origins[:, 2]) / directions[:, 2]
