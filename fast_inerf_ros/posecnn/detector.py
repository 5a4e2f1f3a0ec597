"""Objects and their poses from one image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fast_inerf_ros.config import option, section
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.posecnn.checkpoint import load_checkpoint
from fast_inerf_ros.posecnn.decoding import Decoder, DecodingConfig, View
from fast_inerf_ros.posecnn.detection import Detection
from fast_inerf_ros.posecnn.images import to_rgb
from fast_inerf_ros.posecnn.network import PoseNetwork
from fast_inerf_ros.posecnn.onnx_backend import OnnxNetwork, is_onnx
from fast_inerf_ros.posecnn.prediction import Prediction

SMALLEST_SHARE = 0.8
"""Of the width that is asked for, which may be left out so that the other side is whole, too."""

COST_OF_SIZE = 0.4
"""Of a smaller input against a distorted one, per logarithm of either."""


@dataclass(frozen=True)
class DetectorConfig:
    """How a pose network is run."""

    input_width: int = option(
        576,
        doc="Width that images are scaled to for the network, if they are wider; 0 keeps them. "
        "Less where a long focal length shows objects larger than the network has ever seen them.",
        unit="px",
        minimum=0,
    )
    device: Literal["auto", "cpu", "cuda"] = option("auto", doc="auto: cuda where there is one.")
    half_precision: bool = option(
        False,
        doc="Arithmetic of 16 bits: float16 on cuda, bfloat16 on processors. Slow where those "
        "have no instructions for it (AVX-512 BF16, AMX).",
    )
    compile: bool = option(False, doc="torch.compile: slow to start, faster afterwards.")
    decoding: DecodingConfig = section(DecodingConfig)


class Detector:
    """A network in use. Not for several threads at once.

    network: of this package, or one from an ONNX file.

    Raises:
        InputError: cuda is asked for and not there, or classes the network does not know.
    """

    def __init__(
        self, network: PoseNetwork | OnnxNetwork, config: DetectorConfig | None = None
    ) -> None:
        self.config = DetectorConfig() if config is None else config
        self.network = network
        self.device = _device(self.config.device)
        self._dense = network.dense
        if isinstance(network, PoseNetwork):
            network.eval().requires_grad_(False)
            network.to(self.device).to(memory_format=torch.channels_last)
            if self.config.compile:
                self._dense = torch.compile(network.dense)
        else:
            self.device = torch.device("cpu")
        self.decoder = Decoder(
            class_labels=network.config.class_labels,
            rotations_in_boxes=self._rotations_in_boxes,
            allocentric=network.allocentric,
            legacy=network.config.legacy,
            config=self.config.decoding,
        )

    @staticmethod
    def load(path: str | PathLike[str], config: DetectorConfig | None = None) -> Detector:
        """Detector of a checkpoint, of the seed's weights, or of an exported ONNX file.

        Raises:
            InputError: the file is missing, foreign or damaged, or onnxruntime is missing.
        """
        if is_onnx(path):
            return Detector(OnnxNetwork(path), config)
        return Detector(load_checkpoint(path).network, config)

    @property
    def class_labels(self) -> tuple[str, ...]:
        """Names of the classes 1, 2, ..."""
        return self.network.config.class_labels

    def detect(self, image: npt.NDArray[Any], camera: Camera) -> tuple[Detection, ...]:
        """Objects in an image that a camera took, the best first; empty where there are none.

        image: (H, W, 3) RGB or (H, W) grey, 8 or 16 bits, or float in [0, 1].

        Raises:
            InputError: another kind of array, or a size that is not the camera's.
        """
        prediction, view = self.predict(image, camera)
        with torch.inference_mode():
            return self.decoder.detections(prediction, view)

    def predict(self, image: npt.NDArray[Any], camera: Camera) -> tuple[Prediction, View]:
        """What the network says, and how its input lies in the image. Raises as `detect`."""
        rgb = to_rgb(image)
        if rgb.shape[:2] != (camera.height, camera.width):
            raise InputError(
                f"expected an image of {camera.width} x {camera.height} pixels, as its camera, "
                f"got {rgb.shape[1]} x {rgb.shape[0]}: give the camera of this image"
            )
        whole = rgb
        width, height = self._input_size(camera)
        if (width, height) != (camera.width, camera.height):
            rgb = cv2.resize(rgb, (width, height), interpolation=_interpolation(camera, width))
        view = View(camera, width, height, whole)
        with torch.inference_mode(), self._precision():
            values = torch.from_numpy(np.ascontiguousarray(rgb)).to(self.device)
            images = values.permute(2, 0, 1)[None].to(torch.float32)
            if rgb.dtype == np.uint8:
                images = images / 255
            focal = torch.tensor([view.focal_px], device=self.device)
            return self.network.prediction(self._dense(images), focal), view

    def _input_size(self, camera: Camera) -> tuple[int, int]:
        """Width and height of the network's input: at least what it needs."""
        if isinstance(self.network, OnnxNetwork):
            return self.network.input_size
        least = self.network.smallest_side
        width = self.config.input_width or camera.width
        scale = min(1.0, width / camera.width)
        longest = self.network.config.longest_focal_px
        if longest > 0:
            scale = min(scale, longest / math.sqrt(camera.fx * camera.fy))
        scale = max(scale, least / min(camera.width, camera.height))
        sides = camera.width * scale, camera.height * scale
        return _whole_units(sides, self.network.side_unit, least)

    def _rotations_in_boxes(self, features: tuple[Tensor, ...], boxes: Tensor) -> Tensor:
        with self._precision():
            rotations: Tensor = self.network.rotations(features, boxes)
        return rotations

    def _precision(self) -> torch.autocast:
        kind = torch.float16 if self.device.type == "cuda" else torch.bfloat16
        return torch.autocast(self.device.type, kind, enabled=self.config.half_precision)


def _whole_units(sides: tuple[float, float], unit: int, least: int) -> tuple[int, int]:
    """Width and height near `sides`, or somewhat smaller, in whole units, hardly distorted."""
    width, height = sides
    most = max(1, round(width / unit))
    sizes = []
    for columns in range(max(1, math.ceil(SMALLEST_SHARE * most)), most + 1):
        wide = max(least, columns * unit)
        high = max(least, unit * max(1, round(wide * height / width / unit)))
        distortion = abs(math.log(wide * height / (high * width)))
        smaller = max(0.0, math.log(width / wide))
        sizes.append((distortion + COST_OF_SIZE * smaller, wide, high))
    return min(sizes)[1:]


def _interpolation(camera: Camera, width: int) -> int:
    return cv2.INTER_AREA if width < camera.width else cv2.INTER_LINEAR


def _device(name: str) -> torch.device:
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise InputError("device: expected a CUDA device, got none: use cpu or auto")
    return torch.device("cuda" if name != "cpu" and available else "cpu")
