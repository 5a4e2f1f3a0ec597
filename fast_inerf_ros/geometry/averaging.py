"""One pose from many that disagree: a robust mean on the manifold that names the outliers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.arrays import Array, to_numpy
from fast_inerf_ros.geometry.se3 import SE3, SO3

Loss = Literal["squared", "huber", "geman_mcclure"]

N_CANDIDATES = 256
N_ITERATIONS = 100


@dataclass(frozen=True, eq=False)
class PoseAverage:
    """Mean pose; which poses (n,) lie within both scales of it; the weights (n,) they got.

    `converged` is false if the iteration still moved when it was stopped.
    """

    pose: SE3
    inliers: Array
    weights: Array
    converged: bool


def average_poses(
    poses: SE3,
    *,
    rotation_scale: float,
    translation_scale: float,
    weights: Array | None = None,
    loss: Loss = "geman_mcclure",
) -> PoseAverage:
    """Robust mean of poses (n,), by iteratively reweighted means from the best single pose.

    Rotations are averaged on SO(3) (Karcher mean; Hartley, Trumpf, Dai, Li, "Rotation
    averaging", 2013, section 5), translations in space; one weight for both, from the squared
    distance d² = (angle / rotation_scale)² + (distance / translation_scale)².

    Args:
        poses: batch (n,) of `T_target_source` of the same two frames.
        rotation_scale: angle in radians up to which a pose agrees.
        translation_scale: distance in metres up to which a pose agrees.
        weights: trust (n,) in each pose, not negative; equal by default.
        loss: "squared" (plain mean), "huber" (few, mild outliers) or "geman_mcclure"
            (outliers lose all influence; up to about half of the poses may be wrong).

    Raises:
        InputError: no poses, NaN, scales or weights that are not positive, an unknown loss.
    """
    rotation, translation = _require_poses(poses)
    _require_options(rotation_scale, translation_scale, loss)
    trust = _require_weights(weights, len(translation))
    scales = (rotation_scale, translation_scale)
    best = _best_candidate(rotation, translation, trust, scales, loss)
    mean = SE3(SO3(rotation[best]), translation[best])
    converged = False
    for _ in range(N_ITERATIONS):
        turn, shift = _offsets(mean, rotation, translation)
        weight = trust * _robust_weight(_squared_distance(turn, shift, scales), loss)
        total = weight.sum()
        step_turn, step_shift = weight @ turn / total, weight @ shift / total
        mean = SE3((mean.rotation @ SO3.exp(step_turn)), mean.translation + step_shift)
        if _squared_distance(step_turn, step_shift, scales) < 1e-20:
            converged = True
            break
    turn, shift = _offsets(mean, rotation, translation)
    inliers = (np.linalg.norm(turn, axis=-1) <= rotation_scale) & (
        np.linalg.norm(shift, axis=-1) <= translation_scale
    )
    weight = trust * _robust_weight(_squared_distance(turn, shift, scales), loss)
    return PoseAverage(
        SE3(mean.rotation.normalized(), mean.translation), inliers, weight, converged
    )


def _offsets(mean: SE3, rotation: Array, translation: Array) -> tuple[Array, Array]:
    """Rotation vectors and shifts (n, 3) from the mean to each pose."""
    return (mean.rotation.inverse() @ SO3(rotation)).log(), translation - mean.translation


def _squared_distance(turn: Array, shift: Array, scales: tuple[float, float]) -> Array:
    turned, shifted = (turn / scales[0]) ** 2, (shift / scales[1]) ** 2
    return turned.sum(axis=-1) + shifted.sum(axis=-1)


def _robust_weight(squared: Array, loss: Loss) -> Array:
    """Weight (n,) of the reweighted mean: derivative of the loss by the squared distance."""
    if loss == "squared":
        return np.ones_like(squared)
    if loss == "huber":
        return 1 / np.sqrt(np.maximum(squared, 1.0))
    return 1 / (1 + squared) ** 2


def _robust_cost(squared: Array, loss: Loss) -> Array:
    if loss == "squared":
        return squared
    if loss == "huber":
        return np.where(squared <= 1, squared, 2 * np.sqrt(squared) - 1)
    return squared / (1 + squared)


def _best_candidate(
    rotation: Array, translation: Array, trust: Array, scales: tuple[float, float], loss: Loss
) -> int:
    """Index of the pose that the others agree with most, so that outliers do not start it."""
    stride = -(-len(translation) // N_CANDIDATES)
    candidates = np.flatnonzero(trust > 0)[::stride]
    costs = []
    for index in candidates:
        mean = SE3(SO3(rotation[index]), translation[index])
        squared = _squared_distance(*_offsets(mean, rotation, translation), scales)
        costs.append(trust @ _robust_cost(squared, loss))
    return int(candidates[np.argmin(costs)])


def _require_poses(poses: SE3) -> tuple[Array, Array]:
    if len(poses.batch_shape) != 1 or poses.batch_shape[0] == 0:
        raise InputError(
            f"expected a batch (n,) of one or more poses, got shape {poses.batch_shape}: "
            "stack them with SE3.stack"
        )
    matrix = to_numpy(poses.matrix()).astype(np.float64)
    if not np.isfinite(matrix).all():
        raise InputError("expected finite poses, got NaN: drop the poses that failed first")
    return matrix[:, :3, :3], matrix[:, :3, 3]


def _require_options(rotation_scale: float, translation_scale: float, loss: str) -> None:
    if not (0 < rotation_scale < np.inf and 0 < translation_scale < np.inf):
        raise InputError(
            "expected positive scales, got rotation_scale "
            f"{rotation_scale}, translation_scale {translation_scale}: "
            "give the angle and the distance up to which poses agree"
        )
    if loss not in get_args(Loss):
        raise InputError(f"expected a loss of {', '.join(get_args(Loss))}, got {loss!r}")


def _require_weights(weights: Array | None, count: int) -> Array:
    values = np.ones(count) if weights is None else to_numpy(weights).astype(np.float64)
    if values.shape != (count,):
        raise InputError(f"expected {count} weights, got shape {values.shape}: one for each pose")
    if not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise InputError("expected weights >= 0 and not all zero, got others: check the scores")
    return values
