"""Options of `train_posecnn`: the same for the command line and the ROS node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fast_inerf_ros.config import option, section
from fast_inerf_ros.datasets.augmentation import AugmentationConfig
from fast_inerf_ros.posecnn.decoding import DecodingConfig
from fast_inerf_ros.posecnn.losses import LossConfig
from fast_inerf_ros.posecnn.network import Backbone


@dataclass(frozen=True)
class PoseDataOptions:
    """Which images, and how they are kept in memory."""

    split: str = option("train", doc="Split that is trained on.")
    validation_split: str = option("val", doc="Split for validation; without it there is none.")
    poses: Literal["auto", "bop", "props"] = option(
        "auto", doc="What the files hold: bop (model to camera, mm) or props (camera to model, m)."
    )
    classes: tuple[str, ...] = option(
        (), doc="Classes to learn; the others count as background. All if empty."
    )
    stored_width: int = option(
        480,
        doc="Images are kept in memory at this width at most: 4 bytes a pixel each.",
        unit="px",
        minimum=32,
    )
    threads: int = option(2, doc="Threads that decode and vary images.", minimum=1, maximum=64)
    backgrounds: str = option(
        "", doc="Folder of pictures for augmentation.background; empty for none."
    )


@dataclass(frozen=True)
class PoseSchedule:
    """How long, how fast, and at which sizes a network learns."""

    batch_size: int = option(8, doc="Images of a step, over all processes.", minimum=1)
    learning_rate: float = option(
        0.0,
        doc="Largest step of AdamW; 0 takes the backbone's: 0.002 for efficientnet_lite0, 0.001 "
        "for vgg16.",
        minimum=0.0,
    )
    backbone_rate: float = option(
        0.5, doc="Learning rate of the backbone, as a share of that of the rest.", minimum=0.0
    )
    final_rate: float = option(
        0.01, doc="Learning rate at the end, as a share of the largest.", minimum=0.0, maximum=1.0
    )
    warm_up_steps: int = option(100, doc="Steps in which the learning rate rises.", minimum=0)
    weight_decay: float = option(1.0e-4, doc="Of AdamW.", minimum=0.0)
    largest_gradient: float = option(
        10.0, doc="Gradients of a greater norm are scaled down.", minimum=1e-3
    )
    average: float = option(
        0.995, doc="Decay of the running average of the weights.", minimum=0.0, maximum=0.99999
    )
    frozen_blocks: int = option(
        3, doc="Stem and so many blocks of the pretrained backbone stay as they are.", minimum=0
    )
    input_width: int = option(320, doc="Width of the network's input.", unit="px", minimum=32)
    first_width: int = option(
        256, doc="Its width in the first part of the training.", unit="px", minimum=32
    )
    first_share: float = option(
        0.6, doc="Share of the training at the first width.", minimum=0.0, maximum=1.0
    )
    first_view: Literal["part", "whole"] = option(
        "part",
        doc="What is seen at the first width. part: of each image, everything as large as it is "
        "later. whole: all of it, reduced.",
    )


@dataclass(frozen=True)
class PoseValidation:
    """How the network is tried on images that it is not trained on, after each epoch."""

    n_images: int = option(
        60, doc="Images of the validation split, evenly taken; 0 for none.", minimum=0
    )
    patience: int = option(
        10, doc="End after so many epochs without a better result; 0 for never.", minimum=0
    )
    decoding: DecodingConfig = section(DecodingConfig)


@dataclass(frozen=True)
class TrainPoseCnnConfig:
    """Options of `train_posecnn`."""

    data: str = option("", doc="Folder of a data set in BOP's or PROPS' layout.")
    output: str = option(
        "posecnn_out",
        doc="Folder for checkpoints and networks. Training goes on from the newest checkpoint.",
    )
    backbone: Backbone = option(
        "efficientnet_lite0", doc="efficientnet_lite0 is light; vgg16 is that of the paper."
    )
    context_channels: int = option(
        128,
        doc="Channels of the coarse maps of whole objects that efficientnet_lite0 reads depth and "
        "rotation from besides the fine ones; 0: none. A network of start_from keeps its own.",
        minimum=0,
    )
    pretrained: bool = option(True, doc="Start from ImageNet weights of the backbone.")
    start_from: str = option(
        "", doc="Checkpoint of a network with the same classes to start from; empty for none."
    )
    max_epochs: int = option(50, doc="Epochs in all; 0 for no such limit.", minimum=0)
    max_steps: int = option(0, doc="Steps in all, instead of epochs; 0 for epochs.", minimum=0)
    max_seconds: float = option(
        0.0,
        doc="Time of training in all, earlier runs included; 0 for no such limit.",
        unit="s",
        minimum=0.0,
    )
    seed: int = option(0, doc="Seed of everything random.", minimum=0)
    device: str = option("auto", doc="cpu, cuda, cuda:1 ...; auto takes a GPU if there is one.")
    half_precision: bool = option(True, doc="Half-precision arithmetic on cuda.")
    half_weights: bool = option(
        True, doc="Store the networks' weights in half precision: files of half the size."
    )
    resume: bool = option(
        True,
        doc="Go on from the newest checkpoint in the output folder. Otherwise the checkpoints "
        "there are set aside into a folder of their own.",
    )
    keep_checkpoints: int = option(2, doc="Newest checkpoints kept; 0 keeps all.", minimum=0)
    checkpoint_seconds: float = option(
        120.0, doc="Time between checkpoints; 0 for none by time.", unit="s", minimum=0.0
    )
    checkpoint_steps: int = option(
        0, doc="Steps between checkpoints; 0 for none by steps.", minimum=0
    )
    tensorboard: bool = option(True, doc="Write events for TensorBoard, where that is installed.")
    dataset: PoseDataOptions = section(PoseDataOptions)
    schedule: PoseSchedule = section(PoseSchedule)
    loss: LossConfig = section(LossConfig)
    augmentation: AugmentationConfig = section(AugmentationConfig)
    validation: PoseValidation = section(PoseValidation)
