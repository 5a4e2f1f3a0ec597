"""Exported networks compute the same; without the packages the errors say what to install."""

from __future__ import annotations

import importlib.util
import sys
import warnings

import numpy as np
import pytest
import torch

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.posecnn.backbones import make_network
from fast_inerf_ros.posecnn.decoding import DecodingConfig
from fast_inerf_ros.posecnn.detector import Detector, DetectorConfig
from fast_inerf_ros.posecnn.network import NetworkConfig
from fast_inerf_ros.posecnn.onnx_backend import OnnxNetwork, export_onnx, rotation_path

CONFIG = NetworkConfig(("box", "can"))
CONTEXT = NetworkConfig(("box", "can"), context_channels=16)
PACKAGES = ("onnx", "onnxruntime", "onnxscript")
MISSING = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
needs_onnx = pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")


@pytest.fixture(scope="module", params=[CONFIG, CONTEXT], ids=["fine", "context"])
def network(request):
    return make_network(request.param).requires_grad_(False)


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    with warnings.catch_warnings():
        # The exporter warns of its own future.
        warnings.simplefilter("ignore")
        export_onnx(network, path, (128, 96))
    return path


@needs_onnx
def test_both_stages_agree_with_torch(network, exported):
    runtime = OnnxNetwork(exported)
    images = torch.rand(1, 3, 96, 128)
    expected, actual = network.dense(images), runtime.dense(images)
    pairs = [(expected.logits, actual.logits), (expected.centre, actual.centre)]
    pairs += list(zip(expected.features, actual.features, strict=True))
    for ours, theirs in pairs:
        assert torch.allclose(ours, theirs, atol=1e-4 * float(ours.abs().max()))
    for count in (1, 5):
        boxes = torch.tensor([[0.0, 3, 4, 90, 80]]).repeat(count, 1)
        boxes[:, 3] -= torch.arange(count)
        ours = network.rotations(expected.features, boxes)
        assert torch.allclose(ours, runtime.rotations(actual.features, boxes), atol=1e-4)


@needs_onnx
def test_a_detector_finds_the_same_with_either(network, exported):
    decoding = DecodingConfig(score_threshold=0.0, component_probability=0.0, minimum_pixels=1)
    config = DetectorConfig(input_width=128, decoding=decoding)
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    camera = Camera(128, 96, 120.0, 120.0, 63.5, 47.5)
    ours = Detector(network, config).detect(image, camera)
    theirs = Detector.load(exported, config).detect(image, camera)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.label == other.label
        assert one.centre_px == pytest.approx(other.centre_px, abs=0.1)


@needs_onnx
def test_damaged_and_foreign_files_are_refused(exported, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(InputError, match="expected an exported network"):
        OnnxNetwork(broken)
    with pytest.raises(InputError, match="no such file"):
        OnnxNetwork(tmp_path / "gone.onnx")
    alone = tmp_path / "alone.onnx"
    alone.write_bytes(exported.read_bytes())
    with pytest.raises(InputError, match=r"alone.rotation.onnx: .*no such file"):
        OnnxNetwork(alone)
    rotation_path(alone).write_bytes(rotation_path(exported).read_bytes())
    assert OnnxNetwork(alone).input_size == (128, 96)


@needs_onnx
def test_the_name_must_tell_the_kind(network, tmp_path):
    with pytest.raises(InputError, match="expected a name that ends in"):
        export_onnx(network, tmp_path / "net.pt", (64, 64))


def test_without_onnxruntime_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match="pip install onnxruntime"):
        Detector.load(tmp_path / "net.onnx")


def test_without_onnx_the_error_says_what_to_install(monkeypatch, network, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match="pip install onnx"):
        export_onnx(network, tmp_path / "net.onnx", (64, 64))
