"""A radiance field of solid, textured boxes with exact colours, depths and ray derivatives."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from fast_inerf_ros.fields.field import RayDerivatives, Rendered
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3

ROOM = ((-2.0, -2.0, 0.0), (2.0, 2.0, 2.5))
BOXES = (
    ((-0.5, -0.3, 0.0), (-0.1, 0.2, 0.5)),
    ((0.1, 0.1, 0.0), (0.5, 0.6, 0.3)),
    ((0.15, -0.6, 0.0), (0.4, -0.3, 0.7)),
)
N_WAVES = 8


@dataclass(frozen=True, eq=False)
class AnalyticField:
    """Boxes, in a room unless ``room`` is False; colours are sums of plane waves on surfaces.

    frequency: the highest of the waves, radians per field unit.
    """

    room: bool = True
    frame: FieldFrame = field(default_factory=lambda: FieldFrame(metric=True))
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)
    boxes: tuple = BOXES
    frequency: float = 25.0

    kind = "analytic"
    device = torch.device("cpu")
    bounds = torch.tensor(ROOM)

    def _solids(self):
        return (ROOM, *self.boxes) if self.room else self.boxes

    def _hits(self, origins, directions):
        """Distance (N,), solid (N,), axis of the face (N,), whether anything was hit (N,)."""
        inverse = 1.0 / torch.where(directions.abs() < 1e-12, 1e-12, directions)
        nearest = torch.full(origins.shape[:1], torch.inf, dtype=origins.dtype)
        solid = torch.zeros(origins.shape[:1], dtype=torch.long)
        axis = torch.zeros_like(solid)
        for number, (low, high) in enumerate(self._solids()):
            a = (torch.tensor(low, dtype=origins.dtype) - origins) * inverse
            b = (torch.tensor(high, dtype=origins.dtype) - origins) * inverse
            enter, enter_axis = torch.minimum(a, b).max(dim=-1)
            leave, leave_axis = torch.maximum(a, b).min(dim=-1)
            inside_out = self.room and number == 0
            t, face = (leave, leave_axis) if inside_out else (enter, enter_axis)
            # Inside of a box everything is as near as can be.
            stuck = (enter <= 0) & (leave > 0) & (not inside_out)
            t = torch.where(stuck, 1e-3, t)
            hit = (enter <= leave) & (t > 0) & (t < nearest)
            nearest = torch.where(hit, t, nearest)
            solid, axis = torch.where(hit, number, solid), torch.where(hit, face, axis)
        return nearest, solid, axis, torch.isfinite(nearest)

    def _colors(self, points, solid):
        """Colours (N, 3) and their gradients (N, 3, 3) by the points."""
        generator = np.random.default_rng(7)
        n_solids = len(BOXES) + 1
        waves = generator.normal(size=(3, N_WAVES, 3))
        waves /= np.linalg.norm(waves, axis=-1, keepdims=True)
        waves *= generator.uniform(0.15, 1.0, (3, N_WAVES, 1)) * self.frequency
        phases = torch.tensor(generator.uniform(0, 6.28, (n_solids, 3, N_WAVES)))
        waves = torch.tensor(waves, dtype=points.dtype)
        angle = torch.einsum("ckd,nd->nck", waves, points) + phases[solid].to(points.dtype)
        size = 0.4 / np.sqrt(N_WAVES)
        color = 0.5 + size * torch.sin(angle).sum(-1)
        gradient = size * torch.einsum("nck,ckd->ncd", torch.cos(angle), waves)
        return color.clamp(0, 1), gradient * ((color > 0) & (color < 1))[..., None]

    def _trace(self, origins, directions, background):
        behind = torch.tensor(self.background) if background is None else background
        t, solid, axis, hit = self._hits(origins.double(), directions.double())
        safe = torch.where(hit, t, 1.0)
        points = origins + safe[:, None] * directions
        color, gradient = self._colors(points.double(), solid)
        color = torch.where(hit[:, None], color, behind.double())
        nothing = torch.full_like(t, torch.nan)
        depth = torch.where(hit, t, nothing).float()
        rendered = Rendered(color.float(), depth, depth.clone(), hit.float())
        return rendered, gradient * hit[:, None, None], safe, axis, hit

    def render(self, origins, directions, near=0.0, far=float("inf"), *, background=None):
        """As `Field.render`; a ray that starts in a solid meets it at once."""
        start = torch.as_tensor(near, dtype=origins.dtype).expand(len(origins))
        seen = self._trace(origins + start[:, None] * directions, directions, background)[0]
        depth = seen.depth + start
        hit = depth <= torch.as_tensor(far)
        behind = torch.tensor(self.background) if background is None else background
        nothing = torch.where(hit, depth, torch.nan)
        color = torch.where(hit[:, None], seen.color, behind.float())
        return Rendered(color, nothing, nothing.clone(), hit.float())

    def render_with_ray_derivatives(
        self, origins, directions, near=0.0, far=float("inf"), *, background=None
    ):
        rendered, gradient, t, axis, hit = self._trace(origins, directions, background)
        normal = torch.eye(3, dtype=torch.float64)[axis]
        across = (normal * directions).sum(-1, keepdim=True)
        # t moves by -n/(n d) with the origin and by -t n/(n d) with the direction.
        by_origin = -normal / torch.where(across.abs() < 1e-9, 1.0, across)
        by_origin = by_origin * hit[:, None]
        along = (gradient @ directions.double()[..., None])[..., 0]
        color_origin = gradient + along[..., None] * by_origin[:, None, :]
        derivatives = (
            color_origin,
            color_origin * t[:, None, None],
            by_origin,
            by_origin * t[:, None],
        )
        return rendered, RayDerivatives(*(d.float() for d in derivatives))


def camera_at(eye, target=(0.0, 0.0, 0.2)) -> SE3:
    """T_world_camera that looks from eye at target, world z up."""
    eye, target = np.asarray(eye, dtype=float), np.asarray(target, dtype=float)
    z = (target - eye) / np.linalg.norm(target - eye)
    x = np.cross(z, (0.0, 0.0, 1.0))
    x /= np.linalg.norm(x)
    return SE3(SO3.nearest(np.stack([x, np.cross(z, x), z], axis=1)), eye)


def small_camera(width=160, height=120, **lens) -> Camera:
    return Camera(width, height, width * 0.9, width * 0.9, width / 2 - 0.5, height / 2, **lens)


def photograph(scene, camera, T_world_camera, supersample=2) -> np.ndarray:
    """Image (H, W, 3) in [0, 1], each pixel the mean over a grid of rays."""
    from fast_inerf_ros.fields.field import render_world

    total = np.zeros((camera.height, camera.width, 3))
    offsets = (np.arange(supersample) + 0.5) / supersample - 0.5
    rotation = np.asarray(T_world_camera.rotation.matrix)
    origin = torch.tensor(np.asarray(T_world_camera.translation), dtype=torch.float32)
    for du in offsets:
        for dv in offsets:
            bearings = camera.bearings(camera.pixel_grid() + np.array([du, dv]))
            flat = np.nan_to_num(bearings.reshape(-1, 3) @ rotation.T, nan=0.577)
            rays = torch.tensor(flat, dtype=torch.float32)
            seen = render_world(scene, origin.expand(len(rays), 3), rays)
            total += seen.color.numpy().reshape(total.shape)
    return (total / supersample**2).astype(np.float32)


def disturbed(T_world_camera, angle_deg, distance, generator, pivot=(0.0, 0.0, 0.2)) -> SE3:
    """The camera turned about a point by an angle, and moved by a distance."""
    axis, shift = generator.standard_normal((2, 3))
    turn = SO3.exp(axis / np.linalg.norm(axis) * np.radians(angle_deg))
    pivot = np.asarray(pivot)
    shift = shift / np.linalg.norm(shift) * distance
    return SE3(turn, pivot - turn @ pivot + shift) @ T_world_camera
