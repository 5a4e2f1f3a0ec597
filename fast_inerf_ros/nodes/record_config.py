"""What `record_poses` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fast_inerf_ros.config import option


@dataclass(frozen=True)
class RecordConfig:
    """Options of `record_poses`."""

    topic: str = option(
        "pose_estimator/camera_pose",
        doc="Topic of the poses (geometry_msgs/PoseStamped), relative to the namespace.",
        positional=True,
    )
    truth_topic: str = option(
        "", doc="Topic of true poses to write beside them; empty writes none."
    )
    overlay_topic: str = option("", doc="Topic of pictures to make a video of; empty makes none.")
    video: Literal["mp4", "gif", "both"] = option("mp4", doc="Kind of that video.")
    output: str = option(
        "poses", doc="Folder for poses.tum, poses.csv, summary.json, truth.tum and the video."
    )
    count: int = option(0, doc="End after this many poses; 0 ends when no more come.", minimum=0)
    timeout: float = option(
        30.0, doc="Give up when the first pose has not come by then.", unit="s", minimum=0.1
    )
    quiet: float = option(
        2.0, doc="End when neither pose nor truth has come for this long.", unit="s", minimum=0.1
    )
