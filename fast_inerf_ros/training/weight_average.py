"""A running average of a network's weights, which does better than the weights themselves."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)

WARM_UP = 10.0


class WeightAverage(Generic[Network]):
    """Exponential moving average (Polyak and Juditsky, 1992; Tarvainen and Valpola, 2017).

    decay: share of the average that a step keeps in the end; at first it keeps less, so that
    the random weights of the start are soon forgotten.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay

    def update(self, network: Network, step: int) -> None:
        """Take in the weights after a step, counted from 1."""
        decay = min(self._decay, (1.0 + step) / (WARM_UP + step))
        with torch.no_grad():
            own: list[torch.Tensor] = list(self.network.parameters())
            others: list[torch.Tensor] = list(network.parameters())
            torch._foreach_lerp_(own, others, 1.0 - decay)
