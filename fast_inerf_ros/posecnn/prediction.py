"""What a pose network says of every pixel, typed, before any decision is taken."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class CentreMaps:
    """Where each cell sees the centre of the object that it belongs to.

    direction: (B, 2, h, w) in the image from the cell towards the centre, of length 1 (those of
        legacy networks: about 1).
    depth: of the centre along the optical axis (B, h, w), metres.
    offset: from the cell to the centre (B, 2, h, w), pixels of the network's input, or None
        where the network has no such head.
    """

    direction: Tensor
    depth: Tensor
    offset: Tensor | None


@dataclass(frozen=True, eq=False)
class Prediction:
    """Dense output for a batch of B images, on h x w cells of `stride` input pixels each.

    logits: scores (B, C + 1, h, w) before the softmax; channel 0 is the background.
    direction, depth, offset: as in `CentreMaps` with one more axis of K maps: (B, K, 2, h, w),
        (B, K, h, w) and (B, K, 2, h, w) or None. K is 1 where all classes share one map, or C.
    features: maps that the rotation head reads, (B, channels, height, width) each.
    """

    logits: Tensor
    direction: Tensor
    depth: Tensor
    offset: Tensor | None
    features: tuple[Tensor, ...]
    stride: int

    @property
    def n_classes(self) -> int:
        """Number of object classes, background excluded."""
        return int(self.logits.shape[1]) - 1

    def probability(self) -> Tensor:
        """Probability (B, C + 1, h, w) of each class."""
        return torch.softmax(self.logits.float(), dim=1)

    def centre_maps(self, labels: Tensor) -> CentreMaps:
        """The maps that belong to the classes `labels` (B, h, w) of the cells (0: any)."""
        if self.direction.shape[1] == 1:
            offset = None if self.offset is None else self.offset[:, 0]
            return CentreMaps(self.direction[:, 0], self.depth[:, 0], offset)
        index = (labels.long() - 1).clamp(min=0)[:, None]
        pairs = index[:, :, None].expand(-1, -1, 2, -1, -1)
        return CentreMaps(
            self.direction.gather(1, pairs)[:, 0],
            self.depth.gather(1, index)[:, 0],
            None if self.offset is None else self.offset.gather(1, pairs)[:, 0],
        )

    def select(self, index: int) -> Prediction:
        """The prediction of one image of the batch, as a batch of one."""
        part = slice(index, index + 1)
        return Prediction(
            self.logits[part],
            self.direction[part],
            self.depth[part],
            None if self.offset is None else self.offset[part],
            tuple(feature[part] for feature in self.features),
            self.stride,
        )


def cell_pixels(shape: tuple[int, int], stride: int, like: Tensor) -> Tensor:
    """Centres (2, h, w) of the cells in input pixels, (0, 0) the centre of the first pixel.

    A cell covers `stride` x `stride` pixels: its centre is stride · (i + 0.5) from the corner.
    """
    x, y = (
        stride * (torch.arange(size, device=like.device, dtype=torch.float32) + 0.5) - 0.5
        for size in (shape[1], shape[0])
    )
    return torch.stack([x[None, :].expand(shape), y[:, None].expand(shape)])
