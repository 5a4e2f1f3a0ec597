"""Memory of a process that only detects: python -m benchmarks._posecnn_memory FILE W H."""

from __future__ import annotations

import sys

import numpy as np

from benchmarks._machine import peak_memory_gb
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.posecnn.detector import Detector, DetectorConfig


def main() -> int:
    """Detect in noise a few times; print the largest resident memory in megabytes."""
    path, width, height = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    camera = Camera(width, height, 0.94 * width, 0.94 * width, width / 2 - 0.5, height / 2 - 0.5)
    detector = Detector.load(path, DetectorConfig(input_width=width))
    generator = np.random.default_rng(0)
    for _ in range(3):
        detector.detect(generator.integers(0, 256, (height, width, 3), dtype=np.uint8), camera)
    sys.stdout.write(f"{peak_memory_gb() * 1e3}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
