"""A camera driver for tests: publishes images and asks services of `pose_estimator`."""

from __future__ import annotations

import time

import numpy as np
import processes
import scripted
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.nodes import conversions

CAMERA = Camera(32, 24, 40.0, 40.0, 15.5, 11.5)
NODE = "/pose_estimator"
SETTLED = ("unconfigured", "inactive", "active", "finalized")


class Driver:
    """Publishes images, asks services; a node of its own."""

    def __init__(self, camera="camera", frame_id="optical", model=CAMERA):
        self.model = model
        self.camera = camera
        self.frame_id = frame_id
        self._join()

    def _join(self):
        """Become a participant of DDS."""
        camera = self.camera
        self.context = Context()
        self.context.init(args=["driver"])
        self.node = Node("driver", context=self.context)
        self._clients = {}
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.images = self.node.create_publisher(Image, f"/{camera}/image_raw", 10)
        self.compressed = self.node.create_publisher(
            CompressedImage, f"/{camera}/image_raw/compressed", 10
        )
        self.infos = self.node.create_publisher(CameraInfo, f"/{camera}/camera_info", 10)

    def wait(self, publisher=None):
        """Wait until the node listens."""
        wanted = publisher or self.images
        scripted.eventually(
            lambda: wanted.get_subscription_count() and self.infos.get_subscription_count()
        )
        return self

    def send(self, stamp_ns=None, info=True, data=None, image=None, model=None):
        """Send an image, black unless given, and its CameraInfo; return the stamp."""
        header = conversions.header(
            time.time_ns() if stamp_ns is None else stamp_ns, self.frame_id
        )
        camera = model or self.model
        if info:
            self.infos.publish(conversions.camera_to_message(camera, header))
        if image is None:
            image = np.zeros((self.model.height, self.model.width, 3), np.uint8)
        message = conversions.encode_image(image, header)
        if data is not None:
            message.data = data
        self.images.publish(message)
        return conversions.stamp_to_nanoseconds(header.stamp)

    def send_until(self, condition, **options):
        """Send images at 20 Hz until something is true."""
        deadline = time.monotonic() + processes.PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            self.send(**options)
            time.sleep(0.05)

    def call(self, kind, name, request=None):
        """Call a service, again if need be: the answer to a client's first request can get lost.

        The server may not yet know the client that it answers, on a busy machine.
        """
        for _ in range(3):
            answer = self._asked(kind, name, request or kind.Request())
            if answer is not None:
                return answer
        raise AssertionError(f"{name} did not answer")

    def _asked(self, kind, name, request):
        """The answer, None where none came in time."""
        future = self._client(kind, name).call_async(request)
        self.executor.spin_until_future_complete(future, timeout_sec=processes.PATIENCE_S / 3)
        return future.result() if future.done() else None

    def _client(self, kind, name):
        """A client whose service is there.

        Two participants of one process now and then never discover each other; another one does.
        """
        for _ in range(3):
            if name not in self._clients:
                self._clients[name] = self.node.create_client(kind, name)
            if self._clients[name].wait_for_service(timeout_sec=processes.PATIENCE_S / 3):
                return self._clients[name]
            self.close()
            self._join()
        raise AssertionError(f"{name} is not there")

    def begin(self, transition):
        """Ask the lifecycle for a transition, and do not wait for it."""
        request = ChangeState.Request()
        request.transition.label = transition
        self._client(ChangeState, f"{NODE}/change_state").call_async(request)

    def set(self, name, value):
        kinds = {str: ("string_value", ParameterType.PARAMETER_STRING)}
        kinds[float] = ("double_value", ParameterType.PARAMETER_DOUBLE)
        attribute, kind = kinds[type(value)]
        message = ParameterMessage(
            name=name, value=ParameterValue(type=kind, **{attribute: value})
        )
        request = SetParameters.Request(parameters=[message])
        return self.call(SetParameters, f"{NODE}/set_parameters", request).results[0]

    def go(self, transition):
        """Have the lifecycle make a transition; return the state after it."""
        request = ChangeState.Request()
        request.transition.label = transition
        before = self.state()
        answer = self._asked(ChangeState, f"{NODE}/change_state", request)
        # A transition must not be asked for twice; without an answer the state tells.
        scripted.eventually(lambda: self.state() in SETTLED)
        assert self.state() != before if answer is None else answer.success, transition
        return self.state()

    def state(self):
        return self.call(GetState, f"{NODE}/get_state").current_state.label

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()


def statuses(ear, name):
    found = [
        status
        for item in ear.heard("/diagnostics")
        for status in item.message.status
        if status.name == f"pose_estimator: {name}"
    ]
    return found


def values(status):
    return {item.key: item.value for item in status.values}
