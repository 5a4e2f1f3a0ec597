"""A place whose truth is a voxel field: nothing is trained, and photographs are its renderings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from analytic_field import camera_at
from voxel_scenes import to_bricks

from fast_inerf_ros.fields.checkpoint import save_field
from fast_inerf_ros.fields.voxel import VoxelField
from fast_inerf_ros.fields.voxel_grid import Domain, VoxelGrid
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.features.registry import make_extractor
from fast_inerf_ros.inerf.landmark_building import build_landmarks
from fast_inerf_ros.inerf.landmark_file import field_id, save_landmarks
from fast_inerf_ros.inerf.views import render_cached
from fast_inerf_ros.io.scene import FieldReference, Scene, SceneObject, save_scene

CAMERA = Camera(320, 240, 300.0, 300.0, 159.5, 119.5)
N_VOXELS = 96
HALF_SIZE = 0.6
BOXES = (
    ((-0.55, -0.55, -0.1), (0.55, 0.55, -0.03)),
    ((-0.4, -0.3, -0.03), (-0.1, 0.1, 0.3)),
    ((0.05, 0.1, -0.03), (0.4, 0.4, 0.18)),
    ((0.15, -0.45, -0.03), (0.35, -0.2, 0.4)),
)
"""A table and three boxes on it: lower and upper corners, metres."""
DENSITY = 3.0


def make_field() -> VoxelField:
    """Solid boxes with random textures of some voxels' size."""
    bricks = (N_VOXELS // 4,) * 3
    domain = Domain((0.0, 0.0, 0.0), (HALF_SIZE,) * 3, False, bricks)
    grid = VoxelGrid.dense(domain, 0.0, threads=1)
    places = (np.arange(N_VOXELS) + 0.5) / N_VOXELS * 2 * HALF_SIZE - HALF_SIZE
    points = np.stack(np.meshgrid(places, places, places, indexing="ij"), axis=-1)
    solid = np.zeros((N_VOXELS,) * 3, bool)
    for low, high in BOXES:
        solid |= ((points > low) & (points < high)).all(axis=-1)
    density = torch.from_numpy(solid.astype(np.float32)) * DENSITY
    grid.density[1:] = to_bricks(density[..., None], bricks)[..., 0]
    generator = np.random.default_rng(11)
    coarse = torch.tensor(generator.normal(0, 2.5, (1, 3, 32, 32, 32)), dtype=torch.float32)
    smooth = torch.nn.functional.interpolate(coarse, (N_VOXELS,) * 3, mode="trilinear")[0]
    color = torch.zeros((N_VOXELS,) * 3 + (12,))
    color[..., 0::4] = smooth.permute(1, 2, 3, 0)
    grid.color[1:] = to_bricks(color, bricks)
    sparse, _ = grid.reallocated(1e-3)
    return VoxelField(sparse, frame=FieldFrame(metric=True))


def way(count: int) -> list[SE3]:
    """Poses T_world_camera of a camera that goes a part of the way around."""
    angles = -0.9 + 0.012 * np.arange(count)
    return [camera_at((1.0 * np.cos(a), 1.0 * np.sin(a), 0.75)) for a in angles]


def picture(field: VoxelField, T_world_camera: SE3, camera: Camera = CAMERA) -> np.ndarray:
    """What the camera sees (H, W, 3), uint8."""
    return (render_cached(field, camera, T_world_camera).color * 255).round().astype(np.uint8)


def write_place(folder: Path) -> VoxelField:
    """Write field.npz, landmarks.npz and scene.yaml into a folder and return the field."""
    field = make_field()
    save_field(folder / "field.npz", field)
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    poses = [
        camera_at((0.95 * np.cos(a), 0.95 * np.sin(a), h)) for a in angles for h in (0.6, 0.9)
    ]
    pictures = [picture(field, pose) for pose in poses]
    landmarks = build_landmarks(
        lambda index: pictures[index],
        [CAMERA] * len(poses),
        SE3.stack(poses),
        field,
        field_id(folder / "field.npz"),
        make_extractor(),
    )
    save_landmarks(folder / "landmarks.npz", landmarks)
    objects = tuple(
        SceneObject(
            f"box {number}",
            number,
            SE3(SE3.identity().rotation, (np.array(low) + np.array(high)) / 2),
            tuple((np.array(high) - np.array(low)).tolist()),
        )
        for number, (low, high) in enumerate(BOXES[1:], 1)
    )
    scene = Scene(
        "world",
        field=FieldReference("field.npz"),
        objects=objects,
        landmarks="landmarks.npz",
        description="boxes on a table",
    )
    save_scene(scene, folder / "scene.yaml")
    return field
