"""``sift``: SIFT features, RootSIFT descriptors.

Lowe, "Distinctive image features from scale-invariant keypoints" (2004); Arandjelovic and
Zisserman, "Three things everyone should know to improve object retrieval" (2012).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.inerf.features.feature import Features, Image

UPSAMPLING_SHIFT = 0.25
"""OpenCV finds features in an image of twice the size and halves their places, which moves them
by a quarter of a pixel: x is the centre of pixel 2 x + 0.5 there."""

CONTRAST = 0.02
"""Half of OpenCV's default: blurred images have too few features otherwise."""


class Sift:
    """SIFT by OpenCV. Square roots of L1-normalised descriptors, in steps of 1/512."""

    name = "sift"
    length = 128

    def extract(self, image: Image, count: int) -> Features:
        """Up to ``count`` features of an image (H, W, 3), RGB, those of most contrast."""
        grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
        sift = cv2.SIFT.create(nfeatures=count, contrastThreshold=CONTRAST)
        found, described = sift.detectAndCompute(grey, None)
        if not found:
            nothing = np.zeros((0, self.length), dtype=np.uint8)
            return Features(np.zeros((0, 2)), np.zeros(0), nothing)
        order = np.argsort([-point.response for point in found], kind="stable")[:count]
        places = np.array([found[index].pt for index in order], dtype=np.float64)
        sizes = np.array([found[index].size for index in order], dtype=np.float64)
        return Features(
            places - UPSAMPLING_SHIFT, sizes, _rooted(described[order].astype(np.float32))
        )


def _rooted(descriptors: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    total = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-9)
    rooted = np.minimum(np.rint(512.0 * np.sqrt(descriptors / total)), 255.0)
    return np.asarray(rooted, dtype=np.uint8)


def make() -> Sift:
    """The extractor."""
    return Sift()
