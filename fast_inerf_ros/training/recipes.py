"""What is trained, from the options of `train_nerf` and the photographs."""

from __future__ import annotations

import logging

import torch

from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.training.loop import Budget
from fast_inerf_ros.training.options import VANILLA_STEPS, TrainNerfConfig
from fast_inerf_ros.training.processes import Processes
from fast_inerf_ros.training.trainer import FieldTraining
from fast_inerf_ros.training.vanilla_training import (
    PhotographRays,
    VanillaFieldTraining,
    vanilla_setting,
)
from fast_inerf_ros.training.voxel_scene import (
    ray_bank,
    scene_box,
    scene_options,
    scene_type_of,
    shading_of,
)
from fast_inerf_ros.training.voxel_training import VoxelFieldTraining

logger = logging.getLogger(__name__)


def new_training(
    config: TrainNerfConfig, posed: PosedImages, processes: Processes, device: torch.device
) -> FieldTraining:
    """The kind of training that the options ask for."""
    background = config.background_color
    if config.field == "vanilla":
        options = config.vanilla_options()
        rays = PhotographRays.of(posed, background)
        setting = vanilla_setting(posed, options)
        return VanillaFieldTraining(rays, setting, options, posed, processes, device)
    guessed = config.scene_type == "auto"
    scene_type = scene_type_of(posed) if guessed else config.scene_type
    logger.info("type of scene: %s%s", scene_type, " (guessed)" if guessed else "")
    box, near = scene_box(posed, scene_type)
    voxel = scene_options(scene_type, config.voxel)
    bank = ray_bank(posed, device)
    return VoxelFieldTraining(
        bank, box, shading_of(background, near), voxel, posed, processes, config.seed
    )


def budget_of(config: TrainNerfConfig) -> Budget:
    """How long to train: what is given, else the usual number of steps."""
    voxel = config.field == "voxel"
    seconds = config.max_seconds or (config.voxel.seconds if voxel else 0.0)
    usual = config.voxel.steps if voxel else VANILLA_STEPS
    return Budget(config.max_steps or (0 if seconds else usual), seconds)
