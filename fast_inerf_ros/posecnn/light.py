"""The light network for CPUs: EfficientNet-Lite0, a small feature pyramid and slim heads."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_inerf_ros.posecnn.crops import crop_boxes
from fast_inerf_ros.posecnn.initial_weights import (
    initialise_linear,
    initialise_output,
    initialise_rectified,
)
from fast_inerf_ros.posecnn.lite0 import FEATURE_CHANNELS, Lite0
from fast_inerf_ros.posecnn.lite0_weights import load_imagenet
from fast_inerf_ros.posecnn.network import DenseOutput, NetworkConfig, PoseNetwork, metres
from fast_inerf_ros.posecnn.prediction import Prediction
from fast_inerf_ros.posecnn.rotations import matrix_from_six

CHANNELS = 64
STRIDE = 4
OFFSET_UNIT_PX = 16.0
"""Input pixels that one unit of the offset head is worth, so that its output is near 1."""

TYPICAL_LOG_DEPTH_PER_FOCAL = math.log(1.0 / 600.0)
CENTRE_CHANNELS = 5
ROI_CELLS = 7
ROTATION_WIDTH = 256
FEATURE_SCALES = (8.0, 8.0, 8.0, 4.0)
"""Typical deviations of the ImageNet backbone's features: without normalisation layers, heads
learn well only from values near 1. Networks without a context have learned without."""


class SeparableConv(nn.Sequential):
    """3x3 filter of each channel, then a mix of the channels, then ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs),
            nn.Conv2d(inputs, outputs, 1),
            nn.ReLU(inplace=True),
        )


class Pyramid(nn.Module):
    """Feature pyramid from stride 32 up to stride 4 (Lin et al., 2017), slim."""

    def __init__(self, inputs: Sequence[int]) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(size, CHANNELS, 1) for size in inputs)
        self.merged = nn.ModuleList(SeparableConv(CHANNELS, CHANNELS) for _ in inputs[1:-1])
        self.finest = nn.Sequential(
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.ReLU(inplace=True)
        )

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps (B, CHANNELS, h, w) at strides 4 and 16 of those at 4, 8, 16 and 32."""
        coarse = self.lateral[3](features[3])
        stride_16 = self.merged[1](_upsampled_onto(coarse, self.lateral[2](features[2])))
        stride_8 = self.merged[0](_upsampled_onto(stride_16, self.lateral[1](features[1])))
        return self.finest(_upsampled_onto(stride_8, self.lateral[0](features[0]))), stride_16


class Context(nn.Module):
    """Whole objects, seen at stride 16: how large and which way round they are.

    Depth and rotation follow from all of an object's outline and texture. The fine maps are too
    slim for that, and their filters see too little of it.
    """

    def __init__(self, inputs: Sequence[int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(size, channels, 1) for size in inputs)
        mixed = (SeparableConv(channels, channels) for _ in range(3))
        self.mixed = nn.Sequential(nn.ReLU(inplace=True), *mixed)
        self.centre = nn.Conv2d(channels, CENTRE_CHANNELS, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map (B, channels, h, w) at stride 16 of those at 16 and 32."""
        mixed: Tensor = self.mixed(
            _upsampled_onto(self.lateral[1](features[1]), self.lateral[0](features[0]))
        )
        return mixed


class RotationHead(nn.Module):
    """Rotation of each class from what a map at stride 4 and one at 16 show in a box."""

    def __init__(self, n_classes: int, coarse_channels: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(
            nn.Conv2d(CHANNELS + coarse_channels, CHANNELS, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.hidden = nn.Linear(CHANNELS * ROI_CELLS**2, ROTATION_WIDTH)
        self.output = nn.Linear(ROTATION_WIDTH, 6 * n_classes)
        self.n_classes = n_classes

    def forward(self, features: tuple[Tensor, ...], boxes: Tensor) -> Tensor:
        """Rotations (N, C, 3, 3) in boxes (N, 5)."""
        crops = [
            crop_boxes(feature, boxes, stride, ROI_CELLS)
            for feature, stride in zip(features, (STRIDE, 16), strict=True)
        ]
        values = self.mix(torch.cat(crops, dim=1)).flatten(1)
        six = self.output(F.relu(self.hidden(values)))
        return matrix_from_six(six.reshape(-1, self.n_classes, 6).float())


class LightNetwork(PoseNetwork):
    """One centre map for all classes: direction, log-depth and offset (DESIGN 5.3)."""

    stride = STRIDE
    side_unit = 32
    learning_rate = 2e-3

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.backbone = Lite0()
        self.pyramid = Pyramid(FEATURE_CHANNELS)
        self.segmentation = nn.Sequential(
            SeparableConv(CHANNELS, CHANNELS), nn.Conv2d(CHANNELS, self.n_classes + 1, 1)
        )
        self.centre = nn.Sequential(
            SeparableConv(CHANNELS, CHANNELS),
            SeparableConv(CHANNELS, CHANNELS),
            nn.Conv2d(CHANNELS, CENTRE_CHANNELS, 1),
        )
        channels = config.context_channels
        self.context = Context(FEATURE_CHANNELS[2:], channels) if channels else None
        self.rotation = RotationHead(self.n_classes, channels or CHANNELS)
        self._initialise()

    def dense(self, images: Tensor) -> DenseOutput:
        """Logits (B, C + 1, h, w), raw centre map (B, 5, h, w) and features at strides 4, 16."""
        features = self.backbone(images)
        if self.context is None:
            fine, coarse = self.pyramid(features)
            return DenseOutput(self.segmentation(fine), self.centre(fine), (fine, coarse))
        scaled = [feature / scale for feature, scale in zip(features, FEATURE_SCALES, strict=True)]
        fine, _ = self.pyramid(scaled)
        context = self.context(scaled[2:])
        centre = _upsampled_onto(self.context.centre(context), self.centre(fine), 4)
        return DenseOutput(self.segmentation(fine), centre, (fine, context))

    def prediction(self, output: DenseOutput, focal_px: Tensor) -> Prediction:
        """Channels of the centre map: direction x, y, log-depth, offset x, y."""
        centre = output.centre.float()
        return Prediction(
            logits=output.logits,
            direction=F.normalize(centre[:, None, :2], dim=2, eps=1e-6),
            depth=metres(centre[:, 2:3] + TYPICAL_LOG_DEPTH_PER_FOCAL, focal_px),
            offset=centre[:, None, 3:5] * OFFSET_UNIT_PX,
            features=output.features,
            stride=STRIDE,
        )

    def rotations(self, features: tuple[Tensor, ...], boxes: Tensor) -> Tensor:
        """Rotations (N, C, 3, 3) relative to the ray through the middle of each box (N, 5)."""
        rotations: Tensor = self.rotation(features, boxes)
        return rotations

    def freeze(self, n_blocks: int) -> None:
        """Train neither the stem nor the first `n_blocks` of 16 blocks of the backbone."""
        self.backbone.freeze(n_blocks)

    def load_pretrained(self) -> None:
        """Give the backbone its ImageNet weights; raises InputError where they are missing."""
        load_imagenet(self.backbone)

    def _initialise(self) -> None:
        initialise_rectified(self)
        for name, layer in self.backbone.named_modules():
            if name.endswith("project"):
                initialise_linear(layer)
        for lateral in self.pyramid.lateral:
            initialise_linear(lateral)
        # Start undecided: small scores, and a depth near the typical one.
        initialise_output(self.segmentation[-1], 0.01)
        initialise_output(self.centre[-1], 0.01)
        if self.context is not None:
            initialise_output(self.context.centre, 0.01)
            for lateral in self.context.lateral:
                initialise_linear(lateral)
        # Six zeros have no rotation; start near the identity for every class.
        identity = torch.tensor([1.0, 0, 0, 0, 1, 0] * self.n_classes)
        initialise_output(self.rotation.output, 0.01, identity)


def _upsampled_onto(coarse: Tensor, fine: Tensor, factor: int = 2) -> Tensor:
    """Sum of a map and one of `factor` times its stride, whose last cells may reach beyond."""
    enlarged = F.interpolate(
        coarse, scale_factor=float(factor), mode="bilinear", align_corners=False
    )
    return fine + enlarged[..., : fine.shape[2], : fine.shape[3]]
