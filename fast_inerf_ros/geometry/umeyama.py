"""Similarity that brings one set of points onto another."""

from __future__ import annotations

import numpy as np

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.arrays import Array, to_numpy
from fast_inerf_ros.geometry.se3 import SE3, SO3
from fast_inerf_ros.geometry.similarity import Similarity

FLATNESS_LIMIT = 1e-6
"""Second-largest extent of the points over the largest, below which they lie on a line."""


def umeyama(
    points_source: Array,
    points_target: Array,
    *,
    weights: Array | None = None,
    with_scale: bool = True,
) -> Similarity:
    """Least-squares similarity with p_target = T_target_source @ (scale * p_source).

    Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns" (1991), eq. 40-42.

    Args:
        points_source, points_target: corresponding points (n, 3), n >= 3.
        weights: trust (n,) in each pair, not negative; equal by default.
        with_scale: estimate the scale, or keep it 1.

    Raises:
        InputError: fewer than three pairs, NaN, or points on one line or in one place.
    """
    source, target = (_require_points(points) for points in (points_source, points_target))
    weight = _normalised_weights(weights, source, target)
    mean_source, mean_target = weight @ source, weight @ target
    centred_source, centred_target = source - mean_source, target - mean_target
    for name, points in (("source", centred_source), ("target", centred_target)):
        _require_spread(points * np.sqrt(weight)[:, None], name)
    covariance = (centred_target * weight[:, None]).T @ centred_source
    try:
        rotation = SO3.nearest(covariance)
    except InputError:
        raise InputError(
            "expected two point sets of similar shape, got ones without a unique rotation "
            "between them: check that the points correspond"
        ) from None
    # trace(D S) of eq. 42 is trace(Rᵀ Σ).
    aligned = float(np.sum(rotation.matrix * covariance))
    scale = aligned / float(weight @ np.sum(centred_source**2, axis=-1)) if with_scale else 1.0
    return Similarity(SE3(rotation, mean_target - rotation @ (scale * mean_source)), scale)


def _require_points(points: Array) -> Array:
    values = to_numpy(points).astype(np.float64)
    if values.ndim != 2 or values.shape[1] != 3 or len(values) < 3:
        raise InputError(f"expected three or more points (n, 3), got shape {values.shape}")
    if not np.isfinite(values).all():
        raise InputError("expected finite points, got NaN: drop the points that failed first")
    return values


def _normalised_weights(weights: Array | None, source: Array, target: Array) -> Array:
    if len(source) != len(target):
        raise InputError(
            f"expected as many source as target points, got {len(source)} and {len(target)}: "
            "points correspond by their index"
        )
    values = np.ones(len(source)) if weights is None else to_numpy(weights).astype(np.float64)
    if values.shape != (len(source),) or not np.isfinite(values).all() or (values < 0).any():
        raise InputError(
            f"expected {len(source)} weights >= 0, got shape {values.shape}: one for each pair"
        )
    if np.count_nonzero(values) < 3:
        raise InputError("expected three or more pairs with a positive weight, got fewer")
    return values / values.sum()


def _require_spread(centred: Array, name: str) -> None:
    extent = np.linalg.svd(centred, compute_uv=False)
    if extent[1] <= FLATNESS_LIMIT * extent[0] or extent[0] == 0:
        raise InputError(
            f"expected {name} points that span a plane, got points on one line or in one place: "
            "use cameras or objects that do not lie on one line"
        )
