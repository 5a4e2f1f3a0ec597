"""What a network should say of the cells of an image, from masks and poses."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.posecnn.prediction import cell_pixels


@dataclass(frozen=True, eq=False)
class DenseTargets:
    """Truth for a batch of B images of h x w cells.

    labels: class (B, h, w), int64, of what the middle of a cell shows, 0 for the background.
    pixels: classes (B, stride^2, h, w), int64, of all pixels of a cell.
    direction: unit vectors (B, 2, h, w) to the centre. depth: of the centre (B, h, w), metres,
    1 on the background. offset: to the centre (B, 2, h, w), input pixels.
    weight: of each cell in the losses of the centre (B, h, w), 0 on the background.
    """

    labels: Tensor
    pixels: Tensor
    direction: Tensor
    depth: Tensor
    offset: Tensor
    weight: Tensor

    @staticmethod
    def stack(items: list[DenseTargets]) -> DenseTargets:
        """One batch of several; those of one image have a batch of one."""
        return DenseTargets(*(torch.cat([getattr(i, n) for i in items]) for n in _NAMES))

    def to(self, device: torch.device) -> DenseTargets:
        """The same on a device."""
        return DenseTargets(*(getattr(self, n).to(device, non_blocking=True) for n in _NAMES))


_NAMES = tuple(item.name for item in fields(DenseTargets))


def dense_targets(
    instances: npt.NDArray[Any],
    class_ids: npt.NDArray[Any],
    centres_px: npt.NDArray[Any],
    depths: npt.NDArray[Any],
    stride: int,
) -> DenseTargets:
    """Targets of one image.

    instances: (H, W) in input pixels: index of the object that a pixel shows, -1 for none.
    class_ids: (n,) from 1. centres_px: where the objects' origins are seen (n, 2), NaN where
        that is nowhere: then only the class is learned. depths: (n,) of the origins, metres.
    stride: of the network; centre and depth of a cell are of what its middle shows.

    Raises:
        InputError: an index without an object, arrays of different length, or sides that are not
            multiples of the stride.
    """
    n = len(class_ids)
    if np.shape(centres_px) != (n, 2) or np.shape(depths) != (n,):
        raise InputError(
            f"expected centres ({n}, 2) and depths ({n},) for {n} classes, got "
            f"{np.shape(centres_px)} and {np.shape(depths)}"
        )
    if instances.size and not -1 <= int(instances.min()) <= int(instances.max()) < n:
        raise InputError(
            f"expected indices of {n} objects, got {instances.min()} to {instances.max()}"
        )
    if any(size % stride for size in instances.shape):
        raise InputError(
            f"expected sides that are multiples of {stride}, got {instances.shape[1]} x "
            f"{instances.shape[0]}: train at another input size"
        )
    middle = stride // 2
    cell = torch.from_numpy(np.ascontiguousarray(instances[middle::stride, middle::stride])).long()
    shown = cell >= 0
    index = cell.clamp(min=0)
    padded = n == 0
    table = torch.zeros((max(n, 1), 4), dtype=torch.float64)
    if not padded:
        columns = [
            np.asarray(class_ids)[:, None],
            np.asarray(centres_px),
            np.asarray(depths)[:, None],
        ]
        table = torch.from_numpy(np.concatenate(columns, axis=1).astype(np.float64))
    known = torch.isfinite(table).all(dim=1) & (table[:, 3] > 0)
    values = table[index].float()
    learns = shown & known[index]
    offset = values[..., 1:3].permute(2, 0, 1) - cell_pixels(
        (cell.shape[0], cell.shape[1]), stride, table
    )
    length = torch.linalg.vector_norm(offset, dim=0)
    # Within half a cell of the centre the direction means nothing, and the offset says it all.
    direction = offset / length.clamp(min=1e-6)
    area = torch.bincount(index[shown], minlength=len(table)).clamp(min=1)
    weight = torch.where(learns, 1 / area[index].float().sqrt(), 0.0)
    return DenseTargets(
        labels=torch.where(shown, values[..., 0].long(), 0)[None],
        pixels=_classes_in_cells(instances, class_ids, stride),
        direction=torch.where(learns, direction, 0.0)[None],
        depth=torch.where(learns, values[..., 3], 1.0)[None],
        offset=torch.where(learns, offset, 0.0)[None],
        weight=weight[None],
    )


def _classes_in_cells(
    instances: npt.NDArray[Any], class_ids: npt.NDArray[Any], stride: int
) -> Tensor:
    """Classes (1, stride^2, h, w) of the pixels of each cell."""
    classes = np.append(np.asarray(class_ids, dtype=np.int64), 0)[instances]  # the last is of -1
    height, width = classes.shape
    cells = classes.reshape(height // stride, stride, width // stride, stride)
    return torch.from_numpy(cells.transpose(1, 3, 0, 2).reshape(1, stride**2, *cells.shape[::2]))
