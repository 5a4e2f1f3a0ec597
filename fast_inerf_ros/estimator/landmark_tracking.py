"""Landmarks that are seen in one image of a stream, followed to the next ones.

Pyramidal Lucas-Kanade (Bouguet, 2001), by OpenCV: a few milliseconds, and pixels may move far.
What does not come back to where it was when it is followed backwards is dropped.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.inerf.landmarks import Matches

Gray = npt.NDArray[np.uint8]

WINDOW = (15, 15)
PYRAMIDS = 4
ASTRAY_PX = 1.0
"""How far from where it was something may be that was followed forwards and backwards."""


class TrackedLandmarks:
    """Landmarks in the newest image of a stream. image: (H, W, 3), where they were matched."""

    def __init__(self, image: npt.NDArray[np.uint8], matches: Matches) -> None:
        self.matches = matches
        self._gray = _gray(image)

    def advance(self, image: npt.NDArray[np.uint8]) -> None:
        """Find them in the next image, of the same size; those that are lost are dropped."""
        gray, before = _gray(image), self.matches.pixels.astype(np.float32)[:, None]
        if gray.shape != self._gray.shape or len(before) == 0:
            self.keep(np.zeros(len(before), dtype=bool))
            return
        after, found = _flow(self._gray, gray, before)
        back, returned = _flow(gray, self._gray, after)
        astray = np.linalg.norm(back - before, axis=-1)[:, 0]
        kept = found & returned & (astray <= ASTRAY_PX)
        self.matches = dataclasses.replace(self.matches, pixels=after[:, 0].astype(np.float64))
        self.keep(kept)
        self._gray = gray

    def keep(self, chosen: npt.NDArray[np.bool_]) -> None:
        """Follow only these from now on."""
        self.matches = self.matches[np.asarray(chosen, dtype=bool)]


def _flow(
    first: Gray, second: Gray, places: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Where places (n, 1, 2) of one image are in another, and which (n,) were found."""
    guess = places.copy()
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        first, second, places, guess, winSize=WINDOW, maxLevel=PYRAMIDS
    )
    return np.asarray(moved, dtype=np.float32), np.asarray(found)[:, 0] > 0


def _gray(image: npt.NDArray[np.uint8]) -> Gray:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
