"""Rays of photographs: every pixel of a set of posed images, looked up by its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import warp as wp

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.rendering import ray_kernels
from fast_inerf_ros.rendering.launch import default_threads, initialise, launch


@dataclass(frozen=True)
class RayBatch:
    """Rays (N, 3) with unit directions, what they saw and what was laid behind it."""

    origins: torch.Tensor
    directions: torch.Tensor
    target: torch.Tensor
    background: torch.Tensor


class RayBank:
    """All pixels of posed images.

    images: uint8 (H, W, 3) or, all of them, (H, W, 4) with straight (not premultiplied) alpha.
    bearings: for each image the unit vectors (H, W, 3) of its pixels in the camera frame; images
    that share an array share its memory.
    T_field_camera: (M, 4, 4).

    Raises InputError where shapes do not agree.
    """

    def __init__(
        self,
        images: Sequence[np.ndarray],
        bearings: Sequence[np.ndarray],
        T_field_camera: np.ndarray,
        device: torch.device | str = "cpu",
        n_threads: int | None = None,
    ) -> None:
        _check(images, bearings, T_field_camera)
        initialise()
        self.device = torch.device(device)
        self.n_threads = n_threads or default_threads(self.device)
        sizes = [image.shape[0] * image.shape[1] for image in images]
        first = np.concatenate([[0], np.cumsum(sizes)])
        shared = list({id(table): table for table in bearings}.values())
        starts = np.cumsum([0] + [table.shape[0] * table.shape[1] for table in shared])
        start_of = {id(table): start for table, start in zip(shared, starts, strict=False)}
        self.image_starts = first
        self._first_pixel = self._tensor(first.astype(np.int64))
        self._first_bearing = self._tensor(
            np.array([start_of[id(table)] for table in bearings], dtype=np.int64)
        )
        flat = [table.reshape(-1, 3).astype(np.float32) for table in shared]
        self._bearings = self._tensor(np.concatenate(flat))
        channels = images[0].shape[2]
        self._pixels = self._tensor(np.concatenate([i.reshape(-1, channels) for i in images]))
        self._poses = self._tensor(np.asarray(T_field_camera, dtype=np.float32))

    def __len__(self) -> int:
        return int(self.image_starts[-1])

    @property
    def has_alpha(self) -> bool:
        """Whether the images have an alpha channel."""
        return int(self._pixels.shape[1]) == 4

    @property
    def pixels(self) -> torch.Tensor:
        """All pixels, uint8 (N, 3 or 4)."""
        return self._pixels

    def gather(self, chosen: torch.Tensor, background: torch.Tensor) -> RayBatch:
        """Rays of the pixels with the given numbers (N,); background (N, 3) lies behind alpha."""
        count = len(chosen)
        origins, directions, target = (torch.empty(count, 3, device=self.device) for _ in range(3))
        arguments = (
            wp.from_torch(chosen),
            wp.from_torch(self._first_pixel),
            wp.from_torch(self._first_bearing),
            wp.from_torch(self._poses, dtype=wp.mat44),
            wp.from_torch(self._bearings, dtype=wp.vec3),
            wp.from_torch(self._pixels),
            wp.from_torch(background, dtype=wp.vec3),
            wp.from_torch(origins, dtype=wp.vec3),
            wp.from_torch(directions, dtype=wp.vec3),
            wp.from_torch(target, dtype=wp.vec3),
        )
        launch(ray_kernels.gather_rays, count, lambda _: arguments, self.device, self.n_threads)
        return RayBatch(origins, directions, target, background)

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(values)).to(self.device)


def _check(
    images: Sequence[np.ndarray], bearings: Sequence[np.ndarray], poses: np.ndarray
) -> None:
    if len(images) == 0:
        raise InputError("training images: expected at least one, got none; check the data set")
    if not (len(images) == len(bearings) == len(poses)) or poses.shape[1:] != (4, 4):
        raise InputError(
            f"training images: expected one bearing table and one 4x4 pose for each of "
            f"{len(images)}, got {len(bearings)} and {poses.shape}"
        )
    if not np.all(np.isfinite(poses)):
        raise InputError(
            "camera poses: expected finite numbers, got NaN or infinity; fix the data"
        )
    for image, table in zip(images, bearings, strict=True):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4):
            raise InputError(
                f"image: expected uint8 (H, W, 3 or 4), got {image.dtype} {image.shape}"
            )
        if image.shape[2] != images[0].shape[2]:
            raise InputError("images: expected all with or all without alpha, got both")
        if table.shape != (*image.shape[:2], 3):
            raise InputError(
                f"bearings: expected {(*image.shape[:2], 3)} as their image, got {table.shape}"
            )
