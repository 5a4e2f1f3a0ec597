"""`replay` and `collect_images` as two processes, as `make demo` runs them."""

from __future__ import annotations

import json
import signal

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import processes
from bags import START_NS, write_bag

from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.nodes import conversions
from fast_inerf_ros.nodes.collection import EvenSample, Frame, expected_count, latency_ms

COLLECT = "fast_inerf_ros.nodes.collect_images"
REPLAY = "fast_inerf_ros.nodes.replay"
CAMERA = Camera(64, 48, 60.0, 61.0, 31.0, 23.0, "plumb_bob", (0.1, -0.2, 0.0, 0.0, 0.0))
PERIOD_NS = 20_000_000


def grey(index):
    return np.full((48, 64, 3), 5 * index, np.uint8)


def write_camera_bag(path, count=30, compressed=False):
    messages = []
    for index in range(count):
        header = conversions.header(START_NS + index * PERIOD_NS, "camera")
        encode = conversions.encode_compressed if compressed else conversions.encode_image
        image = encode(grey(index), header)
        messages.append(
            (
                "/camera/camera_info",
                index * PERIOD_NS,
                conversions.camera_to_message(CAMERA, header),
            )
        )
        name = "/camera/image_raw" + ("/compressed" if compressed else "")
        messages.append((name, index * PERIOD_NS, image))
    return write_bag(path, messages)


def collect_from(bag, output, collecting=(), replaying=()):
    with processes.Program(COLLECT, "--output", output, *collecting) as collector:
        with processes.Program(REPLAY, bag, "--wait-for-subscribers", "30", *replaying) as player:
            assert player.wait() == 0, player.output
        assert collector.wait() == 0, collector.output
        return json.loads((output / "summary.json").read_text()), collector.output


def test_images_are_counted_kept_and_summed_up(tmp_path):
    bag = write_camera_bag(tmp_path / "bag")
    summary, output = collect_from(
        bag,
        tmp_path / "out",
        ["--keep", "4", "--image-format", "png", "--count", "30"],
        ["--reliability", "best_effort"],
    )
    assert (summary["received"], summary["expected"], summary["undecodable"]) == (30, 30, 0)
    assert (summary["width"], summary["height"]) == (64, 48)
    assert summary["latency_ms"] is None  # stamps of the recording
    assert summary["camera"]["distortion"] == list(CAMERA.distortion)
    assert summary["files"][0] == "000000.png"
    for name in summary["files"]:
        written = cv2.imread(str(tmp_path / "out" / name))
        assert (written == 5 * int(name[:6])).all()
    sheet = cv2.imread(str(tmp_path / "out" / "contact_sheet.png"))
    assert sheet.shape[1] > 4 * 320
    assert "30 of 30 images of /camera/image_raw (64x48)" in output


def test_latency_is_told_for_live_stamps_of_compressed_images(tmp_path):
    bag = write_camera_bag(tmp_path / "bag", compressed=True)
    summary, _ = collect_from(
        bag,
        tmp_path / "out",
        ["/camera/image_raw/compressed", "--transport", "compressed", "--quiet", "1"],
        ["--restamp"],
    )
    assert summary["received"] == 30  # how many were expected is guessed from stamps, here of now
    assert 0 < summary["latency_ms"]["median"] < 1000 * processes.PATIENCE_S
    assert summary["camera"]["fx"] == 60.0


def test_silence_is_an_error(tmp_path):
    status, output = processes.run(COLLECT, "/silent", "--timeout", "0.3", "--output", tmp_path)
    assert status == 1
    assert "error: no image came on /silent within 0.3 s (0 publishers" in output
    assert not list(tmp_path.iterdir())


def test_an_interrupt_writes_what_has_come(tmp_path):
    bag = write_camera_bag(tmp_path / "bag")
    output = tmp_path / "out"
    with (
        processes.Program(COLLECT, "--output", output, "--quiet", "60") as collector,
        processes.Program(REPLAY, bag, "--wait-for-subscribers", "30") as player,
    ):
        assert player.wait() == 0, player.output
        collector.send(signal.SIGTERM)
        assert collector.wait() == 0, collector.output
    assert json.loads((output / "summary.json").read_text())["received"] > 0


@settings(deadline=None, derandomize=True)
@given(size=st.integers(1, 10), count=st.integers(1, 200))
def test_the_kept_frames_are_evenly_spread_in_bounded_memory(size, count):
    sample = EvenSample(size)
    for index in range(count):
        sample.add(Frame(index, index, np.zeros((1, 1, 3), np.uint8)))
        assert len(sample._frames) <= 2 * size
    kept = [frame.number for frame in sample.frames()]
    assert len(kept) == min(size, count)
    assert kept[0] == 0
    gaps = np.diff(kept)
    assert len(gaps) == 0 or gaps.max() <= 2 * gaps.min()
    if size > 1:
        assert kept[-1] >= count - 1 - 2 * count / size


def test_missing_images_are_seen_by_their_stamps():
    stamps = [index * PERIOD_NS for index in range(30) if index not in (7, 8, 20)]
    assert expected_count(stamps) == 30
    assert expected_count([]) == 0
    assert expected_count([5]) == 1


def test_latency_is_not_told_for_recorded_stamps():
    assert latency_ms([0, 1], [10**18, 10**18]) is None
    assert latency_ms([0, 10**9], [4_000_000, 10**9 + 6_000_000]) == {"median": 5.0, "p95": 5.9}
