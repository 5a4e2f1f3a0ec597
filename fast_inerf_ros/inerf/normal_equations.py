"""Damped least squares on robust residuals: a pose and, with it, the brightness.

Parameters are the twist of the camera (6), then gain and bias where they are free. Madsen,
Nielsen and Tingleff, "Methods for non-linear least squares problems" (2004), section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.inerf.brightness import BrightnessModel
from fast_inerf_ros.inerf.robust import LossOptions, costs, lengths, weights

Floats = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]

TWIST = 6


@dataclass(frozen=True, eq=False)
class NormalEquations:
    """JᵀWJ (P, P) and JᵀWr (P,) of residuals in units of colour, and what they were made of.

    loss: mean robust cost of the pixels, in units of scale². inlier_share: of pixels within the
    threshold of the loss.
    """

    hessian: Float64s
    gradient: Float64s
    loss: float
    n_pixels: int
    inlier_share: float

    def step(self, damping: float) -> Float64s | None:
        """Solve (A + damping diag A) x = -g; None where that is singular or not finite."""
        diagonal = np.diag(self.hessian)
        if not np.isfinite(self.hessian).all() or (diagonal[:TWIST] <= 0).any():
            return None
        # Unit diagonal: metres and radians need not be of one size.
        roots = np.sqrt(np.maximum(diagonal, 1e-30))
        scaled = self.hessian / np.outer(roots, roots) + damping * np.eye(len(roots))
        try:
            solution = np.linalg.solve(scaled, -self.gradient / roots)
        except np.linalg.LinAlgError:
            return None
        found: Float64s = solution / roots
        return found if np.isfinite(found).all() else None

    def pose_information(self) -> Float64s:
        """JᵀWJ (6, 6) of the twist with the brightness marginalised (Schur complement)."""
        pose = self.hessian[:TWIST, :TWIST]
        rest = self.hessian[TWIST:, TWIST:]
        if len(rest) == 0 or not np.isfinite(self.hessian).all():
            return pose
        coupling = self.hessian[:TWIST, TWIST:]
        return np.asarray(pose - coupling @ np.linalg.pinv(rest) @ coupling.T)


def build(
    residuals: Floats,
    jacobian: Floats,
    predicted: Floats,
    model: BrightnessModel,
    loss: LossOptions,
    scale: float,
    confidence: Floats | None = None,
) -> NormalEquations:
    """Normal equations of residuals (N, C) = image - (gain * predicted + bias).

    jacobian: (N, C, 6), of the residuals by the twist. predicted: (N, C) before gain and bias.
    confidence: (N,) weights in [0, 1] beside the robust ones. scale: of the residuals.
    """
    normalised = lengths(residuals) / scale
    weight = weights(loss, normalised)
    cost = costs(loss, normalised)
    total = float(len(normalised))
    if confidence is not None:
        weight = weight * confidence
        cost = cost * confidence
        total = float(confidence.sum())
    columns = np.concatenate([jacobian, model.columns(predicted)], axis=-1)
    flat = columns.reshape(-1, columns.shape[-1])
    weighted = (columns * weight[:, None, None]).reshape(flat.shape)
    return NormalEquations(
        hessian=(weighted.T @ flat).astype(np.float64),
        gradient=(weighted.T @ residuals.reshape(-1)).astype(np.float64),
        loss=float(cost.sum()) / max(total, 1e-12),
        n_pixels=len(residuals),
        inlier_share=float(np.mean(normalised <= loss.threshold)) if len(residuals) else 0.0,
    )


def mean_cost(
    residuals: Floats, loss: LossOptions, scale: float, confidence: Floats | None = None
) -> float:
    """The loss that ``build`` would give, without Jacobians; infinite without pixels."""
    if len(residuals) == 0:
        return float("inf")
    cost = costs(loss, lengths(residuals) / scale)
    if confidence is None:
        return float(cost.mean())
    return float((cost * confidence).sum() / max(float(confidence.sum()), 1e-12))


def moved(T_target_camera: SE3, step: Float64s) -> SE3:
    """Pose after the twist (ρ, φ) at the head of a step: R exp(φ), t + R ρ.

    To first order ``T @ SE3.exp(x)``, and quick for one pose.
    """
    rotation, translation = T_target_camera.rotation.matrix, T_target_camera.translation
    turn, _ = cv2.Rodrigues(np.ascontiguousarray(step[3:TWIST]))
    return SE3(SO3(rotation @ turn), translation + rotation @ step[:3])
