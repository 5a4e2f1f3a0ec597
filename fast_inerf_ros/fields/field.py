"""What every radiance field offers: rendering, ray derivatives, point queries, its own state.

Rays are given in the coordinates of the field (``FieldFrame`` says where these are in the
world): ``origins`` (N, 3), unit ``directions`` (N, 3), torch float32 on the device of the field.
Depths are distances along the unit ray in units of the field. ``render_world`` does the same in
world coordinates and metres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from fast_inerf_ros.geometry.field_frame import FieldFrame

Bound = float | torch.Tensor
"""Near or far limit along the rays: one number, or one per ray (N,)."""


@dataclass(frozen=True)
class Rendered:
    """What the rays see; every tensor is float32 on the device of the rays.

    ``depth`` is the expected distance sum(w t) / opacity, ``median_depth`` the distance where
    half of the light is absorbed. Both are NaN where there is no such place: the ray meets
    nothing (opacity below 1e-3), or less than half of its light is absorbed.
    """

    color: torch.Tensor  # (N, 3) in [0, 1], over the background
    depth: torch.Tensor  # (N,)
    median_depth: torch.Tensor  # (N,)
    opacity: torch.Tensor  # (N,) in [0, 1]


@dataclass(frozen=True)
class RayDerivatives:
    """Jacobians of a rendering with respect to its rays, at frozen sample distances.

    A sample stays at its distance t while its ray moves: p = origin + t * direction, where
    ``direction`` is varied as a free vector, not on the sphere. ``color_origin[n, c, a]`` is
    d color[n, c] / d origin[n, a]. Rows of rays without depth are zero in the depth Jacobians.
    """

    color_origin: torch.Tensor  # (N, 3, 3)
    color_direction: torch.Tensor  # (N, 3, 3)
    depth_origin: torch.Tensor  # (N, 3)
    depth_direction: torch.Tensor  # (N, 3)


@runtime_checkable
class Field(Protocol):
    """A radiance field. A new kind of field is one file and one line in ``registry.py``."""

    kind: str  # the name in the registry, written into checkpoints

    @property
    def frame(self) -> FieldFrame:
        """Where the field lies in the world."""

    @property
    def device(self) -> torch.device:
        """Where the field lives and where its rays must be."""

    @property
    def bounds(self) -> torch.Tensor:
        """Corners (2, 3) of the box, in field units, that holds the scene's well-seen part."""

    def render(
        self,
        origins: torch.Tensor,
        directions: torch.Tensor,
        near: Bound = 0.0,
        far: Bound = float("inf"),
        *,
        background: torch.Tensor | None = None,
    ) -> Rendered:
        """Render rays between ``near`` and ``far``.

        ``background`` (3,) or (N, 3) stands behind the scene; None takes the field's own.
        """

    def render_with_ray_derivatives(
        self,
        origins: torch.Tensor,
        directions: torch.Tensor,
        near: Bound = 0.0,
        far: Bound = float("inf"),
        *,
        background: torch.Tensor | None = None,
    ) -> tuple[Rendered, RayDerivatives]:
        """Render rays, and how colour and depth change when each ray is moved."""

    def query(
        self, points: torch.Tensor, directions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Density (M,) per field unit and colour (M, 3) of points seen along directions."""

    def state(self) -> FieldState:
        """Everything that ``from_state`` needs to restore the field."""

    @classmethod
    def from_state(cls, state: FieldState, device: torch.device | str = "cpu") -> Field:
        """Restore a field; raises InputError listing every missing or misshapen entry."""


@dataclass(frozen=True)
class FieldState:
    """A field as plain data: JSON-able ``metadata`` and named arrays, no code and no pickles."""

    kind: str
    frame: FieldFrame
    metadata: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


def render_world(
    field: Field,
    origins: torch.Tensor,
    directions: torch.Tensor,
    near: Bound = 0.0,
    far: Bound = float("inf"),
    *,
    background: torch.Tensor | None = None,
) -> Rendered:
    """Render rays given in the world frame; distances in metres."""
    scale = field.frame.metres_per_unit
    rays = field.frame.rays_to_field(origins, directions)
    seen = field.render(*rays, near / scale, far / scale, background=background)
    return Rendered(seen.color, seen.depth * scale, seen.median_depth * scale, seen.opacity)


def render_world_with_ray_derivatives(
    field: Field,
    origins: torch.Tensor,
    directions: torch.Tensor,
    near: Bound = 0.0,
    far: Bound = float("inf"),
    *,
    background: torch.Tensor | None = None,
) -> tuple[Rendered, RayDerivatives]:
    """Render world rays with their Jacobians; distances in metres, world axes."""
    scale = field.frame.metres_per_unit
    rays = field.frame.rays_to_field(origins, directions)
    seen, jacobians = field.render_with_ray_derivatives(
        *rays, near / scale, far / scale, background=background
    )
    matrix = torch.as_tensor(field.frame.matrix(), dtype=origins.dtype, device=origins.device)
    field_world = matrix[:3, :3].T
    rendered = Rendered(seen.color, seen.depth * scale, seen.median_depth * scale, seen.opacity)
    return rendered, RayDerivatives(
        color_origin=jacobians.color_origin @ field_world / scale,
        color_direction=jacobians.color_direction @ field_world,
        depth_origin=jacobians.depth_origin @ field_world,
        depth_direction=jacobians.depth_direction @ field_world * scale,
    )
