"""Joint robust fit of camera poses to sightings of known objects.

All hypotheses are fitted at once: arrays have a first axis K for them, then n for sightings.
Residuals are divided by their standard deviations: two of the centre's reprojection and one of
the logarithm of depth, which stand or fall together, and three of the rotation, which may be
wrong (a flipped object) where the centre is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3, skew

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

FAR = 1e6
"""Squared residual of an object that the camera cannot see at all."""

WEAK_INFORMATION = np.diag([0.01, 0.01, 0.01, 0.1, 0.1, 0.1])
"""Of a prior of 10 m and 180 degrees: keeps the fit of one symmetric object solvable."""


@dataclass(frozen=True, eq=False)
class Sightings:
    """What is seen of n objects.

    label: (n,) number of the class. trust: (n,) in [0, 1]. centre: (n, 2) pixels.
    whitening: (n, 2, 2), which turns pixel errors into standard deviations. log_depth: (n,) and
    its deviation. rotation: (n, 3, 3) of the object in the camera's frame, its deviation (n,)
    in radians, infinite where nothing is known.
    """

    label: Integers
    trust: Floats
    centre: Floats
    whitening: Floats
    log_depth: Floats
    log_depth_deviation: Floats
    rotation: Floats
    rotation_deviation: Floats


@dataclass(frozen=True, eq=False)
class KnownObjects:
    """The m objects of a scene.

    label: (m,) number of the class. origin: (m, 3), metres. rotation: (m, S, 3, 3), in the
    world, each equivalent by symmetry, repeated to equal numbers. seen_turn: (m, 3, 3): takes
    from a rotation vector in the object's frame what an axis of symmetry hides.
    """

    label: Integers
    origin: Floats
    rotation: Floats
    seen_turn: Floats


@dataclass(frozen=True, eq=False)
class Fit:
    """State of K fits.

    pose: T_camera_world (K,). match: object (K, n) of each sighting, -1 for none.
    information: (K, 6, 6) about body twists of the camera, `T_world_camera @ exp(x)`.
    place_squared, turn_squared: squared residuals (K, n) of centre with depth, and of rotation.
    cost: (K,) robust sum.
    """

    pose: SE3
    match: Integers
    information: Floats
    place_squared: Floats
    turn_squared: Floats
    cost: Floats


def fit_poses(
    pose: SE3,
    seen: Sightings,
    known: KnownObjects,
    camera: Camera,
    *,
    cut_off: float,
    n_rounds: int = 4,
    n_steps: int = 4,
) -> Fit:
    """Match sightings to objects, minimise, match again; Levenberg-Marquardt on SE(3).

    pose: T_camera_world (K,) to begin with. cut_off: residual in standard deviations beyond
    which a sighting loses its influence (Geman-McClure).
    """
    state = evaluate(pose, match(pose, seen, known, camera, cut_off), seen, known, camera, cut_off)
    for _ in range(n_rounds):
        state = _minimised(state, seen, known, camera, cut_off, n_steps)
        matched = match(state.pose, seen, known, camera, cut_off)
        state = evaluate(state.pose, matched, seen, known, camera, cut_off)
    return state


def match(
    pose: SE3, seen: Sightings, known: KnownObjects, camera: Camera, cut_off: float
) -> Integers:
    """Object (K, n) of each sighting under each pose, -1 where none is better than an outlier.

    One object for one sighting: the assignment of least cost (Kuhn-Munkres) where a class has
    several of either.
    """
    n_poses, n, m = len(pose.translation), len(seen.label), len(known.label)
    same = seen.label[:, None] == known.label
    every = np.broadcast_to(np.arange(m), (n_poses, n, m))
    place, turn = _squared(pose, every, seen, known, camera)
    cost = robust(place, cut_off) + robust(turn, cut_off)
    cost = np.where(same & (place < cut_off**2 * 4), cost, 1e3)
    best = cost.argmin(axis=-1)
    matched = np.where(cost.min(axis=-1) < 1e3, best, -1)
    if _one_each(same):
        return matched
    for index in range(n_poses):
        rows, columns = linear_sum_assignment(cost[index])
        matched[index] = -1
        good = cost[index][rows, columns] < 1e3
        matched[index, rows[good]] = columns[good]
    return matched


def evaluate(
    pose: SE3,
    matched: Integers,
    seen: Sightings,
    known: KnownObjects,
    camera: Camera,
    cut_off: float,
) -> Fit:
    """Residuals, information and cost of poses with given matches."""
    index = np.maximum(matched, 0)[..., None]
    place, turn = (values[..., 0] for values in _squared(pose, index, seen, known, camera))
    missing = matched < 0
    place, turn = np.where(missing, FAR, place), np.where(missing, FAR, turn)
    measured = np.isfinite(seen.rotation_deviation)
    cost = robust(place, cut_off) + np.where(measured, robust(turn, cut_off), 0.0)
    information, _ = _normal_equations(pose, matched, place, turn, seen, known, camera, cut_off)
    return Fit(pose, matched, information, place, turn, (seen.trust * cost).sum(axis=-1))


def robust(squared: Floats, cut_off: float) -> Floats:
    """Geman-McClure: the square for small residuals, cut_off² for large ones."""
    return squared * cut_off**2 / (squared + cut_off**2)


def _one_each(same: npt.NDArray[np.bool_]) -> bool:
    return bool((same.sum(axis=0) <= 1).all() and (same.sum(axis=1) <= 1).all())


def _minimised(
    state: Fit,
    seen: Sightings,
    known: KnownObjects,
    camera: Camera,
    cut_off: float,
    n_steps: int,
) -> Fit:
    damping = np.full(len(state.cost), 1e-3)
    for _ in range(n_steps):
        normal, gradient = _normal_equations(
            state.pose,
            state.match,
            state.place_squared,
            state.turn_squared,
            seen,
            known,
            camera,
            cut_off,
        )
        diagonal = np.einsum("kii->ki", normal)
        damped = normal + damping[:, None, None] * np.eye(6) * diagonal[:, None, :]
        step = -np.linalg.solve(damped, gradient[..., None])[..., 0]
        # T_world_camera @ exp(x): the inverse, T_camera_world, is multiplied from the left.
        moved = SE3.exp(-step) @ state.pose
        trial = evaluate(moved, state.match, seen, known, camera, cut_off)
        better = trial.cost < state.cost
        state = _chosen(better, trial, state)
        damping = np.where(better, damping / 10, damping * 10)
    return state


def _chosen(better: npt.NDArray[np.bool_], trial: Fit, old: Fit) -> Fit:
    def pick(a: Floats, b: Floats) -> Floats:
        return np.where(better.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    rotation = SO3(pick(trial.pose.rotation.matrix, old.pose.rotation.matrix)).normalized()
    return Fit(
        SE3(rotation, pick(trial.pose.translation, old.pose.translation)),
        old.match,
        pick(trial.information, old.information),
        pick(trial.place_squared, old.place_squared),
        pick(trial.turn_squared, old.turn_squared),
        pick(trial.cost, old.cost),
    )


def _squared(
    pose: SE3, index: Integers, seen: Sightings, known: KnownObjects, camera: Camera
) -> tuple[Floats, Floats]:
    """Squared residuals (K, n, j) of place and turn against objects `index` (K, n, j)."""
    points = np.asarray(pose[:, None, None] @ known.origin[index])
    place = _place_residuals(points, seen, camera)
    squared = np.nan_to_num((place * place).sum(axis=-1), nan=FAR)
    turn = _turn_residuals(pose, index, seen, known)[0]
    return squared, (turn * turn).sum(axis=-1)


def _place_residuals(points: Floats, seen: Sightings, camera: Camera) -> Floats:
    """Residuals (K, n, j, 3) of points (K, n, j, 3) in the camera's frame; NaN behind it."""
    error = np.asarray(camera.project(points)) - seen.centre[:, None]
    pixels = (seen.whitening[:, None] @ error[..., None])[..., 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        depth = np.log(np.maximum(points[..., 2], 1e-9)) - seen.log_depth[:, None]
    return np.concatenate([pixels, (depth / seen.log_depth_deviation[:, None])[..., None]], -1)


def _turn_residuals(
    pose: SE3, index: Integers, seen: Sightings, known: KnownObjects
) -> tuple[Floats, Floats]:
    """Residuals (K, n, j, 3) of the nearest equivalent rotation, and that rotation predicted."""
    camera_world = np.asarray(pose.rotation.matrix)
    in_world = np.swapaxes(camera_world, -1, -2)[:, None] @ seen.rotation
    # The angle is smallest where the trace of the difference, a product of entries, is largest.
    m, n_equivalents = known.rotation.shape[:2]
    trace = in_world.reshape(-1, 9) @ known.rotation.reshape(-1, 9).T
    best = trace.reshape(*in_world.shape[:2], m, n_equivalents).argmax(axis=-1)
    nearest = known.rotation[index, np.take_along_axis(best, index, axis=-1)]
    predicted = camera_world[:, None, None] @ nearest
    turn = SO3(np.swapaxes(seen.rotation, -1, -2)[:, None] @ predicted).log()
    visible = (known.seen_turn[index] @ np.asarray(turn)[..., None])[..., 0]
    return visible / seen.rotation_deviation[:, None, None], predicted


def _normal_equations(
    pose: SE3,
    matched: Integers,
    place_squared: Floats,
    turn_squared: Floats,
    seen: Sightings,
    known: KnownObjects,
    camera: Camera,
    cut_off: float,
) -> tuple[Floats, Floats]:
    """JᵀWJ (K, 6, 6) with the weak prior, and JᵀWr (K, 6), by body twists of the camera."""
    index = np.maximum(matched, 0)
    points = np.asarray(pose[:, None] @ known.origin[index])
    place_weight = _weight(place_squared, cut_off) * seen.trust
    turn_weight = _weight(turn_squared, cut_off) * seen.trust
    # p' = p - (v + w x p) for T_world_camera @ exp((v, w)).
    by_twist = np.concatenate([np.broadcast_to(-np.eye(3), (*points.shape, 3)), skew(points)], -1)
    _, by_point = camera.project_with_jacobian(points)
    pixels = seen.whitening @ np.asarray(by_point) @ by_twist
    with np.errstate(divide="ignore", invalid="ignore"):
        along = 1 / (points[..., 2] * seen.log_depth_deviation)
    depth = along[..., None, None] * by_twist[..., 2:3, :]
    place = _place_residuals(points[:, :, None], seen, camera)[:, :, 0]
    turn, predicted = _turn_residuals(pose, index[..., None], seen, known)
    back = -known.seen_turn[index] @ np.swapaxes(predicted[:, :, 0], -1, -2)
    by_turn = np.concatenate([np.zeros_like(back), back], axis=-1)
    by_turn = by_turn / seen.rotation_deviation[:, None, None]
    jacobian = np.nan_to_num(np.concatenate([pixels, depth, by_turn], axis=-2), posinf=0, neginf=0)
    residual = np.nan_to_num(np.concatenate([place, turn[:, :, 0]], axis=-1))
    weight = np.repeat(np.stack([place_weight, turn_weight], axis=-1), 3, axis=-1)
    normal = np.einsum("knri,knr,knrj->kij", jacobian, weight, jacobian) + WEAK_INFORMATION
    return normal, np.einsum("knri,knr,knr->ki", jacobian, weight, residual)


def _weight(squared: Floats, cut_off: float) -> Floats:
    return 1 / (1 + squared / cut_off**2) ** 2
