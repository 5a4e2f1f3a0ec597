"""Answers without a pose, and what an observation must be to get another one."""

from __future__ import annotations

import numpy as np

from fast_inerf_ros.estimator.estimate import Estimate, Source, Status, Timing
from fast_inerf_ros.estimator.observation import Observation
from fast_inerf_ros.estimator.verification import Evidence
from fast_inerf_ros.posecnn.detection import Detection


def obstacle_of(observation: Observation) -> str | None:
    """Why an observation cannot be worked on, in one line; None where it can."""
    image, camera = observation.image, observation.camera
    expected = (camera.height, camera.width, 3)
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        return f"expected a uint8 image, got {getattr(image, 'dtype', type(image).__name__)}"
    if image.shape != expected:
        return (
            f"expected an image of shape {expected} as its camera says, got {image.shape}; "
            "another calibration belongs to it"
        )
    return None


def lost(
    observation: Observation,
    reason: str,
    timings: tuple[Timing, ...] = (),
    detections: tuple[Detection, ...] = (),
    score: float = 0.0,
    evidence: Evidence | None = None,
) -> Estimate:
    """The answer where there is no pose to use."""
    return Estimate(
        status=Status.LOST,
        reason=reason,
        T_world_camera=None,
        covariance=None,
        score=score,
        source=Source.NONE,
        timings=timings,
        objects=(),
        detections=detections,
        stamp_ns=observation.stamp_ns,
        frame_id=observation.frame_id,
        evidence=evidence,
    )
