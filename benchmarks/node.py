"""The node at 30 Hz: poses a second, latency in a third process, memory, idle load.

    python -m benchmarks.node --scene demo_out/scene/scene.yaml --bag demo_out/scene/recording/bag

Uses what `make demo` leaves behind, or another scene and 640 x 480 recording. Three processes, as
in the demo: `replay` plays the recording in a loop, restamped; `pose_estimator`; `record_poses`,
which measures from stamp to arrival. The first 30 poses do not count. Then the node is disabled
and its processor time measured. For an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import SetBool

from benchmarks._machine import peak_memory_gb
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.nodes.distribution import environment
from fast_inerf_ros.nodes.trajectory_files import read_tum

RESULTS = Path(__file__).parent / "results"
MODULE = "fast_inerf_ros.nodes."
IDLE_S = 20.0
WARM_UP = 30
PATIENCE_S = 180.0


def main() -> int:
    """Measure, print a table and write JSON."""
    arguments = parsed()
    around = environment(1 + os.getpid() % 100)
    os.environ.update(around)
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(arguments, Path(folder))
    figures |= {"scene": str(arguments.scene), "seconds": arguments.seconds}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(figures, indent=2) + "\n")
    for name, value in figures.items():
        print(f"  {name:<22}{value if isinstance(value, str) else f'{value:.3f}'}")
    return 0


def parsed() -> argparse.Namespace:
    """Command line."""
    scene = Path("demo_out/scene")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", type=Path, default=scene / "scene.yaml")
    parser.add_argument("--bag", type=Path, default=scene / "recording" / "bag")
    parser.add_argument("--image-topic", default="/camera/image_raw")
    parser.add_argument("--seconds", type=float, default=40.0, help="of 30 Hz images")
    parser.add_argument("--output", type=Path, default=RESULTS / "node.json")
    arguments = parser.parse_args()
    for path in (arguments.scene, arguments.bag):
        if not path.exists():
            parser.error(f"{path} does not exist: run make demo first, or give --scene and --bag")
    return arguments


def measured(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the processes and return the figures."""
    options = ["--scene", arguments.scene, "--image-topics", arguments.image_topic]
    estimator = start("pose_estimator", *options)
    try:
        count = round(arguments.seconds * 30)
        record = ["--output", folder, "--timeout", PATIENCE_S, "--truth-topic"]
        record += ["/ground_truth/camera_pose", "--count", count]
        recorder = start("record_poses", *record)
        time.sleep(5.0)  # both know each other before the first image
        play = ["--restamp", "--loop", "--publish-ground-truth"]
        play += ["--wait-for-subscribers", str(PATIENCE_S)]
        player = start("replay", arguments.bag, *play)
        try:
            used = processor_seconds(estimator.pid)
            began = time.monotonic()
            finish(recorder, PATIENCE_S / 2 + arguments.seconds)
            busy = (processor_seconds(estimator.pid) - used) / (time.monotonic() - began)
            idle = idle_percent(estimator.pid)
        finally:
            end(player)
        figures = of_recording(folder)
        figures |= {"busy_cpu_percent": 100 * busy, "idle_cpu_percent": idle}
        return figures | {"resident_mb": peak_memory_gb(estimator.pid) * 1e3}
    finally:
        end(estimator)


def of_recording(folder: Path) -> dict[str, Any]:
    """Rate, latency and errors once the camera was found."""
    summary = json.loads((folder / "summary.json").read_text())
    if summary["poses"] <= 2 * WARM_UP:
        raise SystemExit(f"only {summary['poses']} poses came; see above what the node says")
    delays = np.array(summary["latencies_ms"])[WARM_UP:]
    poses, truth = read_tum(folder / "poses.tum"), read_tum(folder / "truth.tum")
    true = {pose.stamp_ns: pose.T_world_camera for pose in truth}
    found = [pose for pose in poses if pose.stamp_ns in true]
    errors = pose_errors(
        SE3.stack([pose.T_world_camera for pose in found]),
        SE3.stack([true[pose.stamp_ns] for pose in found]),
    )
    stamps = np.array([pose.stamp_ns for pose in poses])[WARM_UP:]
    return {
        "poses": len(poses),
        "poses_per_second": (len(stamps) - 1) / ((stamps[-1] - stamps[0]) * 1e-9),
        "median_ms": float(np.median(delays)),
        "p95_ms": float(np.percentile(delays, 95)),
        "rotation_deg_median": float(np.median(errors.rotation_deg)),
        "translation_mm_median": float(np.median(errors.translation) * 1e3),
        **{f"images_{name}": count for name, count in fates(summary).items()},
    }


def fates(summary: dict[str, Any]) -> dict[str, int]:
    """What became of images, as the node counted it."""
    values = summary["diagnostics"].get("pose_estimator: camera", {})
    return {name: int(values.get(name, 0)) for name in ("localised", "lost", "replaced", "stale")}


def idle_percent(pid: int) -> float:
    """Disable the node and return the share of a processor that it takes, in percent."""
    enable(False)
    time.sleep(3.0)
    used, began = processor_seconds(pid), time.monotonic()
    time.sleep(IDLE_S)
    return 100 * (processor_seconds(pid) - used) / (time.monotonic() - began)


def enable(on: bool) -> None:
    """Call ~/enable."""
    context = Context()
    context.init(args=["benchmark"])
    node = Node("benchmark", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    client: Any = node.create_client(SetBool, "/pose_estimator/enable")
    client.wait_for_service(timeout_sec=30.0)
    future = client.call_async(SetBool.Request(data=on))
    executor.spin_until_future_complete(future, timeout_sec=30.0)
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()


def start(name: str, *options: object) -> subprocess.Popen[bytes]:
    """Run a node as a process; what it says goes to the terminal."""
    return subprocess.Popen([sys.executable, "-m", MODULE + name, *map(str, options)])


def finish(recorder: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for all poses; a node that is too slow for that is measured by what there is."""
    try:
        recorder.wait(seconds)
    except subprocess.TimeoutExpired:
        recorder.send_signal(signal.SIGINT)
        recorder.wait(60.0)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started here."""
    process.terminate()
    try:
        process.wait(20.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def processor_seconds(pid: int) -> float:
    """Processor time of a process so far, all threads."""
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
