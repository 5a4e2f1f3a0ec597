"""What the benchmarks of localisation keep of an answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from fast_inerf_ros.estimator.estimate import Estimate
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.evaluation.recall import wilson_interval
from fast_inerf_ros.geometry.se3 import SE3


def described(estimate: Estimate, truth: SE3, unit: float) -> dict[str, Any]:
    """What is kept of an estimate. nees: of a pose that was given."""
    record: dict[str, Any] = {
        "status": estimate.status.value,
        "reason": estimate.reason,
        "score": estimate.score,
        "source": estimate.source.value,
        "timings": {timing.stage: timing.seconds for timing in estimate.timings},
        "angle_deg": float("inf"),
        "distance": float("inf"),
    }
    if estimate.T_world_camera is None or estimate.covariance is None:
        return record
    error = pose_errors(estimate.T_world_camera, truth)
    twist = np.asarray((estimate.T_world_camera.inverse() @ truth).log())
    record["angle_deg"] = float(np.degrees(error.rotation))
    record["distance"] = float(error.translation) / unit
    record["nees"] = float(twist @ np.linalg.solve(estimate.covariance, twist))
    return record


def counted(good: np.ndarray) -> str:
    """k/N with a Wilson interval."""
    low, high = (float(x) for x in wilson_interval(int(good.sum()), max(1, len(good))))
    return f"{int(good.sum())}/{len(good)} [{low:.2f}, {high:.2f}]"
