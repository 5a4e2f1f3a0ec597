"""EfficientNet-Lite0 as a feature extractor, its batch norm folded into the convolutions.

Tan and Le, "EfficientNet", 2019; the Lite variants have no squeeze-and-excitation and ReLU6.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# kernel, stride, expansion, channels in, channels out of each block.
BLOCKS: tuple[tuple[int, int, int, int, int], ...] = (
    (3, 1, 1, 32, 16),
    (3, 2, 6, 16, 24),
    (3, 1, 6, 24, 24),
    (5, 2, 6, 24, 40),
    (5, 1, 6, 40, 40),
    (3, 2, 6, 40, 80),
    (3, 1, 6, 80, 80),
    (3, 1, 6, 80, 80),
    (5, 1, 6, 80, 112),
    (5, 1, 6, 112, 112),
    (5, 1, 6, 112, 112),
    (5, 2, 6, 112, 192),
    (5, 1, 6, 192, 192),
    (5, 1, 6, 192, 192),
    (5, 1, 6, 192, 192),
    (3, 1, 6, 192, 320),
)

LAST_BLOCKS = (2, 4, 10, 15)
"""The last block of strides 4, 8, 16 and 32."""

FEATURE_CHANNELS = tuple(BLOCKS[index][4] for index in LAST_BLOCKS)


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: the odd pixel is added right and below."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1):
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups)

    def forward(self, values: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, outputs, ceil(h / stride), ceil(w / stride))."""
        if self.stride[0] > 1:
            rows = _same_padding(values.shape[2], self.kernel_size[0], self.stride[0])
            columns = _same_padding(values.shape[3], self.kernel_size[1], self.stride[1])
            values = F.pad(values, (*columns, *rows))
        return super().forward(values)


class Block(nn.Module):
    """Inverted residual: expand, filter each channel, project."""

    def __init__(self, kernel: int, stride: int, expansion: int, inputs: int, outputs: int):
        super().__init__()
        inner = inputs * expansion
        self.expand = SameConv(inputs, inner, 1, 1) if expansion > 1 else None
        self.depthwise = SameConv(inner, inner, kernel, stride, groups=inner)
        self.project = SameConv(inner, outputs, 1, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, values: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, outputs, ceil(h / stride), ceil(w / stride))."""
        inner = values if self.expand is None else F.relu6(self.expand(values), inplace=True)
        inner = self.project(F.relu6(self.depthwise(inner), inplace=True))
        result: Tensor = values + inner if self.residual else inner
        return result


class Lite0(nn.Module):
    """Features at strides 4, 8, 16 and 32 of images normalised as it was trained."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, 32, 3, 2)
        self.blocks = nn.ModuleList(Block(*shape) for shape in BLOCKS)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps of FEATURE_CHANNELS channels of RGB images (B, 3, H, W) in [0, 1]."""
        # (255 x - 127) / 128, as in TensorFlow's preprocessing of the Lite models.
        values = F.relu6(self.stem(images * (255 / 128) - 127 / 128), inplace=True)
        features = []
        for index, block in enumerate(self.blocks):
            values = block(values)
            if index in LAST_BLOCKS:
                features.append(values)
        return tuple(features)

    def freeze(self, n_blocks: int) -> None:
        """Train neither the stem nor the first `n_blocks` blocks; all of it for 0 is trained."""
        for parameter in self.parameters():
            parameter.requires_grad_(True)
        if n_blocks > 0:
            for module in (self.stem, *list(self.blocks)[:n_blocks]):
                for parameter in module.parameters():
                    parameter.requires_grad_(False)


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def fold_batch_norm(
    weight: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """Weight and bias (outputs,) of the convolution that includes its batch norm."""
    factor = scale / torch.sqrt(variance + epsilon)
    return weight * factor.reshape(-1, 1, 1, 1), shift - mean * factor
