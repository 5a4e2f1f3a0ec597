"""The error that a start pose is given, with the seed project's angles, order and signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fast_inerf_ros.config import option
from fast_inerf_ros.geometry.se3 import SE3

Order = Literal["auto", "blender", "llff"]


@dataclass(frozen=True)
class StartError:
    """How far the start is from the true pose, in the coordinates of the field."""

    phi_deg: float = option(0.0, doc="Turn about the z axis.", unit="deg")
    theta_deg: float = option(
        0.0, doc="Turn about the y axis; positive turns z towards -x.", unit="deg"
    )
    psi_deg: float = option(0.0, doc="Turn about the x axis.", unit="deg")
    distance: float = option(0.0, doc="Shift along the z axis, in units of the field.")
    order: Order = option(
        "auto",
        doc="blender: the shift comes last (T R_phi R_theta R_psi pose). llff: first (R_phi "
        "R_theta R_psi T pose). auto: llff for LLFF data sets, else blender.",
    )


def started(T_field_camera: SE3, error: StartError, layout: Literal["blender", "llff"]) -> SE3:
    """The start of a camera whose true pose in the field is given.

    Angles are about the axes and the origin of the field, which is what the poses of a Blender
    data set and the normalised poses of an LLFF data set are given in.
    """
    turn = about_z(error.phi_deg) @ about_y(error.theta_deg) @ about_x(error.psi_deg)
    shift = np.eye(4)
    shift[2, 3] = error.distance
    order = layout if error.order == "auto" else error.order
    moved = shift @ turn if order == "blender" else turn @ shift
    return SE3.from_matrix(moved) @ T_field_camera


def about_z(angle_deg: float) -> np.ndarray:
    """``rot_phi`` (4, 4)."""
    c, s = _cosine_and_sine(angle_deg)
    return np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])


def about_y(angle_deg: float) -> np.ndarray:
    """``rot_theta`` (4, 4): against the right-hand rule, as in the seed project."""
    c, s = _cosine_and_sine(angle_deg)
    return np.array([[c, 0, -s, 0], [0, 1, 0, 0], [s, 0, c, 0], [0, 0, 0, 1.0]])


def about_x(angle_deg: float) -> np.ndarray:
    """``rot_psi`` (4, 4)."""
    c, s = _cosine_and_sine(angle_deg)
    return np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1.0]])


def _cosine_and_sine(angle_deg: float) -> tuple[float, float]:
    angle = np.radians(angle_deg)
    return float(np.cos(angle)), float(np.sin(angle))
