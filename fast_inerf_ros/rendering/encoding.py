"""Positional encoding of coordinates by sines and cosines of doubling frequency."""

from __future__ import annotations

import torch


def encoded_size(n_frequencies: int, n_inputs: int = 3) -> int:
    """Number of channels of the encoding of `n_inputs` coordinates."""
    return n_inputs * (1 + 2 * n_frequencies)


def positional_encoding(values: torch.Tensor, n_frequencies: int) -> torch.Tensor:
    """Encode coordinates (..., C) as (..., C (1 + 2 L)): NeRF (2020), section 5.1, equation 4.

    The order is that of nerf-pytorch, in which its first layers were trained: the values
    themselves, then for each frequency 2^0 ... 2^(L-1) all sines, then all cosines, without
    the factor pi of the paper.
    """
    if n_frequencies == 0:
        return values
    octaves = torch.arange(n_frequencies, dtype=values.dtype, device=values.device)
    angles = values[..., None, :] * torch.exp2(octaves)[:, None]  # (..., L, C)
    waves = torch.stack([torch.sin(angles), torch.cos(angles)], dim=-2)  # (..., L, 2, C)
    return torch.cat([values, waves.flatten(start_dim=-3)], dim=-1)
