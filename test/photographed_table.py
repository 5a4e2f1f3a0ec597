"""A textured table with boxes on it as somebody would photograph it: pictures, transforms.json."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from analytic_field import BOXES, AnalyticField, camera_at, photograph, small_camera

from fast_inerf_ros.geometry.se3 import SE3

SLAB = ((-0.7, -0.7, -0.08), (0.7, 0.7, 0.0))
TABLE = AnalyticField(room=False, boxes=(SLAB, *BOXES), frequency=40.0)
CAMERA = small_camera(120, 96)
N_VIEWS = 32
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def viewpoints() -> list[SE3]:
    """Where the photographs are taken: two rings around the table."""
    angles = np.linspace(0, 2 * np.pi, N_VIEWS, endpoint=False)
    return [
        camera_at((1.3 * np.cos(angle), 1.3 * np.sin(angle), 0.7 + 0.5 * (number % 2)))
        for number, angle in enumerate(angles)
    ]


def write_photographs(folder: Path) -> Path:
    """Write pictures and poses in metres that nobody says are metres; return the folder."""
    (folder / "images").mkdir(parents=True)
    frames = []
    for number, pose in enumerate(viewpoints()):
        name = f"images/{number:04d}.png"
        picture = (photograph(TABLE, CAMERA, pose) * 255).round().astype(np.uint8)
        cv2.imwrite(str(folder / name), picture[..., ::-1])
        matrix = (pose.matrix() @ OPENGL).tolist()
        frames.append({"file_path": name, "transform_matrix": matrix})
    lens = {"fl_x": CAMERA.fx, "fl_y": CAMERA.fy, "cx": CAMERA.cx + 0.5, "cy": CAMERA.cy + 0.5}
    content = {"w": CAMERA.width, "h": CAMERA.height, **lens, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(content))
    return folder
