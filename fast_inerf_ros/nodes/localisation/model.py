"""Loads the scene and what was trained for it, once for all cameras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.estimator.pose_estimator import PoseEstimator
from fast_inerf_ros.estimator.tracker import Tracker
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.io.scene import Scene
from fast_inerf_ros.nodes.localisation.pipeline import StreamTracker
from fast_inerf_ros.nodes.localisation.settings import PoseEstimatorConfig

WARM_UP_CAMERA = Camera(640, 480, 600.0, 600.0, 319.5, 239.5)
"""The size that most cameras have; another one costs the first image some milliseconds."""


class Model(Protocol):
    """A scene that can be localised in by any number of cameras."""

    @property
    def scene(self) -> Scene:
        """What is known of the place."""

    def tracker(self) -> StreamTracker:
        """Return a new tracker, for one camera."""


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """The estimator that all trackers share."""

    estimator: PoseEstimator
    config: PoseEstimatorConfig

    @property
    def scene(self) -> Scene:
        """What is known of the place."""
        return self.estimator.scene

    def tracker(self) -> StreamTracker:
        """Return a new tracker, for one camera."""
        return Tracker(self.estimator, self.config.tracker)


def load_model(config: PoseEstimatorConfig) -> Model:
    """Load the scene of a configuration and prepare for the first image.

    Raises:
        InputError: No scene is given, or its files are wrong.
    """
    torch.set_num_threads(config.torch_threads)
    estimator = PoseEstimator.load(
        scene_path(config), config.estimator, device=_device(config.device)
    )
    estimator.warm_up(WARM_UP_CAMERA)
    return LoadedModel(estimator, config)


def scene_path(config: PoseEstimatorConfig) -> Path:
    """Return the path of the scene file.

    Raises:
        InputError: None is given.
    """
    if not config.scene:
        raise InputError(
            "scene: expected the path of a scene.yaml, got nothing: set the parameter 'scene'"
        )
    return Path(config.scene).expanduser()


def _device(name: str) -> str:
    """Return the device that a name of the options stands for.

    Raises:
        InputError: It is not there.
    """
    count = torch.cuda.device_count()
    if name == "auto":
        return "cuda:0" if count else "cpu"
    wanted = int(name.partition(":")[2] or 0) if name.startswith("cuda") else -1
    if wanted >= count:
        raise InputError(
            f"device: expected one of the {count} GPUs that torch sees here, got {name!r}: "
            "choose cpu or auto, or install the driver and a torch built for it"
        )
    return name
