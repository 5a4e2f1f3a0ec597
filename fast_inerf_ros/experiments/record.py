"""One refinement on file: a CSV of its steps, and its result as JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.observer import Iteration
from fast_inerf_ros.inerf.result import Result
from fast_inerf_ros.io.atomic import write_text

COLUMNS = (
    "step",
    "stage",
    "seconds",
    "loss",
    "n_pixels",
    "rotation_error_deg",
    "translation_error",
)
RESULT = "result"
"""The stage of the last row: the pose that was answered."""


@dataclass(frozen=True, eq=False)
class Steps:
    """Columns of a CSV, one row a step; NaN where a value is not known."""

    step: npt.NDArray[np.float64]
    seconds: npt.NDArray[np.float64]
    loss: npt.NDArray[np.float64]
    rotation_error_deg: npt.NDArray[np.float64]
    translation_error: npt.NDArray[np.float64]


def write_steps(
    path: str | PathLike[str], iterations: Sequence[Iteration], result: Result, truth: SE3 | None
) -> None:
    """Write the steps of a refinement and, as the last row, its result.

    Rotation errors are geodesic angles in degrees, translation errors the distance between the
    camera centres in metres (units of the data set where its scale is not known); both are
    empty where the truth is not known.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for item in iterations:
        head = (item.step, item.stage, f"{item.seconds:.6f}", f"{item.loss:.9g}", item.n_pixels)
        writer.writerow((*head, *_errors(item.T_world_camera, truth)))
    last = (len(iterations), RESULT, f"{result.seconds:.6f}", "", "")
    writer.writerow((*last, *_errors(result.T_world_camera, truth)))
    write_text(path, text.getvalue())


def read_steps(path: str | PathLike[str]) -> Steps:
    """Read what `write_steps` wrote; raises InputError for another file."""
    wanted = [name for name in COLUMNS if name not in ("stage", "n_pixels")]
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in wanted if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(
                    f"{path}: expected the columns {', '.join(COLUMNS)}, lacks "
                    f"{', '.join(missing)}; give a steps.csv of inerf or run_inerf"
                )
            rows = list(reader)
        numbers = [[_number(row[name]) for row in rows] for name in wanted]
    except (OSError, UnicodeDecodeError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: expected a steps.csv of inerf or run_inerf, got {error}; check the path"
        ) from None
    return Steps(*(np.array(column, dtype=np.float64) for column in numbers))


def write_result(
    path: str | PathLike[str], result: Result, start: SE3, truth: SE3 | None
) -> dict[str, Any]:
    """Write the answer as JSON, what is not finite as null; returns what was written."""
    residuals, covariance = result.residuals, result.covariance()
    values: dict[str, Any] = {
        "solver": result.solver,
        "status": result.status.value,
        "reason": result.reason,
        "seconds": result.seconds,
        "T_world_camera": _matrix(result.T_world_camera),
        "T_world_camera_start": _matrix(start),
        "T_world_camera_truth": _matrix(truth),
        **_named_errors("start", start, truth),
        **_named_errors("result", result.T_world_camera, truth),
        "residuals": None if residuals is None else dict(vars(residuals)),
        "covariance": None if covariance is None else covariance.tolist(),
        "stages": [dict(vars(stage)) for stage in result.stages],
    }
    known: dict[str, Any] = _finite(values)
    write_text(path, json.dumps(known, indent=1, allow_nan=False) + "\n")
    return known


def _errors(pose: SE3 | None, truth: SE3 | None) -> tuple[str, str]:
    if pose is None or truth is None:
        return "", ""
    found = pose_errors(pose, truth)
    return f"{float(found.rotation_deg):.9g}", f"{float(found.translation):.9g}"


def _named_errors(name: str, pose: SE3 | None, truth: SE3 | None) -> dict[str, float | None]:
    angle, distance = _errors(pose, truth)
    return {
        f"{name}_rotation_error_deg": float(angle) if angle else None,
        f"{name}_translation_error": float(distance) if distance else None,
    }


def _matrix(pose: SE3 | None) -> list[list[float]] | None:
    return None if pose is None else np.asarray(pose.matrix(), dtype=np.float64).tolist()


def _number(text: str | None) -> float:
    return float(text) if text else math.nan


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
