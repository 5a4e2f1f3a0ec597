"""New views of a scene from where its photographs were taken, for rendering more images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.config import option
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.io.scene import SceneObject
from fast_inerf_ros.scene_building.placed_field import PlacedField

Floats = npt.NDArray[np.float64]

N_NEIGHBOURS = 8
PROBE_WIDTH = 48
LEAST_OPACITY = 0.7
"""Mean opacity below which a view looks out of the part of the field that was photographed."""


@dataclass(frozen=True)
class NovelViewOptions:
    """How views between the photographs are drawn."""

    roll_deg: float = option(8.0, doc="Greatest turn about the optical axis.", unit="deg",
        minimum=0.0, maximum=180.0)  # fmt: skip
    zoom: tuple[float, float] = option(
        (0.85, 1.25), doc="Least and greatest focal length, in that of the photographs.",
        minimum=0.1, maximum=10.0,
    )  # fmt: skip
    object_share: float = option(
        0.7, doc="How often a view turns towards an object.", minimum=0.0, maximum=1.0
    )
    clearance: float = option(
        0.35,
        doc="Nothing may be nearer to the camera than this share of the distance of the objects.",
        minimum=0.0,
        maximum=1.0,
    )
    tries: int = option(20, doc="Views tried until one is clear of obstacles.", minimum=1)


class ViewSampler:
    """Draws views within the hull of some cameras.

    T_world_camera: poses (n,) of the photographs. camera: theirs, without lens distortion.
    """

    def __init__(
        self,
        placed: PlacedField,
        T_world_camera: SE3,
        camera: Camera,
        objects: Sequence[SceneObject],
        options: NovelViewOptions,
    ) -> None:
        self._placed = placed
        self._poses = T_world_camera
        self._camera = camera
        self._objects = tuple(objects)
        self._options = options
        self._centres = np.asarray(T_world_camera.translation, dtype=np.float64)
        self._axes = np.asarray(T_world_camera.rotation.matrix, dtype=np.float64)

    def draw(self, generator: np.random.Generator) -> tuple[Camera, SE3]:
        """A camera and its pose; that of a photograph where no try was clear of obstacles."""
        camera = self._zoomed(float(generator.uniform(*self._options.zoom)))
        first = int(generator.integers(len(self._centres)))
        for _ in range(self._options.tries):
            pose = self._drawn(first, generator)
            if self._clear(pose):
                return camera, pose
            first = int(generator.integers(len(self._centres)))
        return camera, self._poses[first]

    def _zoomed(self, zoom: float) -> Camera:
        camera = self._camera
        return Camera(
            camera.width, camera.height, camera.fx * zoom, camera.fy * zoom, camera.cx, camera.cy
        )

    def _drawn(self, first: int, generator: np.random.Generator) -> SE3:
        """A mixture of neighbouring cameras, which is within their hull, turned elsewhere."""
        order = np.argsort(np.linalg.norm(self._centres - self._centres[first], axis=-1))
        near = generator.permutation(order[1 : 1 + N_NEIGHBOURS])[:3]
        chosen = np.concatenate([[first], near])
        share = generator.dirichlet(np.ones(len(chosen)))
        eye = share @ self._centres[chosen]
        forward = np.einsum("k,ka->a", share, self._axes[chosen, :, 2])
        down = np.einsum("k,ka->a", share, self._axes[chosen, :, 1])
        if generator.random() < self._options.object_share:
            # Not always the middle, nor always as far from where the photographs looked.
            forward = _turned(forward, self._target(generator) - eye, generator.uniform(0.3, 1.0))
        roll = np.radians(generator.uniform(-1.0, 1.0) * self._options.roll_deg)
        return SE3(_facing(forward, down) @ SO3.exp(np.array([0.0, 0.0, roll])), eye)

    def _target(self, generator: np.random.Generator) -> Floats:
        item = self._objects[int(generator.integers(len(self._objects)))]
        jitter = generator.uniform(-1.0, 1.0, 3) * np.asarray(item.extent)
        return np.asarray(item.T_world_object @ (np.asarray(item.box_centre) + jitter))

    def _clear(self, T_world_camera: SE3) -> bool:
        height = max(1, round(PROBE_WIDTH * self._camera.height / self._camera.width))
        seen = self._placed.view(self._camera.resize(PROBE_WIDTH, height), T_world_camera)
        if seen.opacity.mean() < LEAST_OPACITY or not np.isfinite(seen.depth).any():
            return False
        centres = np.array([item.T_world_object @ np.asarray(item.box_centre)
                            for item in self._objects])  # fmt: skip
        distance = np.linalg.norm(centres - np.asarray(T_world_camera.translation), axis=-1).min()
        nearest = float(np.nanpercentile(seen.depth, 1.0))
        return nearest > self._options.clearance * float(distance)


def _turned(vector: Floats, other: Floats, share: float) -> Floats:
    """A direction between two."""
    first, second = (v / np.maximum(np.linalg.norm(v), 1e-12) for v in (vector, other))
    return np.asarray((1 - share) * first + share * second)


def _facing(forward: Floats, down: Floats) -> SO3:
    """Camera axes that look forward, their y axis as near to `down` as can be."""
    z = forward / np.linalg.norm(forward)
    x = np.cross(down, z)
    x /= np.linalg.norm(x)
    return SO3.nearest(np.stack([x, np.cross(z, x), z], axis=1))
