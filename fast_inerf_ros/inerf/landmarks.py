"""Landmarks: places of a scene with what they look like, and finding them in an image.

They lie in the coordinates of a field and belong to that field: where the scene is registered
anew, they move with it. Nearest neighbours are searched by OpenCV's FLANN (randomised kd-trees;
Muja and Lowe, 2009): maintained, and a dependency already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import cKDTree

from fast_inerf_ros.config import option
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.similarity import Similarity
from fast_inerf_ros.inerf.features.feature import Features

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

FLANN_KDTREE = 1
COMPARED_AT_ONCE = 1 << 24
"""Pairs of descriptors whose distances are in memory."""

WIDEST_VIEW_DEG = 70.0
"""A landmark is not looked for from directions that differ by more from those it was seen from."""


@dataclass(frozen=True)
class MatchOptions:
    """How landmarks are found in an image."""

    n_features: int = option(1500, doc="Features of an image, at most.", minimum=50)
    longest_side: int = option(
        800, doc="Images are made smaller for features, if they are larger.", unit="px", minimum=64
    )
    ratio: float = option(
        0.9,
        doc="Distance of the most similar landmark over that of the next, at most.",
        minimum=0.1,
        maximum=1.0,
    )
    checks: int = option(96, doc="Leaves of the trees that a search looks at.", minimum=1)
    guided_px: float = option(
        5.0, doc="How far from its place under a known pose a landmark is.", unit="px", minimum=0.5
    )
    guided_distance: float = option(
        240.0,
        doc="Largest distance of descriptors where the pose says what to expect; 512 times that "
        "of unit vectors.",
        minimum=0.0,
    )


@dataclass(frozen=True, eq=False)
class Landmarks:
    """n landmarks of a field, as they are stored.

    points: (n, 3) in units of the field. views: (n, 3), the mean direction towards the cameras
    that saw them. n_seen: (n,), how many did; 1 where the depth is that of the field.
    descriptors: (m, d), and the landmark of each, owner (m,). viewpoints: (p, 4, 4), poses
    T_field_camera of the photographs, in units of the field. extractor: kind of the features.
    field_id: of the field that they belong to.
    """

    points: npt.NDArray[np.float32]
    views: npt.NDArray[np.float32]
    n_seen: npt.NDArray[np.int32]
    descriptors: npt.NDArray[np.uint8]
    owner: npt.NDArray[np.int32]
    viewpoints: npt.NDArray[np.float64]
    extractor: str
    field_id: str

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True, eq=False)
class Matches:
    """Landmarks and where they seem to be seen.

    points: (k, 3), world, metres. pixels: (k, 2). landmark: (k,). distance: (k,), of descriptors.
    """

    points: Floats
    pixels: Floats
    landmark: Integers
    distance: Floats

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, chosen: Mask | Integers) -> Matches:
        return Matches(
            self.points[chosen], self.pixels[chosen], self.landmark[chosen], self.distance[chosen]
        )


class LandmarkMap:
    """Landmarks in the world, ready to be searched. Searches change nothing.

    points, views: (n, 3), as of ``Landmarks``. viewpoints: T_world_camera (p,) of the photographs.
    """

    def __init__(self, landmarks: Landmarks, frame: FieldFrame, options: MatchOptions) -> None:
        matrix = frame.matrix()
        scaled = landmarks.points.astype(np.float64) * frame.metres_per_unit
        self.points: Floats = scaled @ matrix[:3, :3].T + matrix[:3, 3]
        self.views: Floats = landmarks.views.astype(np.float64) @ matrix[:3, :3].T
        similarity = Similarity(frame.T_world_field, frame.metres_per_unit)
        self.viewpoints = similarity.pose_to_target(SE3.from_matrix(landmarks.viewpoints))
        self.landmarks, self.options = landmarks, options
        self._descriptors = landmarks.descriptors.astype(np.float32)
        self._owner = landmarks.owner.astype(np.int64)
        self._index = _index(self._descriptors)

    def __len__(self) -> int:
        return len(self.points)

    def match(self, features: Features, allowed: Mask | None = None) -> Matches:
        """The landmark that each feature looks like, if it does so clearly.

        allowed: (n,), landmarks that are searched; None for all. Two landmarks at one feature
        compete, two descriptors of one landmark do not.
        """
        if allowed is not None:
            return self._match_among(features, allowed)
        if self._index is None or len(features) == 0:
            return self._nothing()
        return self._clear(features, *self._neighbours(features.descriptors))

    def match_in_parts(self, features: Features, n_parts: int) -> Iterator[Matches | None]:
        """As ``match``, in so many parts of about the same time: all but the last give None."""
        if self._index is None or len(features) < n_parts:
            yield self.match(features)
            return
        found = []
        for number, part in enumerate(np.array_split(features.descriptors, n_parts)):
            found.append(self._neighbours(part))
            if number + 1 < n_parts:
                yield None
        owner, distance = (np.concatenate(parts) for parts in zip(*found, strict=True))
        yield self._clear(features, owner, distance)

    def _neighbours(self, descriptors: npt.NDArray[np.uint8]) -> tuple[Integers, Floats]:
        """Landmarks (f, count) most like each descriptor (f, d), and their distances."""
        assert self._index is not None
        queries = descriptors.astype(np.float32)
        found, squared = self._index.knnSearch(
            queries, min(4, len(self._owner)), params={"checks": self.options.checks}
        )
        return self._owner[found], np.sqrt(squared)

    def match_near(
        self, features: Features, camera: Camera, T_world_camera: SE3, usable: Mask | None = None
    ) -> Matches:
        """Landmarks found near to where a pose says they are, each at most once.

        usable: (n,), landmarks that are looked for; None for all.
        """
        if len(features) == 0 or len(self) == 0:
            return self._nothing()
        seen = self.visible(camera, T_world_camera)
        if usable is not None:
            seen &= usable
        rows = np.flatnonzero(seen[self._owner])
        pixels = np.asarray(camera.project(T_world_camera.inverse() @ self.points))
        places = pixels[self._owner[rows]]
        return self._most_alike(features, rows, places)

    def visible(self, camera: Camera, T_world_camera: SE3, margin_px: float = 0.0) -> Mask:
        """Landmarks (n,) that are in view and were seen from such a direction."""
        pixels = np.asarray(camera.project(T_world_camera.inverse() @ self.points))
        with np.errstate(invalid="ignore"):
            inside = (pixels > -0.5 - margin_px).all(axis=-1)
            inside &= pixels[:, 0] < camera.width - 0.5 + margin_px
            inside &= pixels[:, 1] < camera.height - 0.5 + margin_px
        towards = np.asarray(T_world_camera.translation) - self.points
        lengths = np.linalg.norm(towards, axis=-1)
        cosine = (towards * self.views).sum(axis=-1) / np.maximum(lengths, 1e-12)
        return np.asarray(inside & (cosine > np.cos(np.radians(WIDEST_VIEW_DEG))))

    def _match_among(self, features: Features, allowed: Mask) -> Matches:
        rows = np.flatnonzero(allowed[self._owner])
        if len(rows) < 2 or len(features) == 0:
            return self._nothing()
        pool, count = self._descriptors[rows], min(4, len(rows))
        queries = features.descriptors.astype(np.float32)
        n_parts = -(-len(queries) * len(pool) // COMPARED_AT_ONCE)
        found = [
            torch.topk(torch.from_numpy(squared_distances(part, pool)), count, largest=False)
            for part in np.array_split(queries, n_parts)
        ]
        squared, nearest = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return self._clear(features, self._owner[rows[nearest]], np.sqrt(np.maximum(squared, 0)))

    def _clear(self, features: Features, owner: Integers, distance: Floats) -> Matches:
        """Matches of neighbours (f, count), nearest first, that no other landmark rivals."""
        other = np.where(owner == owner[:, :1], np.inf, distance)
        rival = other.min(axis=1)
        rival = np.where(np.isfinite(rival), rival, distance[:, -1])
        kept = np.flatnonzero(distance[:, 0] <= self.options.ratio * rival)
        chosen = owner[kept, 0]
        # Of several features that look like one landmark the most alike is it.
        order = np.argsort(distance[kept, 0], kind="stable")
        _, first = np.unique(chosen[order], return_index=True)
        rows = np.sort(kept[order[first]])
        landmark = owner[rows, 0]
        return Matches(
            self.points[landmark],
            features.pixels[rows],
            landmark,
            distance[rows, 0].astype(np.float64),
        )

    def _most_alike(self, features: Features, rows: Integers, places: Floats) -> Matches:
        """The most alike of the descriptors ``rows``, expected at places (r, 2), for features."""
        reach = self.options.guided_px
        near = cKDTree(places).query_ball_point(features.pixels, reach) if len(rows) else []
        counts = np.array([len(found) for found in near], dtype=np.int64)
        if counts.sum() == 0:
            return self._nothing()
        row = rows[np.concatenate([np.asarray(found, dtype=np.int64) for found in near])]
        feature = np.repeat(np.arange(len(features)), counts)
        difference = features.descriptors[feature].astype(np.float32) - self._descriptors[row]
        distance = np.sqrt(np.einsum("kd,kd->k", difference, difference))
        order = np.argsort(distance, kind="stable")
        order = order[distance[order] < self.options.guided_distance]
        feature, owner = feature[order], self._owner[row[order]]
        # One feature for a landmark, one landmark for a feature: the most alike.
        first = np.sort(np.unique(owner, return_index=True)[1])
        first = first[np.sort(np.unique(feature[first], return_index=True)[1])]
        landmark = owner[first]
        return Matches(
            self.points[landmark],
            features.pixels[feature[first]],
            landmark,
            distance[order][first].astype(np.float64),
        )

    def _nothing(self) -> Matches:
        none = np.zeros(0, dtype=np.int64)
        return Matches(np.zeros((0, 3)), np.zeros((0, 2)), none, np.zeros(0))


def squared_distances(
    first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Squared Euclidean distances (n, m) of descriptors (n, d) and (m, d)."""
    lengths = (first * first).sum(axis=1)[:, None] + (second * second).sum(axis=1)
    return np.asarray(lengths - 2.0 * (first @ second.T))


def features_of(
    image: npt.NDArray[np.uint8],
    camera: Camera,
    extract: Callable[[npt.NDArray[np.uint8], int], Features],
    options: MatchOptions,
) -> Features:
    """Features of an image, found at a bounded size, in pixels of the image as it is."""
    longest = max(camera.width, camera.height)
    if longest <= options.longest_side:
        return extract(image, options.n_features)
    factor = options.longest_side / longest
    width, height = round(camera.width * factor), round(camera.height * factor)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    found = extract(np.asarray(small, dtype=np.uint8), options.n_features)
    scale = np.array([camera.width / width, camera.height / height])
    pixels = (found.pixels + 0.5) * scale - 0.5
    return Features(pixels, found.sizes * float(scale.mean()), found.descriptors)


def _index(descriptors: npt.NDArray[np.float32]) -> cv2.flann.Index | None:
    if len(descriptors) < 8:
        return None
    cv2.setRNGSeed(0)
    return cv2.flann.Index(descriptors, {"algorithm": FLANN_KDTREE, "trees": 4})
