"""How far one pose is from another: geodesic rotation error and distance of the origins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.se3 import SE3

Floats = NDArray[np.float64]

RIGID_TOLERANCE = 1e-3


@dataclass(frozen=True)
class PoseErrors:
    """Rotation (radians) and translation (metres) errors of the same poses, shape (...)."""

    rotation: Floats
    translation: Floats

    @property
    def rotation_deg(self) -> Floats:
        """Rotation errors in degrees."""
        return np.degrees(self.rotation)


def rotation_error(estimate: SE3, truth: SE3) -> Floats:
    """Geodesic angle between two rotations, radians in [0, pi], shape (...).

    ``atan2(|vee(D - D^T)| / 2, (tr D - 1) / 2)`` with ``D = R_truth^T R_estimate``: unlike
    ``arccos`` of the trace it keeps full precision near 0 and near pi (Huynh, "Metrics for 3D
    rotations", 2009, metric Phi_6).

    Args:
        estimate: poses of any batch shape; a pose that holds NaN is an answer that is missing,
            and its error is NaN.
        truth: poses of a batch shape that broadcasts with it, about the same frames.

    Raises:
        InputError: a matrix that is not a rotation, a true pose that is not finite, or batch
            shapes that do not broadcast.
    """
    rotation_estimate, _ = validated_arrays(estimate, "estimate", may_be_missing=True)
    rotation_truth, _ = validated_arrays(truth, "truth", may_be_missing=False)
    check_broadcast(rotation_estimate.shape[:-2], rotation_truth.shape[:-2])
    return geodesic_angle(np.swapaxes(rotation_truth, -1, -2) @ rotation_estimate)


def rotation_error_deg(estimate: SE3, truth: SE3) -> Floats:
    """Geodesic angle between two rotations in degrees; see ``rotation_error``."""
    return np.degrees(rotation_error(estimate, truth))


def translation_error(estimate: SE3, truth: SE3) -> Floats:
    """Euclidean distance between the origins of two poses, metres, shape (...).

    With ``T_world_camera`` these are the camera centres, with ``T_camera_object`` the object
    origins. (The translation of ``T_camera_world`` is no camera centre: invert it first.)

    Args:
        estimate: poses of any batch shape; the error of one that holds NaN is NaN.
        truth: poses of a batch shape that broadcasts with it, about the same frames.

    Raises:
        InputError: as ``rotation_error``.
    """
    _, translation_estimate = validated_arrays(estimate, "estimate", may_be_missing=True)
    _, translation_truth = validated_arrays(truth, "truth", may_be_missing=False)
    check_broadcast(translation_estimate.shape[:-1], translation_truth.shape[:-1])
    return np.asarray(np.linalg.norm(translation_estimate - translation_truth, axis=-1))


def pose_errors(estimate: SE3, truth: SE3) -> PoseErrors:
    """Rotation and translation errors of the same poses; see the two functions."""
    return PoseErrors(rotation_error(estimate, truth), translation_error(estimate, truth))


def geodesic_angle(rotation: Floats) -> Floats:
    """Angle of rotation matrices (..., 3, 3), radians in [0, pi], shape (...)."""
    skew = rotation - np.swapaxes(rotation, -1, -2)
    sine = 0.5 * np.linalg.norm(skew[..., [2, 0, 1], [1, 2, 0]], axis=-1)
    cosine = 0.5 * (np.trace(rotation, axis1=-2, axis2=-1) - 1.0)
    return np.asarray(np.arctan2(sine, cosine))


def validated_arrays(pose: SE3, name: str, *, may_be_missing: bool) -> tuple[Floats, Floats]:
    """Rotation (..., 3, 3) and translation (..., 3) as float64; missing ones are all NaN.

    Raises:
        InputError: a matrix that is not a rotation, or a pose that is missing but may not be.
    """
    rotation = np.asarray(pose.rotation.matrix, dtype=np.float64)
    translation = np.asarray(pose.translation, dtype=np.float64)
    finite = np.isfinite(rotation).all(axis=(-1, -2)) & np.isfinite(translation).all(axis=-1)
    missing = np.asarray(~finite)
    if missing.any() and not may_be_missing:
        raise InputError(
            f"{name}: expected finite poses, got {int(missing.sum())} with NaN or infinity; "
            "leave out what has no ground truth"
        )
    _check_rigid(rotation[~missing], name)
    return (
        np.where(missing[..., None, None], np.nan, rotation),
        np.where(missing[..., None], np.nan, translation),
    )


def _check_rigid(rotation: Floats, name: str) -> None:
    deviation = np.abs(rotation @ np.swapaxes(rotation, -1, -2) - np.eye(3)).max(initial=0.0)
    if deviation > RIGID_TOLERANCE or (np.linalg.det(rotation) < 0.0).any():
        raise InputError(
            f"{name}: expected rotation matrices (R R^T = 1 within {RIGID_TOLERANCE}, det +1), "
            f"got a deviation of {deviation:.3g} or a reflection; project them with SO3.nearest"
        )


def check_broadcast(shape_estimate: tuple[int, ...], shape_truth: tuple[int, ...]) -> None:
    """Refuse batches of estimates and true poses that do not pair (InputError)."""
    try:
        np.broadcast_shapes(shape_estimate, shape_truth)
    except ValueError:
        raise InputError(
            f"expected as many estimates as true poses, got {shape_estimate} and {shape_truth}; "
            "pair them first"
        ) from None
