"""What is answered: a pose that can be trusted, or that there is none, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.estimator.verification import Evidence
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.landmarks import Matches
from fast_inerf_ros.posecnn.detection import Detection

Floats = npt.NDArray[np.float64]


class Status(str, Enum):
    """Whether there is a pose. LOCALISED: one that passed verification. LOST: none to use."""

    LOCALISED = "localised"
    LOST = "lost"


class Source(str, Enum):
    """Where the start of the accepted refinement came from."""

    PRIOR = "prior"
    OBJECTS = "objects"
    LANDMARKS = "landmarks"
    VIEWS = "views"
    NONE = "none"


@dataclass(frozen=True)
class Timing:
    """Wall-clock seconds of one part of an estimate."""

    stage: str
    seconds: float


@dataclass(frozen=True, eq=False)
class ObjectEstimate:
    """An object of the scene as this image shows it.

    T_world_object: its pose, refined with the camera's. moved: it no longer stands where the
    scene says, so that it was left out of the camera's pose. score: 0 to 1.
    """

    label: str
    instance: int
    T_world_object: SE3
    moved: bool
    score: float


@dataclass(frozen=True, eq=False)
class Estimate:
    """The answer to an ``Observation``.

    status, reason: LOCALISED or LOST, and one line why. T_world_camera and covariance: the pose
    and (6, 6) of body twists ``T_world_camera @ exp(x)``, translation first; both None where
    LOST. score: of the verification, 0 to 1, of the best pose that was found, also where it was
    not good enough. source: where its start came from. objects, detections: what was seen;
    empty where nobody looked for objects. evidence: what the score was made of. landmarks: those
    that agree with the pose; None where none had a say. looked_at_objects: whether PoseCNN did.
    """

    status: Status
    reason: str
    T_world_camera: SE3 | None
    covariance: Floats | None
    score: float
    source: Source
    timings: tuple[Timing, ...]
    objects: tuple[ObjectEstimate, ...]
    detections: tuple[Detection, ...]
    stamp_ns: int
    frame_id: str
    evidence: Evidence | None = None
    landmarks: Matches | None = None
    looked_at_objects: bool = False

    @property
    def seconds(self) -> float:
        """Wall-clock time of all parts together."""
        return sum(timing.seconds for timing in self.timings)


class TrackingState(str, Enum):
    """INITIALISING: no pose yet. TRACKING: the last image was localised. LOST: it was not."""

    INITIALISING = "initialising"
    TRACKING = "tracking"
    LOST = "lost"


@dataclass(frozen=True, eq=False)
class Tracked:
    """One step of a tracker: the estimate of an image, and the state of the stream after it."""

    state: TrackingState
    estimate: Estimate
