"""What `collect_images` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fast_inerf_ros.config import option


@dataclass(frozen=True)
class CollectConfig:
    """Options of `collect_images`."""

    topic: str = option(
        "camera/image_raw", doc="Topic of the images, relative to the namespace.", positional=True
    )
    transport: Literal["raw", "compressed"] = option(
        "raw", doc="Type of the topic: sensor_msgs/Image or sensor_msgs/CompressedImage."
    )
    camera_info_topic: str = option(
        "", doc="Topic of the CameraInfo; empty takes camera_info beside the images."
    )
    output: str = option("images", doc="Folder for the images, the summary and the sheet.")
    count: int = option(0, doc="End after this many images; 0 ends when no more come.", minimum=0)
    keep: int = option(12, doc="Write this many images, evenly over those received.", minimum=1)
    image_format: Literal["jpeg", "png"] = option("jpeg", doc="Format of the written images.")
    columns: int = option(4, doc="Columns of the contact sheet.", minimum=1)
    timeout: float = option(
        30.0, doc="Give up when the first image has not come by then.", unit="s", minimum=0.1
    )
    quiet: float = option(
        2.0, doc="End when no image has come for this long.", unit="s", minimum=0.1
    )
    reliability: Literal["best_effort", "reliable"] = option(
        "best_effort", doc="Quality of service of the subscription."
    )
    depth: int = option(10, doc="History depth of the subscription.", minimum=1)
