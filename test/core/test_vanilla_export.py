"""Checkpoints that we write open in the original code: keys, shapes, numbers and optimiser.

The network below is written from the description of the files alone (layers in the order in which
the original makes them, 595844 parameters), and shares no code with this package.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from fast_inerf_ros.fields.vanilla import VanillaField
from fast_inerf_ros.fields.vanilla_file import save_vanilla
from fast_inerf_ros.fields.vanilla_options import (
    VanillaArchitecture,
    VanillaRendering,
    VanillaTraining,
)
from fast_inerf_ros.fields.vanilla_setting import VanillaSetting
from fast_inerf_ros.fields.vanilla_trainer import VanillaTrainer

pytestmark = pytest.mark.usefixtures("one_thread")

KEYS = (
    "global_step",
    "network_fn_state_dict",
    "network_fine_state_dict",
    "optimizer_state_dict",
)
N_PARAMETERS = 595_844


class OriginalNetwork(nn.Module):
    """Eight layers of 256, the input again after the fifth, colour by view direction or not."""

    def __init__(self, view_directions):
        super().__init__()
        self.view_directions = view_directions
        sizes = [(63, 256), *[(256, 256)] * 4, (319, 256), *[(256, 256)] * 2]
        self.pts_linears = nn.ModuleList(nn.Linear(*size) for size in sizes)
        self.views_linears = nn.ModuleList([nn.Linear((27 if view_directions else 0) + 256, 128)])
        if view_directions:
            self.feature_linear = nn.Linear(256, 256)
            self.alpha_linear = nn.Linear(256, 1)
            self.rgb_linear = nn.Linear(128, 3)
        else:
            self.output_linear = nn.Linear(256, 5)

    def forward(self, points, views):
        start = hidden = self.encoded(points, 10)
        for index, layer in enumerate(self.pts_linears):
            hidden = functional.relu(layer(hidden))
            if index == 4:
                hidden = torch.cat([start, hidden], -1)
        if not self.view_directions:
            return self.output_linear(hidden)[..., :4]
        density = self.alpha_linear(hidden)
        seen = torch.cat([self.feature_linear(hidden), self.encoded(views, 4)], -1)
        color = self.rgb_linear(functional.relu(self.views_linears[0](seen)))
        return torch.cat([color, density], -1)

    @staticmethod
    def encoded(values, octaves):
        waves = [wave(2.0**k * values) for k in range(octaves) for wave in (torch.sin, torch.cos)]
        return torch.cat([values, *waves], -1)


@pytest.fixture(params=[True, False], ids=["view directions", "no view directions"])
def trained(request, tmp_path):
    """A full pair of networks after a step, and the file that was written of it."""
    architecture = VanillaArchitecture(view_directions=request.param)
    setting = VanillaSetting(VanillaRendering(n_samples=4, n_importance=4))
    field = VanillaField.untrained(architecture, setting, np.random.default_rng(0))
    trainer = VanillaTrainer(field, VanillaTraining(rays_per_step=8))
    drawn = np.random.default_rng(1).uniform(size=(3, 8, 3)).astype(np.float32)
    origins, directions, targets = torch.from_numpy(drawn)
    trainer.step((origins, -directions - 0.1), targets)
    path = tmp_path / "000001.tar"
    save_vanilla(trainer.checkpoint(), path)
    return field, torch.load(path, weights_only=True), request.param


def test_keys_and_shapes_are_those_of_the_original(trained):
    _, written, view_directions = trained
    assert tuple(written)[:4] == KEYS  # it reads these by name; a fifth is our own
    assert len(written) == 5
    assert written["global_step"] == 1
    expected = OriginalNetwork(view_directions).state_dict()
    for key in KEYS[1:3]:
        assert list(written[key]) == list(expected)
        for name, values in expected.items():
            assert written[key][name].shape == values.shape, name
            assert written[key][name].dtype == torch.float32
    if view_directions:
        assert sum(values.numel() for values in written[KEYS[1]].values()) == N_PARAMETERS


def test_the_original_network_computes_the_same_of_our_file(trained):
    field, written, view_directions = trained
    generator = torch.Generator().manual_seed(2)
    points = torch.rand(5, 3, 3, generator=generator) * 2 - 1
    views = functional.normalize(torch.randn(5, 3, generator=generator), dim=-1)
    for key, ours in zip(KEYS[1:3], (field.networks.coarse, field.networks.fine), strict=True):
        network = OriginalNetwork(view_directions)
        network.load_state_dict(written[key])
        with torch.no_grad():
            raw = network(points, views[:, None, :].expand(5, 3, 3))
            torch.testing.assert_close(ours(points, views)[..., :4], raw, rtol=1e-4, atol=1e-5)


def test_the_original_optimiser_goes_on_where_ours_ended(trained):
    _, written, view_directions = trained
    networks = [OriginalNetwork(view_directions) for _ in range(2)]
    parameters = [value for network in networks for value in network.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=5e-4, betas=(0.9, 0.999))
    optimizer.load_state_dict(written["optimizer_state_dict"])
    trained_ones = [value for value in parameters if value in optimizer.state]
    assert len(trained_ones) >= 36  # views_linears is there and not used without directions
    for value in trained_ones:
        assert optimizer.state[value]["exp_avg"].shape == value.shape
        assert optimizer.state[value]["exp_avg_sq"].shape == value.shape
        assert int(optimizer.state[value]["step"]) == 1
    for value in parameters:
        value.grad = torch.zeros_like(value)
    optimizer.step()
    assert all(torch.isfinite(value).all() for value in parameters)
