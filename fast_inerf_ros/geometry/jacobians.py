"""Left Jacobians of the exponential maps: how a change of a twist moves its transform.

exp(x + dx) = exp(J(x) dx) exp(x) to first order, for rotation vectors and for twists
(translation first); they carry covariances from parameters to the manifold and back.
"""

from __future__ import annotations

import numpy as np

from fast_inerf_ros.geometry import series
from fast_inerf_ros.geometry.arrays import Array, as_float, constant, namespace, require_shape
from fast_inerf_ros.geometry.so3 import skew


def so3_left_jacobian(rotation_vector: Array) -> Array:
    """Left Jacobian (..., 3, 3) of SO3.exp; Sola et al. (2018), eq. 145."""
    vector = require_shape(as_float(rotation_vector), (3,), "rotation vectors")
    xp = namespace(vector)
    squared = xp.sum(vector * vector, axis=-1)[..., None, None]
    hat = skew(vector)
    return (
        constant(np.eye(3), vector)
        + series.cosine_ratio(squared) * hat
        + series.sine_remainder(squared) * xp.matmul(hat, hat)
    )


def so3_left_jacobian_inverse(rotation_vector: Array) -> Array:
    """Its inverse (..., 3, 3), for angles below 2π; Sola et al. (2018), eq. 146."""
    vector = require_shape(as_float(rotation_vector), (3,), "rotation vectors")
    xp = namespace(vector)
    squared = xp.sum(vector * vector, axis=-1)[..., None, None]
    hat = skew(vector)
    return (
        constant(np.eye(3), vector)
        - hat / 2
        + series.cotangent_remainder(squared) * xp.matmul(hat, hat)
    )


def se3_left_jacobian(twist: Array) -> Array:
    """Left Jacobian (..., 6, 6) of SE3.exp; Sola et al. (2018), eq. 179."""
    values = require_shape(as_float(twist), (6,), "twists")
    rotation = so3_left_jacobian(values[..., 3:])
    return _block_triangular(rotation, _coupling(values))


def se3_left_jacobian_inverse(twist: Array) -> Array:
    """Its inverse (..., 6, 6), for angles below 2π.

    Barfoot, "State estimation for
    robotics" (2017), section 7.1.5.
    """
    values = require_shape(as_float(twist), (6,), "twists")
    xp = namespace(values)
    inverse = so3_left_jacobian_inverse(values[..., 3:])
    coupling = -xp.matmul(xp.matmul(inverse, _coupling(values)), inverse)
    return _block_triangular(inverse, coupling)


def _block_triangular(diagonal: Array, upper_right: Array) -> Array:
    xp = namespace(diagonal)
    upper = xp.concat([diagonal, upper_right], axis=-1)
    lower = xp.concat([xp.zeros_like(diagonal), diagonal], axis=-1)
    return xp.concat([upper, lower], axis=-2)


def _coupling(twist: Array) -> Array:
    """Q(ρ, φ) (..., 3, 3) of Sola et al. (2018), eq. 180."""
    xp = namespace(twist)
    squared = xp.sum(twist[..., 3:] ** 2, axis=-1)[..., None, None]
    v, w = skew(twist[..., :3]), skew(twist[..., 3:])
    wv, vw = xp.matmul(w, v), xp.matmul(v, w)
    wvw, ww = xp.matmul(wv, w), xp.matmul(w, w)
    return (
        v / 2
        + series.sine_remainder(squared) * (wv + vw + wvw)
        + series.cosine_remainder(squared) * (xp.matmul(w, wv) + xp.matmul(vw, w) - 3 * wvw)
        + series.mixed_remainder(squared) * (xp.matmul(wvw, w) + xp.matmul(ww, vw))
    )
