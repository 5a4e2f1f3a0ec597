"""Networks as ONNX files: written once, run by onnxruntime without torch's overhead.

Both packages are optional. A file holds the dense stage; a second one beside it the rotations.
"""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fast_inerf_ros.config import build, values_of
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.io.atomic import atomic_path
from fast_inerf_ros.posecnn.backbones import make_network
from fast_inerf_ros.posecnn.network import DenseOutput, NetworkConfig, PoseNetwork
from fast_inerf_ros.posecnn.prediction import Prediction

KEY = "fast_inerf_ros.posecnn"
OPSET = 18
ROTATION_SUFFIX = ".rotation.onnx"


def is_onnx(path: str | PathLike[str]) -> bool:
    """Whether a path names an ONNX file."""
    return Path(path).suffix == ".onnx"


def rotation_path(path: str | PathLike[str]) -> Path:
    """Where the second stage of an exported network lies: model.onnx -> model.rotation.onnx."""
    return Path(path).with_suffix(ROTATION_SUFFIX)


def export_onnx(
    network: PoseNetwork, path: str | PathLike[str], input_size: tuple[int, int]
) -> None:
    """Write both stages of a network for images of one size (width, height).

    Raises:
        InputError: the packages onnx and onnxscript are missing, or the name is not *.onnx.
    """
    _require("onnx", "onnxscript")
    if not is_onnx(path):
        raise InputError(f"{path}: expected a name that ends in .onnx")
    width, height = input_size
    network = network.cpu().eval()
    images = torch.zeros(1, 3, height, width)
    with torch.inference_mode():
        features = network.dense(images).features
    boxes = torch.tensor([[0.0, 1, 1, width - 2.0, height - 2.0]]).repeat(2, 1)
    description = {
        "config": {
            k: list(v) if isinstance(v, tuple) else v for k, v in values_of(network.config).items()
        },
        "input_size": [width, height],
    }
    first = _written(
        _Dense(network), (images,), ["images"], ["logits", "centre", "fine", "coarse"]
    )
    second = _written(
        _Rotations(network), (*features, boxes), ["fine", "coarse", "boxes"], ["rotations"], True
    )
    for target, model in ((Path(path), first), (rotation_path(path), second)):
        _add_metadata(model, description)
        with atomic_path(target) as temporary:
            temporary.write_bytes(model.SerializeToString())


class OnnxNetwork:
    """An exported network, run by onnxruntime; has what a detector needs of a network.

    threads: 0 for onnxruntime's own choice.

    Raises:
        InputError: onnxruntime is missing, or the files are missing, foreign or damaged.
    """

    def __init__(self, path: str | PathLike[str], threads: int = 0) -> None:
        runtime = _require("onnxruntime")[0]
        self._dense = _session(runtime, Path(path), threads)
        self._rotations = _session(runtime, rotation_path(path), threads)
        description = _description(self._dense, Path(path))
        self.config = description.config
        self.input_size = description.input_size
        with torch.device("meta"):
            self._meaning = make_network(self.config)
        self.allocentric = self._meaning.allocentric
        self.stride = self._meaning.stride

    def dense(self, images: Tensor) -> DenseOutput:
        """Raw maps of RGB images (1, 3, H, W) in [0, 1] of the size that was exported."""
        values = self._dense.run(None, {"images": images.contiguous().numpy()})
        logits, centre, fine, coarse = (torch.from_numpy(value) for value in values)
        return DenseOutput(logits, centre, (fine, coarse))

    def prediction(self, output: DenseOutput, focal_px: Tensor) -> Prediction:
        """Give raw maps their meaning, as `PoseNetwork.prediction`."""
        return self._meaning.prediction(output, focal_px)

    def rotations(self, features: tuple[Tensor, ...], boxes: Tensor) -> Tensor:
        """Rotations (N, C, 3, 3) of each class in each box, as `PoseNetwork.rotations`."""
        names = ("fine", "coarse", "boxes")
        inputs = {
            name: np.ascontiguousarray(value.numpy())
            for name, value in zip(names, (*features, boxes), strict=True)
        }
        return torch.from_numpy(self._rotations.run(None, inputs)[0])


class _Dense(nn.Module):
    def __init__(self, network: PoseNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        output = self.network.dense(images)
        return output.logits, output.centre, *output.features


class _Rotations(nn.Module):
    def __init__(self, network: PoseNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, fine: Tensor, coarse: Tensor, boxes: Tensor) -> Tensor:
        return self.network.rotations((fine, coarse), boxes)


@dataclass(frozen=True)
class _Description:
    config: NetworkConfig
    input_size: tuple[int, int]


def _written(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    names: list[str],
    outputs: list[str],
    any_number_of_boxes: bool = False,
) -> Any:
    shapes: Any = None
    if any_number_of_boxes:
        shapes = (*(None for _ in inputs[:-1]), {0: torch.export.Dim("n_boxes")})
    with _quiet("onnx_ir", "onnxscript", "torch.onnx"):
        program = torch.onnx.export(
            module.eval(),
            inputs,
            input_names=names,
            output_names=outputs,
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=shapes,
            verbose=False,
        )
    return program.model_proto  # type: ignore[union-attr]


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Only warnings of these loggers: the exporter tells of every node that it touches."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _add_metadata(model: Any, description: dict[str, Any]) -> None:
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(description)


def _session(runtime: Any, path: Path, threads: int) -> Any:
    if not path.is_file():
        raise InputError(
            f"{path}: expected an exported network, got no such file; export it again"
        )
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Threads that spin while they wait would take the processor from torch's decoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return runtime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's own exceptions have no common base
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"{path}: expected an exported network ({reason}); export again"
        ) from None


def _description(session: Any, path: Path) -> _Description:
    text = session.get_modelmeta().custom_metadata_map.get(KEY)
    try:
        values = json.loads(text)
        config = build(NetworkConfig, values["config"])
        width, height = (int(size) for size in values["input_size"])
    except (TypeError, KeyError, ValueError) as error:  # InputError is a ValueError
        raise InputError(
            f"{path}: expected a network exported by this package ({error}); export it again"
        ) from None
    return _Description(config, (width, height))


def _require(*names: str) -> list[Any]:
    modules = []
    for name in names:
        try:
            modules.append(importlib.import_module(name))
        except ImportError:
            raise InputError(
                f"expected the package {name}, got none: install it ('pip install {name}'), or "
                "use a checkpoint of torch"
            ) from None
    return modules
