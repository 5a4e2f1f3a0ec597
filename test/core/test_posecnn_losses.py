"""Losses vanish for the truth, forgive symmetries and let a network learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.geometry.symmetry import Symmetry, SymmetryAxis
from fast_inerf_ros.posecnn.backbones import make_network
from fast_inerf_ros.posecnn.losses import LossConfig, dense_losses
from fast_inerf_ros.posecnn.network import NetworkConfig
from fast_inerf_ros.posecnn.point_matching import ModelPoints, point_matching
from fast_inerf_ros.posecnn.prediction import Prediction
from fast_inerf_ros.posecnn.targets import DenseTargets, dense_targets

HALF_TURN = SE3(SO3.exp(np.array([0.0, 0.0, math.pi])), np.zeros(3))
SYMMETRIES = (
    Symmetry(),
    Symmetry(discrete=(HALF_TURN,)),
    Symmetry((SymmetryAxis((0.0, 0.0, 1.0)),)),
)


def two_objects(stride=4) -> DenseTargets:
    instances = np.full((64, 96), -1)
    instances[8:40, 8:40] = 0
    instances[32:60, 52:88] = 1
    centres = np.array([[25.0, 22.0], [70.0, 44.0]])
    return dense_targets(instances, np.array([2, 1]), centres, np.array([0.7, 1.3]), stride)


def perfect(targets: DenseTargets, n_classes=3) -> Prediction:
    labels = targets.labels
    scores = torch.nn.functional.one_hot(labels, n_classes + 1)
    return Prediction(
        40.0 * scores.permute(0, 3, 1, 2).float(),
        targets.direction[:, None],
        targets.depth[:, None],
        targets.offset[:, None],
        (),
        4,
    )


def test_targets_say_class_centre_and_depth_of_each_cell():
    targets = two_objects()
    assert targets.labels.shape == (1, 16, 24)
    assert targets.labels.unique().tolist() == [0, 1, 2]
    row, column = 4, 5
    assert targets.labels[0, row, column] == 2
    assert targets.depth[0, row, column] == pytest.approx(0.7)
    middle = 4 * (np.array([column, row]) + 0.5) - 0.5
    offset = np.array([25.0, 22.0]) - middle
    assert targets.offset[0, :, row, column].tolist() == pytest.approx(offset.tolist())
    unit = offset / np.linalg.norm(offset)
    assert targets.direction[0, :, row, column].tolist() == pytest.approx(unit.tolist(), abs=1e-6)
    background = targets.labels == 0
    assert float(targets.weight[background].abs().max()) == 0
    assert float(targets.weight[~background].min()) > 0


def test_the_truth_costs_nothing():
    targets = two_objects()
    losses = dense_losses(perfect(targets), targets, LossConfig())
    for name in ("segmentation", "direction", "depth", "offset", "rotation"):
        assert float(getattr(losses, name)) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", ["direction", "depth", "offset"])
def test_wrong_centres_count_on_objects_only(name):
    targets = two_objects()
    right = perfect(targets)
    shown = (targets.labels > 0)[:, None]

    def spoiled(where):
        parts = {"direction": right.direction, "depth": right.depth, "offset": right.offset}
        where = where if name == "depth" else where[:, :, None]
        parts[name] = torch.where(where, parts[name] * -0.5 + 0.1, parts[name])
        prediction = Prediction(right.logits, features=(), stride=4, **parts)
        return float(getattr(dense_losses(prediction, targets, LossConfig()), name))

    assert spoiled(shown) > 0.05
    assert spoiled(~shown) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("background", [0.1, 0.4, 1.0])
def test_a_cell_that_an_outline_cuts_becomes_the_mix_of_its_pixels(background):
    instances = np.full((64, 96), -1)
    instances[8:41, 8:40] = 0
    centre, depth = np.array([[25.0, 22.0]]), np.array([0.7])
    targets = dense_targets(instances, np.array([2]), centre, depth, 4)
    assert targets.pixels.shape == (1, 16, 16, 24)
    assert int((targets.pixels[0, :, 10, 5] == 2).sum()) == 4  # one of its four rows
    share = (targets.pixels == 2).float().mean(dim=1)
    mixed = torch.stack([1 - share, 0 * share, share, 0 * share], dim=1).clamp(min=1e-9)

    def cost(probability):
        other = (targets.direction[:, None], targets.depth[:, None], targets.offset[:, None])
        prediction = Prediction(probability.log(), *other, (), 4)
        config = LossConfig(background=background)
        return float(dense_losses(prediction, targets, config).segmentation)

    hard = torch.nn.functional.one_hot(targets.labels, 4).permute(0, 3, 1, 2).float()
    assert cost(mixed) < cost(0.95 * mixed + 0.05 * hard) < cost(0.8 * mixed + 0.2 * hard)


def test_a_background_cell_costs_less():
    targets = two_objects()
    flat = Prediction(
        torch.zeros(1, 4, 16, 24),
        targets.direction[:, None],
        targets.depth[:, None],
        targets.offset[:, None],
        (),
        4,
    )
    tilted = flat.logits.clone()
    tilted[:, 0] = 2.0
    towards_background = Prediction(tilted, flat.direction, flat.depth, flat.offset, (), 4)
    few = dense_losses(towards_background, targets, LossConfig(background=0.1)).segmentation
    many = dense_losses(towards_background, targets, LossConfig(background=1.0)).segmentation
    assert few > many


def test_an_image_without_objects_has_a_loss_and_a_gradient():
    targets = dense_targets(
        np.full((64, 96), -1), np.zeros(0, dtype=int), np.zeros((0, 2)), np.zeros(0), 4
    )
    network = make_network(NetworkConfig(("a", "b", "c")))
    prediction = network(torch.rand(1, 3, 64, 96), torch.ones(1) * 100)
    total = dense_losses(prediction, targets, LossConfig()).total(LossConfig())
    total.backward()
    assert float(total.detach()) > 0
    assert all(
        torch.isfinite(value.grad).all()
        for value in network.parameters()
        if value.grad is not None
    )


def test_an_object_whose_centre_is_nowhere_only_teaches_its_class():
    instances = np.zeros((32, 32), dtype=int)
    targets = dense_targets(instances, np.array([1]), np.full((1, 2), np.nan), np.array([0.5]), 4)
    assert bool((targets.labels == 1).all())
    assert float(targets.weight.sum()) == 0
    assert all(bool(torch.isfinite(v).all()) for v in (targets.direction, targets.offset))


@pytest.mark.parametrize(
    ("instances", "centres", "message"),
    [
        (np.full((8, 8), 3), np.zeros((1, 2)), "expected indices of 1 objects"),
        (np.full((8, 8), -1), np.zeros((2, 2)), "for 1 classes"),
        (np.full((8, 9), -1), np.zeros((1, 2)), "multiples of 4"),
    ],
)
def test_targets_that_do_not_fit_are_refused(instances, centres, message):
    with pytest.raises(InputError, match=message):
        dense_targets(instances, np.array([1]), centres, np.ones(1), 4)


@pytest.fixture(scope="module")
def models():
    generator = np.random.default_rng(0)
    clouds = [generator.normal(size=(60, 3)) * 0.05 for _ in SYMMETRIES]
    return ModelPoints.of(clouds, SYMMETRIES, max_step_rad=0.1)


def rotation(vector) -> torch.Tensor:
    return torch.from_numpy(SO3.exp(np.array(vector, dtype=np.float64)).matrix.astype(np.float32))


def test_point_matching_forgives_symmetries_and_nothing_else(models):
    truth = rotation([0.3, -0.8, 1.1])[None].expand(3, 3, 3)
    ids = torch.tensor([1, 2, 3])
    half = truth @ rotation([0, 0, math.pi])
    third = truth @ rotation([0, 0, 2.0])
    tilted = truth @ rotation([0.5, 0, 0])
    assert point_matching(truth, truth, ids, models).max() < 1e-4
    by_half = point_matching(half, truth, ids, models)
    assert by_half[0] > 0.1
    assert by_half[1:].max() < 0.01
    by_third = point_matching(third, truth, ids, models)
    assert by_third[:2].min() > 0.1
    assert by_third[2] < 0.02
    assert point_matching(tilted, truth, ids, models).min() > 0.05


def test_point_matching_leads_to_the_truth(models):
    truth = rotation([0.4, 0.2, -0.6])[None]
    vector = torch.zeros(1, 3, requires_grad=True)
    optimiser = torch.optim.Adam([vector], lr=0.05)
    for _ in range(150):
        loss = point_matching(SO3.exp(vector).matrix, truth, torch.tensor([1]), models).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert torch.isfinite(vector.grad).all()
    assert float(loss.detach()) < 0.02


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([np.zeros((4, 3))], "with an extent"),
        ([np.full((4, 3), np.nan)], "finite model points"),
        ([np.zeros((0, 3))], "finite model points"),
        ([], "of each class"),
    ],
)
def test_models_that_make_no_sense_are_refused(points, message):
    with pytest.raises(InputError, match=message):
        ModelPoints.of(points, [Symmetry()] * len(points))


def test_a_network_learns_from_these_losses():
    network = make_network(NetworkConfig(("a", "b", "c"))).train()
    network.freeze(16)
    targets = two_objects()
    image = torch.full((1, 3, 64, 96), 0.2)
    image[:, 0, 8:40, 8:40] = 0.9
    image[:, 2, 30:60, 50:90] = 0.8
    trained = [value for value in network.parameters() if value.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=3e-3)
    totals = []
    for _ in range(30):
        prediction = network(image, torch.tensor([100.0]))
        loss = dense_losses(prediction, targets, LossConfig()).total(LossConfig())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        totals.append(float(loss.detach()))
    assert totals[-1] < 0.3 * totals[0]
    with torch.no_grad():
        prediction = network.eval()(image, torch.tensor([100.0]))
    right = prediction.logits.argmax(dim=1) == targets.labels
    assert float(right.float().mean()) > 0.9
