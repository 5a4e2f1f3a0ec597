"""Metrics: errors of poses, of object poses and of images, and how often they are small."""

from fast_inerf_ros.evaluation.images import psnr, ssim
from fast_inerf_ros.evaluation.objects import (
    BOP_SYMMETRY_STEP_RAD,
    add,
    add_s,
    mspd,
    mssd,
    symmetric_add,
    symmetric_pose_errors,
)
from fast_inerf_ros.evaluation.poses import (
    PoseErrors,
    pose_errors,
    rotation_error,
    rotation_error_deg,
    translation_error,
)
from fast_inerf_ros.evaluation.recall import (
    POSECNN_MAXIMUM,
    Percentile,
    Recall,
    Summary,
    area_under_recall,
    area_under_recall_voc,
    joint_recall,
    recall_at,
    recall_curve,
    summarise,
    wilson_interval,
)

__all__ = [
    "BOP_SYMMETRY_STEP_RAD",
    "POSECNN_MAXIMUM",
    "Percentile",
    "PoseErrors",
    "Recall",
    "Summary",
    "add",
    "add_s",
    "area_under_recall",
    "area_under_recall_voc",
    "joint_recall",
    "mspd",
    "mssd",
    "pose_errors",
    "psnr",
    "recall_at",
    "recall_curve",
    "rotation_error",
    "rotation_error_deg",
    "ssim",
    "summarise",
    "symmetric_add",
    "symmetric_pose_errors",
    "translation_error",
    "wilson_interval",
]
