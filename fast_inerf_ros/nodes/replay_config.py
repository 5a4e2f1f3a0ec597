"""What `replay` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fast_inerf_ros.config import option, section


@dataclass(frozen=True)
class FolderConfig:
    """How a folder of images becomes a camera."""

    camera_file: str = option(
        "",
        doc="Intrinsics of the images: a ROS calibration YAML or a transforms.json; empty looks "
        "for camera.yaml, camera_info.yaml, ost.yaml or transforms.json beside the images.",
    )
    frame_rate: float = option(
        30.0, doc="Images per second.", unit="Hz", minimum=0.001, maximum=1000.0
    )
    image_topic: str = option(
        "camera/image_raw",
        doc="Topic of the images; CameraInfo goes to camera_info beside it.",
    )
    frame_id: str = option("camera_optical_frame", doc="Optical frame of the camera.")
    compressed: bool = option(
        False,
        doc="Publish the files as they are as CompressedImage on <image_topic>/compressed.",
    )


@dataclass(frozen=True)
class ReplayConfig:
    """Options of `replay`."""

    bag: str = option(
        "",
        doc="What to play: a rosbag2 folder, a .mcap or .db3 file, or a folder of .jpg or .png "
        "images.",
        positional=True,
    )
    rate: float = option(
        1.0, doc="Seconds of recording per second.", minimum=0.001, maximum=1000.0
    )
    loop: bool = option(False, doc="Start over at the end; stamps jump back as in the recording.")
    start_offset: float = option(
        0.0, doc="Begin this long after the start of the recording.", unit="s", minimum=0.0
    )
    duration: float = option(
        0.0, doc="Play this much of the recording; 0 plays to its end.", unit="s", minimum=0.0
    )
    topics: tuple[str, ...] = option(
        (), doc="Play only these topics; * and ? are wildcards; empty plays all."
    )
    exclude_topics: tuple[str, ...] = option(
        (), doc="Do not play these topics; * and ? are wildcards."
    )
    publish_ground_truth: bool = option(
        False, doc="Publish the ground truth too, which is withheld otherwise."
    )
    ground_truth_topics: tuple[str, ...] = option(
        ("/ground_truth",), doc="Topics, and all topics below them, that hold the ground truth."
    )
    restamp: bool = option(
        False,
        doc="Give messages the time of their publication; those of one stamp stay together.",
    )
    clock_rate: float = option(
        0.0,
        doc="Publish the recording's time on /clock this often, for nodes with use_sim_time; 0 "
        "publishes none.",
        unit="Hz",
        minimum=0.0,
        maximum=10000.0,
    )
    wait_for_subscribers: float = option(
        0.0,
        doc="Wait up to this long until someone subscribes to an image topic (to any topic where "
        "no images are played) before the first message; 0 does not wait.",
        unit="s",
        minimum=0.0,
    )
    reliability: Literal["recorded", "reliable", "best_effort"] = option(
        "recorded", doc="Quality of service of the published topics."
    )
    depth: int = option(
        0, doc="History depth of the published topics; 0 takes the recorded one.", minimum=0
    )
    folder: FolderConfig = section(FolderConfig)
