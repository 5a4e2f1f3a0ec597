"""What training minimises."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fast_inerf_ros.config import option
from fast_inerf_ros.posecnn.prediction import Prediction
from fast_inerf_ros.posecnn.targets import DenseTargets

SHARPEST_OFFSET = 0.05
"""Offsets that are wrong by less than this share of the object's size cost little."""


@dataclass(frozen=True)
class LossConfig:
    """Weights of the parts of the loss."""

    segmentation: float = option(
        5.0,
        doc="Of the class of each cell, on which all else depends: what has no sure class is no "
        "object.",
        minimum=0.0,
    )
    background: float = option(
        0.4, doc="Of background cells against those of objects.", minimum=0.01
    )
    direction: float = option(1.0, doc="Of the direction to the centre.", minimum=0.0)
    depth: float = option(4.0, doc="Of the logarithm of depth.", minimum=0.0)
    offset: float = option(3.0, doc="Of the offset to the centre.", minimum=0.0)
    rotation: float = option(6.0, doc="Of the rotation in boxes.", minimum=0.0)


@dataclass(frozen=True, eq=False)
class Losses:
    """Parts of the loss, scalars before their weights."""

    segmentation: Tensor
    direction: Tensor
    depth: Tensor
    offset: Tensor
    rotation: Tensor

    def total(self, config: LossConfig) -> Tensor:
        """The weighted sum that is minimised."""
        return (
            config.segmentation * self.segmentation
            + config.direction * self.direction
            + config.depth * self.depth
            + config.offset * self.offset
            + config.rotation * self.rotation
        )


def dense_losses(
    prediction: Prediction,
    targets: DenseTargets,
    config: LossConfig,
    rotation: Tensor | None = None,
) -> Losses:
    """Losses of a batch.

    rotation: errors (N,) from `point_matching` of the objects in the batch.

    Centre, depth and offset count on objects only, each cell by 1 / sqrt(object area): between
    "every cell the same", where large objects drown small ones, and "every object the same".
    """
    maps = prediction.centre_maps(targets.labels)
    weight = targets.weight
    total = weight.sum().clamp(min=1e-6)
    cosine = (maps.direction * targets.direction).sum(dim=1)
    log_ratio = (torch.log(maps.depth.clamp(min=1e-4)) - torch.log(targets.depth)).abs()
    none = prediction.logits.new_zeros(())
    return Losses(
        segmentation=_segmentation(prediction.logits.float(), targets.pixels, config.background),
        direction=(weight * (1 - cosine)).sum() / total,
        depth=(weight * log_ratio).sum() / total,
        offset=none if maps.offset is None else _offset(maps.offset, targets, prediction.stride),
        rotation=none if rotation is None or len(rotation) == 0 else rotation.mean(),
    )


def _segmentation(logits: Tensor, pixels: Tensor, background: float) -> Tensor:
    """Cross-entropy of the classes of all pixels of a cell, whose mix its probabilities become.

    Where the outline of an object cuts a cell they say how much of it belongs to the object:
    between cells the outline is found to a fraction of their size. The weight of the background
    speeds learning up, but would make objects too probable by its inverse: its logarithm takes
    that back (Menon et al., "Long-tail learning via logit adjustment", 2021, equation 10).
    """
    weight = torch.ones(logits.shape[1], device=logits.device)
    weight[0] = background
    share = weight[pixels]
    adjusted = logits + weight.log()[:, None, None]
    cost = -F.log_softmax(adjusted, dim=1).gather(1, pixels)
    return (share * cost).sum() / share.sum()


def _offset(offset: Tensor, targets: DenseTargets, stride: int) -> Tensor:
    """Error in sizes of the object: 1 / weight is the root of its area in cells."""
    size = stride / targets.weight.clamp(min=1e-6)
    error = torch.linalg.vector_norm(offset - targets.offset + 1e-6, dim=1) / size
    cost = F.huber_loss(error, torch.zeros_like(error), reduction="none", delta=SHARPEST_OFFSET)
    weighted = targets.weight * cost / SHARPEST_OFFSET
    return torch.where(targets.weight > 0, weighted, 0.0).sum() / targets.weight.sum().clamp(
        min=1e-6
    )
