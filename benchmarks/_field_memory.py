"""Memory of a process that only renders: python -m benchmarks._field_memory FILE VIEW.

VIEW: JSON of the camera's intrinsics and its pose (4, 4) in the field.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from benchmarks._machine import peak_memory_gb
from fast_inerf_ros.fields.checkpoint import load_field
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.training.views import render_view


def main() -> int:
    """Load a field and show one view; print the largest resident memory in gigabytes."""
    path, view = sys.argv[1], json.loads(sys.argv[2])
    pose = SE3.from_matrix(np.array(view["T_field_camera"]))
    render_view(load_field(path), Camera(**view["camera"]), pose)
    sys.stdout.write(f"{peak_memory_gb()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
