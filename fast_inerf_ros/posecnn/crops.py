"""What feature maps show inside boxes.

torchvision's roi_align does the same, but importing torchvision takes 160 MB of memory, which
the light network is meant to do without.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SAMPLES = 2
"""Samples per cell and direction that are averaged."""


def crop_boxes(features: Tensor, boxes: Tensor, stride: int, n_cells: int) -> Tensor:
    """Features (N, channels, n_cells, n_cells) in boxes, sampled bilinearly (RoIAlign).

    He et al., "Mask R-CNN", 2017, section 3. Beyond the border the outermost cells go on.

    features: (B, channels, h, w) of cells `stride` input pixels wide. boxes: (N, 5): index in
        the batch, x0, y0, x1, y1 in input pixels, (0, 0) the centre of the first pixel; the
        box reaches from the outer border of its first pixel to that of its last.
    """
    features = widened(features)
    grid = _sampling_grid(features, boxes, stride, n_cells)
    if len(features) == 1:
        return _sampled(features, grid)
    result = features.new_zeros(len(boxes), features.shape[1], n_cells, n_cells)
    # Split once: the gradient of a slice would be as large as the whole batch, for each image.
    for index, feature in enumerate(torch.split(features, 1)):
        chosen = torch.nonzero(boxes[:, 0] == index)[:, 0]
        if len(chosen):
            result = result.index_copy(0, chosen, _sampled(feature, grid[chosen]))
    return result


def widened(features: Tensor) -> Tensor:
    """Features in 32 bits at least: boxes in the 16 bits of theirs would be pixels off."""
    return features.to(torch.promote_types(features.dtype, torch.float32))


def _sampling_grid(features: Tensor, boxes: Tensor, stride: int, n_cells: int) -> Tensor:
    """Places (N, n, n, 2) in grid_sample's coordinates: -1 to 1 from border to border."""
    n = n_cells * SAMPLES
    share = (torch.arange(n, device=boxes.device, dtype=torch.float32) + 0.5) / n
    places = []
    for low, high, size in ((1, 3, features.shape[3]), (2, 4, features.shape[2])):
        # From the corner of the image: half a pixel more than from the centre of the first one,
        # which the border of the first pixel of the box is half a pixel less again.
        first, last = boxes[:, low : low + 1].float(), boxes[:, high : high + 1].float() + 1
        places.append(2 * (first + share * (last - first)) / (stride * size) - 1)
    x, y = places
    return torch.stack([x[:, None, :].expand(-1, n, -1), y[:, :, None].expand(-1, -1, n)], dim=-1)


def _sampled(feature: Tensor, grid: Tensor) -> Tensor:
    """All boxes of one image as one tall grid: the map is neither copied nor repeated."""
    n = grid.shape[1]
    tall = grid.reshape(1, -1, n, 2).to(feature.dtype)
    samples = F.grid_sample(
        feature, tall, mode="bilinear", padding_mode="border", align_corners=False
    )
    cells = F.avg_pool2d(samples, SAMPLES)
    size = n // SAMPLES
    return cells[0].reshape(feature.shape[1], -1, size, size).transpose(0, 1)
