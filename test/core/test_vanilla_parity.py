"""The vanilla field gives the figures of the original code.

`golden_nerf.npz` holds the NeRF arrays of the seed project's golden values; weights come from
numpy's RandomState. `vanilla_training.npz` and `nerf_pytorch.tar` were computed with
nerf-pytorch itself (commit 63a5a63): six steps of its training loop, without randomness, on the
same kind of weights, for four configurations.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fast_inerf_ros.fields.vanilla import VanillaField
from fast_inerf_ros.fields.vanilla_file import load_vanilla
from fast_inerf_ros.fields.vanilla_network import NetworkPair, NetworkShape, restored
from fast_inerf_ros.fields.vanilla_options import VanillaRendering, VanillaTraining
from fast_inerf_ros.fields.vanilla_rendering import Rays, render_rays
from fast_inerf_ros.fields.vanilla_setting import LegacyRays, VanillaSetting
from fast_inerf_ros.fields.vanilla_trainer import VanillaTrainer
from fast_inerf_ros.geometry import conventions
from fast_inerf_ros.rendering.ndc import NdcFrustum

DATA = Path(__file__).parents[1] / "data"
BACKGROUNDS = {"black": 0.0, "white": 1.0}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def golden():
    with np.load(DATA / "golden_nerf.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@pytest.fixture(scope="module")
def trained():
    with np.load(DATA / "vanilla_training.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def network_by_recipe(shape: NetworkShape, seed: int):
    state = {}
    for index, name in enumerate(sorted(shape.parameters())):
        size = shape.parameters()[name]
        drawn = np.random.RandomState(seed + index).standard_normal(size).astype(np.float32)
        gain = 1.6 / np.sqrt(np.prod(size[1:])) if len(size) > 1 else 0.1
        state[name] = torch.from_numpy((drawn * gain).astype(np.float32))
    return restored(state, "recipe")


@pytest.fixture(scope="module")
def golden_networks():
    shape = NetworkShape(8, 256, 10, 4)
    return NetworkPair(network_by_recipe(shape, 0), network_by_recipe(shape, 100))


def golden_setting(background: str) -> VanillaSetting:
    rendering = VanillaRendering(
        n_samples=32, n_importance=64, white_background=background == "white"
    )
    return VanillaSetting(rendering, near=2.0, far=6.0)


def largest_difference(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first.reshape(-1) - second.reshape(-1)).abs().max())


def mean_difference(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first.reshape(-1) - second.reshape(-1)).abs().mean())


def test_a_network_has_the_number_of_parameters_of_the_original(golden_networks):
    assert sum(values.numel() for values in golden_networks.coarse.parameters()) == 595_844


def test_the_fine_network_gives_the_golden_raw_output(golden, golden_networks):
    with torch.no_grad():
        raw = golden_networks.fine(golden["nerf_points"][:, None], golden["nerf_dirs"])
    assert largest_difference(raw, golden["nerf_fine_raw"]) < 1e-4


def test_ndc_rays_are_golden(golden):
    origins = torch.tensor([[0.1, 0.2, 0.3], [-0.3, 0.1, 0.2]])
    directions = torch.tensor([[0.05, -0.1, -1.0], [0.2, 0.1, -1.0]])
    ndc = NdcFrustum(width=504, height=378, focal=408.0).rays(origins, directions)
    assert largest_difference(ndc[0], golden["ndc_o"]) < 1e-6
    assert largest_difference(ndc[1], golden["ndc_d"]) < 1e-6


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_renders_are_golden(golden, golden_networks, background):
    setting = golden_setting(background)
    origins, directions = (golden[f"nerf_rays_{name}"].reshape(-1, 3) for name in "od")
    near, far = torch.full((len(origins),), 2.0), torch.full((len(origins),), 6.0)
    with torch.no_grad():
        final, coarse = render_rays(
            golden_networks, Rays.through(origins, directions, near, far, None), setting.rendering
        )
    behind = torch.full((3,), BACKGROUNDS[background])
    for name, rendered in (
        ("rgb", final.composited.over(behind)),
        ("acc", final.composited.opacity),
        ("disp", final.composited.disparity()),
        ("rgb0", coarse.composited.over(behind)),
    ):
        assert largest_difference(rendered, golden[f"nerf_{name}_{background}"]) < 1e-4, name


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_the_field_renders_golden_colours(golden, golden_networks, background):
    field = VanillaField(golden_networks, golden_setting(background))
    origins, directions = (golden[f"nerf_rays_{name}"].reshape(-1, 3) for name in "od")
    seen = field.render(origins, directions, near=2.0, far=6.0)
    assert largest_difference(seen.color, golden[f"nerf_rgb_{background}"]) < 1e-4
    assert largest_difference(seen.opacity, golden[f"nerf_acc_{background}"]) < 1e-4
    by_own_limits = field.render(origins, directions)
    assert torch.equal(by_own_limits.color, seen.color)


def test_unit_directions_give_golden_colours_too(golden, golden_networks):
    # Rounding of the points differs and random weights amplify it, on a few rays visibly.
    origins, directions = (golden[f"nerf_rays_{name}"].reshape(-1, 3) for name in "od")
    length = torch.linalg.vector_norm(directions, dim=-1)
    field = VanillaField(golden_networks, golden_setting("black"))
    seen = field.render(origins, directions / length[:, None], 2.0 * length, 6.0 * length)
    error = (seen.color.reshape(-1) - golden["nerf_rgb_black"].reshape(-1)).abs()
    assert float(error.median()) < 1e-5
    assert float(error.max()) < 2e-3


def test_legacy_rays_are_those_of_the_original(golden):
    height, width, focal = (float(value) for value in golden["nerf_hwf"])
    camera = LegacyRays(int(width), int(height), focal).camera()
    bearings = camera.bearings(camera.pixel_grid())
    pose = np.vstack([golden["nerf_camera_to_world_gl"].numpy(), [0.0, 0.0, 0.0, 1.0]])
    rotation = conventions.opengl_to_opencv(pose)[:3, :3]
    expected = golden["nerf_rays_d"].numpy()
    expected = expected / np.linalg.norm(expected, axis=-1, keepdims=True)
    np.testing.assert_allclose(bearings @ rotation.T, expected, atol=1e-6)


def field_as_trained(which: str) -> VanillaField:
    rendering = VanillaRendering(
        n_samples=12,
        n_importance=0 if which == "coarse" else 10,
        linear_in_disparity=which == "plain",
        white_background=which == "blender",
        rays_per_chunk=25,
        points_per_chunk=4096,
    )
    ndc = NdcFrustum(32, 24, 30.0) if which == "llff" else None
    octaves = None if which == "plain" else 2
    n_outputs = 4 if which == "coarse" else 5
    coarse = network_by_recipe(NetworkShape(6, 16, 6, octaves, n_outputs), 0)
    fine = network_by_recipe(NetworkShape(7, 24, 6, octaves, n_outputs), 100)
    networks = NetworkPair(coarse, None if which == "coarse" else fine)
    return VanillaField(networks, VanillaSetting(rendering, near=2.0, far=6.0, ndc=ndc))


@pytest.mark.parametrize("which", ["blender", "llff", "plain", "coarse"])
def test_training_follows_the_original_step_by_step(trained, which):
    options = VanillaTraining(learning_rate=1e-2, learning_rate_decay=1, perturb=0.0)
    trainer = VanillaTrainer(field_as_trained(which), options)
    rays = (trained["origins"], trained["directions"])
    losses = [float(trainer.step(rays, trained["targets"]).loss) for _ in range(6)]
    # Adam divides by the size of gradients, so that their rounding grows from step to step.
    np.testing.assert_allclose(losses[:4], trained[f"{which}_losses"][:4], rtol=1e-4)
    np.testing.assert_allclose(losses, trained[f"{which}_losses"], rtol=2e-3)
    seen = trainer.field.render(*rays)
    assert mean_difference(seen.color, trained[f"{which}_rgb"]) < 1e-3
    assert mean_difference(seen.opacity, trained[f"{which}_acc"]) < 1e-3


def test_a_checkpoint_of_the_original_code_renders_as_it_did_there(trained):
    loaded = load_vanilla(DATA / "nerf_pytorch.tar")
    assert loaded.step == 6
    assert loaded.setting is None
    field = loaded.field(field_as_trained("blender").setting)
    seen = field.render(trained["origins"], trained["directions"])
    assert largest_difference(seen.color, trained["blender_rgb"]) < 1e-4
    assert largest_difference(seen.opacity, trained["blender_acc"]) < 1e-4
