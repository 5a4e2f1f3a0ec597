"""Pose networks behind one interface: dense maps first, then a rotation for each box."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from fast_inerf_ros.config import option
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.posecnn.prediction import Prediction

Backbone = Literal["efficientnet_lite0", "vgg16"]


@dataclass(frozen=True)
class NetworkConfig:
    """What a pose network is made of; stored with its weights."""

    class_labels: tuple[str, ...] = option(doc="Names of the classes 1, 2, ... of objects.")
    backbone: Backbone = option(
        "efficientnet_lite0", doc="efficientnet_lite0 is light; vgg16 is that of the paper."
    )
    legacy: bool = option(
        False,
        doc="Infer as checkpoints of the seed project need it: no normalisation of the input, "
        "ReLU before the softmax, depth in metres. Only with vgg16.",
    )
    longest_focal_px: float = option(
        0.0,
        doc="Longest focal length of the inputs that it learned from: images of longer ones are "
        "reduced. 0: not known.",
        unit="px",
        minimum=0.0,
    )
    context_channels: int = option(
        0,
        doc="Channels of the coarse maps of whole objects that depth and rotation are read from "
        "besides the fine ones; 0: none. Only with efficientnet_lite0.",
        minimum=0,
    )

    def __post_init__(self) -> None:
        """Refuse classes without or with the same name, and options of the other backbone."""
        labels = self.class_labels
        if not labels or not all(labels) or len(set(labels)) != len(labels):
            raise InputError(
                f"class_labels: expected one different name for each class, got {list(labels)}"
            )
        if self.legacy and self.backbone != "vgg16":
            raise InputError(f"legacy: only with backbone vgg16, got {self.backbone}: turn it off")
        if self.context_channels and self.backbone == "vgg16":
            raise InputError(
                f"context_channels: expected 0 with backbone vgg16, got {self.context_channels}"
            )


class DenseOutput(NamedTuple):
    """Raw maps as they leave the network, tensors only: what an exported graph returns."""

    logits: Tensor
    centre: Tensor
    features: tuple[Tensor, Tensor]


class PoseNetwork(nn.Module, ABC):
    """A network of C object classes.

    stride: input pixels that a cell of the dense maps is wide. smallest_side: of an input.
    side_unit: pixels whose multiples sides of inputs are to be: others lose a part of the image,
        or coarse maps that do not lie where fine ones do.
    allocentric: whether rotations are those of a crop, relative to the ray through its middle.
    learning_rate: of AdamW, with which it learns well, where no other is asked for.
    """

    stride: int
    smallest_side: int = 32
    side_unit: int
    allocentric: bool = True
    learning_rate: float

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def n_classes(self) -> int:
        """Number of object classes, background excluded."""
        return len(self.config.class_labels)

    @abstractmethod
    def dense(self, images: Tensor) -> DenseOutput:
        """Raw maps of RGB images (B, 3, H, W) in [0, 1]."""

    @abstractmethod
    def prediction(self, output: DenseOutput, focal_px: Tensor) -> Prediction:
        """Give raw maps their meaning; `focal_px` (B,): focal length of each input, pixels."""

    @abstractmethod
    def rotations(self, features: tuple[Tensor, ...], boxes: Tensor) -> Tensor:
        """Rotations (N, C, 3, 3) of each class in each box.

        boxes: (N, 5): index in the batch, x0, y0, x1, y1 in pixels of the input, (0, 0) the
            centre of the first pixel.
        """

    @abstractmethod
    def load_pretrained(self) -> None:
        """Give the backbone its ImageNet weights.

        Raises:
            InputError: they are not installed.
        """

    @abstractmethod
    def freeze(self, n_blocks: int) -> None:
        """Do not train the first `n_blocks` blocks of the backbone."""

    def forward(self, images: Tensor, focal_px: Tensor) -> Prediction:
        """Prediction for images (B, 3, H, W) in [0, 1], and their focal lengths (B,) in pixels.

        Raises:
            InputError: images of another shape, or too small.
        """
        require_images(images, self.smallest_side)
        return self.prediction(self.dense(images), focal_px)


def require_images(images: Tensor, smallest_side: int) -> None:
    """Raise InputError unless images are (B, 3, H, W) and large enough for the network."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise InputError(
            f"expected RGB images of shape (batch, 3, height, width), got {tuple(images.shape)}"
        )
    if min(images.shape[2:]) < smallest_side:
        raise InputError(
            f"expected images of {smallest_side} x {smallest_side} pixels or more, got "
            f"{images.shape[3]} x {images.shape[2]}: enlarge the network's input"
        )


def metres(log_depth_per_focal: Tensor, focal_px: Tensor) -> Tensor:
    """Depth (B, K, h, w) in metres of the logarithm of depth over focal length (m/px).

    What a network can see is an object's size in pixels, which is proportional to
    focal length / depth: so it can be trained and used with different cameras.
    """
    return torch.exp(log_depth_per_focal + torch.log(focal_px).reshape(-1, 1, 1, 1))
