"""Connected patches of one class in a label image."""

from __future__ import annotations

from dataclasses import dataclass
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
        patches = _Patches.of(labels == class_id, probability)
        good = (patches.size >= least_cells) & (patches.total >= least_probability * patches.size)
        patches.write(kept, good, class_id)
    return kept


def agreeing_components(
    member: npt.NDArray[Any], agrees: npt.NDArray[np.bool_]
) -> npt.NDArray[Any]:
    """The instances (h, w) of cells, -1 in patches that less than half of agrees (h, w)."""
    kept = np.full_like(member, -1)
    for instance in np.unique(member[member >= 0]):
        patches = _Patches.of(member == instance, agrees)
        patches.write(kept, patches.total >= 0.5 * patches.size, instance)
    return kept


@dataclass(frozen=True, eq=False)
class _Patches:
    """Connected patches of a mask, number 0 for what is outside: cells of each, and their sum.

    extent: rows and columns around the mask. number: (h, w), of each cell there.
    """

    extent: tuple[slice, slice]
    number: npt.NDArray[np.int32]
    size: npt.NDArray[np.int64]
    total: npt.NDArray[np.float64]

    @staticmethod
    def of(mask: npt.NDArray[np.bool_], values: npt.NDArray[Any]) -> _Patches:
        """Those of a mask that is not empty, and the sums of values (h, w) in them."""
        extent = _extent(mask)
        count, found = cv2.connectedComponents(mask[extent].astype(np.uint8), connectivity=8)
        number = np.asarray(found, dtype=np.int32)
        size = np.bincount(number.ravel(), minlength=count)
        total = np.bincount(number.ravel(), values[extent].ravel(), minlength=count)
        return _Patches(extent, number, size, np.asarray(total, dtype=np.float64))

    def write(self, target: npt.NDArray[Any], good: npt.NDArray[np.bool_], value: Any) -> None:
        """Put a value into the cells of the patches that are good."""
        good[0] = False
        target[self.extent][good[self.number]] = value


def _extent(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
