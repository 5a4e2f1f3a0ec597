"""What a vanilla field needs besides its networks: limits of its rays, NDC, its camera."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from fast_inerf_ros import config
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.vanilla_options import VanillaRendering
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.rendering.ndc import NdcFrustum

NDC_SEEN_SHARE = 0.8
"""Share of the normalised depth that counts as well seen: five times the near distance."""


@dataclass(frozen=True)
class LegacyRays:
    """The camera that nerf-pytorch trained with: rays ((i - W/2)/f, -(j - H/2)/f, -1).

    Such a field is sharpest where it was trained: query it with `camera()`.
    """

    width: int
    height: int
    focal: float

    def __post_init__(self) -> None:
        for name in ("width", "height", "focal"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"legacy_rays {name}: expected a positive number, got {value!r}")

    def camera(self) -> Camera:
        """The same rays in this package's pixels: i - W/2 at integer i means cx = W/2."""
        centre_x, centre_y = self.width / 2, self.height / 2
        return Camera(self.width, self.height, self.focal, self.focal, centre_x, centre_y)

    def corner_length(self) -> float:
        """Length of the longest direction with unit depth: a corner of the image."""
        return math.hypot(self.width / 2, self.height / 2, self.focal) / self.focal


@dataclass(frozen=True)
class VanillaSetting:
    """How a vanilla field is rendered, and where it lies.

    near, far: limits of its rays in field units, where the caller gives none; they are depths
        of the cameras it was trained with. Unused with `ndc`, which reaches to infinity.
    box: corners ((x, y, z), (x, y, z)) of the well-seen part; None derives it from the limits.
    ndc: the frustum of forward-facing scenes, else None.
    legacy_rays: the camera of a nerf-pytorch checkpoint, else None.
    """

    rendering: VanillaRendering = field(default_factory=VanillaRendering)
    near: float = 2.0
    far: float = 6.0
    box: tuple[tuple[float, ...], ...] | None = None
    ndc: NdcFrustum | None = None
    legacy_rays: LegacyRays | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.near < self.far < math.inf):
            raise InputError(
                f"near and far: expected 0 <= near < far, got {self.near!r} and {self.far!r}; "
                "give the depths between which the training cameras saw the scene"
            )
        if self.rendering.linear_in_disparity and self.ndc is None and self.near == 0:
            raise InputError("near: expected > 0 for samples even in 1/distance, got 0; raise it")
        if self.box is not None:
            _check_box(self.box)

    def limits(self, near: torch.Tensor, far: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Limits (N,), with those of the field where `near` is 0 or `far` is infinity."""
        if self.ndc is not None:
            return near, far
        corner = 1.0 if self.legacy_rays is None else self.legacy_rays.corner_length()
        own_near, own_far = (
            torch.full_like(near, self.near),
            torch.full_like(far, self.far * corner),
        )
        return torch.where(near > 0, near, own_near), torch.where(far.isinf(), own_far, far)

    def bounds(self) -> np.ndarray:
        """Corners (2, 3) of the box that holds the well-seen part of the scene."""
        if self.box is not None:
            return np.asarray(self.box, dtype=np.float64)
        if self.ndc is None:  # cameras around the origin, at the middle of their limits
            reach = (self.far - self.near) / 2
            return np.array([[-reach] * 3, [reach] * 3])
        deepest = self.ndc.near / (1 - NDC_SEEN_SHARE)
        scale_x, scale_y = self.ndc.scales()
        side_x, side_y = deepest / scale_x, deepest / scale_y
        return np.array([[-side_x, -side_y, -deepest], [side_x, side_y, -self.ndc.near]])

    def to_metadata(self) -> dict[str, Any]:
        """As JSON-able values; `from_metadata` restores them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> VanillaSetting:
        """Restore a setting; raises InputError naming what is missing, unknown or wrong."""
        values = _checked_keys(cls, metadata, "vanilla field")
        rendering = _mapping(values["rendering"], "rendering")
        box = values["box"]
        return cls(
            rendering=config.build(VanillaRendering, rendering),
            near=_number(values["near"], "near"),
            far=_number(values["far"], "far"),
            box=None if box is None else tuple(tuple(map(float, corner)) for corner in box),
            ndc=_optional(NdcFrustum, values["ndc"], "ndc"),
            legacy_rays=_optional(LegacyRays, values["legacy_rays"], "legacy_rays"),
        )


def _check_box(box: tuple[tuple[float, ...], ...]) -> None:
    corners = np.asarray(box, dtype=np.float64)
    if corners.shape != (2, 3) or not np.isfinite(corners).all():
        raise InputError(f"box: expected two corners of three finite numbers, got {box!r}")
    if not (corners[0] < corners[1]).all():
        raise InputError(f"box: expected the smaller corner first, got {box!r}")


def _mapping(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{what}: expected a mapping, got {value!r}")
    return dict(value)


def _checked_keys(cls: type, value: object, what: str) -> dict[str, Any]:
    known = [item.name for item in dataclasses.fields(cls)]
    values = _mapping(value, what)
    if sorted(values) != sorted(known):
        raise InputError(f"{what}: expected the keys {', '.join(known)}, got {', '.join(values)}")
    return values


def _number(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{what}: expected a number, got {value!r}")
    return float(value)


def _optional(cls: type, value: object, what: str) -> Any:
    if value is None:
        return None
    numbers = _checked_keys(cls, value, what)
    for name, number in numbers.items():
        _number(number, f"{what} {name}")
    return cls(**numbers)
