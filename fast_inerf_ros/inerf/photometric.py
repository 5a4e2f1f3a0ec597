"""Exact photometric residuals: pixels of the image against the field along their own rays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from fast_inerf_ros.fields.field import Rendered, render_world, render_world_with_ray_derivatives
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.problem import Problem

Floats = npt.NDArray[np.float32]

SEEN = 0.5
"""Opacity from which a ray is said to meet the scene."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Pixels of an image.

    bearings: (N, 3), unit, in the camera frame. colors: (N, 3). slopes: (N, 3, 2), derivatives
    of the colours by u and v.
    """

    bearings: npt.NDArray[np.float64]
    colors: Floats
    slopes: Floats

    def __len__(self) -> int:
        return len(self.colors)

    def __getitem__(self, index: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Samples:
        return Samples(self.bearings[index], self.colors[index], self.slopes[index])


@dataclass(frozen=True, eq=False)
class View:
    """What the field shows along the rays of samples.

    color: (N, 3). depth: (N,), median distance along the ray in metres, NaN where less than half
    of the light is absorbed. opacity: (N,).
    """

    color: Floats
    depth: Floats
    opacity: Floats


@dataclass(frozen=True, eq=False)
class Linearised:
    """Colours (N, 3) along rays and their Jacobian (N, 3, 6) by the twist of the camera."""

    color: Floats
    jacobian: Floats
    opacity: Floats


def samples_at(problem: Problem, pixels: npt.NDArray[np.int64]) -> Samples:
    """Samples of pixels (N, 2), columns u and v."""
    u, v = pixels[:, 0], pixels[:, 1]
    return Samples(problem.bearings[v, u], problem.colors[v, u], problem.slopes[v, u])


def render(problem: Problem, T_world_camera: SE3, bearings: npt.NDArray[np.float64]) -> View:
    """Render the rays of bearings (N, 3)."""
    origins, directions = _rays(problem, T_world_camera, bearings)
    seen = render_world(
        problem.field,
        origins,
        directions,
        problem.near,
        problem.far,
        background=problem.background_tensor(),
    )
    return View(_numpy(seen.color), _numpy(seen.median_depth), _numpy(seen.opacity))


def linearise(
    problem: Problem, T_world_camera: SE3, bearings: npt.NDArray[np.float64]
) -> Linearised:
    """Render the rays of bearings (N, 3), and how colours change as the camera moves.

    With ``T_world_camera @ SE3.exp(x)``, x = (ρ, φ), a ray has the origin t + R ρ and the
    direction R (b + φ x b): a row c of the Jacobian by origin or direction gives cᵀR by ρ and
    b x (cᵀR) by φ.
    """
    origins, directions = _rays(problem, T_world_camera, bearings)
    seen, derivatives = render_world_with_ray_derivatives(
        problem.field,
        origins,
        directions,
        problem.near,
        problem.far,
        background=problem.background_tensor(),
    )
    like = origins
    rotation = T_world_camera.rotation.to_like(like).matrix
    local = torch.from_numpy(bearings.astype(np.float32)).to(like.device)
    by_translation = derivatives.color_origin @ rotation
    by_direction = derivatives.color_direction @ rotation
    by_rotation = torch.linalg.cross(local[:, None, :].expand_as(by_direction), by_direction)
    jacobian = torch.cat([by_translation, by_rotation], dim=-1)
    return Linearised(_numpy(seen.color), _numpy(jacobian), _numpy(seen.opacity))


def linearise_by_image(
    problem: Problem, T_world_camera: SE3, samples: Samples, gain: float
) -> Linearised:
    """Render samples, with a Jacobian from the slopes of the image and the depth of the field.

    With the camera at ``T_world_camera @ SE3.exp(x)`` the colours of one pixel are those that
    were seen at u + F x, F the flow of its point: where image and rendering nearly agree,
    the slope is that of the image. A point-sampled rendering is rougher than an image, so its
    own slopes are too large and make steps too short.
    """
    view = render(problem, T_world_camera, samples.bearings)
    seen = np.isfinite(view.depth) & (view.depth > 0)
    depth = np.where(seen, view.depth, 1.0)
    flow = pixel_flow(problem.camera, samples.bearings * depth[:, None])
    slopes = samples.slopes / np.float32(gain)
    jacobian = np.matmul(np.where(seen[:, None, None], slopes, np.float32(0)), flow)
    return Linearised(view.color, jacobian, view.opacity)


def pixel_flow(camera: Camera, points: npt.NDArray[np.float64]) -> Floats:
    """Motion (N, 2, 6) of the pixels of points (N, 3) moved by ρ + φ x p; 0 out of view.

    A row d of the projection's Jacobian gives d by ρ and p x d by φ.
    """
    if len(points) == 0:
        return np.zeros((0, 2, 6), dtype=np.float32)
    _, jacobian = camera.project_with_jacobian(points)
    flow = np.empty((len(points), 2, 6), dtype=np.float32)
    flow[..., :3] = jacobian
    x, y, z = points.T[..., None]
    by_x, by_y, by_z = np.moveaxis(jacobian, -1, 0)
    flow[..., 3] = y * by_z - z * by_y
    flow[..., 4] = z * by_x - x * by_z
    flow[..., 5] = x * by_y - y * by_x
    return np.where(np.isfinite(flow), flow, np.float32(0))


def coverage(seen: View | Linearised | Rendered) -> float:
    """Share of the rays that meet the scene."""
    opacity = np.asarray(seen.opacity)
    return float(np.mean(opacity >= SEEN)) if opacity.size else 0.0


def _rays(
    problem: Problem, T_world_camera: SE3, bearings: npt.NDArray[np.float64]
) -> tuple[torch.Tensor, torch.Tensor]:
    """World rays as the field takes them: origins and unit directions (N, 3), float32."""
    rotation = np.asarray(T_world_camera.rotation.matrix)
    directions = (bearings @ rotation.T).astype(np.float32)
    origin = np.asarray(T_world_camera.translation, dtype=np.float32)
    device = problem.field.device
    origins = torch.from_numpy(origin).to(device).expand(len(directions), 3)
    return origins, torch.from_numpy(directions).to(device)


def _numpy(values: torch.Tensor) -> Floats:
    return np.asarray(values.detach().cpu().numpy(), dtype=np.float32)
