"""What goes to /diagnostics: how each camera is doing, and why not better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from fast_inerf_ros.estimator.estimate import ObjectEstimate, TrackingState
from fast_inerf_ros.nodes.localisation.pipeline import PipelineStatus

LEVELS = {
    TrackingState.TRACKING: DiagnosticStatus.OK,
    TrackingState.INITIALISING: DiagnosticStatus.WARN,
    TrackingState.LOST: DiagnosticStatus.WARN,
}


@dataclass(frozen=True)
class InputStatus:
    """What is known of a camera before its images are estimated.

    topic: of its images. publishers: of that topic. problem: of the last message, or "".
    """

    topic: str
    publishers: int
    problem: str


def camera_status(
    name: str, pipeline: PipelineStatus, source: InputStatus, new_images: int
) -> DiagnosticStatus:
    """Return how a camera is doing.

    Args:
        name: Of the status.
        pipeline: How its images fare.
        source: Where they come from.
        new_images: How many came since the last status.
    """
    level, message = _judgement(pipeline, source, new_images)
    return status(name, level, message, camera_values(pipeline), source.topic)


def camera_values(pipeline: PipelineStatus) -> dict[str, str]:
    """Return the figures of a pipeline by name."""
    values = {"state": pipeline.state.value, "rate_hz": f"{pipeline.rate_hz:.2f}"}
    if pipeline.latency_ms is not None:
        values["latency_ms"] = f"{pipeline.latency_ms:.1f}"
    if pipeline.last is not None:
        estimate = pipeline.last.estimate
        values |= {
            "score": f"{estimate.score:.4f}",
            "source": estimate.source.value,
            "reason": estimate.reason,
            "objects": _names(item for item in estimate.objects if not item.moved),
            "objects_moved": _names(item for item in estimate.objects if item.moved),
        }
        values |= {
            f"{timing.stage}_ms": f"{timing.seconds * 1e3:.2f}" for timing in estimate.timings
        }
    return values | {name: str(count) for name, count in pipeline.counts.items()}


def _names(objects: Iterable[ObjectEstimate]) -> str:
    return ", ".join(item.label for item in objects)


def status(
    name: str, level: bytes, message: str, values: Mapping[str, str], hardware: str = ""
) -> DiagnosticStatus:
    """Make a status message."""
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    return DiagnosticStatus(
        name=name, level=level, message=message, hardware_id=hardware, values=pairs
    )


def resident_mebibytes() -> float:
    """Return how much memory this process occupies; NaN where Linux's /proc is absent."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return float("nan")
    sizes = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
    return int(sizes[0]) / 1024 if sizes else float("nan")


def _judgement(
    pipeline: PipelineStatus, source: InputStatus, new_images: int
) -> tuple[bytes, str]:
    if new_images == 0:
        if source.publishers == 0:
            return DiagnosticStatus.ERROR, f"nobody publishes images on {source.topic}"
        return DiagnosticStatus.WARN, f"no images come on {source.topic}"
    problem = source.problem or pipeline.problem
    if problem:
        return DiagnosticStatus.ERROR, problem
    reason = "" if pipeline.last is None else pipeline.last.estimate.reason
    message = pipeline.state.value + (f": {reason}" if reason else "")
    if pipeline.recorded_stamps:
        note = "stamps are far from this node's time (a recording?); latency is not known"
        message = f"{message}; {note}"
    return LEVELS[pipeline.state], message
