"""Camera pose from points whose place in the world and in the image are known.

OpenCV's USAC (MAGSAC scores, local optimisation) finds the inliers among undistorted points;
the pose is then refined on the pixels themselves, through the whole lens model.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.arrays import Array, to_like, to_numpy
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3, SO3
from fast_inerf_ros.geometry.so3 import skew

N_STEPS = 20
N_ROUNDS = 4
N_REWEIGHTED = 8
SHARPEST_PX = 0.5
"""Least scale of the errors that weights are made from."""
SMALLEST_GAIN = 1e-9
"""Share of the squared errors below which a step is the last."""
CONDITION_LIMIT = 1e-10
"""Smallest over largest eigenvalue of the (scaled) normal equations of a pose worth having."""


@dataclass(frozen=True, eq=False)
class PnpResult:
    """Pose `T_camera_world`, which points (n,) agree with it, and how well.

    `error_px` is the root mean square distance in pixels over the inliers. `covariance` (6, 6)
    is that of body twists of the camera, `T_world_camera @ exp(x)`, translation first; of the
    order of error_px² (JᵀJ)⁻¹, so it knows of noise but not of wrong points.
    """

    T_camera_world: SE3
    inliers: Array
    error_px: float
    covariance: Array


def solve_pnp(
    points_world: Array,
    pixels: Array,
    camera: Camera,
    *,
    max_error_px: float = 4.0,
    min_inliers: int = 6,
    confidence: float = 0.9999,
    max_iterations: int = 10000,
    generator: np.random.Generator | None = None,
) -> PnpResult | None:
    """Pose of a camera by RANSAC and refinement on the inliers, or None if there is none.

    Args:
        points_world: (n, 3) in metres; rows with NaN are outliers.
        pixels: (n, 2); pixels that the lens model cannot have seen are outliers.
        camera: any lens model.
        max_error_px: largest reprojection error of an inlier.
        min_inliers: number of inliers, at least 4, below which the answer is None.
        confidence: probability of having drawn one sample without outliers.
        max_iterations: largest number of samples.
        generator: source of the samples; seeded with 0 by default.

    Raises:
        InputError: shapes that do not belong together, or options out of range.
    """
    world, observed = _require_pairs(points_world, pixels)
    _require_options(max_error_px, min_inliers)
    flat = camera.undistorted()
    plane = camera.normalise(observed)
    ideal = plane * [flat.fx, flat.fy] + [flat.cx, flat.cy]
    usable = np.isfinite(world).all(axis=-1) & np.isfinite(ideal).all(axis=-1)
    if np.count_nonzero(usable) < min_inliers:
        return None
    seed = int((generator or np.random.default_rng(0)).integers(2**31 - 1))
    params = _usac(max_error_px, confidence, max_iterations, seed)
    start = _ransac(world[usable], ideal[usable], flat, params)
    if start is None:
        return None
    return refine_pnp(
        points_world,
        pixels,
        camera,
        start,
        max_error_px=max_error_px,
        min_inliers=min_inliers,
    )


def refine_pnp(
    points_world: Array,
    pixels: Array,
    camera: Camera,
    T_camera_world: SE3,
    *,
    max_error_px: float = 4.0,
    min_inliers: int = 6,
) -> PnpResult | None:
    """Pose that minimises the squared reprojection errors of the points near a first pose.

    Inliers and pose are found in turn until the inliers stay the same. Arguments, result and
    exceptions are those of `solve_pnp`; None too where the inliers do not fix the pose.
    """
    world, observed = _require_pairs(points_world, pixels)
    _require_options(max_error_px, min_inliers)
    like = T_camera_world.translation
    pose = T_camera_world.to_like(np.zeros(()))
    inliers = _errors(pose, world, observed, camera) <= max_error_px
    for _ in range(N_ROUNDS):
        if np.count_nonzero(inliers) < min_inliers:
            return None
        pose = _minimise(pose, world[inliers], observed[inliers], camera)
        previous = inliers
        inliers = _errors(pose, world, observed, camera) <= max_error_px
        if (inliers == previous).all():
            break
    if np.count_nonzero(inliers) < min_inliers:
        return None
    return _result(pose, world, observed, camera, inliers, like)


def pnp_near(
    points_world: Array,
    pixels: Array,
    camera: Camera,
    T_camera_world: SE3,
    *,
    max_error_px: float = 4.0,
    min_inliers: int = 6,
) -> PnpResult | None:
    """Pose of points most of which are right, from a first pose many pixels off; no sampling.

    Iteratively reweighted least squares with the weights of Geman and McClure, whose scale is the
    median error of the moment, brings the pose near; `refine_pnp` does the rest. Arguments,
    result and exceptions are those of `refine_pnp`; None too where the first pose was too far.
    """
    world, observed = _require_pairs(points_world, pixels)
    pose = _drawn_near(T_camera_world.to_like(np.zeros(())), world, observed, camera)
    if pose is None:
        return None
    return refine_pnp(
        points_world,
        pixels,
        camera,
        pose.to_like(T_camera_world.translation),
        max_error_px=max_error_px,
        min_inliers=min_inliers,
    )


def _drawn_near(pose: SE3, world: Array, observed: Array, camera: Camera) -> SE3 | None:
    """Reweighted Gauss-Newton on the plane z = 1, where no lens is in the way."""
    plane, sharpest = camera.normalise(observed), SHARPEST_PX / max(camera.fx, camera.fy)
    usable = np.isfinite(plane).all(axis=-1) & np.isfinite(world).all(axis=-1)
    world, plane = world[usable], plane[usable]
    rotation, translation = pose.rotation.matrix, pose.translation
    for _ in range(N_REWEIGHTED):
        x, y, z = rotation @ world.T + translation[:, None]
        seen = z > 0
        if np.count_nonzero(seen) < 4:
            return None
        z = np.where(seen, z, 1.0)
        u, v, zero = x / z, y / z, np.zeros_like(z)
        residual = np.concatenate([u - plane[:, 0], v - plane[:, 1]])
        error = np.hypot(*residual.reshape(2, -1))
        scale = max(float(np.median(error[seen])), sharpest)
        weight = np.tile(np.where(seen, 1 / (1 + (error / (2 * scale)) ** 2) ** 2, 0.0), 2)
        jacobian = np.concatenate(
            [
                np.stack([1 / z, zero, -u / z, -u * v, 1 + u * u, -v]),
                np.stack([zero, 1 / z, -v / z, -1 - v * v, u * v, u]),
            ],
            axis=1,
        )
        weighted = jacobian * weight
        normal = weighted @ jacobian.T
        step = -np.linalg.solve(normal + 1e-9 * np.trace(normal) * np.eye(6), weighted @ residual)
        turn = cv2.Rodrigues(step[3:])[0]
        rotation, translation = turn @ rotation, turn @ translation + step[:3]
        if not np.isfinite(step).all():
            return None
        if np.abs(step).max() < 1e-5:
            break
    return SE3(SO3(rotation).normalized(), translation)


def _result(
    pose: SE3, world: Array, observed: Array, camera: Camera, inliers: Array, like: Array
) -> PnpResult | None:
    residual, jacobian = _linearise(pose, world[inliers], observed[inliers], camera)
    normal = jacobian.T @ jacobian
    scale = 1 / np.sqrt(np.maximum(np.diag(normal), 1e-300))
    eigenvalues = np.linalg.eigvalsh(normal * scale[:, None] * scale)
    if not eigenvalues[0] > CONDITION_LIMIT * eigenvalues[-1]:
        return None
    n_points = len(residual) // 2
    variance = float(residual @ residual) / max(1, 2 * n_points - 6)
    return PnpResult(
        T_camera_world=pose.to_like(like),
        inliers=inliers,
        error_px=float(np.sqrt(residual @ residual / n_points)),
        covariance=to_like(variance * np.linalg.inv(normal), like),
    )


def _usac(threshold: float, confidence: float, iterations: int, seed: int) -> cv2.UsacParams:
    params = cv2.UsacParams()
    params.threshold = threshold
    params.confidence = confidence
    params.maxIterations = iterations
    params.randomGeneratorState = seed
    params.sampler = cv2.SAMPLING_UNIFORM
    params.score = cv2.SCORE_METHOD_MAGSAC
    params.loMethod = cv2.LOCAL_OPTIM_SIGMA
    return params


def _ransac(world: Array, ideal: Array, flat: Camera, params: cv2.UsacParams) -> SE3 | None:
    """First pose from undistorted pixels, or None if OpenCV finds none (or gives NaN)."""
    try:
        found, _, vector, translation, _ = cv2.solvePnPRansac(
            np.ascontiguousarray(world),
            np.ascontiguousarray(ideal),
            flat.matrix(),
            None,
            params=params,
        )
    except cv2.error:
        # Degenerate samples can make its inner solvers fail an assertion.
        return None
    if not found or not np.isfinite(vector).all() or not np.isfinite(translation).all():
        return None
    return SE3(SO3.exp(vector.reshape(3)), translation.reshape(3).astype(np.float64))


def _errors(pose: SE3, world: Array, observed: Array, camera: Camera) -> Array:
    """Reprojection errors (n,) in pixels; infinite where a point is not seen at all."""
    distance = np.linalg.norm(camera.project(pose @ world) - observed, axis=-1)
    return np.where(np.isfinite(distance), distance, np.inf)


def _linearise(pose: SE3, world: Array, observed: Array, camera: Camera) -> tuple[Array, Array]:
    """Residuals (2n,) and their derivatives (2n, 6) by x of `exp(x) @ pose`."""
    points = pose @ world
    pixels, by_point = camera.project_with_jacobian(points)
    by_rotation = -by_point @ skew(points)
    jacobian = np.concatenate([by_point, by_rotation], axis=-1)
    return (pixels - observed).reshape(-1), jacobian.reshape(-1, 6)


def _minimise(pose: SE3, world: Array, observed: Array, camera: Camera) -> SE3:
    """Levenberg-Marquardt on the squared reprojection errors (Marquardt 1963)."""
    damping = 1e-4
    residual, jacobian = _linearise(pose, world, observed, camera)
    for _ in range(N_STEPS):
        normal = jacobian.T @ jacobian
        damped = normal + damping * np.diag(np.diag(normal) + 1e-12)
        step = -np.linalg.solve(damped, jacobian.T @ residual)
        moved = SE3.exp(step) @ pose
        new_residual, new_jacobian = _linearise(moved, world, observed, camera)
        # NaN (a point left the lens's domain) is no improvement.
        if new_residual @ new_residual < residual @ residual:
            gain = 1 - (new_residual @ new_residual) / (residual @ residual)
            pose, residual, jacobian = moved, new_residual, new_jacobian
            damping = max(damping / 10, 1e-12)
            if gain < SMALLEST_GAIN:
                break
        elif np.abs(step).max() < 1e-12:
            break
        else:
            damping *= 10
    return SE3(pose.rotation.normalized(), pose.translation)


def _require_pairs(points_world: Array, pixels: Array) -> tuple[Array, Array]:
    world, observed = (to_numpy(a).astype(np.float64) for a in (points_world, pixels))
    if world.ndim != 2 or world.shape[1:] != (3,) or observed.shape != (len(world), 2):
        raise InputError(
            f"expected points (n, 3) and pixels (n, 2), got shapes {world.shape} and "
            f"{observed.shape}: they correspond by their index"
        )
    return world, observed


def _require_options(max_error_px: float, min_inliers: int) -> None:
    if not 0 < max_error_px < np.inf:
        raise InputError(f"expected a positive max_error_px, got {max_error_px}: try 4")
    if min_inliers < 4:
        raise InputError(
            f"expected min_inliers of 4 or more, got {min_inliers}: three points fit four poses"
        )
