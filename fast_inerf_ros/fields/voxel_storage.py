"""Voxel grids as compact arrays: a byte for each density and colour, stored voxels only.

Densities are quantised evenly in asinh(density / scale): finely around zero, where surfaces are,
and in proportion to their size far from it. Colours are quantised evenly per coefficient between
the 0.05 and 99.95 percentiles, those of the view's direction more coarsely: even steps of fewer
levels are what compresses best. Only voxels that are a corner of an occupied cell are stored;
the rest of a brick is never seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.voxel_grid import COLORS, VOXELS, CodedColors, Domain, VoxelGrid
from fast_inerf_ros.rendering.grid import NO_CODE

LEVELS = np.tile([127, 47, 47, 47], COLORS // 4)
"""Highest code of each coefficient of colour: the constant one, and those of the direction."""

CHUNK = 1 << 16
"""Voxels that are decoded at once."""

DENSITY_LEVELS = 255
SCALE_OF_MEDIAN = 0.25
"""Of the median size of densities, below which their steps are even."""


def pack_grid(grid: VoxelGrid) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Metadata and arrays of a grid."""
    density = grid.density[1:].cpu().numpy()
    seen, codes, low, high = _color_codes(grid)
    density_codes, density_range = _coded(density)
    metadata = {
        "center": list(map(float, grid.domain.center)),
        "half_size": list(map(float, grid.domain.half_size)),
        "contracted": bool(grid.domain.contracted),
        "bricks": list(map(int, grid.domain.bricks)),
    }
    arrays = {
        "coordinates": grid.coordinates[1:].cpu().numpy().astype(np.uint8),
        "density": density_codes,
        "density_range": density_range,
        "mask": grid.mask[1:].cpu().numpy(),
        "colored": np.packbits(seen.reshape(-1)),
        "color": np.ascontiguousarray(codes.T),
        "color_range": np.stack([low, high]).astype(np.float32),
    }
    return metadata, arrays


def _color_codes(grid: VoxelGrid) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Which voxels (n, 64) have a colour, codes (m, 12) of these, lowest and highest values."""
    colors = grid.colors
    if isinstance(colors, CodedColors):
        every = colors.codes[1:].cpu().numpy()
        seen = every[..., 0] != int(NO_CODE)
        return seen, every[seen], colors.low, colors.low + colors.step * LEVELS
    color = colors[1:].cpu().numpy()
    seen = np.any(color != 0.0, axis=-1)
    values = color[seen]
    low, high = _range(values)
    scale = np.maximum(high - low, 1e-6)
    codes = np.clip(np.round((values - low) / scale * LEVELS), 0, LEVELS).astype(np.uint8)
    return seen, codes, low, high


def unpack_grid(
    metadata: Mapping[str, Any], arrays: Mapping[str, np.ndarray], device: torch.device
) -> VoxelGrid:
    """Grid of stored arrays; raises InputError listing all that is missing or misshapen."""
    domain = _domain(metadata)
    count = len(arrays["coordinates"]) if "coordinates" in arrays else 0
    n_colors = arrays["color"].shape[-1] if "color" in arrays and arrays["color"].ndim else 0
    _check(arrays, count, n_colors)
    coordinates = arrays["coordinates"].astype(np.int32)
    if np.any(coordinates >= np.asarray(domain.bricks)) or len(
        np.unique(coordinates, axis=0)
    ) != len(coordinates):
        raise InputError(
            "voxel field: expected bricks inside the grid, each once; file is damaged"
        )
    seen = np.unpackbits(arrays["colored"])[: count * VOXELS].astype(bool)
    if np.count_nonzero(seen) != n_colors:
        raise InputError("voxel field: expected as many colours as its marks; file is damaged")
    low, high = arrays["color_range"]
    density = np.zeros((count + 1, VOXELS), dtype=np.float32)
    levels = _density_levels(arrays["density_range"])
    density[1:] = levels[arrays["density"]]
    # They lie within their ranges: no array as large as they are is needed to see that.
    if not (np.all(np.isfinite(levels)) and np.all(np.isfinite([low, high, high - low]))):
        raise InputError("voxel field: expected finite densities and colours; file is damaged")
    grid = VoxelGrid(
        domain,
        torch.from_numpy(np.concatenate([np.zeros((1, 3), np.int32), coordinates])).to(device),
        torch.from_numpy(density).to(device),
        _colors(seen, arrays["color"], low, high, device),
    )
    grid.mask[1:] = torch.from_numpy(arrays["mask"].copy()).to(device)
    return grid


def _colors(
    seen: np.ndarray, codes: np.ndarray, low: np.ndarray, high: np.ndarray, device: torch.device
) -> CodedColors:
    """Colours of n bricks; seen (64 n,): which voxels the codes (12, m) are of."""
    every = np.full((len(seen) + VOXELS, COLORS), int(NO_CODE), dtype=np.uint8)
    start = 0
    for first in range(0, len(seen), CHUNK):  # in parts: no second array of that size
        part = seen[first : first + CHUNK]
        end = start + int(np.count_nonzero(part))
        place = VOXELS + first
        every[place : place + len(part)][part] = codes[:, start:end].T
        start = end
    step = ((high - low) / LEVELS).astype(np.float32)
    return CodedColors(torch.from_numpy(every.reshape(-1, VOXELS, COLORS)).to(device), low, step)


def _coded(density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes of densities, and their range: lowest, highest, and the scale of asinh."""
    size = np.abs(density.reshape(-1)[:: max(1, density.size // 1_000_000)])
    typical = float(np.median(size)) if len(size) else 1.0
    # A power of two, so that what was read is coded as before.
    scale = 2.0 ** round(math.log2(max(SCALE_OF_MEDIAN * typical, 1e-6)))
    low, high = (density.min(), density.max()) if density.size else (0.0, 0.0)
    extent = np.array([low, high, scale], dtype=np.float32)
    start, end = np.arcsinh(extent[:2].astype(np.float64) / extent[2])
    share = (np.arcsinh(density / extent[2]) - start) / max(end - start, 1e-6)
    return np.clip(np.round(share * DENSITY_LEVELS), 0, DENSITY_LEVELS).astype(np.uint8), extent


def _density_levels(extent: np.ndarray) -> np.ndarray:
    """Density (256,) of each code; NaN where the range makes no sense."""
    low, high, scale = extent.astype(np.float64)
    if not (np.isfinite(extent).all() and scale > 0):
        return np.full(DENSITY_LEVELS + 1, np.nan)
    share = np.arange(DENSITY_LEVELS + 1) / DENSITY_LEVELS
    start, end = np.arcsinh(low / scale), np.arcsinh(high / scale)
    return np.asarray(np.sinh(start + share * max(end - start, 1e-6)) * scale, dtype=np.float32)


def _range(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(values) == 0:
        return np.zeros(COLORS, np.float32), np.ones(COLORS, np.float32)
    sample = values[:: max(1, len(values) // 200_000)]
    low, high = np.percentile(sample, [0.05, 99.95], axis=0)
    return low.astype(np.float32), high.astype(np.float32)


def _domain(metadata: Mapping[str, Any]) -> Domain:
    missing = {"center", "half_size", "contracted", "bricks"} - set(metadata)
    if missing:
        raise InputError(f"voxel field: metadata lacks {', '.join(sorted(missing))}")
    try:
        center = tuple(float(v) for v in metadata["center"])
        half_size = tuple(float(v) for v in metadata["half_size"])
        bricks = tuple(int(v) for v in metadata["bricks"])
    except (TypeError, ValueError):
        raise InputError("voxel field: expected numbers for its box and bricks") from None
    if not len(center) == len(half_size) == len(bricks) == 3:
        raise InputError("voxel field: expected three numbers each for centre, size and bricks")
    return Domain(center, half_size, bool(metadata["contracted"]), bricks)


def _check(arrays: Mapping[str, np.ndarray], count: int, n_colors: int) -> None:
    expected: dict[str, tuple[tuple[int, ...], type]] = {
        "coordinates": ((count, 3), np.uint8),
        "density": ((count, VOXELS), np.uint8),
        "density_range": ((3,), np.float32),
        "mask": ((count,), np.int64),
        "colored": ((count * VOXELS // 8,), np.uint8),
        "color": ((COLORS, n_colors), np.uint8),
        "color_range": ((2, COLORS), np.float32),
    }
    problems = [f"lacks {name}" for name in expected if name not in arrays]
    problems += [f"unknown {name}" for name in arrays if name not in expected]
    for name, (shape, kind) in expected.items():
        if name in arrays and (arrays[name].shape != shape or arrays[name].dtype != kind):
            problems.append(
                f"{name}: expected {np.dtype(kind)} {shape}, got {arrays[name].dtype} "
                f"{arrays[name].shape}"
            )
    if problems:
        raise InputError(f"voxel field: {'; '.join(problems)}")
