"""Pose networks on this machine: latency, and quality on images that no training has seen.

python -m benchmarks.posecnn [--repeats N] [--threads N] [--checkpoint tabletop.pt]
    [--ycb-checkpoint ycb.pt]

JSON in benchmarks/results/posecnn.json (or ``--output``), and a table of all floors. For latency
a network with random weights is measured: the arithmetic is the same, and what it would have
found is put in its place, so that voting and decoding have ten objects to find.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._command import module
from benchmarks._posecnn_quality import (
    Row,
    floor_row,
    measured_quality,
    other_renderer_rows,
    protocol_images,
    protocol_rows,
    ycb_frames,
)
from fast_inerf_ros.command_line import run
from fast_inerf_ros.config import option
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.posecnn.backbones import make_network
from fast_inerf_ros.posecnn.checkpoint import PoseCheckpoint, save_checkpoint
from fast_inerf_ros.posecnn.detector import Detector, DetectorConfig
from fast_inerf_ros.posecnn.network import DenseOutput, NetworkConfig, PoseNetwork
from fast_inerf_ros.posecnn.onnx_backend import OnnxNetwork, export_onnx
from fast_inerf_ros.posecnn.prediction import cell_pixels
from fast_inerf_ros.posecnn.targets import DenseTargets, dense_targets
from fast_inerf_ros.posecnn.voting import VoteMaps, VotingConfig, vote
from fast_inerf_ros.training.pose_options import TrainPoseCnnConfig

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SIZES = ("320x240", "640x480")
LABELS = tuple(f"object_{number}" for number in range(1, 11))


@dataclass(frozen=True)
class PoseCnnBenchmarkConfig:
    """Options of the benchmark."""

    repeats: int = option(30, doc="Runs of each measurement.", minimum=3)
    threads: int = option(0, doc="Threads; 0 for torch's own choice.", minimum=0)
    onnx: bool = option(True, doc="Also measure onnxruntime, where it is installed.")
    latency: bool = option(True, doc="Measure latencies.")
    checkpoint: str = option("", doc="Network to try on the protocol's images; empty for none.")
    protocol_images: str = option(
        "", doc="Folder of these images; rendered there, or beside the results, if missing."
    )
    ycb_checkpoint: str = option(
        "", doc="Network to try on $FAST_INERF_DATA/ycbv_syn; empty for none."
    )
    ycb_data: str = option("", doc="Folder of the data set that network was trained on.")
    output: str = option(str(RESULTS / "posecnn.json"), doc="Where the figures go.")
    input_width: int = option(
        DetectorConfig().input_width, doc="Width of the network's input for quality.", minimum=32
    )


def measured(repeats: int, work: Callable[[], Any]) -> dict[str, float]:
    """Median and least wall-clock milliseconds, and median processor milliseconds."""
    for _ in range(3):
        work()
    wall, processor = [], []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        work()
        wall.append(1e3 * (time.perf_counter() - start[0]))
        processor.append(1e3 * (time.process_time() - start[1]))
    return {
        "median_ms": round(float(np.median(wall)), 2),
        "least_ms": round(min(wall), 2),
        "processor_ms": round(float(np.median(processor)), 2),
    }


def ten_objects(width: int, height: int, stride: int) -> DenseTargets:
    """Ten discs, half of the image's area, with their centres."""
    rows, columns = np.mgrid[:height, :width]
    instances = np.full((height, width), -1)
    centres = []
    for index in range(len(LABELS)):
        x, y = width * (0.1 + 0.2 * (index % 5)), height * (0.27 + 0.46 * (index // 5))
        radius = 0.09 * width
        instances[np.hypot(columns - x, rows - y) < radius] = index
        centres.append((x + 0.02 * width, y))
    class_ids = np.arange(1, len(LABELS) + 1)
    return dense_targets(
        instances, class_ids, np.array(centres), np.linspace(0.6, 1.2, len(LABELS)), stride
    )


class Staged:
    """A network that runs in full, and then says what ten objects would look like."""

    def __init__(self, network: Any, width: int, height: int) -> None:
        """Prepare the answer for inputs of one size."""
        self.network = network
        targets = ten_objects(width, height, network.stride)
        scores = torch.nn.functional.one_hot(targets.labels, len(LABELS) + 1)
        self.logits = 10.0 * scores.permute(0, 3, 1, 2).float()
        offset = targets.offset / 16
        self.centre = torch.cat([targets.direction, torch.zeros_like(offset[:, :1]), offset], 1)

    def dense(self, images: torch.Tensor) -> DenseOutput:
        """Run the network, and answer with the ten objects."""
        return DenseOutput(self.logits, self.centre, self.network.dense(images).features)


def latencies(network: Any, width: int, height: int, repeats: int) -> dict[str, Any]:
    """Of the network alone, and from image to detections."""
    camera = Camera(width, height, 0.94 * width, 0.94 * width, width / 2 - 0.5, height / 2 - 0.5)
    detector = Detector(network, DetectorConfig(input_width=width))
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    images = torch.rand(1, 3, height, width).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        alone = measured(repeats, lambda: network.dense(images))
    detector._dense = Staged(network, width, height).dense
    found = len(detector.detect(image, camera))
    return {
        "network": alone,
        "image_to_detections": measured(repeats, lambda: detector.detect(image, camera)),
        "detections": found,
    }


def voting_latency(width: int, height: int, repeats: int) -> dict[str, Any]:
    """Of voting on every pixel of an image, directions only, ten classes."""
    targets = ten_objects(width, height, 1)
    noise = torch.randn(1, height, width, generator=torch.Generator().manual_seed(0)) * 0.1
    x, y = targets.direction[:, 0], targets.direction[:, 1]
    direction = torch.stack([x - noise * y, y + noise * x], dim=1)[0]
    maps = VoteMaps(
        targets.labels[0],
        torch.ones(height, width),
        direction,
        targets.depth[0],
        None,
        cell_pixels((height, width), 1, noise),
        1.0,
    )
    return measured(repeats, lambda: vote(maps, len(LABELS), VotingConfig()))


def onnx_network(network: Any, width: int, height: int, threads: int) -> OnnxNetwork:
    """Export a network for one size and open it with onnxruntime."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"posecnn_{width}x{height}.onnx"
    export_onnx(network, path, (width, height))
    return OnnxNetwork(path, threads)


def untrained_network() -> PoseNetwork:
    """The light network as training makes it; random weights take as long as trained ones."""
    channels = TrainPoseCnnConfig().context_channels
    return make_network(NetworkConfig(LABELS, context_channels=channels))


def measured_latencies(config: PoseCnnBenchmarkConfig) -> dict[str, Any]:
    """Latencies at both sizes, of both backends, and of voting alone."""
    network = untrained_network()
    result: dict[str, Any] = {}
    for size in SIZES:
        width, height = (int(side) for side in size.split("x"))
        entry = {"torch": latencies(network, width, height, config.repeats)}
        if config.onnx:
            try:
                exported = onnx_network(network, width, height, config.threads)
            except ValueError as error:
                sys.stderr.write(f"onnxruntime left out: {error}\n")
            else:
                entry["onnxruntime"] = latencies(exported, width, height, config.repeats)
        result[size] = entry
    for width, height in ((640, 480), (1920, 1080)):
        result[f"voting_{width}x{height}"] = voting_latency(width, height, config.repeats)
    for size in SIZES:
        result[f"memory_mb_{size}"] = memories(network, size)
    return result


def memories(network: Any, size: str) -> dict[str, float]:
    """Largest memory of a process of its own that detects, MB, by backend."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "posecnn_random.pt"
    save_checkpoint(PoseCheckpoint(network), path)
    files = {"torch": path, "onnxruntime": RESULTS / f"posecnn_{size}.onnx"}
    return {name: memory(file, size) for name, file in files.items() if file.is_file()}


def memory(path: Path, size: str) -> float:
    """Largest memory of a process that detects with a network of a file, MB."""
    command = module("benchmarks._posecnn_memory", path, *size.split("x"))
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return float(done.stdout.split()[-1])


def latency_rows(result: dict[str, Any]) -> list[Row]:
    """Rows of the table: the faster backend counts, both are in the JSON."""
    rows = []
    for size, floor in zip(SIZES, (60.0, 120.0), strict=True):
        times = {
            backend: entry["image_to_detections"]["median_ms"]
            for backend, entry in result[size].items()
        }
        best = min(times, key=lambda backend: times[backend])
        what = f"network, voting, decoding {size} ms ({best})"
        rows.append(floor_row(what, times[best], "<=", floor))
    voting = result["voting_640x480"]["median_ms"]
    rows.append(floor_row("voting alone 640x480, 10 classes, ms", voting, "<=", 15.0))
    for size in SIZES:
        sizes_mb = result[f"memory_mb_{size}"]
        least = min(sizes_mb, key=lambda backend: sizes_mb[backend])
        what = f"memory of a detecting process {size}, MB ({least})"
        rows.append(floor_row(what, sizes_mb[least], "<=", 600.0))
    return rows


def main_with(config: PoseCnnBenchmarkConfig) -> None:
    """Measure and print everything."""
    if config.threads:
        torch.set_num_threads(config.threads)
    result: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
    }
    rows: list[Row] = []
    if config.latency:
        result["latency"] = {"weights": "random", **measured_latencies(config)}
        rows += latency_rows(result["latency"])
    RESULTS.mkdir(exist_ok=True)
    if config.checkpoint:
        folder = Path(config.protocol_images or RESULTS / "posecnn_protocol")
        images = protocol_images(folder, config.threads)
        output = RESULTS / "posecnn_protocol_report"
        result["protocol"] = measured_quality(
            config.checkpoint, images, output, "test", config.input_width
        )
        rows += protocol_rows(result["protocol"])
    if config.ycb_checkpoint:
        frames = Path(os.environ.get("FAST_INERF_DATA", "")) / "ycbv_syn" / "props_like"
        models = Path(config.ycb_data) / "models"
        images = ycb_frames(RESULTS / "posecnn_ycbv", frames, models)
        output = RESULTS / "posecnn_ycbv_report"
        result["ycbv_syn"] = measured_quality(
            config.ycb_checkpoint, images, output, "train", config.input_width
        )
        rows += other_renderer_rows(result["ycbv_syn"])
    result["rows"] = rows
    text = json.dumps(result, indent=1)
    Path(config.output).parent.mkdir(parents=True, exist_ok=True)
    Path(config.output).write_text(text + "\n", encoding="utf-8")
    for row in rows:
        sys.stdout.write(_line(row) + "\n")


def _line(row: Row) -> str:
    value = "none" if row["value"] is None else f"{row['value']:.4g}"
    verdict = {True: "met", False: "MISSED"}.get(row.get("met"), "")  # type: ignore[arg-type]
    return f"{row['what']:60} {value:>10} {row.get('floor', ''):>10} {verdict}"


if __name__ == "__main__":
    sys.exit(run(PoseCnnBenchmarkConfig, main_with, prog="posecnn_benchmark"))
