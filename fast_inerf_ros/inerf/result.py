"""What a refinement answers. Failure is a value: a status and a reason, never an exception."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.geometry.se3 import SE3

Floats = npt.NDArray[np.float64]


class Status(str, Enum):
    """How a refinement ended.

    CONVERGED: at an optimum that the held-out pixels agree with.
    STOPPED: ended by a limit or an observer; the best pose so far, and held-out pixels agree.
    REJECTED: image and field do not agree at any pose that was found; the pose is the start.
    FAILED: there was nothing to work with; no pose.
    """

    CONVERGED = "converged"
    STOPPED = "stopped"
    REJECTED = "rejected"
    FAILED = "failed"

    @property
    def refined(self) -> bool:
        """Whether the pose is one to use."""
        return self in (Status.CONVERGED, Status.STOPPED)


@dataclass(frozen=True)
class Residuals:
    """How the rendered pixels differ from the image, at the best pose; colours in [0, 1].

    n_pixels: how many were compared. rms: root mean square. scale: robust standard deviation
    (from the median absolute deviation). inlier_share: within the robust loss' threshold.
    gain, bias: image = gain * rendered + bias. correlation: of the held-out pixels with their
    rendering (zero-mean, normalised). held_out_start, held_out_end: robust costs of the held-out
    pixels at the start and at the result.
    """

    n_pixels: int
    rms: float
    scale: float
    inlier_share: float
    gain: float
    bias: float
    correlation: float
    held_out_start: float
    held_out_end: float


@dataclass(frozen=True)
class Stage:
    """One part of a refinement: what it did, how long, and whether held-out pixels agreed."""

    name: str
    n_steps: int
    seconds: float
    seconds_rendering: float
    held_out_before: float
    held_out_after: float
    accepted: bool


@dataclass(frozen=True, eq=False)
class Result:
    """The answer to a ``Problem``.

    T_world_camera: the pose, the start where it was REJECTED, None where it FAILED.
    reason: one line, why it ended. information: JᵀWJ (6, 6) of twists x of the camera,
    ``T_world_camera @ SE3.exp(x)``, translation first, brightness marginalised; zero where
    unknown. Residuals are in units of colour, so that ``covariance`` is residuals.scale² times
    its inverse.
    """

    solver: str
    status: Status
    reason: str
    T_world_camera: SE3 | None
    residuals: Residuals | None
    information: Floats
    stages: tuple[Stage, ...]
    seconds: float

    def covariance(self) -> Floats | None:
        """σ² (JᵀWJ)⁻¹ (6, 6) of twists of the camera; None where pixels do not fix the pose."""
        if self.residuals is None:
            return None
        return covariance(self.information, self.residuals.scale)


def covariance(information: Floats, scale: float) -> Floats | None:
    """σ² A⁻¹ of an information matrix A (6, 6), None where A is singular to working precision."""
    diagonal = np.diag(information)
    if not np.isfinite(information).all() or (diagonal <= 0).any():
        return None
    roots = np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(information / np.outer(roots, roots))
    if values[0] < 1e-10:
        return None
    inverse = (vectors / values) @ vectors.T / np.outer(roots, roots)
    return np.asarray(scale**2 * inverse)


def failed(solver: str, reason: str, seconds: float) -> Result:
    """The result where there was nothing to work with."""
    return Result(solver, Status.FAILED, reason, None, None, np.zeros((6, 6)), (), seconds)
