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
Pixels = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

WINDOW = (15, 15)
PYRAMIDS = 4
FEW_PYRAMIDS = 2
"""Levels above the image: where nothing is known of the motion, and where it was predicted."""

MOST = 160
"""Landmarks that are followed, at most: more cost time and make the pose hardly better."""

MOSTLY = 0.6
"""Share that must be found again where motion was predicted; else nothing is assumed of it."""

ASTRAY_PX = 1.0
"""How far from where it was something may be that was followed forwards and backwards."""


class TrackedLandmarks:
    """Landmarks in the newest image of a stream; of many, some that are evenly chosen.

    image: (H, W, 3), where they were matched.
    """

    def __init__(self, image: npt.NDArray[np.uint8], matches: Matches) -> None:
        self.matches = matches[np.arange(0, len(matches), max(1, -(-len(matches) // MOST)))]
        self._gray = _gray(image)

    def advance(self, image: npt.NDArray[np.uint8], expected: Floats | None = None) -> None:
        """Find them in the next image, of the same size; those that are lost are dropped.

        expected: (k, 2), about where they are; NaN where nobody knows.
        """
        self._advance(_gray(image), expected)

    def advance_to(self, others: TrackedLandmarks, expected: Floats | None = None) -> None:
        """Find them in the image that other landmarks are in."""
        self._advance(others._gray, expected)

    def _advance(self, gray: Gray, expected: Floats | None) -> None:
        before = self.matches.pixels.astype(np.float32)
        if gray.shape != self._gray.shape or len(before) == 0:
            self.keep(np.zeros(len(before), dtype=bool))
            return
        after, kept = self._found(gray, before, expected)
        if expected is not None and np.mean(kept) < MOSTLY:
            after, kept = self._found(gray, before, None)
        self.matches = dataclasses.replace(self.matches, pixels=after.astype(np.float64))
        self.keep(kept)
        self._gray = gray

    def _found(
        self, gray: Gray, before: Pixels, expected: Floats | None
    ) -> tuple[Pixels, npt.NDArray[np.bool_]]:
        """Where places (k, 2) are in the next image, and which of these come back."""
        motion = np.zeros_like(before) if expected is None else expected - before
        motion = np.where(np.isfinite(motion), motion, 0).astype(np.float32)
        levels = PYRAMIDS if expected is None else FEW_PYRAMIDS
        after, found = _flow(self._gray, gray, before, before + motion, levels)
        back, returned = _flow(gray, self._gray, after, after - motion, levels)
        astray = np.linalg.norm(back - before, axis=-1)
        return after, found & returned & (astray <= ASTRAY_PX)

    def keep(self, chosen: npt.NDArray[np.bool_]) -> None:
        """Follow only these from now on."""
        self.matches = self.matches[np.asarray(chosen, dtype=bool)]


def _flow(
    first: Gray, second: Gray, places: Pixels, guess: Pixels, levels: int
) -> tuple[Pixels, npt.NDArray[np.bool_]]:
    """Where places (n, 2) of one image are in another, and which (n,) were found."""
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        first,
        second,
        places[:, None],
        guess[:, None].copy(),
        winSize=WINDOW,
        maxLevel=levels,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(moved, dtype=np.float32)[:, 0], np.asarray(found)[:, 0] > 0


def _gray(image: npt.NDArray[np.uint8]) -> Gray:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
