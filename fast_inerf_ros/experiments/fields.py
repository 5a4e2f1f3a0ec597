"""Fields that photographs are compared with, of either kind of file, and the cameras they want."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.checkpoint import load_field
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.fields.vanilla import VanillaField
from fast_inerf_ros.fields.vanilla_file import load_vanilla
from fast_inerf_ros.fields.vanilla_setting import LegacyRays, VanillaSetting
from fast_inerf_ros.fields.voxel import VoxelField
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.field_frame import FieldFrame

VANILLA_SUFFIX = ".tar"


def load_any_field(path: Path, setting: VanillaSetting, device: str = "cpu") -> Field:
    """A field of this package, or a checkpoint of the original NeRF.

    setting: how a checkpoint of nerf-pytorch is rendered, which does not say so itself; of one
    that does, only how finely rays are sampled changes.

    Raises InputError for files that are missing, damaged or foreign, and unknown devices.
    """
    try:
        target = torch.device(device)
    except RuntimeError:
        raise InputError(f"device: expected cpu, cuda or cuda:N, got {device!r}") from None
    if path.suffix != VANILLA_SUFFIX:
        return load_field(path, target)
    checkpoint = load_vanilla(path)
    own = checkpoint.setting
    if own is not None:
        setting = dataclasses.replace(own, rendering=setting.rendering)
    return checkpoint.field(setting).to(target)


def placed(field: Field, frame: FieldFrame) -> Field:
    """The field where a scene file says that it lies."""
    if isinstance(field, VoxelField):
        return field.with_frame(frame)
    if isinstance(field, VanillaField):
        return field.in_frame(frame)
    return field


def camera_for(field: Field, camera: Camera) -> Camera:
    """A camera as the field was trained with it.

    Checkpoints of nerf-pytorch know no lens, and have the principal point at W/2, H/2; all others
    were trained with the cameras as they are.
    """
    if not isinstance(field, VanillaField) or field.setting.legacy_rays is None:
        return camera
    return LegacyRays(camera.width, camera.height, camera.fx).camera()
