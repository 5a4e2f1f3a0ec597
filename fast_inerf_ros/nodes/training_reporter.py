"""What every training node does: says how it goes on /diagnostics, and takes a wish to stop.

The training runs in the main thread, which signals reach; an executor thread answers requests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.duration import Duration
from rclpy.node import Node
from std_srvs.srv import Trigger

from fast_inerf_ros.nodes.conversions import header
from fast_inerf_ros.training.loop import Moment, Task
from fast_inerf_ros.training.progress import ItemRate
from fast_inerf_ros.training.stop_request import StopRequest

DIAGNOSTICS_TOPIC = "/diagnostics"
DIAGNOSTICS_PERIOD_S = 1.0
DELIVERY_S = 1.0
DISCOVERY_S = 3.0


class TrainingReporter:
    """Publishes on /diagnostics and offers ~/stop; an observer of the training.

    output: folder of the training, the hardware_id of the diagnostics.
    """

    def __init__(self, node: Node, output: str, request: StopRequest) -> None:
        self._node = node
        self._output = output
        self._request = request
        self._rate = ItemRate()
        self._figures: dict[str, float] = {}
        self._values: dict[str, str] = {}
        self._diagnostics = node.create_publisher(DiagnosticArray, DIAGNOSTICS_TOPIC, 10)
        self._publishers: list[Any] = [self._diagnostics]
        node.create_service(Trigger, "~/stop", self._on_stop)

    def task(self) -> Task:
        """Reports every second."""
        return Task(self._report, every_seconds=DIAGNOSTICS_PERIOD_S, at_end=True)

    def during(self, work: Callable[[], int]) -> int:
        """Do the work, and say how it ended."""
        try:
            status = work()
        except Exception as error:
            self.say_failed(error)
            raise
        self.say_finished()
        return status

    def say(self, message: str, level: bytes = DiagnosticStatus.OK) -> None:
        """Publish what is going on."""
        figures = {name: f"{value:.4f}" for name, value in self._figures.items()}
        texts = {**self._values, **figures}
        values = [KeyValue(key=key, value=text) for key, text in texts.items()]
        entry = DiagnosticStatus(
            level=level,
            name=f"{self._node.get_name()}: training",
            message=message,
            hardware_id=self._output,
            values=values,
        )
        self._diagnostics.publish(
            DiagnosticArray(header=header(time.time_ns(), ""), status=[entry])
        )

    def say_finished(self) -> None:
        """Say that the training is over."""
        self.say("stopped" if self._request.is_set() else "finished")
        self._wait_for_delivery()

    def say_failed(self, error: Exception) -> None:
        """Say why there is no training."""
        self._wait_for_listener()
        self.say(f"failed: {error}", DiagnosticStatus.ERROR)
        self._wait_for_delivery()

    def on_step(self, moment: Moment) -> None:
        """Count rays or images."""
        if moment.report is not None:
            self._rate.add(moment.report.n_items, moment.seconds)

    def on_figures(self, moment: Moment, figures: Mapping[str, float]) -> None:
        """Keep the figures of the last validation."""
        self._figures = dict(figures)

    def close(self) -> None:
        """Nothing is open."""

    def _report(self, moment: Moment) -> None:
        report = moment.report
        if report is None:
            return
        self._values = {
            "step": str(moment.step),
            "progress": f"{moment.progress:.4f}",
            "seconds": f"{moment.seconds:.1f}",
            f"{report.unit}_per_second": f"{self._rate.per_second:.4g}",
            **{name: f"{value:.6g}" for name, value in report.figures().items()},
        }
        self.say("training")

    def _wait_for_listener(self) -> None:
        # Wrong input ends the node within a second, before others on the network know of it.
        deadline = time.monotonic() + DISCOVERY_S
        while not self._diagnostics.get_subscription_count() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _wait_for_delivery(self) -> None:
        # The node ends right after this, and with it messages that are still under way.
        for publisher in self._publishers:
            publisher.wait_for_all_acked(Duration(seconds=DELIVERY_S))

    def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = not self._request.is_set()
        response.message = "saving and ending" if response.success else "already ending"
        self._request.set()
        return response
