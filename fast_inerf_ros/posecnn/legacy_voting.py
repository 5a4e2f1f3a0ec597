"""Hough voting exactly as the seed project's checkpoints were used with, in bounded memory.

Centres are whole pixels and every pixel votes along its whole line, both ways. For everything
but comparisons with the original use `voting`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

MINIMUM_PIXELS = 500
MINIMUM_VOTES = 500
INLIER_COSINE = 0.9
CHUNK_VOTES = 1 << 20
"""Votes that are held at a time; each takes about 40 bytes."""


@dataclass(frozen=True, eq=False)
class LegacyVotes:
    """Centres (C, 2) in pixels and depths (C,) in metres of one image; zeros: not found."""

    centres: Tensor
    depths: Tensor


def legacy_votes(labels: Tensor, centre_map: Tensor) -> LegacyVotes:
    """Vote for one centre of each class.

    labels: class of each pixel (H, W), 0 for the background.
    centre_map: (C, 3, H, W): direction x, y and depth of each class.
    """
    n_classes = centre_map.shape[0]
    centres = torch.zeros(n_classes, 2, device=labels.device)
    depths = torch.zeros(n_classes, device=labels.device)
    for index in range(n_classes):
        mask = labels == index + 1
        if int(mask.sum()) < MINIMUM_PIXELS:
            continue
        counts = _line_counts(mask, centre_map[index, :2])
        best = int(counts.argmax())
        if int(counts[best]) <= MINIMUM_VOTES:
            continue
        y, x = divmod(best, mask.shape[1])
        centres[index] = centres.new_tensor([x, y])
        depths[index] = _mean_depth(mask, centre_map[index], centres[index])
    return LegacyVotes(centres, depths)


def _line_counts(mask: Tensor, direction: Tensor) -> Tensor:
    """Number (H · W,) of pixels of a mask whose line crosses each pixel, one a column."""
    height, width = mask.shape
    columns = torch.arange(width, device=mask.device, dtype=torch.float32)
    y, x = torch.nonzero(mask, as_tuple=True)
    slope = direction[1][mask] / direction[0][mask]
    counts = torch.zeros(height * width, dtype=torch.int64, device=mask.device)
    every = torch.arange(len(x), device=mask.device)
    for part in torch.split(every, max(1, CHUNK_VOTES // width)):
        rows = y[part, None] + slope[part, None] * (columns - x[part, None])
        rows = torch.round(rows)
        # Vertical lines have no row in most columns: infinity and NaN are no votes.
        inside = (rows >= 0) & (rows < height)
        place = torch.where(inside, rows, 0.0).long() * width + columns.long()
        counts += torch.bincount(place[inside], minlength=height * width)
    return counts


def _mean_depth(mask: Tensor, maps: Tensor, centre: Tensor) -> Tensor:
    """Mean of the depths that pixels give whose direction agrees with the centre."""
    height, width = mask.shape
    x = torch.arange(width, device=mask.device, dtype=torch.float32) - centre[0]
    y = torch.arange(height, device=mask.device, dtype=torch.float32) - centre[1]
    away = torch.stack([x[None, :].expand(height, width), y[:, None].expand(height, width)])
    cosine = (away * maps[:2]).sum(dim=0) / torch.linalg.vector_norm(away, dim=0)
    return maps[2][mask & (cosine.abs() >= INLIER_COSINE)].mean()
