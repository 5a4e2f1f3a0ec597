"""Arms and poles laid over rendered images, with depth and masks that follow."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.synthetic.noise import fractal_noise

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Occluder:
    """What stands in front. mask: (H, W). light: (H, W, 3) linear. depth: metres."""

    mask: Mask
    light: Floats
    depth: float


def arm_before(mask: Mask, depth: float, generator: np.random.Generator) -> Occluder:
    """An arm or pole that reaches from outside of the image over a part of an object.

    mask: (H, W) where the object is seen, not empty. depth: its distance, metres.
    """
    rows, columns = np.nonzero(mask)
    pick = int(generator.integers(len(rows)))
    tip = np.array([columns[pick], rows[pick]], dtype=np.float64)
    size = float(np.sqrt(len(rows)))
    width = max(2.0, size * generator.uniform(0.12, 0.45))
    # From below or from the sides, as hands do.
    angle = generator.uniform(np.radians(-20), np.radians(200))
    along = np.array([np.cos(angle), np.sin(angle)])
    shape = _tapered(mask.shape, tip, tip + along * 2.0 * sum(mask.shape), width)
    light = _shaded(shape, tip, along, width, generator)
    return Occluder(shape, light, depth * float(generator.uniform(0.45, 0.8)))


def _tapered(shape: tuple[int, ...], tip: npt.NDArray[np.float64],
             end: npt.NDArray[np.float64], width: float) -> Mask:  # fmt: skip
    """A strip with a round tip that is half as wide again at its end."""
    along = (end - tip) / np.linalg.norm(end - tip)
    side = np.array([-along[1], along[0]]) * width / 2
    outline = np.array([tip - side, tip + side, end + 1.5 * side, end - 1.5 * side])
    drawn: npt.NDArray[np.uint8] = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(drawn, np.round(outline).astype(np.int32), (1,))
    cv2.circle(drawn, np.round(tip).astype(int).tolist(), round(width / 2), (1,), -1)
    return np.asarray(drawn > 0)


def _shaded(
    shape: Mask,
    tip: npt.NDArray[np.float64],
    along: npt.NDArray[np.float64],
    width: float,
    generator: np.random.Generator,
) -> Floats:
    """Colour (H, W, 3) of a round thing lit from one side, with some texture."""
    rows, columns = np.indices(shape.shape, dtype=np.float32)
    across = ((columns - tip[0]) * -along[1] + (rows - tip[1]) * along[0]) / (width / 2)
    bulge = np.sqrt(np.clip(1 - (across / 1.5) ** 2, 0.05, 1)) + 0.25 * across
    texture = 1 + 0.15 * fractal_noise(generator, shape.shape, (8, 8), 4)
    colour = generator.uniform(0.03, 0.8, 3).astype(np.float32)
    light = colour * (np.clip(bulge, 0.1, 1.4) * np.clip(texture, 0.3, 2.0))[..., None]
    return np.asarray(light, dtype=np.float32)
