"""The radiance field of a scene, where the scene says that it lies."""

from __future__ import annotations

import dataclasses

import torch

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.checkpoint import load_state
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.fields.registry import field_class
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.io.scene import Scene


def load_scene_field(scene: Scene, device: torch.device | str = "cpu") -> Field:
    """Read the field that a scene refers to; the scene's own words place it in the world.

    Raises:
        InputError: the scene has no field, or its file is missing or damaged.
    """
    if scene.field is None:
        raise InputError("scene: expected a trained 'field', got none; train one with train_nerf")
    path = scene.resolve(scene.field.checkpoint)
    state = load_state(path)
    frame = FieldFrame(scene.field.T_world_field, scene.field.metres_per_unit, scene.metric)
    try:
        return field_class(state.kind).from_state(dataclasses.replace(state, frame=frame), device)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
