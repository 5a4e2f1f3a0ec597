"""Whole images of a field, as a camera in it sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fast_inerf_ros.fields.field import Bound, Field
from fast_inerf_ros.fields.vanilla import VanillaField
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3

Floats = NDArray[np.float32]

RAYS_AT_ONCE = 1 << 16


@dataclass(frozen=True, eq=False)
class View:
    """An image of a field.

    color: (h, w, 3) in [0, 1]. depth: (h, w) along the optical axis in field units, NaN where
    there is nothing. opacity: (h, w) in [0, 1].
    """

    color: Floats
    depth: Floats
    opacity: Floats

    @property
    def disparity(self) -> Floats:
        """1 / depth (h, w), 0 where there is nothing."""
        known = np.isfinite(self.depth) & (self.depth > 0)
        return np.divide(1.0, self.depth, out=np.zeros_like(self.depth), where=known)


def render_view(field: Field, camera: Camera, T_field_camera: SE3) -> View:
    """Render the image of a camera; lens distortion included, black where a lens sees nothing."""
    bearings = np.asarray(camera.bearings(camera.pixel_grid()), dtype=np.float64).reshape(-1, 3)
    seen = np.isfinite(bearings).all(axis=-1)
    bearings[~seen] = (0.0, 0.0, 1.0)
    rotation = np.asarray(T_field_camera.rotation.matrix, dtype=np.float64)
    directions = _tensor(bearings @ rotation.T, field)
    origins = _tensor(T_field_camera.translation, field).expand(len(directions), 3).contiguous()
    forward = _tensor(bearings[:, 2], field)
    parts = [
        _rendered(field, origins[rows], directions[rows], forward[rows])
        for rows in _slices(len(directions), RAYS_AT_ONCE)
    ]
    color, depth, opacity = (np.concatenate(rows) for rows in zip(*parts, strict=True))
    color[~seen], depth[~seen], opacity[~seen] = 0.0, np.nan, 0.0
    shape = (camera.height, camera.width)
    return View(color.reshape(*shape, 3), depth.reshape(shape), opacity.reshape(shape))


def _rendered(
    field: Field, origins: torch.Tensor, directions: torch.Tensor, forward: torch.Tensor
) -> tuple[Floats, Floats, Floats]:
    """Colour, depth along the optical axis and opacity of rays; forward: cosine to that axis."""
    with torch.no_grad():
        seen = field.render(origins, directions, *ray_limits(field, forward))
    depth = seen.depth * forward
    return _array(seen.color.clamp(0.0, 1.0)), _array(depth), _array(seen.opacity)


def ray_limits(field: Field, forward: torch.Tensor) -> tuple[Bound, Bound]:
    """Near and far limits of rays in a field; forward: their cosines (N,) to the optical axis."""
    if isinstance(field, VanillaField) and field.setting.ndc is None:
        # Its limits are depths, as in its training; those of the field itself are distances.
        return field.setting.near / forward, field.setting.far / forward
    return 0.0, float("inf")


def _slices(count: int, size: int) -> list[slice]:
    return [slice(first, first + size) for first in range(0, count, size)]


def _tensor(values: object, field: Field) -> torch.Tensor:
    return torch.as_tensor(np.asarray(values, dtype=np.float32)).to(field.device)


def _array(values: torch.Tensor) -> Floats:
    return np.asarray(values.cpu().numpy(), dtype=np.float32)
