"""Exposure: the image is gain * rendered + bias, one gain and one bias for all channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Kind = Literal["none", "gain", "affine"]

GAINS = (0.05, 20.0)
"""Beyond these an exposure is no explanation any more."""


@dataclass(frozen=True)
class Brightness:
    """How rendered colours become those of the image."""

    gain: float = 1.0
    bias: float = 0.0

    def apply(self, rendered: Floats) -> Floats:
        """Colours (...) as the image would show them."""
        gain, bias = np.float32(self.gain), np.float32(self.bias)
        return np.asarray(rendered * gain + bias)


@dataclass(frozen=True)
class BrightnessModel:
    """Which of gain and bias are free."""

    kind: Kind

    @property
    def n_parameters(self) -> int:
        """How many parameters are free."""
        return {"none": 0, "gain": 1, "affine": 2}[self.kind]

    def columns(self, predicted: Floats) -> Floats:
        """Jacobian (N, C, n_parameters) of residuals image - (gain * predicted + bias)."""
        gain = -predicted[..., None]
        if self.kind == "none":
            return gain[..., :0]
        if self.kind == "gain":
            return np.asarray(gain)
        return np.concatenate([gain, np.full_like(gain, -1.0)], axis=-1)

    def moved(self, brightness: Brightness, step: npt.NDArray[np.float64]) -> Brightness:
        """Brightness after a step of the free parameters, the gain kept possible."""
        if self.kind == "none":
            return brightness
        gain = float(np.clip(brightness.gain + step[0], *GAINS))
        bias = brightness.bias + (float(step[1]) if self.kind == "affine" else 0.0)
        return Brightness(gain, float(np.clip(bias, -1.0, 1.0)))

    def fit(self, image: Floats, rendered: Floats, n_rounds: int = 3) -> Brightness:
        """Gain and bias of pixels (N, C), by least squares without the worst pixels."""
        if self.kind == "none" or len(image) < 2:
            return Brightness()
        kept = np.ones(len(image), dtype=bool)
        found = Brightness()
        for _ in range(n_rounds):
            found = self._least_squares(image[kept], rendered[kept])
            error = np.abs(image - found.apply(rendered)).max(axis=-1)
            kept = error <= 3.0 * np.median(error) + 1e-6
        return found

    def _least_squares(self, image: Floats, rendered: Floats) -> Brightness:
        if self.kind == "gain":
            power = float(np.mean(rendered * rendered))
            gain = float(np.mean(image * rendered)) / max(power, 1e-12)
            return Brightness(float(np.clip(gain, *GAINS)), 0.0)
        centred = rendered - rendered.mean()
        variance = float(np.mean(centred * centred))
        covariance = float(np.mean(centred * image))
        if variance < 1e-8 or covariance <= 0:
            return Brightness(1.0, float(np.clip(image.mean() - rendered.mean(), -1, 1)))
        gain = float(np.clip(covariance / variance, *GAINS))
        return Brightness(gain, float(np.clip(image.mean() - gain * rendered.mean(), -1.0, 1.0)))
