"""A cloud of coloured voxels as a field on file, and photographs that it took of itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import voxel_scenes
from analytic_field import camera_at
from PIL import Image

from fast_inerf_ros.fields.checkpoint import save_field
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.conventions import opencv_to_opengl
from fast_inerf_ros.training.pictures import to_pixels
from fast_inerf_ros.training.views import render_view

SIZE = 64
FOCAL = 1.4 * SIZE
EYES = ((2.6, -1.4, 1.8), (-2.2, -2.0, 1.9), (0.4, 2.9, 1.5))
CAMERA = Camera(SIZE, SIZE, FOCAL, FOCAL, (SIZE - 1) / 2, (SIZE - 1) / 2)


def cloud():
    """A voxel field that is opaque where it is anything, over white."""
    field = voxel_scenes.field_of(
        voxel_scenes.random_grid(5, mean=-1.0, spread=4.0), background=(1.0, 1.0, 1.0)
    )
    smooth = torch.nn.functional.avg_pool3d(
        field.grid.color[1:].reshape(-1, 4, 4, 4, 12).permute(0, 4, 1, 2, 3), 3, 1, 1
    )
    field.grid.color[1:] = 2.5 * smooth.permute(0, 2, 3, 4, 1).reshape(-1, 64, 12)
    return field


def poses():
    """T_world_camera of the photographs."""
    return [camera_at(eye, voxel_scenes.CENTER) for eye in EYES]


def write_blender(folder, field, name="cloud", camera=CAMERA):
    """Write data/<name>/obs_imgs as the seed has it; its file lists the last image first."""
    target = Path(folder) / name / "obs_imgs"
    target.mkdir(parents=True)
    frames = []
    for number, pose in enumerate(poses()):
        view = render_view(field, camera, pose)
        Image.fromarray(to_pixels(view.color)).save(target / f"{number}.png")
        matrix = opencv_to_opengl(np.asarray(pose.matrix()))
        frames.append({"file_path": str(number), "transform_matrix": matrix.tolist()})
    angle = 2.0 * np.arctan(0.5 * camera.width / camera.fx)
    content = {"camera_angle_x": angle, "frames": frames[::-1]}
    (target / "transforms.json").write_text(json.dumps(content))
    return target


def write_cloud(folder):
    """The field as checkpoints/cloud.npz, and its photographs; returns the latter's folder."""
    field = cloud()
    (Path(folder) / "checkpoints").mkdir(parents=True)
    save_field(Path(folder) / "checkpoints" / "cloud.npz", field)
    return write_blender(Path(folder) / "data", field)
