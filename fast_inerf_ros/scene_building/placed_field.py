"""A radiance field where its scene file says that it lies: everything in world coordinates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.checkpoint import load_field, load_state
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.fields.voxel import VoxelField
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.similarity import Similarity
from fast_inerf_ros.io.scene import FieldReference, Scene
from fast_inerf_ros.training.views import RAYS_AT_ONCE, View, ray_limits, render_view

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PlacedField:
    """A field in the world of a scene; the checkpoint's own place does not count.

    world_from_field: p_world = world_from_field @ p_field.
    """

    field: Field
    world_from_field: Similarity

    @staticmethod
    def of_scene(scene: Scene, device: torch.device | str = "cpu") -> PlacedField:
        """Load the field of a scene; InputError where it has none."""
        if scene.field is None:
            raise InputError("field: expected a scene with a trained field, got none: train one")
        return PlacedField(
            load_field(scene.resolve(scene.field.checkpoint), device),
            Similarity(scene.field.T_world_field, scene.field.metres_per_unit),
        )

    @property
    def softness(self) -> float:
        """How far in metres surfaces may be from their place: half a voxel; 0 without voxels."""
        if not isinstance(self.field, VoxelField):
            return 0.0
        domain = self.field.grid.domain
        return float(0.5 * self.world_from_field.scale * (domain.unit / domain.scale).max())

    def view(self, camera: Camera, T_world_camera: SE3) -> View:
        """Image of a camera; depth in metres."""
        pose = self.world_from_field.pose_to_source(T_world_camera)
        seen = render_view(self.field, camera, pose)
        return replace(seen, depth=seen.depth * np.float32(self.world_from_field.scale))

    def opacity(
        self, origins: Floats, directions: Floats, near: Floats, far: Floats
    ) -> npt.NDArray[np.float32]:
        """Share of light (N,) that is absorbed between two distances (N,) along rays (N, 3)."""
        return self._traced(origins, directions, near, far)[0]

    def surfaces(
        self, origins: Floats, directions: Floats, near: Floats, far: Floats
    ) -> npt.NDArray[np.float32]:
        """Distances (N,) in metres where half of the light is absorbed; NaN where it is not."""
        return self._traced(origins, directions, near, far)[1]

    def _traced(
        self, origins: Floats, directions: Floats, near: Floats, far: Floats
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Opacity and median distance of rays in the world, in chunks."""
        back, scale = self.world_from_field.inverse(), self.world_from_field.scale
        rays = (
            back @ np.broadcast_to(origins, directions.shape),
            back.transform.rotation @ directions,
        )
        columns = [self._tensor(values) for values in (*rays, near / scale, far / scale)]
        parts = [self._chunk(*chunk) for chunk in zip(*_split(columns), strict=True)]
        if not parts:
            return np.zeros(0, np.float32), np.zeros(0, np.float32)
        opacity, distance = (np.concatenate(part) for part in zip(*parts, strict=True))
        return opacity, distance * np.float32(scale)

    def _chunk(
        self,
        origins: torch.Tensor,
        directions: torch.Tensor,
        near: torch.Tensor,
        far: torch.Tensor,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        ones = torch.ones_like(near)
        first, last = (ones * limit for limit in ray_limits(self.field, ones))
        near, far = (value.clamp(first, last) for value in (near, far))
        with torch.no_grad():
            seen = self.field.render(origins, directions, near, far)
        return seen.opacity.cpu().numpy(), seen.median_depth.cpu().numpy()

    def _tensor(self, values: npt.ArrayLike) -> torch.Tensor:
        array = np.ascontiguousarray(values, dtype=np.float32)
        return torch.from_numpy(array).to(self.field.device)


def _split(columns: list[torch.Tensor]) -> list[tuple[torch.Tensor, ...]]:
    return [torch.split(column, RAYS_AT_ONCE) for column in columns if len(column)]


def with_field(scene: Scene, checkpoint: str | PathLike[str]) -> Scene:
    """The scene with another field, which lies where its checkpoint says."""
    frame = load_state(checkpoint).frame
    path = str(Path(checkpoint).resolve())
    reference = FieldReference(path, frame.metres_per_unit, frame.T_world_field)
    return replace(scene, field=reference)


def in_world_of(scene: Scene, posed: PosedImages) -> PosedImages:
    """The photographs in the world of a scene whose field was trained on them."""
    if scene.field is None:
        return posed
    world_from_field = Similarity(scene.field.T_world_field, scene.field.metres_per_unit)
    own = Similarity(posed.frame.T_world_field, posed.frame.metres_per_unit)
    return posed.in_world(world_from_field @ own.inverse(), metric=scene.metric)
