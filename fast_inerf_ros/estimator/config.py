"""Options of the estimator and of the tracker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fast_inerf_ros.config import option, section
from fast_inerf_ros.estimator.following import FollowOptions
from fast_inerf_ros.inerf.initialise import InitialPoseConfig
from fast_inerf_ros.inerf.landmarks import MatchOptions
from fast_inerf_ros.inerf.solvers.keyframe import Options as KeyframeOptions
from fast_inerf_ros.posecnn.detector import DetectorConfig


@dataclass(frozen=True)
class LandmarkOptions:
    """How landmarks give a pose."""

    enabled: bool = option(True, doc="Use the landmark map, where the scene has one.")
    max_error_px: float = option(
        4.0,
        doc="Largest reprojection error of a landmark that agrees with a pose, in an image of "
        "match.longest_side.",
        unit="px",
        minimum=0.1,
    )
    min_inliers: int = option(10, doc="Landmarks that must agree on a pose.", minimum=4)
    quick_features: int = option(
        400, doc="Features of an image that must be localised quickly, at most.", minimum=50
    )
    quick_side: int = option(
        320, doc="Such an image is made smaller, if it is larger.", unit="px", minimum=64
    )
    match: MatchOptions = section(MatchOptions)


@dataclass(frozen=True)
class ViewOptions:
    """How views of the field, rendered beforehand, give poses where nothing else does."""

    enabled: bool = option(True, doc="Search views where no other source gives a good pose.")
    count: int = option(96, doc="Views around the scene, where there are no photographs' poses.",
                        minimum=8)  # fmt: skip
    n_aligned: int = option(32, doc="Views that are aligned with the image.", minimum=1)
    n_kept: int = option(3, doc="Of these, refined further.", minimum=1)


@dataclass(frozen=True)
class TrustOptions:
    """When a pose is believed. See docs/how_it_works.md for the score."""

    min_score: float = option(
        0.5,
        doc="Least score of the verification; below it the status is lost.",
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    )
    good_score: float = option(
        0.9,
        doc="Score from which no other hypothesis is tried.",
        minimum=0.0,
        maximum=1.0,
    )
    covariance_scale: float = option(
        20.0,
        doc="Factor of the covariance that residuals of colours give: as if so many neighbouring "
        "pixels had one error of the field in common. Landmarks count for as much more.",
        minimum=1e-3,
    )
    colours_alone: float = option(
        1.6,
        doc="Further factor of the covariance of poses that no landmark had a say in: what is "
        "wrong with the field moves all of its pixels.",
        minimum=1e-3,
    )
    doubt: float = option(
        11.6,
        doc="The covariance of such poses grows by exp(doubt) from where all blocks of the image "
        "agree with the field to where none does.",
        minimum=0.0,
    )


@dataclass(frozen=True)
class EstimatorConfig:
    """Options of the estimator."""

    background: Literal["unknown", "white", "black"] = option(
        "unknown", doc="What lies behind the scene in the images, if that is known."
    )
    near: float = option(0.0, doc="Nothing is nearer to the camera.", unit="m", minimum=0.0)
    max_refined: int = option(3, doc="Hypotheses that are refined, at most.", minimum=1)
    seed: int = option(0, doc="Seed of everything random.", minimum=0)
    landmarks: LandmarkOptions = section(LandmarkOptions)
    views: ViewOptions = section(ViewOptions)
    objects: InitialPoseConfig = section(InitialPoseConfig)
    detector: DetectorConfig = section(DetectorConfig)
    solver: KeyframeOptions = section(KeyframeOptions)
    trust: TrustOptions = section(TrustOptions)


@dataclass(frozen=True)
class TrackerConfig:
    """Options of the tracker."""

    max_gap_s: float = option(
        1.0, doc="Longest time between images over which motion is predicted.", unit="s",
        minimum=0.0,
    )  # fmt: skip
    follow_gap_s: float = option(
        0.15,
        doc="Longest time since the last pose over which an image is aligned with the keyframe of "
        "the stream, unless odometry bridges it.",
        unit="s",
        minimum=0.0,
    )
    track_gap_s: float = option(
        0.4,
        doc="Longest time since the last image over which its landmarks are tracked.",
        unit="s",
        minimum=0.0,
    )
    check_s: float = option(
        0.5,
        doc="Time after which landmarks are searched in the whole scene anew, so that no error of "
        "tracking lasts: bit by bit beside the next images where landmarks are tracked.",
        unit="s",
        minimum=0.0,
    )
    objects_s: float = option(
        5.0,
        doc="Time after which objects are looked at again, where the scene has any, which takes "
        "an image PoseCNN's time. Until then they are where they were; 0 for never.",
        unit="s",
        minimum=0.0,
    )
    budget_s: float = option(
        1.0,
        doc="Time after which an estimate of one image begins nothing further.",
        unit="s",
        minimum=0.0,
    )
    retry_s: float = option(
        2.0,
        doc="Time between such estimates while they fail, where the scene has landmarks: those "
        "are asked quickly in every image.",
        unit="s",
        minimum=0.0,
    )
    lost_after: int = option(
        3, doc="Images in a row that are not localised before the state is lost.", minimum=1
    )
    motion: Literal["constant_velocity", "none"] = option(
        "constant_velocity", doc="How the pose is predicted where there is no odometry."
    )
    seed: int = option(0, doc="Seed of everything random.", minimum=0)
    follow: FollowOptions = section(FollowOptions)
