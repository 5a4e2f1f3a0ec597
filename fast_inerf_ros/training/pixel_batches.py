"""Which pixels train the original NeRF in each step: of one image, or of all in turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.vanilla_options import VanillaTraining

_PIXELS, _EPOCH = 1, 2  # streams of random numbers apart from those of the trainer


@dataclass(frozen=True)
class PixelBatch:
    """Pixels (N,) of one step: number of the image, row and column."""

    images: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


class PixelBatches:
    """Chooses the pixels of every step from the seed and the number of the step alone.

    All images have the same size. With `one_image_per_step` the pixels come from one random
    image, in the first `precrop_steps` from its middle; else every pixel of all images is seen
    once, in random order, before any is seen again.
    """

    def __init__(self, n_images: int, height: int, width: int, options: VanillaTraining) -> None:
        if min(n_images, height, width) < 1:
            raise InputError(
                f"training images: expected at least one with pixels, got {n_images} of "
                f"{width}x{height}; check the data set"
            )
        self._size = (n_images, height, width)
        self._options = options
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)
        if options.one_image_per_step:
            self._check_crop()

    def batch(self, step: int) -> PixelBatch:
        """Pixels of a step, counted from 0."""
        if self._options.one_image_per_step:
            return self._of_one_image(step)
        return self._of_all_images(step)

    def crop(self, step: int) -> tuple[slice, slice]:
        """Rows and columns from which the pixels of a step come.

        Cropped are steps 0 to `precrop_steps` - 2: nerf-pytorch counts from one.
        """
        _, height, width = self._size
        if step + 1 >= self._options.precrop_steps:
            return slice(0, height), slice(0, width)
        fraction = self._options.precrop_fraction
        half_height, half_width = int(height // 2 * fraction), int(width // 2 * fraction)
        return (
            slice(height // 2 - half_height, height // 2 + half_height),
            slice(width // 2 - half_width, width // 2 + half_width),
        )

    def _of_one_image(self, step: int) -> PixelBatch:
        generator = np.random.default_rng((self._options.seed, _PIXELS, step))
        rows, columns = self.crop(step)
        crop_width = columns.stop - columns.start
        image = generator.integers(self._size[0])
        chosen = generator.choice(
            (rows.stop - rows.start) * crop_width, self._options.rays_per_step, replace=False
        )
        row, column = np.divmod(chosen, crop_width)
        images = np.full(len(chosen), image)
        return PixelBatch(images, rows.start + row, columns.start + column)

    def _of_all_images(self, step: int) -> PixelBatch:
        n_pixels, n_rays = int(np.prod(self._size)), self._options.rays_per_step
        epoch, position = divmod(step, -(-n_pixels // n_rays))
        if epoch != self._epoch:
            generator = np.random.default_rng((self._options.seed, _EPOCH, epoch))
            kind = np.int32 if n_pixels < 2**31 else np.int64
            self._order = generator.permutation(np.arange(n_pixels, dtype=kind))
            self._epoch = epoch
        chosen = self._order[position * n_rays : (position + 1) * n_rays]
        return PixelBatch(*np.unravel_index(chosen, self._size))

    def _check_crop(self) -> None:
        rows, columns = self.crop(0)
        available = (rows.stop - rows.start) * (columns.stop - columns.start)
        if available < self._options.rays_per_step:
            raise InputError(
                f"rays_per_step: expected at most the {available} pixels of an image or its "
                f"middle, got {self._options.rays_per_step}; lower it, raise precrop_fraction or "
                "take the rays of a step from all images"
            )
