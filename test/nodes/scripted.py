"""A model whose trackers say what a test wants, and a node that has it."""

from __future__ import annotations

import threading
import time

import numpy as np

from fast_inerf_ros.estimator.estimate import (
    Estimate,
    ObjectEstimate,
    Source,
    Status,
    Timing,
    Tracked,
    TrackingState,
)
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.io.scene import Scene, SceneObject

T_WORLD_CAMERA = SE3.exp(np.array([0.4, -0.3, 0.6, 2.0, 0.3, -0.4]))
SCENE = Scene(
    "world",
    objects=(
        SceneObject("mug", 1, SE3.exp(np.array([0.1, 0.0, 0.02, 0, 0, 0.3])), (0.1, 0.1, 0.1)),
        SceneObject("tin can", 2, SE3.identity(), (0.06, 0.06, 0.1)),
        SceneObject("tin can", 2, SE3.exp(np.array([0.2, 0, 0, 0, 0, 0])), (0.06, 0.06, 0.1)),
    ),
)


def estimate_of(observation, pose, covariance=None, objects=(), score=0.9):
    """An estimate: localised with a pose, lost with None."""
    localised = pose is not None
    if localised and covariance is None:
        covariance = np.diag([1e-6] * 3 + [1e-5] * 3)
    return Estimate(
        status=Status.LOCALISED if localised else Status.LOST,
        reason="as told" if localised else "told to be lost",
        T_world_camera=pose,
        covariance=covariance,
        score=score if localised else 0.1,
        source=Source.PRIOR if localised else Source.NONE,
        timings=(Timing("thinking", 0.002),),
        looked_at_objects=True,
        objects=tuple(objects),
        detections=(),
        stamp_ns=observation.stamp_ns,
        frame_id=observation.frame_id,
    )


class ScriptedTracker:
    """Answers with `script(observation)`: a pose, an Estimate, or None where lost."""

    def __init__(self, script):
        self._script = script
        self.state = TrackingState.INITIALISING
        self.observations = []
        self.odometry = []
        self.resets = []
        self.caught_up = 0

    def locate(self, observation, odometry=None):
        self.observations.append(observation)
        self.odometry.append(odometry)
        answer = self._script(observation)
        if not isinstance(answer, Estimate):
            answer = estimate_of(observation, answer)
        found = answer.status is Status.LOCALISED
        self.state = TrackingState.TRACKING if found else TrackingState.LOST
        return Tracked(self.state, answer)

    def catch_up(self):
        self.caught_up += 1

    def reset(self, prior=None):
        self.resets.append(prior)
        self.state = TrackingState.INITIALISING


class ScriptedModel:
    """Keeps the trackers that it has given away."""

    def __init__(self, script=lambda observation: T_WORLD_CAMERA, scene=SCENE):
        self.scene = scene
        self.trackers = []
        self._script = script

    def tracker(self):
        self.trackers.append(ScriptedTracker(self._script))
        return self.trackers[-1]


def moved_mug():
    pose = SE3.exp(np.array([0.3, 0.2, 0.02, 0, 0, 0.0]))
    return ObjectEstimate("mug", 0, pose, True, 0.8)


class RunningNode:
    """A `pose_estimator` of this process, with a scripted model in the place of a real one."""

    def __init__(self, model, **parameters):
        from rclpy.context import Context
        from rclpy.parameter import Parameter

        from fast_inerf_ros.nodes.executor import ServiceThreadsExecutor
        from fast_inerf_ros.nodes.localisation.settings import PoseEstimatorConfig
        from fast_inerf_ros.nodes.parameters import declare_parameters
        from fast_inerf_ros.nodes.pose_estimator_node import PoseEstimatorNode

        self.models = [model]
        self.context = Context()
        self.context.init(args=["node"])
        values = {"diagnostics_period": 0.1, "scene": "scripted", **parameters}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        self.node = PoseEstimatorNode(
            "pose_estimator", self._load, context=self.context, parameter_overrides=overrides
        )
        config = declare_parameters(self.node, PoseEstimatorConfig, self.node.apply)
        self.node.begin(config)
        self._executor = ServiceThreadsExecutor(4, context=self.context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def start(self):
        from rclpy.lifecycle import TransitionCallbackReturn

        assert self.node.trigger_configure() is TransitionCallbackReturn.SUCCESS
        assert self.node.trigger_activate() is TransitionCallbackReturn.SUCCESS
        return self

    @property
    def tracker(self):
        return self.models[-1].trackers[-1]

    def close(self):
        self.node.end()
        self._executor.shutdown(timeout_sec=1.0)
        self._thread.join(5.0)
        self.node.destroy_node()
        self.context.try_shutdown()

    def _load(self, config):
        return self.models[-1]

    def _spin(self):
        import contextlib

        from rclpy.executors import ExternalShutdownException

        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()


def eventually(condition, patience_s=30.0):
    """Wait until something is true."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
