"""Errors of an object's pose measured on its surface: ADD, ADD-S and their symmetric kin."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.evaluation.poses import (
    PoseErrors,
    check_broadcast,
    geodesic_angle,
    validated_arrays,
)
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3

Floats = NDArray[np.float64]

BOP_SYMMETRY_STEP_RAD = 0.02
"""Step for ``Symmetry.transforms`` by which BOP discretises an axis: 0.01 object diameters."""


def add(estimate: SE3, truth: SE3, points_object: ArrayLike) -> Floats:
    """Average distance of model points under two poses (ADD), metres, shape (...).

    ``mean_x |T_estimate x - T_truth x|`` (Hinterstoisser et al., "Model based training,
    detection and pose estimation of texture-less 3D objects", 2012).

    Args:
        estimate: ``T_camera_object``, any batch shape; NaN stands for a missing answer.
        truth: ``T_camera_object``, finite, of a batch shape that broadcasts.
        points_object: (n, 3) points of the model, metres, object frame.

    Raises:
        InputError: points of another shape or not finite, or poses as ``rotation_error``.
    """
    points = _checked_points(points_object)
    shape, pairs = _pairs(estimate, truth)
    errors = [np.linalg.norm(_displacements(a, b, points), axis=-1).mean() for a, b in pairs]
    return np.reshape(errors, shape)


def add_s(estimate: SE3, truth: SE3, points_object: ArrayLike) -> Floats:
    """Average distance to the closest model point (ADD-S, ADI), metres, shape (...).

    ``mean_x1 min_x2 |T_truth x1 - T_estimate x2|`` (Hinterstoisser et al. 2012, and
    PoseCNN). Distances do not change under ``T_estimate^-1``, so that one KD-tree of the model
    serves every pose.

    Args:
        estimate: ``T_camera_object``, any batch shape; NaN stands for a missing answer.
        truth: ``T_camera_object``, finite, of a batch shape that broadcasts.
        points_object: (n, 3) points of the model, metres, object frame.

    Raises:
        InputError: as ``add``.
    """
    points = _checked_points(points_object)
    tree = cKDTree(points)
    shape, pairs = _pairs(estimate, truth)
    return np.reshape([_closest_point_error(tree, a, b, points) for a, b in pairs], shape)


def mssd(estimate: SE3, truth: SE3, points_object: ArrayLike, symmetries: SE3) -> Floats:
    """Maximum symmetry-aware surface distance, metres, shape (...).

    ``min_S max_x |T_estimate x - T_truth S x|`` (Hodan et al., "BOP challenge 2020", 2020).

    Args:
        estimate: ``T_camera_object``, any batch shape; NaN stands for a missing answer.
        truth: ``T_camera_object``, finite, of a batch shape that broadcasts.
        points_object: (n, 3) points of the model, metres, object frame.
        symmetries: ``T_object_object`` (s,), identity included, as ``Symmetry.transforms`` of
            ``geometry.symmetry`` gives them; the nearest turn about a continuous axis is off by
            up to half its step.

    Raises:
        InputError: as ``add``.
    """
    points = _checked_points(points_object)
    shape, pairs = _pairs(estimate, truth)
    errors = [
        np.linalg.norm(_displacements(a, _combined(b, symmetries), points), axis=-1)
        .max(axis=-1)
        .min()
        for a, b in pairs
    ]
    return np.reshape(errors, shape)


def symmetric_add(estimate: SE3, truth: SE3, points_object: ArrayLike, symmetries: SE3) -> Floats:
    """ADD to the nearest symmetric equivalent of the truth, metres, shape (...).

    ``min_S mean_x |T_estimate x - T_truth S x|``: unlike ADD-S it matches each point with its
    own image, so it also sees errors that keep the shape but move its texture.

    Args and errors as ``mssd``.
    """
    points = _checked_points(points_object)
    shape, pairs = _pairs(estimate, truth)
    errors = [
        np.linalg.norm(_displacements(a, _combined(b, symmetries), points), axis=-1)
        .mean(axis=-1)
        .min()
        for a, b in pairs
    ]
    return np.reshape(errors, shape)


def mspd(
    estimate: SE3, truth: SE3, points_object: ArrayLike, symmetries: SE3, camera: Camera
) -> Floats:
    """Maximum symmetry-aware projection distance, pixels, shape (...).

    ``min_S max_x |project(T_estimate x) - project(T_truth S x)|`` (Hodan et al. 2020).
    A point that the camera cannot project makes the error infinite.

    Args and errors as ``mssd``; ``camera`` took the image.
    """
    points = _checked_points(points_object)
    shape, pairs = _pairs(estimate, truth)
    errors = []
    for a, b in pairs:
        if not np.isfinite(a[1]).all():
            errors.append(np.nan)
            continue
        seen = camera.project(_moved(a, points))
        expected = camera.project(_moved(_combined(b, symmetries), points))
        distance = np.linalg.norm(np.asarray(seen) - np.asarray(expected), axis=-1)
        errors.append(np.where(np.isnan(distance), np.inf, distance).max(axis=-1).min())
    return np.reshape(errors, shape)


def symmetric_pose_errors(estimate: SE3, truth: SE3, symmetries: SE3) -> PoseErrors:
    """Rotation and translation errors to the symmetric equivalent of the nearest rotation.

    Both are measured against the same ``T_truth S``, the one of the smallest angle (the nearest
    origin among equal angles), so that a joint threshold judges one pose.

    Args:
        estimate: ``T_camera_object``, any batch shape; NaN stands for a missing answer.
        truth: ``T_camera_object``, finite, of a batch shape that broadcasts.
        symmetries: ``T_object_object`` (s,), as in ``mssd``.

    Raises:
        InputError: poses as ``rotation_error``.
    """
    shape, pairs = _pairs(estimate, truth)
    errors = [_nearest_equivalent(a, _combined(b, symmetries)) for a, b in pairs]
    table = np.reshape(errors, (*shape, 2))
    return PoseErrors(table[..., 0], table[..., 1])


Pose = tuple[Floats, Floats]  # rotation (..., 3, 3) and translation (..., 3)


def _nearest_equivalent(estimate: Pose, equivalents: Pose) -> tuple[float, float]:
    angle = geodesic_angle(np.swapaxes(equivalents[0], -1, -2) @ estimate[0])
    distance = np.linalg.norm(equivalents[1] - estimate[1], axis=-1)
    best = np.lexsort((distance, np.round(angle, 12)))[0]
    return float(angle[best]), float(distance[best])


def _closest_point_error(tree: cKDTree, estimate: Pose, truth: Pose, points: Floats) -> float:
    if not np.isfinite(estimate[1]).all():
        return float("nan")
    in_camera = _moved(truth, points)
    distance, _ = tree.query((in_camera - estimate[1]) @ estimate[0])
    return float(distance.mean())


def _moved(pose: Pose, points: Floats) -> Floats:
    """(..., n, 3) points in the target frame."""
    rotation, translation = pose
    return points @ np.swapaxes(rotation, -1, -2) + translation[..., None, :]


def _displacements(estimate: Pose, truth: Pose, points: Floats) -> Floats:
    """``T_estimate x - T_truth x``, (..., n, 3)."""
    return _moved((estimate[0] - truth[0], estimate[1] - truth[1]), points)


def _combined(truth: Pose, symmetries: SE3) -> Pose:
    """``T_truth S`` for every symmetry, batch shape (s,)."""
    rotation = np.asarray(symmetries.rotation.matrix, dtype=np.float64).reshape(-1, 3, 3)
    translation = np.asarray(symmetries.translation, dtype=np.float64).reshape(-1, 3)
    return truth[0] @ rotation, translation @ truth[0].T + truth[1]


def _pairs(estimate: SE3, truth: SE3) -> tuple[tuple[int, ...], Iterator[tuple[Pose, Pose]]]:
    """Batch shape, and each estimate with its truth. Memory stays that of one pose."""
    rotation_a, translation_a = validated_arrays(estimate, "estimate", may_be_missing=True)
    rotation_b, translation_b = validated_arrays(truth, "truth", may_be_missing=False)
    check_broadcast(rotation_a.shape[:-2], rotation_b.shape[:-2])
    shape = np.broadcast_shapes(rotation_a.shape[:-2], rotation_b.shape[:-2])
    flat = [
        np.broadcast_to(array, shape + array.shape[-n:]).reshape(-1, *array.shape[-n:])
        for array, n in ((rotation_a, 2), (translation_a, 1), (rotation_b, 2), (translation_b, 1))
    ]
    return shape, (((a, b), (c, d)) for a, b, c, d in zip(*flat, strict=True))


def _checked_points(points_object: ArrayLike) -> Floats:
    points = np.asarray(points_object, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise InputError(f"expected model points of shape (n, 3), n > 0, got {points.shape}")
    if not np.isfinite(points).all():
        raise InputError("expected finite model points, got NaN or infinity; clean the mesh")
    return points
