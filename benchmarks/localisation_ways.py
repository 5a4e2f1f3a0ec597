"""Estimators of one scene that start from different things."""

from __future__ import annotations

from pathlib import Path

from fast_inerf_ros.config import replace
from fast_inerf_ros.estimator.config import EstimatorConfig
from fast_inerf_ros.estimator.pose_estimator import PoseEstimator
from fast_inerf_ros.inerf.landmarks import LandmarkMap
from fast_inerf_ros.posecnn.detector import Detector

DETECTOR = Path(__file__).parents[1] / "resource" / "posecnn_tabletop.pt"
"""PoseCNN of the objects of the protocol, as shipped."""


def ways(whole: PoseEstimator, detector: Detector) -> dict[str, PoseEstimator]:
    """Estimators of a scene by what they start from; the last one is as shipped."""
    alone = replace(whole.config, "views.enabled", False)

    def made(
        config: EstimatorConfig, landmarks: LandmarkMap | None, own: Detector | None
    ) -> PoseEstimator:
        return PoseEstimator(whole.scene, whole.field, config, landmarks, own)

    return {
        "landmarks alone": made(alone, whole.landmarks, None),
        "PoseCNN alone": made(alone, None, detector),
        "everything": made(whole.config, whole.landmarks, detector),
    }
