"""Options of `train_nerf`: the same for the command line and the ROS node."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from fast_inerf_ros.config import option, section
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.vanilla_options import VanillaOptions
from fast_inerf_ros.training.voxel_options import VoxelTraining

VANILLA_STEPS = 200_000
"""Of nerf-pytorch."""

SceneType = Literal["auto", "object", "unbounded", "forward_facing"]
PathKind = Literal["none", "auto", "spiral", "circle", "test"]


@dataclass(frozen=True)
class ValidationOptions:
    """How the field is tried on photographs that it is not trained on."""

    every_seconds: float = option(
        60.0, doc="Time between validations; 0 for none on the way.", unit="s", minimum=0.0
    )
    every_steps: int = option(0, doc="Steps between validations; 0 for none.", minimum=0)
    n_images: int = option(
        4, doc="Photographs of the validation split that are rendered each time.", minimum=1
    )
    hold_out: int = option(
        0,
        doc="Every n-th training photograph is for validation instead. 0 keeps all for training: "
        "data sets without a validation split are then not validated.",
        minimum=0,
    )


@dataclass(frozen=True)
class VideoOptions:
    """Videos of colour and depth along a path of views."""

    path: PathKind = option(
        "none",
        doc="Path of the camera: spiral, circle, or the test photographs' own poses; auto takes "
        "the spiral for scenes that face forward, else the circle; none makes no video after "
        "training, and the same as auto with render_only.",
    )
    n_frames: int = option(120, doc="Views of the spiral or circle.", minimum=2)
    frame_rate: float = option(30.0, doc="Views per second.", unit="Hz", minimum=1.0)
    scale: float = option(
        1.0, doc="Size of the views in that of the photographs.", minimum=0.01, maximum=1.0
    )
    gif: bool = option(False, doc="Write GIFs as well, for places that play no MP4.")


@dataclass(frozen=True)
class PreviewOptions:
    """The image of the growing field that the ROS node publishes."""

    every_seconds: float = option(
        5.0, doc="Time between previews of the ROS node; 0 for none.", unit="s", minimum=0.0
    )
    width: int = option(320, doc="Width of the previews at most.", unit="px", minimum=8)


@dataclass(frozen=True)
class TrainNerfConfig:
    """Options of `train_nerf`."""

    data: str = option("", doc="Folder of the posed photographs; see docs/datasets.md.")
    output: str = option(
        "nerf_out",
        doc="Folder for checkpoints, the field and the results. Training goes on from the newest "
        "checkpoint in it.",
    )
    field: Literal["voxel", "vanilla"] = option(
        "voxel", doc="Kind of field: the fast voxel field, or the original NeRF."
    )
    scene_type: SceneType = option(
        "auto",
        doc="Chooses the box and the defaults of the voxel field: an object before nothing, a "
        "place photographed from within, or a scene that faces forward. auto takes the object "
        "for transparent photographs and the last for LLFF scenes.",
    )
    background: Literal["white", "black"] = option(
        "white", doc="What lies behind transparent photographs, and behind the field."
    )
    max_steps: int = option(
        0,
        doc="Steps in all, those of earlier runs included. 0 takes voxel.steps, or 200000 for "
        "the vanilla field.",
        minimum=0,
    )
    max_seconds: float = option(
        0.0,
        doc="Time of training in all, that of earlier runs included. 0 takes voxel.seconds, or "
        "no limit for the vanilla field.",
        unit="s",
        minimum=0.0,
    )
    seed: int = option(0, doc="Seed of everything random.", minimum=0)
    device: str = option("auto", doc="cpu, cuda, cuda:1 ...; auto takes a GPU if there is one.")
    resume: bool = option(
        True,
        doc="Go on from the newest checkpoint in the output folder. Otherwise the checkpoints "
        "there are set aside into a folder of their own.",
    )
    keep_checkpoints: int = option(3, doc="Newest checkpoints kept; 0 keeps all.", minimum=0)
    checkpoint_seconds: float = option(
        120.0, doc="Time between checkpoints; 0 for none by time.", unit="s", minimum=0.0
    )
    checkpoint_steps: int = option(
        0, doc="Steps between checkpoints; 0 for none by steps.", minimum=0
    )
    tensorboard: bool = option(True, doc="Write events for TensorBoard, where that is installed.")
    render_only: bool = option(False, doc="Do not train; render the newest checkpoint.")
    render_test: bool = option(
        False, doc="Render the test photographs' views, with PSNR and SSIM, after training."
    )
    validation: ValidationOptions = section(ValidationOptions)
    video: VideoOptions = section(VideoOptions)
    preview: PreviewOptions = section(PreviewOptions)
    dataset: DatasetOptions = section(DatasetOptions)
    voxel: VoxelTraining = section(VoxelTraining)
    vanilla: VanillaOptions = section(VanillaOptions)

    def __post_init__(self) -> None:
        if self.vanilla.training.seed not in (0, self.seed):
            raise InputError(
                f"vanilla.training.seed: expected 0 or the {self.seed} of seed, got "
                f"{self.vanilla.training.seed}; give seed alone"
            )
        if self.vanilla.rendering.white_background and self.background != "white":
            raise InputError(
                "vanilla.rendering.white_background: expected false with background black, got "
                "true; give background alone"
            )

    @property
    def background_color(self) -> tuple[float, float, float]:
        """What lies behind, as numbers."""
        level = 1.0 if self.background == "white" else 0.0
        return level, level, level

    def vanilla_options(self) -> VanillaOptions:
        """Those of the vanilla field, with the seed and the background of all fields."""
        return replace(
            self.vanilla,
            training=replace(self.vanilla.training, seed=self.seed),
            rendering=replace(self.vanilla.rendering, white_background=self.background == "white"),
        )
