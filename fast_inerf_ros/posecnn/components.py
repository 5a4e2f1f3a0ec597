"""Connected patches of one class in a label image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int32]


def confident_components(
    labels: npt.NDArray[Any],
    probability: npt.NDArray[np.float32],
    least_probability: float,
    least_cells: float,
) -> Labels:
    """The labels (h, w), 0 where a patch is too small or its mean probability too low.

    probability: of the label of each cell (h, w). Where no patch of a class is large enough
    but some of them are confident, the class is gone: specks make no object.
    """
    kept = np.zeros(labels.shape, dtype=np.int32)
    for class_id in np.flatnonzero(np.bincount(labels.ravel())[1:]) + 1:
        rows, columns = _extent(labels == class_id)
        part = labels[rows, columns] == class_id
        count, patch = cv2.connectedComponents(part.astype(np.uint8), connectivity=8)
        size = np.bincount(patch.ravel(), minlength=count)
        total = np.bincount(patch.ravel(), probability[rows, columns].ravel(), minlength=count)
        good = (size >= least_cells) & (total >= least_probability * size)
        good[0] = False
        kept[rows, columns][good[patch]] = class_id
    return kept


def agreeing_components(
    member: npt.NDArray[Any], agrees: npt.NDArray[np.bool_]
) -> npt.NDArray[Any]:
    """The instances (h, w) of cells, -1 in patches that less than half of agrees (h, w)."""
    kept = np.full_like(member, -1)
    for instance in range(int(member.max(initial=-1)) + 1):
        if not (member == instance).any():
            continue
        rows, columns = _extent(member == instance)
        part = member[rows, columns] == instance
        count, patch = cv2.connectedComponents(part.astype(np.uint8), connectivity=8)
        size = np.bincount(patch.ravel(), minlength=count)
        agreeing = np.bincount(patch.ravel(), agrees[rows, columns].ravel(), minlength=count)
        good = agreeing >= 0.5 * size
        good[0] = False
        kept[rows, columns][good[patch]] = instance
    return kept


def _extent(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
