"""Mip-mapped textures in one array, added once and found by key."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

GAMMA = 2.2
DECODE: Floats = ((np.arange(256) / 255.0) ** GAMMA).astype(np.float32)
_ENCODE: Pixels = np.round(255.0 * (np.arange(4096) / 4095.0) ** (1 / GAMMA)).astype(np.uint8)


@dataclass(frozen=True)
class StoredTexture:
    """Where a texture lies (texels) and its mean linear RGB and fourth channel."""

    index: int
    offset: int
    width: int
    height: int
    levels: int
    mean: Floats


class TextureStore:
    """Textures (H, W, 4) uint8: sRGB and a linear fourth channel, with all their mip levels."""

    def __init__(self) -> None:
        self._texels: Pixels = np.zeros((1 << 20, 4), np.uint8)
        self._used = 0
        self._by_key: dict[str, StoredTexture] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._by_key

    def __getitem__(self, key: str) -> StoredTexture:
        return self._by_key[key]

    @property
    def texels(self) -> Pixels:
        """(N, 4): the array that holds all levels of all textures; reallocated by `add`."""
        return self._texels

    @property
    def entries(self) -> list[StoredTexture]:
        """All textures in the order of their indices."""
        return list(self._by_key.values())

    def add(self, key: str, image: Pixels) -> StoredTexture:
        """Store a texture with its mips unless it is there."""
        if key in self._by_key:
            return self._by_key[key]
        levels = mip_levels(image)
        offset = self._used
        self._reserve(offset + sum(level.shape[0] * level.shape[1] for level in levels))
        for level in levels:
            count = level.shape[0] * level.shape[1]
            self._texels[self._used : self._used + count] = level.reshape(-1, 4)
            self._used += count
        smallest = levels[-1].reshape(4)
        mean = np.append(DECODE[smallest[:3]], smallest[3] / 255.0).astype(np.float32)
        height, width = image.shape[:2]
        entry = StoredTexture(len(self._by_key), offset, width, height, len(levels), mean)
        self._by_key[key] = entry
        return entry

    def _reserve(self, size: int) -> None:
        if size > len(self._texels):
            grown = np.zeros((max(size, 2 * len(self._texels)), 4), np.uint8)
            grown[: self._used] = self._texels[: self._used]
            self._texels = grown


def mip_levels(image: Pixels) -> list[Pixels]:
    """The image and its halvings down to one texel, averaged in linear light."""
    levels = [image]
    linear: Floats = np.empty(image.shape, np.float32)
    linear[..., :3] = DECODE[image[..., :3]]
    linear[..., 3] = image[..., 3] / np.float32(255)
    while linear.shape[0] > 1 or linear.shape[1] > 1:
        size = (max(linear.shape[1] // 2, 1), max(linear.shape[0] // 2, 1))
        linear = np.asarray(cv2.resize(linear, size, interpolation=cv2.INTER_AREA), np.float32)
        level: Pixels = np.empty(linear.shape, np.uint8)
        level[..., :3] = _ENCODE[np.clip(linear[..., :3] * 4095 + 0.5, 0, 4095).astype(np.uint16)]
        level[..., 3] = np.clip(linear[..., 3] * 255 + 0.5, 0, 255).astype(np.uint8)
        levels.append(level)
    return levels
