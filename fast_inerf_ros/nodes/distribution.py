"""The one module that knows whether a ROS distribution or the PyPI wheels are underneath.

A robot has a ROS 2 distribution, with ``tf2_ros``, ``cv_bridge`` and the ament index of a colcon
workspace. A plain machine has rclpy and the message packages from PyPI, and none of those three.
Everything else imports the names of this module and is the same in both worlds.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from tf2_msgs.msg import TFMessage

from fast_inerf_ros.errors import InputError

PACKAGE = "fast_inerf_ros"

TF_QOS = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
STATIC_TF_QOS = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


class TransformSender(Protocol):
    """What this package needs of a transform broadcaster, as ``tf2_ros`` spells it."""

    def sendTransform(self, transform: TransformStamped | Sequence[TransformStamped]) -> None:
        """Publish one transform or several in one message."""


class _DirectBroadcaster:
    """Publishes TFMessage on ``/tf`` without ``tf2_ros``."""

    def __init__(self, node: Node) -> None:
        self._publisher = node.create_publisher(TFMessage, "/tf", TF_QOS)

    def sendTransform(self, transform: TransformStamped | Sequence[TransformStamped]) -> None:
        self._publisher.publish(TFMessage(transforms=_as_list(transform)))


class _DirectStaticBroadcaster:
    """Publishes TFMessage on ``/tf_static`` without ``tf2_ros``.

    The topic keeps only its last message for late subscribers, so every message carries all
    transforms sent so far; a transform replaces the earlier one of the same child frame.
    """

    def __init__(self, node: Node) -> None:
        self._publisher = node.create_publisher(TFMessage, "/tf_static", STATIC_TF_QOS)
        self._by_child: dict[str, TransformStamped] = {}

    def sendTransform(self, transform: TransformStamped | Sequence[TransformStamped]) -> None:
        self._by_child.update({item.child_frame_id: item for item in _as_list(transform)})
        self._publisher.publish(TFMessage(transforms=list(self._by_child.values())))


def _as_list(transform: TransformStamped | Sequence[TransformStamped]) -> list[TransformStamped]:
    return [transform] if isinstance(transform, TransformStamped) else list(transform)


def transform_broadcaster(node: Node) -> TransformSender:
    """Return a sender of moving transforms: that of ``tf2_ros`` where there is one."""
    tf2_ros: Any = _optional_module("tf2_ros")
    sender: TransformSender = (
        _DirectBroadcaster(node) if tf2_ros is None else tf2_ros.TransformBroadcaster(node)
    )
    return sender


def static_transform_broadcaster(node: Node) -> TransformSender:
    """Return a sender of latched transforms: that of ``tf2_ros`` where there is one."""
    tf2_ros: Any = _optional_module("tf2_ros")
    sender: TransformSender = (
        _DirectStaticBroadcaster(node)
        if tf2_ros is None
        else tf2_ros.StaticTransformBroadcaster(node)
    )
    return sender


def require_tf_lookup(purpose: str) -> ModuleType:
    """Return ``tf2_ros``, which alone can look transforms up.

    Args:
        purpose: What needs the look-up, for the message (``"tf_mode 'odom'"``).

    Raises:
        InputError: ``tf2_ros`` is not installed.
    """
    tf2_ros = _optional_module("tf2_ros")
    if tf2_ros is None:
        raise InputError(
            f"{purpose} looks frames up in TF and expects the Python package tf2_ros, which is "
            "not importable: source a ROS 2 distribution that has it, or choose the TF mode "
            "'camera' or 'none'"
        )
    return tf2_ros


class TransformUnavailable(Exception):
    """TF does not know a transform at the time that was asked for; the message says why."""


class TransformLookup(Protocol):
    """Looks transforms up that others send."""

    def lookup(
        self, target: str, source: str, stamp_ns: int, timeout_s: float
    ) -> TransformStamped:
        """Return ``T_target_source`` at a time; 0 is the newest.

        Raises:
            TransformUnavailable: TF does not know it within the timeout.
        """

    def close(self) -> None:
        """End the subscriptions to TF."""


class _BufferLookup:
    """The buffer of ``tf2_ros``, filled by a listener of its own."""

    def __init__(self, tf2_ros: Any, node: Node) -> None:
        self._errors = (tf2_ros.TransformException,)
        self._buffer = tf2_ros.Buffer(node=node)
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def lookup(
        self, target: str, source: str, stamp_ns: int, timeout_s: float
    ) -> TransformStamped:
        time, timeout = Time(nanoseconds=stamp_ns), Duration(seconds=timeout_s)
        try:
            return self._buffer.lookup_transform(target, source, time, timeout)
        except self._errors as error:
            reason = " ".join(str(error).split())
            raise TransformUnavailable(f"{source} in {target}: {reason}") from None

    def close(self) -> None:
        self._listener.unregister()


def transform_lookup(node: Node, purpose: str) -> TransformLookup:
    """Return the look-up of ``tf2_ros``; its callbacks run in the node's executor.

    Raises:
        InputError: See `require_tf_lookup`.
    """
    return _BufferLookup(require_tf_lookup(purpose), node)


def transform_lookup_if_any(node: Node) -> TransformLookup | None:
    """Return the look-up of ``tf2_ros``, or None where that is not installed."""
    tf2_ros = _optional_module("tf2_ros")
    return None if tf2_ros is None else _BufferLookup(tf2_ros, node)


def cv_bridge() -> ModuleType | None:
    """Return the distribution's ``cv_bridge``, or None without a distribution.

    The package of that name on PyPI belongs to ROS 1; it is never used, nor is any
    ``cv_bridge`` whose compiled part does not load (built against another NumPy or OpenCV).
    """
    if not has_distribution():
        return None
    module = _optional_module("cv_bridge")
    return module if module is not None and hasattr(module, "CvBridge") else None


def has_distribution() -> bool:
    """Tell whether a ROS distribution is sourced (its setup script sets ``ROS_DISTRO``)."""
    return bool(os.environ.get("ROS_DISTRO"))


def _optional_module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def message_class(type_name: str) -> Any | None:
    """Return the message class of ``package/msg/Name``, or None where it is not installed."""
    package, _, name = type_name.partition("/msg/")
    if not name or not name.isidentifier():
        return None
    module = _optional_module(f"{package}.msg")
    return getattr(module, name, None)


def share_directory() -> Path:
    """Return the folder that holds ``launch/`` and ``config/`` of this package.

    Raises:
        InputError: No such folder: the package is neither installed nor run from its sources.
    """
    candidates = [*_from_ament_index(), _repository(), Path(sys.prefix) / "share" / PACKAGE]
    for folder in candidates:
        if (folder / "config").is_dir():
            return folder
    raise InputError(
        f"expected a folder config/ of {PACKAGE} in one of {', '.join(map(str, candidates))}, "
        "found none: install the package (pip install . or colcon build)"
    )


def _from_ament_index() -> list[Path]:
    index = _optional_module("ament_index_python")
    if index is None:
        return []
    try:
        return [Path(index.get_package_share_directory(PACKAGE))]
    except (OSError, index.PackageNotFoundError):
        return []  # not installed, or no AMENT_PREFIX_PATH at all


def _repository() -> Path:
    return Path(__file__).resolve().parents[2]


def environment(
    domain_id: int | None = None, base: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment for child processes that exchange images on this machine.

    Discovery stays on this machine and images travel through a shared-memory segment that holds
    them whole. A variable that the user has set stays as it is.

    Args:
        domain_id: DDS domain of the children; None keeps the user's, or the default.
        base: Environment to start from; ``os.environ`` by default.
    """
    result = dict(os.environ if base is None else base)
    result.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    result.setdefault(
        "FASTDDS_DEFAULT_PROFILES_FILE", str(share_directory() / "config" / "fastdds_shm.xml")
    )
    if not has_distribution():  # the wheels install their ament index into the environment
        result["AMENT_PREFIX_PATH"] = _joined(
            [sys.prefix, *result.get("AMENT_PREFIX_PATH", "").split(os.pathsep)]
        )
    if domain_id is not None:
        result["ROS_DOMAIN_ID"] = str(domain_id)
    return result


def _joined(paths: Iterable[str]) -> str:
    return os.pathsep.join(dict.fromkeys(path for path in paths if path))
