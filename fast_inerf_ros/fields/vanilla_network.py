"""The multilayer perceptron of NeRF (2020), figure 7, with the state dict of nerf-pytorch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.vanilla_options import VanillaArchitecture
from fast_inerf_ros.rendering.encoding import encoded_size, positional_encoding

SKIP_LAYER = 4
"""After this layer the encoded position is appended once more."""

StateDict = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class NetworkShape:
    """Everything that determines the parameters of one network.

    direction_frequencies: None where the colour does not depend on the view direction.
    n_outputs: channels of `output_linear`, used only then (nerf-pytorch makes a fifth, unused).
    """

    depth: int
    width: int
    position_frequencies: int
    direction_frequencies: int | None
    n_outputs: int = 4

    def __post_init__(self) -> None:
        if self.depth == SKIP_LAYER + 1:
            raise InputError(
                f"layers of a network: expected any number but {self.depth}, got {self.depth}; "
                "its last layer would be the skip connection, take one more or one less"
            )

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all parameters by name, in the order of the optimiser's state."""
        shapes: dict[str, tuple[int, ...]] = {}
        for name, (n_outputs, n_inputs) in self._layers().items():
            shapes[f"{name}.weight"] = (n_outputs, n_inputs)
            shapes[f"{name}.bias"] = (n_outputs,)
        return shapes

    def _layers(self) -> dict[str, tuple[int, int]]:
        width, position = self.width, encoded_size(self.position_frequencies)
        layers = {"pts_linears.0": (width, position)}
        for index in range(1, self.depth):
            skipped = position if index == SKIP_LAYER + 1 else 0
            layers[f"pts_linears.{index}"] = (width, width + skipped)
        octaves = self.direction_frequencies
        direction = 0 if octaves is None else encoded_size(octaves)
        layers["views_linears.0"] = (width // 2, direction + width)
        if octaves is None:
            return {**layers, "output_linear": (self.n_outputs, width)}
        layers["feature_linear"] = (width, width)
        return {**layers, "alpha_linear": (1, width), "rgb_linear": (3, width // 2)}

    @classmethod
    def of(cls, state: StateDict, what: str) -> NetworkShape:
        """Shape of the network that a state dict belongs to.

        Raises InputError listing every missing, unknown or misshapen entry; `what` names it.
        """
        if not isinstance(state, Mapping):
            raise InputError(f"{what}: expected a state dict, got a {type(state).__name__}")
        first = state.get("pts_linears.0.weight")
        if not isinstance(first, torch.Tensor) or first.ndim != 2:
            raise InputError(
                f"{what}: expected a NeRF network with pts_linears.0.weight, "
                f"got {_listed(sorted(map(str, state)))}; give a checkpoint of nerf-pytorch"
            )
        shape = _guessed_shape(state, first, what)
        check_entries(state, shape.parameters(), what)
        return shape


def _guessed_shape(state: StateDict, first: torch.Tensor, what: str) -> NetworkShape:
    layers = {re.fullmatch(r"pts_linears\.(\d+)\.weight", str(name)) for name in state}
    depth = 1 + max(int(match.group(1)) for match in layers if match)
    width = first.shape[0]
    views = state.get("views_linears.0.weight")
    octaves = None
    if "output_linear.weight" not in state and isinstance(views, torch.Tensor) and views.ndim == 2:
        octaves = _octaves(views.shape[1] - width, f"{what}: views_linears.0.weight")
    output = state.get("output_linear.weight")
    n_outputs = output.shape[0] if isinstance(output, torch.Tensor) and output.ndim == 2 else 4
    position = _octaves(first.shape[1], f"{what}: pts_linears.0.weight")
    return NetworkShape(min(depth, 1000), width, position, octaves, max(4, n_outputs))


def _octaves(n_channels: int, what: str) -> int:
    if n_channels < 3 or n_channels % 6 != 3:
        raise InputError(
            f"{what}: expected 3 + 6 L encoded channels, got {n_channels}; "
            "give a checkpoint of nerf-pytorch"
        )
    return (n_channels - 3) // 6


def check_entries(state: StateDict, expected: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Raise InputError, in one line, listing how the entries differ from the expected shapes."""
    problems = [f"missing {name} {shape}" for name, shape in expected.items() if name not in state]
    problems += [f"unknown {name}" for name in state if name not in expected]
    for name in (name for name in expected if name in state):
        problems += _entry_problems(name, state[name], expected[name])
    if problems:
        raise InputError(f"{what}: {_listed(problems)}; give a checkpoint of the same network")


def _entry_problems(name: str, value: object, shape: tuple[int, ...]) -> list[str]:
    if not isinstance(value, torch.Tensor):
        return [f"{name} is a {type(value).__name__}, no tensor"]
    if tuple(value.shape) != shape:
        return [f"{name} expected {shape} got {tuple(value.shape)}"]
    if not value.is_floating_point():
        return [f"{name} expected floating point got {value.dtype}"]
    return [] if bool(torch.isfinite(value).all()) else [f"{name} holds NaN or infinity"]


def _listed(items: list[str], limit: int = 12) -> str:
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return (", ".join(items[:limit]) or "nothing") + more


class NerfNetwork(nn.Module):
    """Raw colour and density of points.

    Parameters are left uninitialised: fill them by `initialise` or `load_state_dict`.
    """

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.shape = shape
        layers = {
            name: nn.Linear(size[1], size[0], device="meta").to_empty(device="cpu")
            for name, size in shape._layers().items()
        }
        # The order of registration is that of nerf-pytorch: optimiser states depend on it.
        self.pts_linears = nn.ModuleList(
            layers[f"pts_linears.{index}"] for index in range(shape.depth)
        )
        self.views_linears = nn.ModuleList([layers["views_linears.0"]])
        if shape.direction_frequencies is None:
            self.output_linear = layers["output_linear"]
        else:
            self.feature_linear = layers["feature_linear"]
            self.alpha_linear = layers["alpha_linear"]
            self.rgb_linear = layers["rgb_linear"]

    def initialise(self, generator: np.random.Generator) -> NerfNetwork:
        """Draw all parameters from the uniform distribution that torch gives linear layers."""
        with torch.no_grad():
            for layer in self.modules():
                if isinstance(layer, nn.Linear):
                    bound = 1.0 / math.sqrt(layer.in_features)
                    for values in (layer.weight, layer.bias):
                        drawn = generator.uniform(-bound, bound, tuple(values.shape))
                        values.copy_(torch.from_numpy(drawn))
        return self

    def forward(self, points: torch.Tensor, directions: torch.Tensor | None) -> torch.Tensor:
        """Raw output (N, S, 4 or 5) of points (N, S, 3) on rays.

        directions: unit view directions (N, 3), ignored by networks that do not depend on them.
        Channels: colour before the sigmoid, density before the ReLU.

        Raises:
            InputError: Other shapes, which would be broadcast to something huge.
        """
        if points.ndim != 3:
            raise InputError(f"points: expected shape (N, S, 3), got {tuple(points.shape)}")
        hidden = self._trunk(positional_encoding(points, self.shape.position_frequencies))
        if self.shape.direction_frequencies is None:
            raw: torch.Tensor = self.output_linear(hidden)
            return raw
        if directions is None:
            raise InputError("view directions: expected (N, 3), got none; this network needs them")
        density = self.alpha_linear(hidden)
        return torch.cat([self._color(self.feature_linear(hidden), directions), density], dim=-1)

    def _trunk(self, encoded: torch.Tensor) -> torch.Tensor:
        hidden = encoded
        for index, layer in enumerate(self.pts_linears):
            hidden = functional.relu(layer(hidden))
            if index == SKIP_LAYER:
                hidden = torch.cat([encoded, hidden], dim=-1)
        return hidden

    def _color(self, features: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
        """Raw colour; the share of the direction is the same for all samples of a ray."""
        assert self.shape.direction_frequencies is not None
        encoded = positional_encoding(directions, self.shape.direction_frequencies)
        layer = cast(nn.Linear, self.views_linears[0])
        weight, width = layer.weight, self.shape.width
        of_features = functional.linear(features, weight[:, :width], layer.bias)
        of_directions = functional.linear(encoded, weight[:, width:])
        color: torch.Tensor = self.rgb_linear(
            functional.relu(of_features + of_directions[:, None, :])
        )
        return color


@dataclass(frozen=True)
class NetworkPair:
    """The coarse network, and the fine one where importance samples are taken."""

    coarse: NerfNetwork
    fine: NerfNetwork | None

    @property
    def best(self) -> NerfNetwork:
        """The network that gives the final colour."""
        return self.coarse if self.fine is None else self.fine

    def parameters(self) -> list[nn.Parameter]:
        """All parameters in the order of nerf-pytorch's optimiser: coarse, then fine."""
        fine = [] if self.fine is None else list(self.fine.parameters())
        return list(self.coarse.parameters()) + fine

    def to(self, *, device: torch.device | str) -> NetworkPair:
        """The same networks, moved."""
        fine = None if self.fine is None else self.fine.to(device=device)
        return NetworkPair(self.coarse.to(device=device), fine)


def network_shapes(
    architecture: VanillaArchitecture, fine: bool
) -> tuple[NetworkShape, NetworkShape | None]:
    """Shapes of the coarse network and, where `fine`, of the fine one."""
    octaves = architecture.position_frequencies if architecture.encode else 0
    directions = architecture.direction_frequencies if architecture.encode else 0
    common = (octaves, directions if architecture.view_directions else None, 5 if fine else 4)
    coarse = NetworkShape(architecture.depth, architecture.width, *common)
    if not fine:
        return coarse, None
    return coarse, NetworkShape(architecture.depth_fine, architecture.width_fine, *common)


def new_networks(
    architecture: VanillaArchitecture, fine: bool, generator: np.random.Generator
) -> NetworkPair:
    """Untrained networks."""
    coarse, finer = network_shapes(architecture, fine)
    networks = NerfNetwork(coarse).initialise(generator)
    return NetworkPair(
        networks, None if finer is None else NerfNetwork(finer).initialise(generator)
    )


def restored(state: StateDict, what: str) -> NerfNetwork:
    """The network that a state dict describes; raises InputError as `NetworkShape.of`."""
    network = NerfNetwork(NetworkShape.of(state, what))
    network.load_state_dict({name: value.float() for name, value in state.items()})
    return network
