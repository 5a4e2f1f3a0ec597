"""The original NeRF (2020): a coarse and a fine network, as in nerf-pytorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.field import Bound, FieldState, RayDerivatives, Rendered
from fast_inerf_ros.fields.vanilla_network import NetworkPair, new_networks, restored
from fast_inerf_ros.fields.vanilla_options import VanillaArchitecture
from fast_inerf_ros.fields.vanilla_rendering import (
    NetworkPass,
    Rays,
    frozen_samples,
    network_pass,
    query_in_chunks,
    render_rays,
)
from fast_inerf_ros.fields.vanilla_setting import VanillaSetting
from fast_inerf_ros.geometry.field_frame import FieldFrame

MINIMUM_OPACITY = 1e-3
"""A ray with less light absorbed has no depth."""

FACING = 1e-6
"""Rays of forward-facing scenes look along -z by at least this much, or see nothing."""


@dataclass(frozen=True)
class _Chunk:
    """Some of the rays, as given (leaves of the gradient) and as sampled."""

    origins: torch.Tensor
    directions: torch.Tensor
    sampled: torch.Tensor  # directions, with others in the place of those that see nothing
    rays: Rays
    facing: torch.Tensor | None  # (N,) where the field has normalised coordinates
    background: torch.Tensor


class VanillaField:
    """A trained, or still untrained, pair of networks; implements `fields.field.Field`.

    Rays may have directions of any length: distances, `near` and `far` are in multiples of it.
    A ray gives its own gradient where it asks for one, as any torch tensor.
    """

    kind = "vanilla"

    def __init__(
        self,
        networks: NetworkPair,
        setting: VanillaSetting | None = None,
        frame: FieldFrame | None = None,
    ) -> None:
        self.networks = networks
        self.setting = VanillaSetting() if setting is None else setting
        self._frame = FieldFrame() if frame is None else frame
        if self.setting.rendering.n_importance == 0 and networks.fine is not None:
            raise InputError(
                "n_importance: expected the number of fine samples, got 0 for a field with a fine "
                "network; set it as in training (64 and 128 are usual)"
            )

    @classmethod
    def untrained(
        cls,
        architecture: VanillaArchitecture,
        setting: VanillaSetting,
        generator: np.random.Generator,
        frame: FieldFrame | None = None,
    ) -> VanillaField:
        """Field with random parameters; it has a fine network if it takes fine samples."""
        fine = setting.rendering.n_importance > 0
        return cls(new_networks(architecture, fine, generator), setting, frame)

    @property
    def frame(self) -> FieldFrame:
        """Where the field lies in the world."""
        return self._frame

    @property
    def device(self) -> torch.device:
        """Where the networks are and where rays must be."""
        return self.networks.parameters()[0].device

    @property
    def bounds(self) -> torch.Tensor:
        """Corners (2, 3) of the box that holds the scene's well-seen part, in field units."""
        return torch.as_tensor(self.setting.bounds(), dtype=torch.float32, device=self.device)

    def with_setting(self, setting: VanillaSetting) -> VanillaField:
        """The same networks, rendered differently."""
        return VanillaField(self.networks, setting, self._frame)

    def in_frame(self, frame: FieldFrame) -> VanillaField:
        """The same field, elsewhere in the world."""
        return VanillaField(self.networks, self.setting, frame)

    def to(self, device: torch.device | str) -> VanillaField:
        """The same field with its networks moved to a device."""
        return VanillaField(self.networks.to(device=device), self.setting, self._frame)

    def render(
        self,
        origins: torch.Tensor,
        directions: torch.Tensor,
        near: Bound = 0.0,
        far: Bound = float("inf"),
        *,
        background: torch.Tensor | None = None,
    ) -> Rendered:
        """Render rays (N, 3); `near` 0 and `far` infinity mean the limits of the training."""
        options = self.setting.rendering
        wanted = torch.is_grad_enabled() and (origins.requires_grad or directions.requires_grad)
        parts = []
        with torch.set_grad_enabled(wanted):
            for chunk in self._chunks(
                origins, directions, near, far, background, options.rays_per_chunk
            ):
                final, _ = render_rays(self.networks, chunk.rays, options)
                parts.append(self._rendered(final, chunk))
        return _concatenated(parts)

    def render_with_ray_derivatives(
        self,
        origins: torch.Tensor,
        directions: torch.Tensor,
        near: Bound = 0.0,
        far: Bound = float("inf"),
        *,
        background: torch.Tensor | None = None,
    ) -> tuple[Rendered, RayDerivatives]:
        """Render rays, and how colour and depth change when each is moved.

        Samples stay at their distances; in normalised coordinates at their distances there.
        """
        parts, jacobians = [], []
        with torch.enable_grad():
            for chunk in self._chunks(
                origins.detach(), directions.detach(), near, far, background, self._graph_rays()
            ):
                network, distances = frozen_samples(
                    self.networks, chunk.rays, self.setting.rendering
                )
                final = network_pass(network, chunk.rays, distances, self.setting.rendering)
                rendered = self._rendered(final, chunk)
                jacobians.append(_jacobians(rendered, chunk))
                parts.append(rendered)
        rows = zip(*jacobians, strict=True)
        return _detached(_concatenated(parts)), RayDerivatives(*(torch.cat(row) for row in rows))

    def query(
        self, points: torch.Tensor, directions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Density (M,) per field unit and colour (M, 3) of points seen along unit directions."""
        ndc = self.setting.ndc
        network, limit = self.networks.best, self.setting.rendering.points_per_chunk
        wanted = torch.is_grad_enabled() and (points.requires_grad or directions.requires_grad)
        with torch.set_grad_enabled(wanted):
            inputs = points if ndc is None else ndc.points(points)
            raw = query_in_chunks(network, inputs[:, None], directions, limit)[:, 0]
            density, color = torch.relu(raw[:, 3]), torch.sigmoid(raw[:, :3])
            if ndc is not None:  # outside of its frustum the field was never trained
                inside = (points[:, 2] <= -ndc.near) & (inputs.abs() <= 1.0).all(dim=-1)
                stretched = ndc.stretched(points, directions)
                density = torch.where(inside, density * stretched, torch.zeros_like(density))
        return density, color

    def state(self) -> FieldState:
        """Everything that `from_state` needs, as plain arrays and numbers."""
        arrays = _arrays("coarse", self.networks.coarse)
        if self.networks.fine is not None:
            arrays.update(_arrays("fine", self.networks.fine))
        return FieldState(self.kind, self._frame, self.setting.to_metadata(), arrays)

    @classmethod
    def from_state(cls, state: FieldState, device: torch.device | str = "cpu") -> VanillaField:
        """Restore a field; raises InputError listing every missing or misshapen entry."""
        if state.kind != cls.kind:
            raise InputError(f"kind of field: expected {cls.kind!r}, got {state.kind!r}")
        known = ("coarse.", "fine.")
        unknown = [name for name in state.arrays if not name.startswith(known)]
        if unknown:
            raise InputError(f"vanilla field: unknown arrays {', '.join(unknown)}")
        coarse = restored(_parameters(state.arrays, "coarse"), "coarse network")
        finer = _parameters(state.arrays, "fine")
        fine = restored(finer, "fine network") if finer else None
        setting = VanillaSetting.from_metadata(state.metadata)
        return cls(NetworkPair(coarse, fine).to(device=device), setting, state.frame)

    def _graph_rays(self) -> int:
        """How many rays to differentiate at once: a quarter of the points, for their graph."""
        options = self.setting.rendering
        samples = options.n_samples + options.n_importance
        return max(1, options.points_per_chunk // (4 * samples))

    def _chunks(
        self,
        origins: torch.Tensor,
        directions: torch.Tensor,
        near: Bound,
        far: Bound,
        background: torch.Tensor | None,
        n_rays: int,
    ) -> Iterator[_Chunk]:
        """The rays in parts of at most `n_rays`; one empty part if there are none."""
        _check_rays(origins, directions)
        limits = self.setting.limits(
            _per_ray(near, origins, "near"), _per_ray(far, origins, "far")
        )
        behind = self._background(background, origins)
        for start in range(0, max(1, len(origins)), n_rays):
            rows = slice(start, start + n_rays)
            yield self._chunk(
                origins[rows], directions[rows], limits[0][rows], limits[1][rows], behind[rows]
            )

    def _chunk(
        self,
        origins: torch.Tensor,
        directions: torch.Tensor,
        near: torch.Tensor,
        far: torch.Tensor,
        background: torch.Tensor,
    ) -> _Chunk:
        if torch.is_grad_enabled() and not (origins.requires_grad or directions.requires_grad):
            origins, directions = origins.requires_grad_(), directions.requires_grad_()
        ndc, facing, sampled = self.setting.ndc, None, directions
        if ndc is not None:
            facing = directions[:, 2] < -FACING
            forward = torch.tensor([0.0, 0.0, -1.0]).to(directions)
            sampled = torch.where(facing[:, None], directions, forward)
        rays = Rays.through(origins, sampled, near, far, ndc)
        return _Chunk(origins, directions, sampled, rays, facing, background)

    def _background(self, background: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
        if background is None:
            background = like.new_full((3,), float(self.setting.rendering.white_background))
        if background.shape not in ((3,), like.shape):
            raise InputError(
                f"background: expected a colour (3,) or one per ray {tuple(like.shape)}, "
                f"got {tuple(background.shape)}"
            )
        return background.to(like).expand(like.shape)

    def _rendered(self, final: NetworkPass, chunk: _Chunk) -> Rendered:
        composited = final.composited
        if chunk.facing is not None:
            seen = chunk.facing.to(composited.opacity)
            composited = replace(
                composited,
                color=composited.color * seen[:, None],
                opacity=composited.opacity * seen,
            )
        depth = composited.depth(MINIMUM_OPACITY)
        median = final.median_distance()
        if self.setting.ndc is not None:
            depth = self._unnormalised(depth, chunk)
            median = self._unnormalised(median, chunk)
        return Rendered(composited.over(chunk.background), depth, median, composited.opacity)

    def _unnormalised(self, distances: torch.Tensor, chunk: _Chunk) -> torch.Tensor:
        """Distances in field units; NaN where the ray does not look into the frustum.

        The mean in normalised coordinates is one in 1/depth: infinity has no say in it.
        """
        assert self.setting.ndc is not None
        known = ~distances.isnan() if chunk.facing is None else chunk.facing & ~distances.isnan()
        # NaN would spread through the gradient, even where it is not chosen.
        within = torch.where(known, distances, torch.zeros_like(distances)).clamp(max=1.0 - 1e-6)
        found = self.setting.ndc.from_ndc_distance(within, chunk.origins, chunk.sampled)
        return torch.where(known, found, torch.full_like(found, torch.nan))


def _check_rays(origins: torch.Tensor, directions: torch.Tensor) -> None:
    if origins.ndim != 2 or origins.shape[1] != 3 or directions.shape != origins.shape:
        raise InputError(
            f"rays: expected origins and directions (N, 3), got {tuple(origins.shape)} and "
            f"{tuple(directions.shape)}"
        )


def _per_ray(bound: Bound, like: torch.Tensor, name: str) -> torch.Tensor:
    values = torch.as_tensor(bound, dtype=like.dtype, device=like.device)
    if values.ndim and values.shape != like.shape[:1]:
        raise InputError(
            f"{name}: expected one number or one per ray ({len(like)},), got {tuple(values.shape)}"
        )
    return values.expand(like.shape[:1])


def _concatenated(parts: list[Rendered]) -> Rendered:
    return Rendered(
        torch.cat([part.color for part in parts]),
        torch.cat([part.depth for part in parts]),
        torch.cat([part.median_depth for part in parts]),
        torch.cat([part.opacity for part in parts]),
    )


def _detached(rendered: Rendered) -> Rendered:
    return Rendered(
        rendered.color.detach(),
        rendered.depth.detach(),
        rendered.median_depth.detach(),
        rendered.opacity.detach(),
    )


def _jacobians(rendered: Rendered, chunk: _Chunk) -> tuple[torch.Tensor, ...]:
    """Rows of RayDerivatives: rays do not mix, so that one sum over all gives each its own."""
    depth = torch.where(rendered.depth.isnan(), torch.zeros_like(rendered.depth), rendered.depth)
    outputs = [*rendered.color.unbind(-1), depth]
    rays = (chunk.origins, chunk.directions)
    rows = [torch.autograd.grad(output.sum(), rays, retain_graph=True) for output in outputs]
    origin, direction = ([row[side] for row in rows] for side in (0, 1))
    return torch.stack(origin[:3], 1), torch.stack(direction[:3], 1), origin[3], direction[3]


def _arrays(prefix: str, network: torch.nn.Module) -> dict[str, np.ndarray]:
    return {
        f"{prefix}.{name}": value.detach().cpu().numpy().copy()
        for name, value in network.state_dict().items()
    }


def _parameters(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(f"{prefix}."): torch.from_numpy(np.array(value))
        for name, value in arrays.items()
        if name.startswith(f"{prefix}.")
    }
