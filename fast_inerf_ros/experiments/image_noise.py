"""What is done to an observed image before its camera is asked for: brightness and noise.

The noise models are those of `skimage.util.random_noise`, as in the seed project.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.config import option

Floats = npt.NDArray[np.float32]

LEVELS = 256
"""Of an 8-bit image: what Poisson noise counts."""


@dataclass(frozen=True)
class ImageNoise:
    """How an observed image is spoilt."""

    kind: Literal["none", "gaussian", "s_and_p", "salt", "pepper", "poisson"] = option(
        "none",
        doc="gaussian: of deviation sigma. salt, pepper, s_and_p: a share of the values becomes "
        "1, 0, or either. poisson: the noise of counted light.",
    )
    sigma: float = option(0.01, doc="Standard deviation of gaussian noise.", minimum=0.0)
    amount: float = option(
        0.05, doc="Share of the values with salt or pepper.", minimum=0.0, maximum=1.0
    )
    brightness: float = option(
        0.0, doc="Added to the value (HSV) of every pixel.", minimum=-1.0, maximum=1.0
    )


def spoilt(image: Floats, noise: ImageNoise, generator: np.random.Generator) -> Floats:
    """The image (H, W, 3) in [0, 1], brighter or darker, then with noise; clipped to [0, 1]."""
    changed = brightened(image, noise.brightness)
    if noise.kind == "gaussian":
        changed = changed + generator.normal(0.0, noise.sigma, image.shape).astype(np.float32)
    elif noise.kind == "poisson":
        counts = generator.poisson(changed.astype(np.float64) * LEVELS)
        changed = counts.astype(np.float32) / np.float32(LEVELS)
    elif noise.kind != "none":
        share = {"salt": 1.0, "pepper": 0.0, "s_and_p": 0.5}[noise.kind]
        hit = generator.random(image.shape) < noise.amount
        salt = generator.random(image.shape) < share
        changed = np.where(hit, salt.astype(np.float32), changed)
    return np.clip(changed, 0.0, 1.0)


def brightened(image: Floats, change: float) -> Floats:
    """The image with ``change`` added to the value of its HSV colours, within [0, 1]."""
    if change == 0.0:
        return image
    hsv = np.asarray(cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2HSV))
    hsv[..., 2] = np.clip(hsv[..., 2] + np.float32(change), 0.0, 1.0)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))
