"""Outlines of masks fitted to the image: a network's cells are coarser than its objects' edges."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

SMOOTHNESS = 1e-4
"""Variance of colours, in [0, 1]², below which there is no edge to follow."""


FINEST_RADIUS = 8
"""Windows of larger radii are fitted in a reduced image, in which they have about this one."""


def guided(values: Floats, image: npt.NDArray[Any], radius: int) -> Floats:
    """Values (h, w), smoothed but where the image has edges.

    The guided filter of He, Sun and Tang (Guided Image Filtering, 2013) with a colour guide: in
    every window values are a linear function of colour, and each pixel takes the mean of the
    windows that it lies in. Wide windows are fitted in a reduced image, as in the Fast Guided
    Filter of He and Sun (2015). image: (h, w, 3), 8 bits or in [0, 1]. radius: of the windows,
    pixels.
    """
    colors: Floats = image.astype(np.float32)
    if image.dtype == np.uint8:
        colors = colors / np.float32(255.0)
    height, width = values.shape
    factor = max(1, radius // FINEST_RADIUS)
    if factor == 1:
        lines = _lines(values, colors, radius)
    else:
        size = (max(1, width // factor), max(1, height // factor))
        rough = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
        small = cv2.resize(colors, size, interpolation=cv2.INTER_AREA)
        found = _lines(rough, small, radius // factor)
        lines = [cv2.resize(item, (width, height)) for item in found]
    by_red, by_green, by_blue, offset = lines
    red, green, blue = np.moveaxis(colors, -1, 0)
    result: Floats = by_red * red + by_green * green + by_blue * blue + offset
    return result


def _lines(values: Any, colors: Any, radius: int) -> list[Any]:
    """Slopes by red, green and blue, and offset, (h, w) each, means of a pixel's windows."""
    red, green, blue = np.moveaxis(colors, -1, 0)
    planes = [red, green, blue, values]
    products = [red * red, red * green, red * blue, green * green, green * blue, blue * blue]
    products += [red * values, green * values, blue * values]
    r, g, b, v, rr, rg, rb, gg, gb, bb, rv, gv, bv = _means([*planes, *products], radius)
    rr, rg, rb = rr - r * r + SMOOTHNESS, rg - r * g, rb - r * b
    gg, gb, bb = gg - g * g + SMOOTHNESS, gb - g * b, bb - b * b + SMOOTHNESS
    rv, gv, bv = rv - r * v, gv - g * v, bv - b * v
    # Cramer's rule for the covariance of colours in each window.
    cofactors = (gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg)
    determinant = rr * cofactors[0] + rg * cofactors[1] + rb * cofactors[2]
    by_red = cofactors[0] * rv + cofactors[1] * gv + cofactors[2] * bv
    by_green = cofactors[1] * rv + (rr * bb - rb * rb) * gv + (rg * rb - rr * gb) * bv
    by_blue = cofactors[2] * rv + (rg * rb - rr * gb) * gv + (rr * gg - rg * rg) * bv
    by_red, by_green, by_blue = (part / determinant for part in (by_red, by_green, by_blue))
    offset = v - by_red * r - by_green * g - by_blue * b
    return _means([by_red, by_green, by_blue, offset], radius)


def _means(planes: list[Any], radius: int) -> list[Any]:
    """Means of the windows around each pixel."""
    side = (2 * radius + 1, 2 * radius + 1)
    return [cv2.boxFilter(plane, -1, side, borderType=cv2.BORDER_REFLECT) for plane in planes]
