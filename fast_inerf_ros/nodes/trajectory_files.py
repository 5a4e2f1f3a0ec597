"""Trajectories as files that evo and others read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fast_inerf_ros.geometry.conventions import (
    pose_to_ros,
    pose_to_tum_line,
    tum_line_to_pose,
    xyzw_to_wxyz,
)
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.io.atomic import write_text

EUROC_HEADER = (
    "#timestamp [ns],p_RS_R_x [m],p_RS_R_y [m],p_RS_R_z [m],"
    "q_RS_w [],q_RS_x [],q_RS_y [],q_RS_z []"
)


@dataclass(frozen=True, eq=False)
class StampedPose:
    """``T_world_camera`` at a time in nanoseconds."""

    stamp_ns: int
    T_world_camera: SE3


def write_tum(path: Path, poses: Sequence[StampedPose]) -> None:
    """Write a file of lines ``timestamp tx ty tz qx qy qz qw`` (``evo_traj tum``)."""
    lines = [pose_to_tum_line(pose.stamp_ns, pose.T_world_camera) for pose in poses]
    write_text(path, "".join(f"{line}\n" for line in lines))


def write_csv(path: Path, poses: Sequence[StampedPose]) -> None:
    """Write a table as the EuRoC data sets have it (``evo_traj euroc``); quaternions w first."""
    lines = [EUROC_HEADER, *map(_csv_line, poses)]
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_tum(path: Path) -> list[StampedPose]:
    """Read a TUM file; empty lines and comments are left out.

    Raises:
        InputError: A line is no pose.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line.strip() and not line.startswith("#")]
    return [StampedPose(*tum_line_to_pose(line)) for line in kept]


def _csv_line(pose: StampedPose) -> str:
    position, xyzw = pose_to_ros(pose.T_world_camera)
    numbers = [*np.asarray(position).tolist(), *np.asarray(xyzw_to_wxyz(xyzw)).tolist()]
    return ",".join([str(pose.stamp_ns), *(f"{number:.9f}" for number in numbers)])
