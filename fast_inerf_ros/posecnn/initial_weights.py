"""Random weights to start training from.

Weights on the meta device are left alone: they have no values, and drawing them would import
torch's compiler, which takes 150 MB.
"""

from __future__ import annotations

from torch import Tensor, nn


def initialise_rectified(module: nn.Module) -> None:
    """Weights that keep the size of values through layers with ReLU (He et al., 2015)."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and not layer.weight.is_meta:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def initialise_linear(layer: nn.Module) -> None:
    """Weights that keep the size of values through a layer without ReLU behind it."""
    weight = _weights(layer).weight
    if not weight.is_meta:
        nn.init.kaiming_normal_(weight, nonlinearity="linear")


def initialise_output(layer: nn.Module, deviation: float, bias: Tensor | None = None) -> None:
    """Small weights in the last layer of a head, so that it starts near its bias."""
    chosen = _weights(layer)
    if chosen.weight.is_meta:
        return
    nn.init.normal_(chosen.weight, std=deviation)
    if bias is not None and chosen.bias is not None:
        chosen.bias.data.copy_(bias)


def _weights(layer: nn.Module) -> nn.Conv2d | nn.Linear:
    if not isinstance(layer, (nn.Conv2d, nn.Linear)):
        raise TypeError(f"no weights to initialise in a {type(layer).__name__}")
    return layer
