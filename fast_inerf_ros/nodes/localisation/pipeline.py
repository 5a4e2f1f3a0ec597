"""One camera's way from an image message to the state of its tracker."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.estimator.estimate import Status, Tracked, TrackingState
from fast_inerf_ros.estimator.observation import Observation, PosePrior
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.nodes.conversions import image_to_rgb
from fast_inerf_ros.nodes.localisation.camera_models import CameraModels
from fast_inerf_ros.nodes.localisation.frames import Fate, Frame, FrameCounts
from fast_inerf_ros.nodes.localisation.stream_order import Order, StreamOrder, age_ns, is_live

RATE_WINDOW = 60
SETTLED_S = 2.0
"""Where nothing was estimated for so long, the rate is zero."""


class StreamTracker(Protocol):
    """What this node needs of a tracker; `estimator.tracker.Tracker` is the one it has."""

    @property
    def state(self) -> TrackingState:
        """The state after the last image."""

    def locate(self, observation: Observation, odometry: SE3 | None = None) -> Tracked:
        """Estimate the next image; odometry: ``T_odom_camera`` at its time."""

    def catch_up(self) -> None:
        """Do a bit of what no image had to wait for."""

    def reset(self, prior: PosePrior | None = None) -> None:
        """Forget everything; begin near ``prior`` where there is one."""


Clock = Callable[[], int]
Odometry = Callable[[Observation], "SE3 | None"]


@dataclass(frozen=True, eq=False)
class Result:
    """What came of an image. latency_ns: from its stamp to now; None for recorded stamps."""

    camera: str
    observation: Observation
    tracked: Tracked
    latency_ns: int | None


@dataclass(frozen=True)
class PipelineStatus:
    """What a pipeline has to say of itself.

    problem: why images are not estimated at all, or "". rate_hz: of estimates. latency_ms: from
    the stamp of the last image to its result.
    """

    state: TrackingState
    problem: str
    last: Tracked | None
    rate_hz: float
    latency_ms: float | None
    counts: dict[str, int]
    recorded_stamps: bool


class Pipeline:
    """Decodes, checks and tracks the images of one camera; used by one thread.

    Args:
        camera: Its name.
        tracker: Follows the camera.
        models: Finds the CameraInfo.
        counts: Is told what became of each image.
        now_ns: The node's time.
        odometry: Gives ``T_odom_camera`` of an observation, or None.
    """

    def __init__(
        self,
        camera: str,
        tracker: StreamTracker,
        models: CameraModels,
        counts: FrameCounts,
        now_ns: Clock,
        odometry: Odometry | None = None,
    ) -> None:
        self.camera = camera
        self.max_age_s = 0.0
        self._tracker = tracker
        self._models = models
        self._counts = counts
        self._now_ns = now_ns
        self._odometry = odometry
        self._order = StreamOrder()
        self._lock = threading.Lock()
        self._problem = ""
        self._last: Result | None = None
        self._times: deque[float] = deque(maxlen=RATE_WINDOW)
        self._live = True
        self._frame_id = ""

    def process(self, frame: Frame) -> Result | None:
        """Estimate an image; None where it was not fit for that, which is counted."""
        if not self._wanted(frame):
            return None
        observation = self._observation(frame)
        if observation is None:
            return None
        odometry = None if self._odometry is None else self._odometry(observation)
        tracked = self._tracker.locate(observation, odometry)
        localised = tracked.estimate.status is Status.LOCALISED
        self._counts.settle(Fate.LOCALISED if localised else Fate.LOST)
        return self._remember(observation, tracked)

    def catch_up(self) -> None:
        """Do what can wait until a result is published."""
        self._tracker.catch_up()

    @property
    def frame_id(self) -> str:
        """The optical frame of the newest image that was estimated, or ""."""
        with self._lock:
            return self._frame_id

    def reset(self, prior: PosePrior | None = None) -> None:
        """Begin anew, near a pose where one is given."""
        self._order.forget()
        self._tracker.reset(prior)
        with self._lock:
            self._last = None

    def status(self) -> PipelineStatus:
        """What there is to say; from any thread."""
        with self._lock:
            last = self._last
            latency_ns = None if last is None else last.latency_ns
            return PipelineStatus(
                state=self._tracker.state,
                problem=self._problem,
                last=None if last is None else last.tracked,
                rate_hz=self._rate_hz(),
                latency_ms=None if latency_ns is None else latency_ns * 1e-6,
                counts=self._counts.snapshot(),
                recorded_stamps=not self._live,
            )

    def _wanted(self, frame: Frame) -> bool:
        """Tell whether an image comes in order and in time; a stream may start over."""
        now_ns = self._now_ns()
        with self._lock:
            self._live = is_live(frame.stamp_ns, now_ns)
        age_s = age_ns(frame.stamp_ns, frame.arrival_ns, now_ns) * 1e-9
        if self.max_age_s and age_s > self.max_age_s:
            self._refuse(Fate.STALE, f"images are {age_s:.2f} s old, more than max_age")
            return False
        order = self._order.next(frame.stamp_ns)
        if order is Order.OUT_OF_ORDER:
            self._counts.settle(Fate.OUT_OF_ORDER)
            return False
        if order is Order.STARTS_OVER:
            self._tracker.reset(None)
        return True

    def _observation(self, frame: Frame) -> Observation | None:
        try:
            image = image_to_rgb(frame.message)
        except InputError as error:
            self._refuse(Fate.MALFORMED, str(error))
            return None
        height, width = image.shape[:2]
        try:
            camera = self._models.camera_of(frame.frame_id, width, height)
        except InputError as error:
            self._refuse(Fate.NO_CAMERA, str(error))
            return None
        return Observation(image, camera, frame.stamp_ns, frame.frame_id)

    def _refuse(self, fate: Fate, problem: str) -> None:
        self._counts.settle(fate)
        with self._lock:
            self._problem = problem

    def _remember(self, observation: Observation, tracked: Tracked) -> Result:
        latency_ns = self._now_ns() - observation.stamp_ns
        result = Result(self.camera, observation, tracked, latency_ns if self._live else None)
        with self._lock:
            self._problem = ""
            self._last = result
            self._frame_id = observation.frame_id
            self._times.append(time.monotonic())
        return result

    def _rate_hz(self) -> float:
        times = self._times
        if len(times) < 2 or time.monotonic() - times[-1] > SETTLED_S:
            return 0.0
        return (len(times) - 1) / max(times[-1] - times[0], 1e-9)
