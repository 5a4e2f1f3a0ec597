"""The lifecycle node `pose_estimator`: its states, services and live parameters."""

from __future__ import annotations

import functools
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseWithCovarianceStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import CallbackGroup, ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.io.scene import load_scene
from fast_inerf_ros.nodes import distribution
from fast_inerf_ros.nodes.conversions import header
from fast_inerf_ros.nodes.localisation import diagnostics
from fast_inerf_ros.nodes.localisation.initial_pose import prior_of_camera
from fast_inerf_ros.nodes.localisation.model import Model, load_model
from fast_inerf_ros.nodes.localisation.mounting import mountings
from fast_inerf_ros.nodes.localisation.session import LocalisationSession
from fast_inerf_ros.nodes.localisation.settings import PoseEstimatorConfig
from fast_inerf_ros.nodes.localisation.transforms import looked_up_frame, require_possible

CORRECTION_PERIOD_S = 0.05
SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE

Loader = Callable[[PoseEstimatorConfig], Model]
Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def _logged(transition: Transition) -> Transition:
    """Log what a transition raises: rclpy makes an error state of it without a word."""

    @functools.wraps(transition)
    def logged(node: PoseEstimatorNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception as error:
            node.problem = f"an error of this program: {error}"
            node.get_logger().error(traceback.format_exc())
            raise

    return logged


class PoseEstimatorNode(LifecycleNode):
    """Localises cameras while it is active.

    Every callback may run beside any other, so that a configuration that takes seconds keeps
    nobody waiting; images of one camera stay in order.
    """

    def __init__(self, name: str, load: Loader = load_model, **options: Any) -> None:
        self._concurrent = ReentrantCallbackGroup()
        super().__init__(name, **options)
        self.problem = ""
        self._load = load
        self._config: PoseEstimatorConfig | None = None
        self._session: LocalisationSession | None = None
        self._enabled = True
        self._is_active = False
        self._lookup: distribution.TransformLookup | None = None
        self._active: list[Callable[[], object]] = []
        self._loading = threading.Lock()

    @property
    def default_callback_group(self) -> CallbackGroup:
        """The group of everything that names none, the services of the lifecycle among them."""
        return self._concurrent

    def begin(self, config: PoseEstimatorConfig) -> None:
        """Offer services and diagnostics, which are there in every state."""
        self._config = config
        self._enabled = config.enabled
        self._sender = distribution.transform_broadcaster(self)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_service(Trigger, "~/relocalize", self._on_relocalize)
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.create_timer(config.diagnostics_period, self.report, clock=_steady())
        self.add_on_set_parameters_callback(self._check_scene)

    def end(self) -> None:
        """Leave whatever state the node is in, before it is destroyed."""
        self._is_active = False
        self._pause()
        self._close()

    @property
    def config(self) -> PoseEstimatorConfig:
        """The options as they are now."""
        assert self._config is not None, "begin() comes first"
        return self._config

    def apply(self, config: PoseEstimatorConfig) -> None:
        """Take over options that were changed while the node runs."""
        earlier, self._config = self._config, config
        session = self._session
        if session is None or earlier is None:
            return
        session.apply(config)
        if config.scene != earlier.scene:
            threading.Thread(target=self._change_scene, args=(config,), daemon=True).start()

    # The transitions, as the lifecycle calls them.

    @_logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the scene and warm up."""
        start = time.monotonic()
        try:
            model = self._load(self.config)
            require_possible(self.config.tf, model.scene.metric)
            if _needs_lookup(self.config):
                distribution.require_tf_lookup(_purpose(self.config))
        except (InputError, OSError) as error:
            return self._fail(str(error))
        self._session = LocalisationSession(self, self.config, model, self._sender)
        self.problem = ""
        self._say_loaded(model, time.monotonic() - start)
        return SUCCESS

    @_logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and begin to estimate."""
        self._is_active = True
        if self._enabled:
            self._resume()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End all subscriptions and transforms; the scene stays loaded."""
        self._is_active = False
        self._pause()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the scene."""
        self._close()
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End everything."""
        self.end()
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to being unconfigured after an error of this program."""
        self.end()
        return SUCCESS

    def report(self) -> None:
        """Publish how everything is doing."""
        session = self._session
        statuses = [self._own_status()]
        for name, parts in session.cameras.items() if session is not None else ():
            label = f"{self.get_name()}: {name}"
            new = parts.new_images()
            if session is not None and session.running:
                statuses.append(diagnostics.camera_status(label, *parts.status(), new))
        stamp = header(time.time_ns(), "")
        self._diagnostics.publish(DiagnosticArray(header=stamp, status=statuses))

    def _own_status(self) -> DiagnosticStatus:
        session = self._session
        problem = self.problem
        values = {
            "enabled": str(self._enabled).lower(),
            "tf_mode": self.config.tf.mode,
            "resident_mib": f"{diagnostics.resident_mebibytes():.0f}",
        }
        if session is not None:
            values["scene"] = self.config.scene
            problem = problem or session.transforms.blocked or session.transforms.problem
        level = DiagnosticStatus.ERROR if problem else DiagnosticStatus.OK
        name = f"{self.get_name()}: node"
        return diagnostics.status(name, level, problem or self._condition(), values)

    def _condition(self) -> str:
        if self._session is None:
            return "unconfigured"
        if self._session.running:
            return "active"
        return "inactive" if self._enabled else "disabled"

    def _resume(self) -> None:
        session = self._session
        if session is None or session.running:
            return
        if _needs_lookup(self.config):
            self._lookup = distribution.transform_lookup(self, _purpose(self.config))
            self._active.append(self._lookup.close)
        self._subscribe_to_initial_pose()
        if self.config.tf.mode == "odom":
            timer = self.create_timer(
                CORRECTION_PERIOD_S, self._repeat_correction, clock=_steady()
            )
            self._active.append(lambda: self.destroy_timer(timer))
        session.run(self._lookup)

    def _subscribe_to_initial_pose(self) -> None:
        subscription = self.create_subscription(
            PoseWithCovarianceStamped, "/initialpose", self._on_initial_pose, 10
        )
        self._active.append(lambda: self.destroy_subscription(subscription))

    def _pause(self) -> None:
        session = self._session
        if session is not None:
            session.pause()
        while self._active:
            self._active.pop()()
        self._lookup = None

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None and not session.close():
            self.get_logger().warning("the estimate under way did not end in time")

    def _repeat_correction(self) -> None:
        session = self._session
        if session is not None and session.running:
            session.transforms.repeat_correction()

    def _on_relocalize(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        session = self._session
        response.success = session is not None and session.running
        if session is not None and response.success:
            session.relocalise()
        response.message = (
            "looking anew" if response.success else f"the node is {self._condition()}"
        )
        return response

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._enabled = bool(request.data)
        if self._enabled and self._is_active:
            self._resume()
        elif not self._enabled:
            self._pause()
        response.success = True
        response.message = self._condition()
        return response

    def _on_initial_pose(self, message: PoseWithCovarianceStamped) -> None:
        # TF is asked, which may take a moment.
        threading.Thread(target=self._take_initial_pose, args=(message,), daemon=True).start()

    def _take_initial_pose(self, message: PoseWithCovarianceStamped) -> None:
        session = self._session
        if session is None:
            return
        frames = session.optical_frames()
        if not frames:
            self.get_logger().warning("/initialpose: no image has come yet, so it is not used")
            return
        try:
            placed = mountings(self, self._lookup, self.config.tf.base_frame, frames)
            world = session.model.scene.frame_id
            priors = {
                name: prior_of_camera(message, world, T_base_camera)
                for name, T_base_camera in placed.items()
            }
        except InputError as error:
            self.get_logger().error(str(error))
            return
        session.relocalise(priors)

    def _check_scene(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        """Refuse a scene that cannot be loaded, before anything changes."""
        for parameter in parameters:
            if parameter.name == "scene" and self._session is not None:
                try:
                    scene = load_scene(str(parameter.value))
                    require_possible(self.config.tf, scene.metric)
                except InputError as error:
                    return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _change_scene(self, config: PoseEstimatorConfig) -> None:
        with self._loading:
            start = time.monotonic()
            try:
                model = self._load(config)
            except (InputError, OSError) as error:
                self.problem = f"the scene stays as it was: {error}"
                self.get_logger().error(self.problem)
                return
            session = self._session
            if session is not None and self.config.scene == config.scene:
                session.use(model)
                self.problem = ""
                self._say_loaded(model, time.monotonic() - start)

    def _say_loaded(self, model: Model, seconds: float) -> None:
        log = self.get_logger()
        log.info(
            f"loaded {self.config.scene} in {seconds:.1f} s, "
            f"{diagnostics.resident_mebibytes():.0f} MiB resident"
        )
        if not model.scene.metric:
            log.warning("the scene is not metric: positions are in its own unit, not in metres")

    def _fail(self, problem: str) -> TransitionCallbackReturn:
        self.problem = problem
        self.get_logger().error(problem)
        return FAILURE


def _steady() -> Clock:
    """A clock that neither stops nor jumps, as simulated time does."""
    return Clock(clock_type=ClockType.STEADY_TIME)


def _needs_lookup(config: PoseEstimatorConfig) -> bool:
    return looked_up_frame(config.tf) is not None or config.tf.use_odometry


def _purpose(config: PoseEstimatorConfig) -> str:
    if looked_up_frame(config.tf) is not None:
        return f"tf.mode {config.tf.mode!r}"
    return "tf.use_odometry"
