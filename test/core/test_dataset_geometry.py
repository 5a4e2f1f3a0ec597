"""Loaded cameras and poses against the photographs themselves: matched features must agree.

A feature seen in two images lies on the epipolar line of its match. Wrong axes throw it tens of
pixels off. A principal point that is half a pixel off moves it by a tenth of that only, so that
it shows in the best-fitting principal point of thousands of matches and not in their median. A
change of k1 is fitted beside it: LLFF files leave out the radial distortion that COLMAP
estimated, and without it the fit would shift the principal point of fern instead.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.optimize import least_squares

from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3, SO3

# Name: factor, smallest and largest angle between the views of a pair in degrees, pairs.
SETS = {
    "fox": (3, 3.0, 35.0, 50),
    "fern": (0, 0.0, 25.0, 190),
    "lego_400": (0, 3.0, 22.0, 50),
}
FLIPS = [(-1.0, -1.0, 1.0), (-1.0, 1.0, -1.0), (1.0, -1.0, -1.0)]

Match = tuple[int, int, np.ndarray, np.ndarray]  # two images, pixels (n, 2) in each


@dataclasses.dataclass(frozen=True)
class Matched:
    """A data set and matches between its images that know nothing of its poses."""

    posed: PosedImages
    matches: list[Match]

    def errors(self, cameras: tuple[Camera, ...], T_world_camera: SE3) -> np.ndarray:
        """Distances (n, 2), in pixels, from the epipolar lines in both images of each pair."""
        return np.concatenate(
            [
                epipolar_distances(cameras[i], cameras[j], T_world_camera[[i, j]], a, b)
                for i, j, a, b in self.matches
            ]
        )

    def median_error(self, cameras: tuple[Camera, ...], T_world_camera: SE3) -> float:
        return float(np.median(np.abs(self.errors(cameras, T_world_camera)).max(axis=1)))

    def best_shift(self, cameras: tuple[Camera, ...]) -> np.ndarray:
        """Shift (2,) in pixels of all principal points that fits the matches best."""

        def residuals(parameters: np.ndarray) -> np.ndarray:
            changed = tuple(altered(camera, *parameters) for camera in cameras)
            return self.errors(changed, self.posed.T_world_camera).mean(axis=1)

        return least_squares(
            residuals, np.zeros(3), loss="soft_l1", f_scale=0.3, x_scale=[1.0, 1.0, 0.01]
        ).x[:2]


def altered(camera: Camera, dx: float, dy: float, dk1: float) -> Camera:
    k1, *rest = camera.distortion or (0.0, 0.0, 0.0, 0.0)
    return dataclasses.replace(
        camera,
        cx=camera.cx + dx,
        cy=camera.cy + dy,
        distortion_model="plumb_bob",
        distortion=(k1 + dk1, *rest),
    )


def epipolar_distances(
    first: Camera, second: Camera, T_world_pair: SE3, a: np.ndarray, b: np.ndarray
) -> np.ndarray:
    """Signed distances (n, 2) of undistorted pixels from each other's epipolar lines."""
    x = np.c_[first.normalise(a), np.ones(len(a))]
    y = np.c_[second.normalise(b), np.ones(len(b))]
    T_second_first = T_world_pair[1].inverse() @ T_world_pair[0]
    moved, baseline = x @ T_second_first.rotation.matrix.T, T_second_first.translation
    lines_b = np.cross(baseline, moved)
    lines_a = np.cross(y, baseline) @ T_second_first.rotation.matrix
    algebraic = (y * lines_b).sum(axis=1)
    return np.stack(
        [
            0.5 * (camera.fx + camera.fy) * algebraic / np.linalg.norm(lines[:, :2], axis=1)
            for camera, lines in ((first, lines_a), (second, lines_b))
        ],
        axis=1,
    )


@functools.cache
def matched(folder: Path) -> Matched:
    factor, smallest, largest, n_pairs = SETS[folder.name]
    posed = load_dataset(folder, DatasetOptions(factor=factor))
    pairs = overlapping_pairs(posed.T_world_camera, smallest, largest, n_pairs)
    features = {i: sift_features(posed, i) for i in sorted({i for pair in pairs for i in pair})}
    matches = [(i, j, *match(features[i], features[j])) for i, j in pairs]
    return Matched(posed, [entry for entry in matches if len(entry[2]) >= 30])


def overlapping_pairs(
    T_world_camera: SE3, smallest_deg: float, largest_deg: float, n_pairs: int
) -> list[tuple[int, int]]:
    angles = np.degrees(
        (T_world_camera.rotation.inverse()[:, None] @ T_world_camera.rotation).angle()
    )
    centres = T_world_camera.translation
    baselines = np.linalg.norm(centres[:, None] - centres, axis=-1)
    far_enough = baselines > 0.02 * np.linalg.norm(np.ptp(centres, axis=0))
    chosen = (angles > smallest_deg) & (angles < largest_deg) & far_enough
    candidates = np.argwhere(np.triu(chosen, 1))
    order = np.random.default_rng(0).permutation(len(candidates))[:n_pairs]
    return [(int(i), int(j)) for i, j in candidates[order]]


def sift_features(posed: PosedImages, index: int) -> tuple[np.ndarray, np.ndarray]:
    sift, offset = sift_detector()
    grey = cv2.cvtColor(posed.colors(index), cv2.COLOR_RGB2GRAY)
    keypoints, descriptors = sift.detectAndCompute(np.rint(255 * grey).astype(np.uint8), None)
    return np.array([keypoint.pt for keypoint in keypoints]) - offset, descriptors


def sift_detector() -> tuple[cv2.SIFT, float]:
    """Detector, and how far its keypoints are off: 0.25 pixels unless told to be precise."""
    try:
        return cv2.SIFT_create(1500, contrastThreshold=0.02, enable_precise_upscale=True), 0.0
    except (TypeError, cv2.error):  # before OpenCV 4.8
        return cv2.SIFT_create(1500, contrastThreshold=0.02), 0.25


def match(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Mutual matches that pass the ratio test and agree with some fundamental matrix."""
    u, v = first[1], second[1]
    squared = (u * u).sum(axis=1)[:, None] + (v * v).sum(axis=1) - 2.0 * u @ v.T
    nearest, next_nearest = np.partition(squared, 1, axis=1)[:, :2].T
    best = squared.argmin(axis=1)
    mutual = squared.argmin(axis=0)[best] == np.arange(len(best))
    i = np.flatnonzero(mutual & (nearest < 0.75**2 * next_nearest))
    a, b = first[0][i], second[0][best[i]]
    if len(a) < 30:
        return a[:0], b[:0]
    _, inliers = cv2.findFundamentalMat(a, b, cv2.FM_RANSAC, 3.0, 0.999)
    kept = inliers.ravel() > 0 if inliers is not None else np.zeros(len(a), bool)
    return a[kept], b[kept]


@pytest.mark.parametrize("name", SETS)
def test_matched_features_lie_on_their_epipolar_lines(external_data, name):
    data = matched(external_data(name))
    median = data.median_error(data.posed.cameras, data.posed.T_world_camera)
    assert len(data.matches) >= 20
    assert median < 1.0


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("flip", FLIPS)
def test_flipped_axes_would_be_seen(external_data, name, flip):
    data = matched(external_data(name))
    T = data.posed.T_world_camera
    flipped = SE3(SO3(T.rotation.matrix * np.array(flip)), T.translation)
    assert data.median_error(data.posed.cameras, flipped) > 5 * data.median_error(
        data.posed.cameras, T
    )


@pytest.mark.parametrize("name", SETS)
def test_poses_read_as_world_to_camera_would_be_seen(external_data, name):
    data = matched(external_data(name))
    T = data.posed.T_world_camera
    inverted = data.median_error(data.posed.cameras, T.inverse())
    assert inverted > 5 * data.median_error(data.posed.cameras, T)


@pytest.mark.parametrize("name", SETS)
def test_pixel_centres_are_right_to_a_quarter_pixel(external_data, name):
    data = matched(external_data(name))
    shift = data.best_shift(data.posed.cameras)
    assert np.abs(shift).max() < 0.25


@pytest.mark.parametrize("name", SETS)
def test_half_a_pixel_of_principal_point_would_be_seen(external_data, name):
    data = matched(external_data(name))
    wrong = tuple(altered(camera, 0.5, 0.5, 0.0) for camera in data.posed.cameras)
    assert data.best_shift(wrong) == pytest.approx([-0.5, -0.5], abs=0.25)
