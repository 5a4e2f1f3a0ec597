"""Band-limited procedural noise: the raw material of every texture of the tabletop."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]


def lattice_noise(
    generator: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int]
) -> Image:
    """Smooth noise of one band: random values on a lattice, cubic in between, periodic.

    shape: (height, width) in pixels. cells: lattice points down and across; the band is limited
    to about half a cycle a cell. Returns (height, width), zero mean, unit deviation.
    """
    height, width = shape
    rows, columns = min(cells[0], height), min(cells[1], width)
    pad = 2
    lattice = generator.standard_normal((rows, columns), dtype=np.float32)
    wrapped = np.pad(lattice, pad, mode="wrap")
    scale_y, scale_x = rows / height, columns / width
    transform = np.array(
        [[scale_x, 0, pad + 0.5 * scale_x - 0.5], [0, scale_y, pad + 0.5 * scale_y - 0.5]]
    )
    noise = cv2.warpAffine(
        wrapped,
        transform,
        (width, height),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return normalised(np.asarray(noise, dtype=np.float32))


def fractal_noise(
    generator: np.random.Generator,
    shape: tuple[int, int],
    cells: tuple[int, int],
    octaves: int,
    gain: float = 0.5,
) -> Image:
    """Fractional Brownian motion: octaves of lattice noise, each `gain` as strong as the last.

    Octaves beyond one cell per two pixels are left out (band limit). Returns (height, width),
    zero mean, unit deviation.
    """
    total = np.zeros(shape, dtype=np.float32)
    amplitude = 1.0
    for octave in range(octaves):
        count = (cells[0] << octave, cells[1] << octave)
        if octave > 0 and (count[0] > shape[0] // 2 and count[1] > shape[1] // 2):
            break
        total += np.float32(amplitude) * lattice_noise(generator, shape, count)
        amplitude *= gain
    return normalised(total)


def displaced(image: Image, shift_x: Image, shift_y: Image) -> Image:
    """Look an image up at displaced positions (pixels), wrapping around: domain warping."""
    height, width = image.shape[:2]
    grid_y, grid_x = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.asarray(
        cv2.remap(
            image, grid_x + shift_x, grid_y + shift_y, cv2.INTER_LINEAR, None, cv2.BORDER_WRAP
        ),
        dtype=np.float32,
    )


def normalised(values: Image) -> Image:
    """Shift and scale to zero mean and unit deviation."""
    deviation = float(values.std())
    return np.asarray((values - values.mean()) / max(deviation, 1e-6), dtype=np.float32)


def smoothstep(low: float, high: float, values: Image) -> Image:
    """Cubic step from 0 at `low` to 1 at `high` (`low` > `high` gives a falling step)."""
    position = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(position * position * (3.0 - 2.0 * position), dtype=np.float32)


def mix(first: npt.ArrayLike, second: npt.ArrayLike, weight: Image) -> Image:
    """Blend two colours or images with a (height, width) weight of the second."""
    share = weight[..., None]
    return np.asarray(
        np.asarray(first, dtype=np.float32) * (1 - share)
        + np.asarray(second, dtype=np.float32) * share,
        dtype=np.float32,
    )
