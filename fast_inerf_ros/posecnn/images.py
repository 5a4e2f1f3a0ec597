"""Images of any kind as the networks take them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.errors import InputError


def to_rgb(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """RGB image (H, W, 3), uint8 or float32 in [0, 1].

    image: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) (alpha is dropped), 8 or 16 bits, or float
        in [0, 1]. Grey becomes three equal channels.

    Raises:
        InputError: another shape or type, NaN, or floats far outside of [0, 1].
    """
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if (
        array.ndim not in (2, 3)
        or array.size == 0
        or (array.ndim == 3 and array.shape[2] not in (3, 4))
    ):
        raise InputError(
            f"expected an image (height, width, 3) or (height, width), got shape {array.shape}"
        )
    array = np.repeat(array[..., None], 3, axis=2) if array.ndim == 2 else array[..., :3]
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return (array / np.float32(65535)).astype(np.float32)
    if np.issubdtype(array.dtype, np.floating):
        return _checked_floats(array)
    raise InputError(
        f"expected 8 or 16 bits a channel or floats in [0, 1], got {array.dtype}: convert it"
    )


def _checked_floats(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    low, high = float(array.min()), float(array.max())
    if not (low >= -0.01 and high <= 1.01):
        raise InputError(
            f"expected floats in [0, 1], got values from {low:.4g} to {high:.4g}: divide by the "
            "largest, and remove NaN"
        )
    return np.asarray(np.clip(array, 0, 1), dtype=np.float32)
