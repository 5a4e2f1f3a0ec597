"""What a kind of local features offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Features:
    """n places of an image and what they look like, the strongest first.

    pixels: (n, 2), u to the right; (0, 0) is the centre of the first pixel. sizes: (n,), their
    diameters in pixels. descriptors: (n, d), near each other (Euclidean) where places look alike.
    """

    pixels: npt.NDArray[np.float64]
    sizes: npt.NDArray[np.float64]
    descriptors: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.pixels)


class Extractor(Protocol):
    """Finds and describes local features. Files name it by ``name``; see ``registry``."""

    @property
    def name(self) -> str:
        """Name in the registry; descriptors of equal names can be compared."""

    @property
    def length(self) -> int:
        """Numbers in one descriptor."""

    def extract(self, image: Image, count: int) -> Features:
        """Up to ``count`` features of an image (H, W, 3), RGB."""
