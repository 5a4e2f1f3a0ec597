"""Ten minutes of images, many of them malformed: no crash, no growth, no slowing down."""

from __future__ import annotations

import signal
import time

import bags
import numpy as np
import pytest
import voxel_place

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import processes
import scripted
from diagnostic_msgs.msg import DiagnosticArray
from driver import Driver, statuses, values
from geometry_msgs.msg import PoseStamped

from fast_inerf_ros.nodes import conversions
from fast_inerf_ros.nodes.localisation.frames import Fate

NODE = "fast_inerf_ros.nodes.pose_estimator"
POSE = "/pose_estimator/camera_pose"
RATE_HZ = 30.0
N_PICTURES = 60
GROWTH = 0.02


def malformed(generator, message):
    """One of the ways in which images go wrong."""
    kind = generator.integers(7)
    if kind == 0:
        message.data = message.data[: int(generator.integers(len(message.data)))]
    elif kind == 1:
        message.step = int(generator.integers(2**32))
    elif kind == 2:
        message.width, message.height = (
            int(number) for number in generator.integers(2**32, size=2)
        )
    elif kind == 3:
        message.encoding = str(generator.choice(["", "rgb9", "bayer", "🙂", "32FC1", "yuv422"]))
    elif kind == 4:
        message.width = 0
    elif kind == 5:
        message.height = 1
    else:
        message.data = message.data + message.data
    return message


class Soak:
    """Feeds a node at 30 Hz and takes notes of its memory and its answers."""

    def __init__(self, place, ear, pid, share_malformed):
        _, field = place
        self.images = [voxel_place.picture(field, pose) for pose in voxel_place.way(N_PICTURES)]
        self.camera = Driver(model=voxel_place.CAMERA)
        self.ear, self.pid, self.share = ear, pid, share_malformed
        self.generator = np.random.default_rng(3)
        self.sent_malformed = 0
        self.resident_kib = []

    def run(self, seconds):
        start = time.monotonic()
        number = 0
        while time.monotonic() - start < seconds:
            self.send(number)
            number += 1
            if number % round(RATE_HZ) == 0:
                self.resident_kib.append((time.monotonic() - start, resident_kib(self.pid)))
            time.sleep(max(0.0, start + number / RATE_HZ - time.monotonic()))

    def send(self, number):
        # To and fro, so that the camera never jumps.
        index = number % (2 * N_PICTURES - 2)
        index = index if index < N_PICTURES else 2 * N_PICTURES - 2 - index
        header = conversions.header(time.time_ns(), "optical")
        message = conversions.encode_image(self.images[index], header)
        if self.generator.random() < self.share:
            message = malformed(self.generator, message)
            self.sent_malformed += 1
        self.camera.infos.publish(conversions.camera_to_message(voxel_place.CAMERA, header))
        self.camera.images.publish(message)

    def counts(self):
        found = values(statuses(self.ear, "camera")[-1])
        return {fate.value: int(found[fate.value]) for fate in Fate} | {
            "received": int(found["received"])
        }


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as lines:  # noqa: PTH123
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


@pytest.fixture
def soak(place, listener):
    """Start a node and feed it; yields the maker of a feeder and the running program."""
    folder, _ = place
    ear = listener(
        ("/diagnostics", DiagnosticArray, processes.reliable()),
        (POSE, PoseStamped, processes.reliable(100_000)),
    )
    options = ["--scene", folder / "scene.yaml", "--estimator.background", "white"]
    options += ["--max-age", 0, "--reliability", "reliable", "--depth", 100]
    with processes.Program(NODE, *options) as program:

        def begin(share_malformed):
            made = Soak(place, ear, program._process.pid, share_malformed)
            scripted.eventually(made.camera.images.get_subscription_count, 120.0)
            return made

        yield begin, program


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_minutes_with_malformed_images_neither_grow_nor_slow_down(soak):
    begin, program = soak
    feeder = begin(share_malformed=0.2)
    feeder.run(600.0)
    assert program._process.poll() is None, program.output
    scripted.eventually(lambda: feeder.counts()["malformed"] + feeder.counts()["no_camera"] > 0)
    later = [kib for seconds, kib in feeder.resident_kib if seconds > 120.0]
    first, last = np.median(later[:60]), np.median(later[-60:])
    assert last < first * (1.0 + GROWTH), feeder.resident_kib
    heard = feeder.ear.heard(POSE)
    stamps = np.array(bags.stamps(heard))
    delays = np.array([item.wall_ns for item in heard]) - stamps
    thirds = np.array_split(delays, 3)
    # Twice as slow would be a leak of some kind; a loaded machine alone varies by less.
    assert np.median(thirds[2]) < 2.0 * np.median(thirds[0])
    program.send(signal.SIGINT)
    assert program.wait() == 0
    assert "Traceback" not in program.output


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_malformed_images_are_all_counted_in_a_short_log(soak):
    begin, program = soak
    feeder = begin(share_malformed=1.0)
    for number in range(10_000):
        feeder.send(number)
        if number % 20 == 0:
            time.sleep(0.05)
    unusable = ("malformed", "no_camera", "replaced", "out_of_order", "lost")
    scripted.eventually(lambda: feeder.counts()["received"] == 10_000, 120.0)
    scripted.eventually(lambda: sum(feeder.counts()[name] for name in unusable) == 10_000, 120.0)
    counts = feeder.counts()
    assert counts["failed"] == counts["localised"] == 0
    # Those that are well formed after all (a step that fits, another size) are told otherwise.
    assert counts["malformed"] > 8_000
    assert program._process.poll() is None
    assert program.output.count("[WARN]") < 200
