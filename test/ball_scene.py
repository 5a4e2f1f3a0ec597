"""A ball, red above and blue below with a green belt, as data sets of tiny photographs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

RADIUS = 0.8
DISTANCE = 3.0
FOCAL_SHARE = 1.2
AXES = np.diag([1.0, -1.0, -1.0])  # OpenCV to OpenGL


def looking_at_origin(position):
    """T_world_camera (4, 4), OpenCV axes, z up."""
    z = -position / np.linalg.norm(position)
    x = np.cross(z, [0.0, 0.0, 1.0])
    x /= np.linalg.norm(x)
    matrix = np.eye(4)
    matrix[:3] = np.stack([x, np.cross(z, x), z, position], axis=1)
    return matrix


def photograph(pose, width, height, alpha=True):
    """The picture (h, w, 4 or 3) of a camera of focal length 1.2 w; RGB is over white."""
    focal = FOCAL_SHARE * width
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack(
        [(columns - width / 2) / focal, (rows - height / 2) / focal, np.ones_like(rows)], axis=-1
    )
    directions = rays / np.linalg.norm(rays, axis=-1, keepdims=True) @ pose[:3, :3].T
    origin = pose[:3, 3]
    along = directions @ origin
    inside = along**2 - origin @ origin + RADIUS**2
    hit = inside > 0
    depth = -along - np.sqrt(np.maximum(inside, 0.0))
    z = (origin + depth[..., None] * directions)[..., 2:]
    color = np.where(z > 0, [230, 30, 30], [30, 30, 230])
    color = np.where(np.abs(z) < 0.25, [30, 200, 30], color)
    image = np.zeros((height, width, 4), dtype=np.uint8)
    image[..., :3] = np.where(hit[..., None], color, 255)
    image[..., 3] = np.where(hit, 255, 0)
    return image if alpha else image[..., :3].copy()


def poses_around(count, seed):
    """Poses all around the ball, but for its poles."""
    generator = np.random.default_rng(seed)
    places = generator.normal(size=(count, 3)) * [1.0, 1.0, 0.6]
    return [looking_at_origin(DISTANCE * place / np.linalg.norm(place)) for place in places]


def write_blender(folder, size=24, counts=(16, 2, 3), alpha=True):
    """Write transforms_{train,val,test}.json and PNGs; return the folder."""
    angle = 2.0 * np.arctan(0.5 / FOCAL_SHARE)
    for split, (name, count) in enumerate(zip(("train", "val", "test"), counts, strict=True)):
        (Path(folder) / name).mkdir(parents=True)
        frames = []
        for number, pose in enumerate(poses_around(count, split)):
            stem = f"{name}/r_{number}"
            Image.fromarray(photograph(pose, size, size, alpha)).save(f"{folder}/{stem}.png")
            matrix = pose.copy()
            matrix[:3, :3] = pose[:3, :3] @ AXES
            frames.append({"file_path": f"./{stem}", "transform_matrix": matrix.tolist()})
        content = {"camera_angle_x": angle, "frames": frames}
        (Path(folder) / f"transforms_{name}.json").write_text(json.dumps(content))
    return Path(folder)


def write_llff(folder, size=(24, 18), count=9):
    """Write poses_bounds.npy and images of cameras side by side; return the folder."""
    width, height = size
    (Path(folder) / "images").mkdir(parents=True)
    rows = []
    for number in range(count):
        across, up = np.divmod(number, 3)
        pose = looking_at_origin(np.array([0.3 * (across - 1), -DISTANCE, 0.3 * (up - 1)]))
        image = photograph(pose, width, height, alpha=False)
        Image.fromarray(image).save(f"{folder}/images/{number:03d}.png")
        x, y, z = pose[:3, :3].T
        columns = np.stack([y, x, -z, pose[:3, 3], [height, width, FOCAL_SHARE * width]], axis=1)
        rows.append([*columns.ravel(), DISTANCE - 1.2 * RADIUS, DISTANCE + 1.2 * RADIUS])
    np.save(Path(folder) / "poses_bounds.npy", np.array(rows))
    return Path(folder)
