"""The voxel field: density and colour in sparse bricks, rendered by kernels; the default field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
import warp as wp

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.field import Bound, FieldState, RayDerivatives, Rendered
from fast_inerf_ros.fields.voxel_grid import Domain, VoxelGrid
from fast_inerf_ros.fields.voxel_storage import pack_grid, unpack_grid
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.rendering import derivative_kernels, grid_kernels, kernels
from fast_inerf_ros.rendering.launch import compile_kernels, launch_freely
from fast_inerf_ros.rendering.march import vec11

NEVER = 1e10
"""Where rays without a far limit end."""


@dataclass(frozen=True)
class Shading:
    """How a voxel grid is rendered.

    step: distance of samples in voxels.
    optical_scale: optical depth of density 1 along one field unit; around a contracted box,
        along what contraction makes of it.
    cutoff: samples of less optical depth are left out; rays end when less light is left. A step
        of 8-bit images.
    near: nothing nearer to an origin than this (field units) was seen in training, nor is shown.
    background: colour behind everything.
    """

    step: float = 0.8
    optical_scale: float = 64.0
    cutoff: float = 0.004
    near: float = 0.0
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        numbers = (self.step, self.optical_scale, self.cutoff, self.near, *self.background)
        if not np.all(np.isfinite(numbers)) or self.step <= 0 or self.optical_scale <= 0:
            raise InputError(
                f"shading of a voxel field: expected finite numbers and a positive step and "
                f"optical scale, got {self}"
            )


@dataclass(frozen=True, eq=False)
class VoxelField:
    """A radiance field in a sparse voxel grid; see ``fields.field.Field``."""

    grid: VoxelGrid
    shading: Shading = field(default_factory=Shading)
    frame: FieldFrame = field(default_factory=FieldFrame)

    kind = "voxel"

    @property
    def device(self) -> torch.device:
        """Where the grid lives and where rays must be."""
        return self.grid.device

    @property
    def bounds(self) -> torch.Tensor:
        """Corners (2, 3) of the inner box in field units."""
        center, half = np.asarray(self.grid.domain.center), np.asarray(self.grid.domain.half_size)
        return torch.as_tensor(np.stack([center - half, center + half]), dtype=torch.float32)

    def prepared(self) -> float:
        """Compile what rendering needs, if it is not cached; seconds it took."""
        return compile_kernels([kernels, derivative_kernels, grid_kernels], self.device)

    @cached_property
    def struct(self) -> Any:
        """The grid as kernels take it; its tensors may change, but not be replaced."""
        return self.grid.struct(self.shading.step, self.shading.optical_scale)

    def render(
        self,
        origins: torch.Tensor,
        directions: torch.Tensor,
        near: Bound = 0.0,
        far: Bound = float("inf"),
        *,
        background: torch.Tensor | None = None,
    ) -> Rendered:
        """Render rays (N, 3); see ``fields.field``."""
        seen = self._render(origins, directions, near, far)
        light = seen[:, 5]
        color = seen[:, :3] + light[:, None] * self._background(background, len(origins))
        return _rendered(color, seen[:, 3], seen[:, 4], light)

    def count_samples(
        self,
        origins: torch.Tensor,
        directions: torch.Tensor,
        near: Bound = 0.0,
        far: Bound = float("inf"),
    ) -> torch.Tensor:
        """How many samples (N,) int32 rendering takes of each ray; 0 where it meets nothing."""
        return self._render(origins, directions, near, far)[:, 6].int()

    def _render(
        self, origins: torch.Tensor, directions: torch.Tensor, near: Bound, far: Bound
    ) -> torch.Tensor:
        """What is seen (N, 7) before nothing; see ``rendering.kernels.vec7``."""
        rays = self.kernel_rays(origins, directions, near, far)
        seen = torch.empty(len(origins), 7, device=self.device)
        arguments = (
            self.struct,
            rays,
            self.shading.cutoff,
            wp.from_torch(seen, dtype=kernels.vec7),
        )
        self._launch(kernels.render_rays, len(seen), arguments)
        return seen

    def render_with_ray_derivatives(
        self,
        origins: torch.Tensor,
        directions: torch.Tensor,
        near: Bound = 0.0,
        far: Bound = float("inf"),
        *,
        background: torch.Tensor | None = None,
    ) -> tuple[Rendered, RayDerivatives]:
        """Render rays (N, 3) with their Jacobians; see ``fields.field``."""
        rays = self.kernel_rays(origins, directions, near, far)
        count = len(origins)
        color = torch.empty(count, 3, device=self.device)
        scalars = torch.empty(3, count, device=self.device)
        matrices = torch.empty(2, count, 3, 3, device=self.device)
        vectors = torch.zeros(2, count, 3, device=self.device)
        out = derivative_kernels.Jacobians()
        out.color = wp.from_torch(color, dtype=wp.vec3)
        out.depth, out.median, out.light = (wp.from_torch(row) for row in scalars)
        out.color_origin, out.color_direction = (
            wp.from_torch(rows, dtype=wp.mat33) for rows in matrices
        )
        out.depth_origin, out.depth_direction = (
            wp.from_torch(rows, dtype=wp.vec3) for rows in vectors
        )
        behind = self._background(background, count).expand(count, 3).contiguous()
        arguments = (
            self.struct,
            wp.vec3(*(1.0 / self.grid.domain.unit)),
            rays,
            wp.from_torch(behind, dtype=wp.vec3),
            self.shading.cutoff,
            out,
        )
        self._launch(derivative_kernels.differentiate_rays, count, arguments)
        return _rendered(color, *scalars), RayDerivatives(*matrices, *vectors)

    def query(
        self, points: torch.Tensor, directions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Density (M,) per field unit and colour (M, 3); see ``fields.field``."""
        domain = self.grid.domain
        box = self._to_box(_checked(points, "points", self.device), shift=True)
        views = _checked(directions, "directions", self.device)
        density = torch.empty(len(box), device=self.device)
        color = torch.empty(len(box), 3, device=self.device)
        arguments = (
            self.struct,
            wp.from_torch(box, dtype=wp.vec3),
            wp.from_torch(views, dtype=wp.vec3),
            wp.from_torch(density),
            wp.from_torch(color, dtype=wp.vec3),
        )
        self._launch(grid_kernels.sample_points, len(box), arguments)
        speed = self._to_box(views, shift=False).norm(dim=-1) * float(domain.unit.max())
        if domain.contracted:
            speed = speed / box.abs().amax(-1).clamp(min=1.0) ** 2
        return density * self.shading.optical_scale * speed, color

    def state(self) -> FieldState:
        """The field as plain data."""
        metadata, arrays = pack_grid(self.grid)
        metadata["shading"] = asdict(self.shading)
        return FieldState(self.kind, self.frame, metadata, arrays)

    @classmethod
    def from_state(cls, state: FieldState, device: torch.device | str = "cpu") -> VoxelField:
        """Restore a field; raises InputError listing every missing or misshapen entry."""
        grid = unpack_grid(state.metadata, state.arrays, torch.device(device))
        values = state.metadata.get("shading")
        names = set(Shading.__dataclass_fields__)
        if not isinstance(values, dict) or set(values) != names:
            raise InputError(
                f"shading of a voxel field: expected the keys {sorted(names)}, got {values!r}"
            )
        try:
            numbers = {k: float(v) for k, v in values.items() if k != "background"}
            red, green, blue = (float(v) for v in values["background"])
        except (TypeError, ValueError):
            raise InputError(f"shading of a voxel field: expected numbers, got {values}") from None
        shading = Shading(**numbers, background=(red, green, blue))
        return cls(grid, shading, state.frame)

    def with_frame(self, frame: FieldFrame) -> VoxelField:
        """The same field elsewhere in the world."""
        return replace(self, frame=frame)

    def kernel_rays(
        self, origins: torch.Tensor, directions: torch.Tensor, near: Bound, far: Bound
    ) -> Any:
        """Rays (N,) as kernels take them; see ``rendering.march.vec11``."""
        origins = _checked(origins, "origins", self.device)
        directions = _checked(directions, "directions", self.device)
        if len(origins) != len(directions):
            raise InputError(
                f"rays: expected as many directions as origins, got {len(directions)} and "
                f"{len(origins)}"
            )
        count = len(origins)
        rays = torch.empty(count, 11, device=self.device)
        rays[:, 0:3] = self._to_box(origins, shift=True)
        rays[:, 3:6] = self._to_box(directions, shift=False)
        rays[:, 6:9] = directions
        rays[:, 9] = _bound(near, count, self.device).clamp(min=self.shading.near)
        rays[:, 10] = _bound(far, count, self.device).clamp(max=NEVER)
        return wp.from_torch(rays, dtype=vec11)

    def _to_box(self, vectors: torch.Tensor, *, shift: bool) -> torch.Tensor:
        return to_box(self.grid.domain, vectors, shift=shift)

    def _background(self, given: torch.Tensor | None, count: int) -> torch.Tensor:
        if given is None:
            return torch.tensor(self.shading.background, device=self.device).expand(count, 3)
        behind = torch.as_tensor(given, dtype=torch.float32, device=self.device)
        if behind.shape not in ((3,), (count, 3)):
            raise InputError(
                f"background: expected shape (3,) or ({count}, 3), got {tuple(behind.shape)}"
            )
        return behind.expand(count, 3)

    def _launch(self, kernel: Any, count: int, arguments: Sequence[Any]) -> None:
        launch_freely(kernel, count, arguments, self.device, self.grid.n_threads)


def to_box(domain: Domain, vectors: torch.Tensor, *, shift: bool) -> torch.Tensor:
    """Points (``shift``) or directions (N, 3) of the field in box coordinates."""
    unit = torch.as_tensor(domain.unit, dtype=torch.float32, device=vectors.device)
    if shift:
        vectors = vectors - torch.tensor(domain.center, dtype=vectors.dtype, device=vectors.device)
    return (vectors / unit).contiguous()


def _rendered(
    color: torch.Tensor, distance: torch.Tensor, median: torch.Tensor, light: torch.Tensor
) -> Rendered:
    opacity = 1.0 - light
    nothing = torch.full_like(distance, float("nan"))
    depth = torch.where(opacity > 1e-3, distance / opacity.clamp(min=1e-3), nothing)
    return Rendered(color, depth, torch.where(median >= 0.0, median, nothing), opacity)


def _checked(vectors: torch.Tensor, name: str, device: torch.device) -> torch.Tensor:
    if vectors.ndim != 2 or vectors.shape[1] != 3 or vectors.device != device:
        raise InputError(
            f"{name}: expected shape (N, 3) on {device}, got {tuple(vectors.shape)} on "
            f"{vectors.device}"
        )
    return vectors.detach().to(torch.float32).contiguous()


def _bound(value: Bound, count: int, device: torch.device) -> torch.Tensor:
    tensor = torch.as_tensor(value, dtype=torch.float32, device=device)
    if tensor.shape not in ((), (count,)):
        raise InputError(
            f"near or far: expected a number or shape ({count},), got {tuple(tensor.shape)}"
        )
    return tensor.expand(count)
