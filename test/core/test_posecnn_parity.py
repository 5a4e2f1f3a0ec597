"""PoseCNN gives the figures of the original code, with the seed project's keys.

`golden_posecnn.npz` holds the PoseCNN arrays of the seed's golden values, bit by bit (stored as
planes of bytes, which compress better). The weights come from numpy's RandomState.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from fast_inerf_ros.posecnn.backbones import make_network
from fast_inerf_ros.posecnn.checkpoint import SEED_LABELS, restored
from fast_inerf_ros.posecnn.legacy_voting import legacy_votes
from fast_inerf_ros.posecnn.network import NetworkConfig
from fast_inerf_ros.posecnn.prediction import cell_pixels
from fast_inerf_ros.posecnn.voting import VoteMaps, VotingConfig, vote

DATA = Path(__file__).parents[1] / "data"
LEGACY = NetworkConfig(SEED_LABELS, "vgg16", legacy=True)
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def golden():
    """Return the arrays as tensors."""
    found = {}
    with np.load(DATA / "golden_posecnn.npz") as planes:
        for name in planes.files:
            if f"{name}_shape" in planes:
                dtype = str(planes[f"{name}_dtype"])
                values = np.frombuffer(planes[name].T.tobytes(), dtype=dtype)
                found[name] = torch.from_numpy(values.reshape(planes[f"{name}_shape"]).copy())
    return found


def seed_shapes() -> dict[str, tuple[int, ...]]:
    """Return keys and shapes of the seed's checkpoints, as its inventory lists them."""
    shapes: dict[str, tuple[int, ...]] = {}

    def layer(name: str, *shape: int) -> None:
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = shape[:1]

    channels = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    places = [f"embedding1.{index}" for index in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21)]
    places += [f"embedding2.{index}" for index in (1, 3, 5)]
    for place, inputs, outputs in zip(places, channels[:-1], channels[1:], strict=True):
        layer(f"feat_extract.{place}", outputs, inputs, 3, 3)
    for branch, hidden, last, outputs in (
        ("seg_branch", 64, "seg_prob", 11),
        ("trans_branch", 128, "trans_pred", 30),
    ):
        layer(f"{branch}.conv_f1.0", hidden, 512, 1, 1)
        layer(f"{branch}.conv_f2.0", hidden, 512, 1, 1)
        layer(f"{branch}.{last}.1", outputs, hidden, 1, 1)
    layer("rot_branch.roi_fc.0", 4096, 25088)
    layer("rot_branch.roi_fc.2", 4096, 4096)
    layer("rot_branch.roi_fc.4", 40, 4096)
    return shapes


def recipe(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Return the weights that the golden values were computed with."""
    state = {}
    for index, name in enumerate(sorted(shapes)):
        shape = shapes[name]
        values = np.random.RandomState(index).standard_normal(shape).astype(np.float32)
        gain = 1.9 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.1
        values *= np.float32(gain)
        state[name] = torch.from_numpy(values)
    return state


@pytest.fixture(scope="module")
def network():
    """Return the legacy network with those weights (half a gigabyte)."""
    return restored(LEGACY, recipe(seed_shapes()), "recipe").requires_grad_(False)


@pytest.fixture(scope="module")
def output(network, golden):
    """Return the dense maps of the golden image."""
    return network.dense(golden["posecnn_image"])


def assert_close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Compare relative to the largest expected value."""
    scale = float(expected.abs().max())
    assert float((actual - expected).abs().max()) <= TOLERANCE * scale


def test_keys_and_shapes_are_those_of_the_seed():
    with torch.device("meta"):
        state = make_network(LEGACY).state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == seed_shapes()
    assert sum(value.numel() for value in state.values()) == pytest.approx(134.6e6, rel=1e-3)


def test_features_agree(output, golden):
    for index in (0, 1):
        mean = output.features[index].mean(dim=(2, 3))
        assert_close(mean, golden[f"posecnn_feature{index + 1}_mean"])


def test_probabilities_and_segmentation_agree(network, output, golden):
    probability = network.prediction(output, torch.ones(1)).probability()
    assert torch.equal(probability.argmax(dim=1), golden["posecnn_segmentation"].long())
    # The scores are in the hundreds: the golden values themselves are rounded by 8e-5, so
    # that only exact arithmetic leaves room for a comparison to 1e-4.
    exact = copy.deepcopy(network.feat_extract).double()
    branch = copy.deepcopy(network.seg_branch).double()
    scores = branch(*exact(golden["posecnn_image"].double()))
    assert_close(torch.relu(scores).softmax(dim=1), golden["posecnn_probability"])
    assert_close(output.logits, torch.relu(scores))


def test_centre_maps_agree(output, golden):
    assert_close(output.centre, golden["posecnn_centermap"])


def test_quaternions_agree(network, output, golden):
    quaternions = network.quaternions(output.features, golden["posecnn_boxes"])
    assert_close(quaternions.flatten(1), golden["posecnn_quaternion"])


def test_legacy_depth_and_direction_are_the_raw_map(network, output, golden):
    prediction = network.prediction(output, torch.tensor([902.0]))
    raw = golden["posecnn_centermap"].reshape(1, 10, 3, 96, 128)
    assert_close(prediction.direction, raw[:, :, :2])
    assert_close(prediction.depth, raw[:, :, 2])


def test_voting_of_the_seed_agrees(golden):
    votes = legacy_votes(
        golden["hough_label"][0].long(), golden["hough_centermap"][0].reshape(10, 3, 120, 160)
    )
    assert torch.equal(votes.centres, golden["hough_centers"][0])
    assert_close(votes.depths, golden["hough_depths"][0])


def test_robust_voting_finds_the_same_centres_to_a_fraction_of_a_pixel(golden):
    labels = golden["hough_label"][0].long()
    maps = golden["hough_centermap"][0].reshape(10, 3, 120, 160)
    index = (labels - 1).clamp(min=0)[None, None].expand(1, 3, -1, -1)
    chosen = maps.gather(0, index)[0]
    centres = vote(
        VoteMaps(
            labels,
            torch.ones(120, 160),
            chosen[:2],
            chosen[2],
            None,
            cell_pixels((120, 160), 1, chosen),
            1.0,
        ),
        10,
        VotingConfig(),
    )
    assert centres.label.tolist() == [2, 5]
    expected = golden["hough_centers"][0][[1, 4]]
    assert float((centres.fit.centre - expected).abs().max()) < 0.25
    depths = golden["hough_depths"][0][[1, 4]]
    assert float((centres.fit.depth / depths - 1).abs().max()) < 0.01
