"""Checkpoints of pose networks: ours with their configuration, the seed's as bare weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from fast_inerf_ros.config import build, values_of
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.io.tensor_file import load_tensors, save_tensors
from fast_inerf_ros.posecnn.backbones import make_network
from fast_inerf_ros.posecnn.network import NetworkConfig, PoseNetwork
from fast_inerf_ros.posecnn.weights import check_weights, require_tensors

FORMAT = "fast_inerf_ros.posecnn"
VERSION = 1

SEED_LABELS = (
    "master_chef_can",
    "cracker_box",
    "sugar_box",
    "tomato_soup_can",
    "mustard_bottle",
    "tuna_fish_can",
    "gelatin_box",
    "potted_meat_can",
    "mug",
    "large_marker",
)
"""Classes 1 to 10 of the seed project's `posecnn_model.pth` (PROPS-Pose)."""


@dataclass(frozen=True, eq=False)
class PoseCheckpoint:
    """A network, and what training needs to go on (plain values and tensors only)."""

    network: PoseNetwork
    training: Mapping[str, Any] = field(default_factory=dict)


def save_checkpoint(
    checkpoint: PoseCheckpoint, path: str | PathLike[str], *, half: bool = False
) -> None:
    """Write a checkpoint atomically; the same checkpoint always gives the same bytes.

    half: store weights in half precision, in a file of half the size: they are read back as
        float32, up to 2^-11 of themselves away (larger ones than float16 knows stay as they are).
    """
    network = checkpoint.network
    state = {name: _stored(value, half) for name, value in network.state_dict().items()}
    save_tensors(
        path,
        {
            "format": FORMAT,
            "version": VERSION,
            "network": values_of(network.config),
            "state_dict": state,
            "training": dict(checkpoint.training),
        },
    )


def load_checkpoint(
    path: str | PathLike[str], class_labels: Sequence[str] = SEED_LABELS
) -> PoseCheckpoint:
    """Read a checkpoint of this package, or a `posecnn_model.pth` of the seed project.

    class_labels: classes of a file that does not name them, the seed's.

    Raises:
        InputError: in one line for a file that is missing, damaged or foreign (nothing in it
            is executed), and with the differences of keys and shapes for another network.
    """
    content = load_tensors(path)
    if not isinstance(content, Mapping) or "format" not in content:
        config = NetworkConfig(tuple(class_labels), "vgg16", legacy=True)
        return PoseCheckpoint(restored(config, require_tensors(content, str(path)), str(path)))
    if content["format"] != FORMAT:
        raise InputError(
            f"{path}: expected a checkpoint of PoseCNN, got {content['format']!r:.60}"
        )
    if content.get("version") != VERSION:
        raise InputError(
            f"{path}: expected version {VERSION} of the format, got "
            f"{content.get('version')!r:.20}; update this package or train again"
        )
    config = _config(content.get("network"), str(path))
    state = require_tensors(content.get("state_dict"), f"{path}: state_dict")
    training = content.get("training", {})
    if not isinstance(training, Mapping):
        raise InputError(f"{path}: training: expected a mapping, got {type(training).__name__}")
    return PoseCheckpoint(restored(config, state, str(path)), training)


def restored(config: NetworkConfig, state: Mapping[str, Tensor], source: str) -> PoseNetwork:
    """Network with given weights; InputError lists the differences of keys and shapes."""
    with torch.device("meta"):
        network = make_network(config)
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    check_weights(state, expected, source)
    network.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    return network.requires_grad_(True).eval()


def _stored(value: Tensor, half: bool) -> Tensor:
    stored = value.detach().cpu()
    if not half:
        return stored
    small = stored.to(torch.float16)
    return small if bool(torch.isfinite(small).all()) else stored


def _config(values: object, source: str) -> NetworkConfig:
    if not isinstance(values, Mapping):
        raise InputError(f"{source}: network: expected its configuration, got nothing")
    try:
        return build(NetworkConfig, values)
    except InputError as error:
        raise InputError(f"{source}: network: {error}") from None
