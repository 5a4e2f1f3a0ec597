"""Everything that works between configure and cleanup: cameras, one worker, outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rclpy.node import Node

from fast_inerf_ros.estimator.observation import Observation, PosePrior
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.nodes.distribution import (
    TransformLookup,
    TransformSender,
    TransformUnavailable,
)
from fast_inerf_ros.nodes.localisation.camera_input import CameraInput
from fast_inerf_ros.nodes.localisation.diagnostics import InputStatus
from fast_inerf_ros.nodes.localisation.frames import Fate, Frame, FrameCounts
from fast_inerf_ros.nodes.localisation.mailbox import Mailbox
from fast_inerf_ros.nodes.localisation.model import Model
from fast_inerf_ros.nodes.localisation.outputs import CameraOutputs
from fast_inerf_ros.nodes.localisation.pipeline import Odometry, Pipeline, PipelineStatus
from fast_inerf_ros.nodes.localisation.settings import (
    CameraSettings,
    PoseEstimatorConfig,
    camera_settings,
)
from fast_inerf_ros.nodes.localisation.tf_watch import ParentWatch
from fast_inerf_ros.nodes.localisation.transforms import (
    TransformOutput,
    child_frame,
    lookup_pose,
)
from fast_inerf_ros.nodes.localisation.worker import Worker

STOP_S = 10.0
"""The longest that the estimate of one image is waited for at the end."""


@dataclass(eq=False)
class CameraParts:
    """What belongs to one camera."""

    settings: CameraSettings
    counts: FrameCounts
    input: CameraInput
    pipeline: Pipeline
    outputs: CameraOutputs
    reported: int = field(default=0)

    def new_images(self) -> int:
        """Return how many images came since the last call."""
        received = self.counts.snapshot()["received"]
        new, self.reported = received - self.reported, received
        return new

    def status(self) -> tuple[PipelineStatus, InputStatus]:
        """How the images fare and where they come from."""
        source = InputStatus(self.input.topic, self.input.publishers(), self.input.problem)
        return self.pipeline.status(), source


class LocalisationSession:
    """Cameras, a worker that estimates their images one at a time, and what is published.

    Args:
        node: Subscribes and publishes.
        config: All options.
        model: The scene, shared by all cameras.
        sender: Of transforms.
    """

    def __init__(
        self, node: Node, config: PoseEstimatorConfig, model: Model, sender: TransformSender
    ) -> None:
        self.model = model
        self._node = node
        self._config = config
        self._sender = sender
        self._lookup: TransformLookup | None = None
        self._watch: ParentWatch | None = None
        self._running = False
        self._mailbox: Mailbox[Frame] = Mailbox()
        self.cameras = {item.name: self._parts(item) for item in camera_settings(config)}
        self.transforms = self._transform_output()
        self.apply(config)
        self._worker = Worker(self._mailbox, self._handle)
        self._worker.start()

    @property
    def running(self) -> bool:
        """Whether images are taken."""
        return self._running

    def run(self, lookup: TransformLookup | None) -> None:
        """Subscribe and estimate. lookup: into TF, where the options need it."""
        self._lookup = lookup
        self._worker.submit(self._begin_anew)
        if self._config.tf.mode != "none":
            self._watch = ParentWatch(self._node, self._on_conflict)
        self._running = True
        for parts in self.cameras.values():
            parts.input.start()

    def pause(self) -> None:
        """End all subscriptions; nothing is published any more."""
        self._running = False
        for parts in self.cameras.values():
            parts.input.stop()
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        self._drop_waiting()
        self.transforms.forget()

    def close(self) -> bool:
        """End the worker and take the topics away; return whether the worker ended in time."""
        self.pause()
        ended = self._worker.stop(STOP_S)
        for parts in self.cameras.values():
            parts.outputs.close()
        return ended

    def relocalise(self, priors: dict[str, PosePrior] | None = None) -> None:
        """Have every camera looked for anew, near its prior where there is one."""
        known = priors or {}
        self._each_pipeline(lambda name, pipeline: pipeline.reset(known.get(name)))

    def use(self, model: Model) -> None:
        """Go on in another scene, after the present image."""
        self._worker.submit(lambda: self._exchange(model))

    def apply(self, config: PoseEstimatorConfig) -> None:
        """Take over options that may change while images come."""
        self._config = config
        self.transforms.config = config.tf
        for parts in self.cameras.values():
            parts.pipeline.max_age_s = config.max_age
            parts.outputs.overlay_rate_hz = config.overlay_rate

    def optical_frames(self) -> dict[str, str]:
        """Return the optical frame of each camera of which an image was estimated."""
        frames = {name: parts.pipeline.frame_id for name, parts in self.cameras.items()}
        return {name: frame for name, frame in frames.items() if frame}

    def _parts(self, settings: CameraSettings) -> CameraParts:
        counts = FrameCounts()

        def deliver(frame: Frame) -> None:
            if self._mailbox.put(settings.name, frame) is not None:
                counts.settle(Fate.REPLACED)

        source = CameraInput(self._node, settings, self._config, counts, deliver)
        outputs = CameraOutputs(self._node, settings.output, self.model.scene)
        return CameraParts(
            settings, counts, source, self._pipeline(settings, counts, source), outputs
        )

    def _pipeline(
        self, settings: CameraSettings, counts: FrameCounts, source: CameraInput
    ) -> Pipeline:
        odometry: Odometry | None = self._odometry if self._config.tf.use_odometry else None
        return Pipeline(
            settings.name, self.model.tracker(), source.models, counts, self._now_ns, odometry
        )

    def _transform_output(self) -> TransformOutput:
        return TransformOutput(
            self._sender,
            lambda: self._lookup,
            self._config.tf,
            self.model.scene.frame_id,
            self._config.cameras,
            self._now_ns,
        )

    def _handle(self, camera: str, frame: Frame) -> None:
        """Estimate an image and publish what came of it; in the worker's thread."""
        parts = self.cameras[camera]
        if not self._running:
            parts.counts.settle(Fate.UNUSED)
            return
        try:
            result = parts.pipeline.process(frame)
        except Exception:
            parts.counts.settle(Fate.FAILED)
            raise
        if result is not None and self._running:
            self._expect(result.observation.frame_id)
            self.transforms.send(result)
            parts.outputs.publish(result)
            parts.pipeline.catch_up()

    def _expect(self, optical: str) -> None:
        world = self.model.scene.frame_id
        child = child_frame(self._config.tf, world, optical)
        watch = self._watch
        if watch is not None and child is not None:
            watch.expect(optical if child == world else world, child)

    def _on_conflict(self, problem: str) -> None:
        if not self.transforms.blocked:
            self.transforms.blocked = problem
            self._node.get_logger().error(problem)

    def _begin_anew(self) -> None:
        for parts in self.cameras.values():
            parts.pipeline.reset()
        self.transforms.blocked = ""

    def _each_pipeline(self, action: Callable[[str, Pipeline], None]) -> None:
        def task() -> None:
            for name, parts in self.cameras.items():
                action(name, parts.pipeline)

        self._worker.submit(task)

    def _exchange(self, model: Model) -> None:
        self.model = model
        for parts in self.cameras.values():
            parts.outputs.close()
            parts.outputs = CameraOutputs(self._node, parts.settings.output, model.scene)
            parts.pipeline = self._pipeline(parts.settings, parts.counts, parts.input)
        self.transforms.forget()
        self.transforms = self._transform_output()
        self.apply(self._config)

    def _drop_waiting(self) -> None:
        for camera in self._mailbox.clear():
            self.cameras[camera].counts.settle(Fate.UNUSED)

    def _odometry(self, observation: Observation) -> SE3 | None:
        if self._lookup is None:
            return None
        tf = self._config.tf
        try:
            return lookup_pose(
                self._lookup,
                tf.odom_frame,
                observation.frame_id,
                observation.stamp_ns,
                tf.lookup_timeout,
            )
        except TransformUnavailable as error:
            self._node.get_logger().warning(f"odometry: {error}", throttle_duration_sec=5.0)
            return None

    def _now_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)
