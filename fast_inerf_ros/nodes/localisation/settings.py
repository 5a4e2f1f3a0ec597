"""What `pose_estimator` can be told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from fast_inerf_ros.config import option, section
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.estimator.config import EstimatorConfig, TrackerConfig

DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class TransformConfig:
    """Which transform goes to /tf."""

    mode: Literal["camera", "inverse", "base", "odom", "none"] = option(
        "camera",
        doc="camera: world to optical frame. inverse: optical frame to world, where the optical "
        "frame is the root of the tree. base: world to base_frame. odom: world to odom_frame, "
        "REP 105's map to odom. base and odom look frames up and need tf2_ros.",
    )
    base_frame: str = option(
        "base_link",
        doc="Frame of the robot that /initialpose and the modes base and odom speak of.",
    )
    odom_frame: str = option("odom", doc="Frame of the odometry.")
    use_odometry: bool = option(
        False, doc="Predict the motion between images from TF (odom_frame); needs tf2_ros."
    )
    lookup_timeout: float = option(
        0.05, doc="Wait this long for a frame at an image's time.", unit="s", minimum=0.0,
        maximum=1.0, dynamic=True,
    )  # fmt: skip
    transform_tolerance: float = option(
        0.1,
        doc="How far into the future the mode odom dates its transform, so that others need not "
        "wait for it.",
        unit="s",
        minimum=0.0,
        maximum=10.0,
        dynamic=True,
    )
    choice: Literal["priority", "covariance"] = option(
        "priority",
        doc="Which of several cameras sends: the first of the list that is localised, or the one "
        "with the smallest covariance.",
    )
    hold: float = option(
        0.5, doc="How long a camera's last pose counts in that choice.", unit="s", minimum=0.0,
        dynamic=True,
    )  # fmt: skip


@dataclass(frozen=True)
class PoseEstimatorConfig:
    """Options of `pose_estimator`."""

    scene: str = option(
        "", doc="The scene file, scene.yaml; a change loads the other scene.", dynamic=True
    )
    device: str = option("auto", doc="cpu, cuda, cuda:1 ...; auto takes a GPU if there is one.")
    torch_threads: int = option(
        1,
        doc="Threads of PyTorch, which runs PoseCNN. More make that faster where processors are "
        "idle, and everything slower where they are not.",
        minimum=1,
        maximum=256,
    )
    autostart: bool = option(
        True, doc="Configure and activate at once. Otherwise a lifecycle manager does."
    )
    enabled: bool = option(
        True, doc="Whether images are looked at when the node becomes active; see ~/enable."
    )
    cameras: tuple[str, ...] = option(
        ("camera",),
        doc="Names of the cameras. With more than one, the topics are below ~/<camera>/.",
    )
    image_topics: tuple[str, ...] = option(
        (), doc="Topic of each camera's images; empty takes <camera>/image_raw."
    )
    camera_info_topics: tuple[str, ...] = option(
        (), doc="Topic of each camera's CameraInfo; empty takes camera_info beside the images."
    )
    transport: Literal["raw", "compressed"] = option(
        "raw", doc="Image on the image topic, or CompressedImage on <image topic>/compressed."
    )
    image_rectified: bool = option(
        False, doc="Whether images are rectified: P of the CameraInfo counts, and D does not."
    )
    reliability: Literal["best_effort", "reliable"] = option(
        "best_effort", doc="Quality of service of the subscriptions to images and CameraInfo."
    )
    depth: int = option(5, doc="History depth of the subscription to images.", minimum=1)
    max_age: float = option(
        0.5, doc="Images older than this are not looked at; 0 takes any.", unit="s", minimum=0.0,
        dynamic=True,
    )  # fmt: skip
    overlay_rate: float = option(
        10.0, doc="Most images a second on ~/overlay.", unit="Hz", minimum=0.1,
        dynamic=True,
    )  # fmt: skip
    diagnostics_period: float = option(
        1.0, doc="Time between messages on /diagnostics.", unit="s", minimum=0.05
    )
    tf: TransformConfig = section(TransformConfig)
    estimator: EstimatorConfig = section(EstimatorConfig)
    tracker: TrackerConfig = section(TrackerConfig)

    def __post_init__(self) -> None:
        """Check what is said of cameras and the device."""
        _check_cameras(self)
        if DEVICE.fullmatch(self.device) is None:
            raise InputError(f"device: expected auto, cpu or cuda:N, got {self.device!r}")


def _check_cameras(config: PoseEstimatorConfig) -> None:
    names = config.cameras
    wrong = [name for name in names if NAME.fullmatch(name) is None]
    if not names or wrong or len(set(names)) < len(names):
        raise InputError(
            "cameras: expected different names of letters, digits and _, as in a topic, got "
            f"{list(names)}"
        )
    for option_name in ("image_topics", "camera_info_topics"):
        given = getattr(config, option_name)
        if given and len(given) != len(names):
            raise InputError(
                f"{option_name}: expected one topic for each of the {len(names)} cameras, or "
                f"none, got {len(given)}"
            )


@dataclass(frozen=True)
class CameraSettings:
    """One camera: its name, where its images and CameraInfo come from, where results go.

    output: prefix of the topics of its results, with a slash at the end.
    """

    name: str
    image_topic: str
    info_topic: str
    output: str


def camera_settings(config: PoseEstimatorConfig) -> tuple[CameraSettings, ...]:
    """Spell out what the options say of each camera."""
    single = len(config.cameras) == 1
    found = []
    for index, name in enumerate(config.cameras):
        topic = config.image_topics[index] if config.image_topics else f"{name}/image_raw"
        base = topic.removesuffix("/compressed")
        infos = config.camera_info_topics
        found.append(
            CameraSettings(
                name=name,
                image_topic=f"{base}/compressed" if config.transport == "compressed" else base,
                info_topic=infos[index] if infos else beside(base),
                output="~/" if single else f"~/{name}/",
            )
        )
    return tuple(found)


def beside(image_topic: str) -> str:
    """Return the topic of the CameraInfo beside an image topic."""
    parent, slash, _ = image_topic.rpartition("/")
    return f"{parent}{slash}camera_info"
