"""From photographs to what trains a voxel field: type of scene, box, background, rays."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fast_inerf_ros.config import options
from fast_inerf_ros.datasets.bounds import focus_point
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.voxel import Shading
from fast_inerf_ros.fields.voxel_grid import Domain
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.rendering.rays import RayBank
from fast_inerf_ros.training.voxel_options import VoxelTraining, options_for

Floats = NDArray[np.float64]

COARSEST = (4, 4, 4)
"""Bricks of a box before its resolution is chosen."""

EXCLUDED_SHARE = 0.25
"""Of the distance to what the cameras look at: nothing is so near to a camera, but floaters."""

INNER_SHARE = 0.4
"""Half the side of what an unbounded scene does not contract, in units of how far the farthest
camera is along an axis: half of the voxels are for what the cameras look at, not for the air
around them."""

LARGEST_SHARE = 0.75
"""Of the same distance: an object does not reach the cameras, whatever its limits say."""


def scene_type_of(posed: PosedImages) -> str:
    """Guess: transparent photographs show an object, LLFF scenes face forward, others surround."""
    if posed.image(int(posed.splits.train[0])).shape[-1] == 4:
        return "object"
    return "forward_facing" if posed.ndc else "unbounded"


def scene_options(scene_type: str, given: VoxelTraining) -> VoxelTraining:
    """The options of a type of scene; those that differ from the plain defaults stay."""
    plain = {item.name: item.default for item in options(VoxelTraining)}
    changed: dict[str, Any] = {
        name: getattr(given, name)
        for name, default in plain.items()
        if getattr(given, name) != default
    }
    return options_for(scene_type, **changed)


def scene_box(posed: PosedImages, scene_type: str) -> tuple[Domain, float]:
    """The box of a scene in field units, and how near to a camera nothing is."""
    if scene_type == "forward_facing":
        return _box_before(posed)
    poses = posed.T_field_camera
    train = posed.splits.train
    origins = np.asarray(poses.translation, dtype=np.float64)[train]
    focus = focus_point(poses)
    if focus is None:
        return _box_before(posed)
    distance = float(np.linalg.norm(origins - focus, axis=-1).mean())
    if scene_type == "unbounded":
        half = INNER_SHARE * float(np.abs(origins - focus).max())
        return _cube(focus, half, contracted=True), EXCLUDED_SHARE * distance
    near, far = (float(np.median(column)) for column in posed.field_bounds[train].T)
    half = min(max(distance - near, far - distance), LARGEST_SHARE * distance)
    if not half > 0.0:
        raise InputError(
            f"{posed.name}: expected depths near < far around the {distance:.4g} field units "
            f"from the cameras to what they look at, got {near:.4g} to {far:.4g}; give near and "
            "far, or the scene type"
        )
    return _cube(focus, half, contracted=False), 0.0


def _box_before(posed: PosedImages) -> tuple[Domain, float]:
    """A contracted box between the near depth and four times the middle one."""
    train = posed.splits.train
    poses = posed.T_field_camera
    near, far = posed.field_bounds[train, 0].min(), posed.field_bounds[train, 1].max()
    middle = 2.0 / (1.0 / near + 1.0 / far)
    ahead = np.asarray(poses.rotation.matrix, dtype=np.float64)[train, :, 2].mean(axis=0)
    center = np.asarray(poses.translation, dtype=np.float64)[train].mean(axis=0)
    center = center + middle * ahead / np.linalg.norm(ahead)
    return _cube(center, float(middle), contracted=True), float(0.5 * near)


def _cube(center: Floats, half: float, *, contracted: bool) -> Domain:
    x, y, z = (float(value) for value in center)
    return Domain((x, y, z), (half, half, half), contracted, COARSEST)


def shading_of(background: tuple[float, float, float], near: float) -> Shading:
    """How the field is rendered, but for what its training chooses."""
    return dataclasses.replace(Shading(), near=near, background=background)


def ray_bank(posed: PosedImages, device: torch.device) -> RayBank:
    """The rays of the training photographs, RGBA throughout if any of them is."""
    train = [int(index) for index in posed.splits.train]
    images = [posed.image(index) for index in train]
    if any(image.shape[-1] == 4 for image in images):
        images = [_with_alpha(image) for image in images]
    tables: dict[Camera, NDArray[np.float32]] = {}
    for camera in {posed.cameras[index] for index in train}:
        bearings = np.asarray(camera.bearings(camera.pixel_grid()), dtype=np.float32)
        if not np.isfinite(bearings).all():
            raise InputError(
                f"{posed.name}: expected a lens model that covers the photographs, got pixels "
                "that no direction reaches; crop the photographs or calibrate again"
            )
        tables[camera] = bearings
    poses = np.asarray(posed.T_field_camera.matrix())[train]
    return RayBank(images, [tables[posed.cameras[index]] for index in train], poses, device)


def _with_alpha(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if image.shape[-1] == 4:
        return image
    return np.concatenate([image, np.full_like(image[..., :1], 255)], axis=-1)
