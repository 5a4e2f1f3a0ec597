"""Uncertainty of a pose: between tangent vectors, frames and ROS's PoseWithCovariance.

All to first order (Barfoot and Furgale, "Associating uncertainty with three-dimensional poses",
2014, eq. 26 f.). Tangent vectors are (translation, rotation).
"""

from __future__ import annotations

from fast_inerf_ros.geometry.arrays import (
    Array,
    as_float,
    broadcast_batch,
    namespace,
    require_shape,
)
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import skew


def transport_covariance(covariance: Array, T_target_source: SE3) -> Array:
    """Covariance (..., 6, 6) of twists seen from another frame: Ad Σ Adᵀ.

    With `T_frame_body` it takes the covariance of body twists, `T @ exp(x)`, to that of frame
    twists, `exp(x) @ T`. With `T_base_camera` it takes the body twists of a camera to those of
    a base that it is rigidly mounted on.
    """
    values = require_shape(as_float(covariance), (6, 6), "covariances")
    return _congruent(T_target_source.adjoint(), values)


def tangent_covariance_to_ros(covariance: Array, T_frame_body: SE3) -> Array:
    """ROS's covariance (..., 6, 6) of a pose from that of its body twists, `T @ exp(x)`.

    ROS: position in m² along, and rotation in rad² about the fixed axes of `frame`, the
    rotation taken about the body's own origin. The adjoint takes the twist to the frame, where
    it moves the origin by ρ + φ x t; the two cross terms cancel.
    """
    values = require_shape(as_float(covariance), (6, 6), "covariances")
    to_frame = namespace(values).matmul(_shift(T_frame_body, 1.0), T_frame_body.adjoint())
    return _congruent(to_frame, values)


def ros_covariance_to_tangent(covariance: Array, T_frame_body: SE3) -> Array:
    """Covariance (..., 6, 6) of body twists, `T @ exp(x)`, from that of a ROS message."""
    values = require_shape(as_float(covariance), (6, 6), "covariances")
    back = T_frame_body.inverse().adjoint()
    return _congruent(namespace(values).matmul(back, _shift(T_frame_body, -1.0)), values)


def _congruent(matrix: Array, covariance: Array) -> Array:
    xp = namespace(matrix, covariance)
    product = xp.matmul(xp.matmul(matrix, covariance), xp.matrix_transpose(matrix))
    return (product + xp.matrix_transpose(product)) / 2


def _shift(T_frame_body: SE3, sign: float) -> Array:
    """Matrix (..., 6, 6) [[I, -sign [t]x], [0, I]]: a twist's motion of the body's origin."""
    rotation, translation = broadcast_batch(
        (T_frame_body.rotation.matrix, 2), (T_frame_body.translation, 1)
    )
    xp = namespace(rotation)
    identity = SE3.identity(tuple(rotation.shape[:-2]), like=rotation).rotation.matrix
    upper = xp.concat([identity, -sign * skew(translation)], axis=-1)
    return xp.concat([upper, xp.concat([xp.zeros_like(identity), identity], axis=-1)], axis=-2)
