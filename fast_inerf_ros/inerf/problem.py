"""The question a solver answers: where was this image taken, if it was about here?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
import numpy.typing as npt
import torch

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.anchors import Anchors

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

SMALLEST_CONTRAST = 0.01
"""Standard deviation of colours below which an image shows nothing."""

CLIPPED = (1.5 / 255, 253.5 / 255)
"""Colours at or beyond these are black or saturated: the light is not known there."""

ENOUGH_PIXELS = 4096
"""So many pixels tell whether an image shows anything."""


@lru_cache(maxsize=16)
def pixel_bearings(camera: Camera) -> npt.NDArray[np.float64]:
    """Unit vectors (H, W, 3) of all pixels of a camera, read-only; NaN where it sees nothing."""
    bearings = np.asarray(camera.bearings(camera.pixel_grid()), dtype=np.float64)
    bearings.flags.writeable = False
    return bearings


@lru_cache(maxsize=16)
def _seen(camera: Camera) -> Mask:
    """Pixels (H, W) that the lens sees anything through."""
    return np.asarray(np.isfinite(pixel_bearings(camera)).all(axis=-1))


def image_slopes(image: Floats) -> Floats:
    """Derivatives (H, W, C, 2) of an image (H, W, C) by u and v, in colours per pixel (Scharr)."""
    across = cv2.Scharr(image, cv2.CV_32F, 1, 0, scale=1 / 32)
    down = cv2.Scharr(image, cv2.CV_32F, 0, 1, scale=1 / 32)
    return np.stack([across, down], axis=-1)


@dataclass(frozen=True, eq=False)
class Problem:
    """One image, a radiance field, and about where the camera was.

    image: (H, W, 3) RGB, uint8 or float in [0, 1], as the camera gave it: a lens with distortion
    is part of ``camera``, and pixels are compared along their own bearings. Pixels that are not
    finite are left out.
    T_world_camera: the start, one pose (numpy). mask: (H, W), True where pixels may be used;
    None for all. region: (H, W), what a detector found, for the pixel strategy ``mask_region``.
    near, far: metres along the rays between which the scene lies.
    background: colour (3,) behind the scene, None for the field's own.
    anchors: landmarks that are seen in the image, for the final least squares and to be held out.

    Raises:
        InputError: shapes that do not belong together. Contents never raise: see ``obstacle``.
    """

    image: npt.NDArray[np.uint8] | Floats
    camera: Camera
    field: Field
    T_world_camera: SE3
    mask: Mask | None = None
    region: Mask | None = None
    near: float = 0.0
    far: float = float("inf")
    background: tuple[float, float, float] | None = None
    anchors: Anchors | None = None

    def __post_init__(self) -> None:
        size = (self.camera.height, self.camera.width)
        if self.image.shape != (*size, 3):
            raise InputError(
                f"image: expected shape {(*size, 3)} as the camera says, got {self.image.shape}; "
                "resize the image or the camera"
            )
        for name, mask in (("mask", self.mask), ("region", self.region)):
            if mask is not None and (mask.shape != size or mask.dtype != np.bool_):
                raise InputError(
                    f"{name}: expected bool {size} as the image, got {mask.dtype} {mask.shape}"
                )
        if self.T_world_camera.batch_shape != ():
            raise InputError(
                f"start: expected one pose, got a batch of {self.T_world_camera.batch_shape}"
            )
        if not (np.isfinite(self.near) and 0 <= self.near < self.far):
            raise InputError(f"near, far: expected 0 <= near < far, got {self.near}, {self.far}")

    @cached_property
    def start(self) -> SE3:
        """The start in float64."""
        return self.T_world_camera.to_like(np.zeros(()))

    @cached_property
    def colors(self) -> Floats:
        """The image (H, W, 3) as float32 in [0, 1], 0 where it was not finite."""
        if self.image.dtype == np.uint8:
            return self.image.astype(np.float32) / np.float32(255)
        image = self.image.astype(np.float32)
        return np.clip(np.where(np.isfinite(image), image, np.float32(0)), 0, 1)

    @cached_property
    def bearings(self) -> npt.NDArray[np.float64]:
        """Unit vectors (H, W, 3) of all pixels, NaN where the lens sees nothing."""
        return pixel_bearings(self.camera)

    @cached_property
    def slopes(self) -> Floats:
        """Derivatives (H, W, 3, 2) of the image by u and v, in colours per pixel."""
        return image_slopes(self.colors)

    @cached_property
    def gradient(self) -> Floats:
        """Length (H, W) of the image's gradient, in colours per pixel."""
        slopes = self.slopes.reshape(*self.colors.shape[:2], 6)
        return np.asarray(np.sqrt(np.einsum("hwk,hwk->hw", slopes, slopes)), dtype=np.float32)

    @cached_property
    def usable(self) -> Mask:
        """Pixels (H, W) that are asked for, seen by the lens and finite."""
        seen = _seen(self.camera)
        if self.image.dtype != np.uint8:
            seen = seen & np.isfinite(self.image).all(axis=-1)
        return np.asarray(seen if self.mask is None else seen & self.mask)

    def obstacle(self, minimum_pixels: int) -> str | None:
        """Why no solver can work on this, in one line; None where one can."""
        pose = np.concatenate(
            [np.ravel(self.start.rotation.matrix), np.ravel(self.start.translation)]
        )
        if not np.isfinite(pose).all():
            return "the start pose has NaN or infinity"
        usable = self.usable
        count = int(usable.sum())
        if count < minimum_pixels:
            what = "the mask has no pixels" if count == 0 else f"{count} pixels can be used"
            return f"{what}, at least {minimum_pixels} are needed"
        return self._emptiness(max(1, count // ENOUGH_PIXELS))

    def _emptiness(self, stride: int) -> str | None:
        """Whether the image shows nothing, from every ``stride``-th pixel."""
        colors = self.colors.reshape(-1, 3)[np.flatnonzero(self.usable)[::stride]]
        if float(colors.std(axis=0).max()) < SMALLEST_CONTRAST:
            level = float(colors.mean())
            if level > 0.99:
                return "the image is saturated"
            return "the image is black" if level < 0.01 else "the image is blank"
        low, high = CLIPPED
        if np.mean((colors <= low).all(axis=-1) | (colors >= high).all(axis=-1)) > 0.995:
            return "the image is saturated: all of it is black or white"
        return None

    def background_tensor(self) -> torch.Tensor | None:
        """The background on the device of the field."""
        if self.background is None:
            return None
        return torch.tensor(self.background, dtype=torch.float32, device=self.field.device)
