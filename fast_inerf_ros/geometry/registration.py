"""Fitting poses to poses, points to points, and cameras to points."""

from fast_inerf_ros.geometry.averaging import Loss, PoseAverage, average_poses
from fast_inerf_ros.geometry.pnp import PnpResult, pnp_near, refine_pnp, solve_pnp
from fast_inerf_ros.geometry.similarity import Similarity
from fast_inerf_ros.geometry.umeyama import umeyama

__all__ = [
    "Loss",
    "PnpResult",
    "PoseAverage",
    "Similarity",
    "average_poses",
    "pnp_near",
    "refine_pnp",
    "solve_pnp",
    "umeyama",
]
