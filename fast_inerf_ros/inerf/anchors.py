"""Landmarks in the least-squares problem: points of the world whose pixels are known.

Their reprojection errors, in standard deviations of their own, are added to the photometric
residuals in standard deviations of theirs, so that both count by what they are worth. Losses are
Tukey's: a wrong match has no say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.normal_equations import TWIST, NormalEquations
from fast_inerf_ros.inerf.robust import LossOptions, costs, weights

Floats = npt.NDArray[np.float64]

LOSS = LossOptions(kind="tukey", threshold=4.0)
TRUNCATION = 4.0
"""Standard deviations beyond which held-out landmarks are all equally wrong."""


@dataclass(frozen=True, eq=False)
class Anchors:
    """n landmarks.

    points: (n, 3), world. pixels: (n, 2). deviation_px: of their errors in u and in v.
    weight: of a landmark's residual against a colour's, both in standard deviations. Colours
    have errors of the field in common with their neighbours, so that many count as one.
    """

    points: Floats
    pixels: Floats
    deviation_px: float
    weight: float = 1.0

    def __len__(self) -> int:
        return len(self.points)

    def split(self, share: float, generator: np.random.Generator) -> tuple[Anchors, Anchors]:
        """Landmarks to use, and a share of them that is held out."""
        held_out = generator.random(len(self)) < share
        return self._chosen(~held_out), self._chosen(held_out)

    def errors(self, camera: Camera, T_world_camera: SE3) -> Floats:
        """Reprojection errors (n,) in standard deviations, infinite where not in view."""
        pixels = np.asarray(camera.project(T_world_camera.inverse() @ self.points))
        error = np.linalg.norm(pixels - self.pixels, axis=-1) / self.deviation_px
        return np.where(np.isfinite(error), error, np.inf)

    def cost(self, camera: Camera, T_world_camera: SE3) -> float:
        """Mean truncated squared error, in [0, ``TRUNCATION``²]; 0 where there are none."""
        if len(self) == 0:
            return 0.0
        return float(np.mean(np.minimum(self.errors(camera, T_world_camera), TRUNCATION) ** 2))

    def loss(self, camera: Camera, T_world_camera: SE3) -> float:
        """Sum of robust costs, comparable with that of pixels."""
        error = self.errors(camera, T_world_camera)
        return self.weight * float(costs(LOSS, np.minimum(error, 1e6).astype(np.float32)).sum())

    def added(
        self, equations: NormalEquations, camera: Camera, T_world_camera: SE3, scale: float
    ) -> NormalEquations:
        """Photometric equations with those of the landmarks. scale: of the colours' residuals.

        A body twist x of the camera moves a point p of its frame by -(ρ + φ x p).
        """
        points = T_world_camera.inverse() @ self.points
        pixels, by_point = camera.project_with_jacobian(points)
        residual = (np.asarray(pixels) - self.pixels) / self.deviation_px
        seen = np.isfinite(residual).all(axis=-1)
        by_point, points, residual = np.asarray(by_point)[seen], points[seen], residual[seen]
        flow = np.concatenate([by_point, np.cross(points[:, None, :], by_point)], axis=-1)
        jacobian = -flow / self.deviation_px
        error = np.linalg.norm(residual, axis=-1)
        weight = weights(LOSS, error.astype(np.float32)).astype(np.float64)
        weighted = jacobian * weight[:, None, None]
        hessian, gradient = equations.hessian.copy(), equations.gradient.copy()
        unit = self.weight * scale**2
        hessian[:TWIST, :TWIST] += unit * np.einsum("nri,nrj->ij", weighted, jacobian)
        gradient[:TWIST] += unit * np.einsum("nri,nr->i", weighted, residual)
        extra = float(costs(LOSS, error.astype(np.float32)).sum())
        extra += (len(self) - len(error)) * LOSS.threshold**2 / 6.0
        return NormalEquations(
            hessian,
            gradient,
            equations.loss + self.weight * extra / max(equations.n_pixels, 1),
            equations.n_pixels,
            equations.inlier_share,
        )

    def _chosen(self, rows: npt.NDArray[np.bool_]) -> Anchors:
        return Anchors(self.points[rows], self.pixels[rows], self.deviation_px, self.weight)
