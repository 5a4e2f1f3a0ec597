"""From a camera's pose to the transform that goes to /tf."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.nodes.conversions import se3_to_transform_stamped, transform_to_se3
from fast_inerf_ros.nodes.distribution import (
    TransformLookup,
    TransformSender,
    TransformUnavailable,
)
from fast_inerf_ros.nodes.localisation.pipeline import Result
from fast_inerf_ros.nodes.localisation.settings import TransformConfig

Clock = Callable[[], int]


@dataclass(frozen=True, eq=False)
class FramePair:
    """One transform: names of parent and child, and ``T_parent_child``."""

    parent: str
    child: str
    T_parent_child: SE3


def frame_pair(
    config: TransformConfig,
    world: str,
    optical: str,
    T_world_camera: SE3,
    T_camera_other: SE3 | None = None,
) -> FramePair | None:
    """Return what a mode sends for a pose; None in the mode ``none``.

    Args:
        config: Has the mode and names of frames.
        world: The scene's frame.
        optical: The camera's optical frame.
        T_world_camera: The pose.
        T_camera_other: Of `looked_up_frame` in the optical frame, at the image's time, in the
            modes that look up.
    """
    if config.mode == "camera":
        return FramePair(world, optical, T_world_camera)
    if config.mode == "inverse":
        return FramePair(optical, world, T_world_camera.inverse())
    other = looked_up_frame(config)
    if other is None or T_camera_other is None:
        return None
    # The camera cancels: in the mode odom this is REP 105's map -> odom.
    return FramePair(world, other, T_world_camera @ T_camera_other)


def looked_up_frame(config: TransformConfig) -> str | None:
    """Return the frame whose pose relative to the camera a mode looks up, if any."""
    return {"base": config.base_frame, "odom": config.odom_frame}.get(config.mode)


def child_frame(config: TransformConfig, world: str, optical: str) -> str | None:
    """Return the name of the frame that a mode gives a parent."""
    children = {"camera": optical, "inverse": world, "none": None}
    return children[config.mode] if config.mode in children else looked_up_frame(config)


def require_possible(config: TransformConfig, metric: bool) -> None:
    """Check that a mode goes with a scene.

    Raises:
        InputError: Frames of a robot cannot be placed in a scene of unknown scale.
    """
    if looked_up_frame(config) is not None and not metric:
        raise InputError(
            f"tf.mode: expected camera, inverse or none with a scene that is not metric, got "
            f"{config.mode!r}: the robot's own frames are in metres; give the scene its scale"
        )


def lookup_pose(
    lookup: TransformLookup, target: str, source: str, stamp_ns: int, timeout_s: float
) -> SE3:
    """Return ``T_target_source`` of TF at a time; 0 is the newest.

    Raises:
        TransformUnavailable: TF does not know it.
    """
    try:
        message = lookup.lookup(target, source, stamp_ns, timeout_s)
        return transform_to_se3(message.transform)
    except InputError as error:
        raise TransformUnavailable(str(error)) from None


class CameraChoice:
    """Chooses which of several cameras speaks for the robot.

    Args:
        cameras: Their names, the most important first.
        by_covariance: Whether the one with the smallest covariance speaks instead.
        hold_s: How long a camera's last pose counts.
    """

    def __init__(self, cameras: Sequence[str], by_covariance: bool, hold_s: float) -> None:
        self._rank = {name: rank for rank, name in enumerate(cameras)}
        self._by_covariance = by_covariance
        self._hold_ns = round(hold_s * 1e9)
        self._costs: dict[str, tuple[float, int]] = {}

    def speaks(self, result: Result) -> bool:
        """Take note of a pose and tell whether it is the one to send."""
        stamp_ns = result.observation.stamp_ns
        own = self._cost(result)
        self._costs[result.camera] = (own, stamp_ns)
        fresh = [
            cost
            for cost, seen_ns in self._costs.values()
            if abs(stamp_ns - seen_ns) <= self._hold_ns
        ]
        return own <= min(fresh)

    def forget(self, camera: str) -> None:
        """A camera is lost and has no say."""
        self._costs.pop(camera, None)

    def _cost(self, result: Result) -> float:
        covariance = result.tracked.estimate.covariance
        if not self._by_covariance or covariance is None:
            return float(self._rank[result.camera])
        return float(np.trace(covariance[:3, :3]))


class TransformOutput:
    """Sends the transform of the chosen camera; used by the thread that estimates.

    Args:
        sender: To /tf.
        lookup: Returns the look-up into TF, None where there is none.
        config: The mode.
        world: The scene's frame.
        cameras: Names of all cameras.
        now_ns: The node's time.
    """

    def __init__(
        self,
        sender: TransformSender,
        lookup: Callable[[], TransformLookup | None],
        config: TransformConfig,
        world: str,
        cameras: Sequence[str],
        now_ns: Clock,
    ) -> None:
        self.config = config
        self.problem = ""
        self.blocked = ""
        self._sender = sender
        self._lookup = lookup
        self._world = world
        self._now_ns = now_ns
        self._choice = CameraChoice(cameras, config.choice == "covariance", config.hold)
        self._correction: FramePair | None = None
        self._lock = threading.Lock()

    def send(self, result: Result) -> None:
        """Send what a result says, if this camera speaks and is localised."""
        pose = result.tracked.estimate.T_world_camera
        if pose is None:
            self._choice.forget(result.camera)
            return
        if self.config.mode == "none" or not self._choice.speaks(result):
            return
        observation = result.observation
        try:
            pair = self._pair(pose, observation.frame_id, observation.stamp_ns)
        except TransformUnavailable as error:
            self.problem = f"no transform sent: {error}"
            return
        self.problem = ""
        if pair is not None and self.config.mode == "odom":
            with self._lock:
                self._correction = pair
            self.repeat_correction()
        elif pair is not None:
            self._publish(pair, observation.stamp_ns)

    def repeat_correction(self) -> None:
        """Send the last map to odom once more, dated ahead; nothing where there is none."""
        with self._lock:
            pair = self._correction
        if pair is not None:
            ahead_ns = round(self.config.transform_tolerance * 1e9)
            self._publish(pair, self._now_ns() + ahead_ns)

    def forget(self) -> None:
        """Stop repeating: the node is no longer active, or the scene another."""
        with self._lock:
            self._correction = None

    def _pair(self, T_world_camera: SE3, optical: str, stamp_ns: int) -> FramePair | None:
        other = looked_up_frame(self.config)
        T_camera_other = None
        lookup = self._lookup()
        if other is not None and lookup is not None:
            timeout_s = self.config.lookup_timeout
            T_camera_other = lookup_pose(lookup, optical, other, stamp_ns, timeout_s)
        return frame_pair(self.config, self._world, optical, T_world_camera, T_camera_other)

    def _publish(self, pair: FramePair, stamp_ns: int) -> None:
        if not self.blocked:
            message = se3_to_transform_stamped(
                pair.T_parent_child, stamp_ns, pair.parent, pair.child
            )
            self._sender.sendTransform(message)
