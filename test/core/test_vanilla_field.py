"""The vanilla field offers what every field offers."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.field import Field, render_world
from fast_inerf_ros.fields.registry import field_class
from fast_inerf_ros.fields.vanilla import VanillaField
from fast_inerf_ros.fields.vanilla_network import NetworkPair
from fast_inerf_ros.fields.vanilla_options import VanillaArchitecture, VanillaRendering
from fast_inerf_ros.fields.vanilla_rendering import Rays, frozen_samples, network_pass
from fast_inerf_ros.fields.vanilla_setting import LegacyRays, VanillaSetting
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.rendering.ndc import NdcFrustum

SMALL = VanillaArchitecture(
    depth=6,
    width=32,
    depth_fine=6,
    width_fine=32,
    position_frequencies=3,
    direction_frequencies=2,
    view_directions=True,
)
FRUSTUM = NdcFrustum(width=40, height=30, focal=40.0)


pytestmark = pytest.mark.usefixtures("one_thread")


def foggy_field(seed: int = 0, ndc: NdcFrustum | None = None, **rendering) -> VanillaField:
    """A field of random fog, dense enough to be seen and thin enough to be seen through."""
    options = VanillaRendering(**{"n_samples": 24, "n_importance": 16, **rendering})
    setting = VanillaSetting(options, near=2.0, far=6.0, ndc=ndc)
    field = VanillaField.untrained(SMALL, setting, np.random.default_rng(seed))
    with torch.no_grad():
        for network in (field.networks.coarse, field.networks.fine):
            if network is not None:
                network.alpha_linear.weight.mul_(1.5)
                network.rgb_linear.weight.mul_(6.0)
                network.alpha_linear.bias.fill_(0.5)
    return field


def rays(n_rays: int = 12, seed: int = 1, dtype: torch.dtype = torch.float32):
    generator = np.random.default_rng(seed)
    origins = generator.uniform(-0.2, 0.2, (n_rays, 3)) + np.array([0.0, 0.0, 0.3])
    directions = generator.uniform(-0.3, 0.3, (n_rays, 3)) + np.array([0.0, 0.0, -1.0])
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    return torch.from_numpy(origins).to(dtype), torch.from_numpy(directions).to(dtype)


def in_double(field: VanillaField) -> VanillaField:
    for network in (field.networks.coarse, field.networks.fine):
        if network is not None:
            network.double()
    return field


def test_it_is_a_field_known_by_its_name():
    assert field_class("vanilla") is VanillaField
    assert isinstance(foggy_field(), Field)


def test_rendering_gives_colours_depths_and_opacities_without_gradient():
    seen = foggy_field().render(*rays())
    assert seen.color.shape == (12, 3)
    assert bool(((seen.color >= 0) & (seen.color <= 1)).all())
    assert bool(((seen.opacity > 0.2) & (seen.opacity <= 1)).all())
    assert bool(((seen.depth >= 2) & (seen.depth <= 6)).all())
    median = seen.median_depth[~seen.median_depth.isnan()]
    assert len(median) > 0
    assert bool(((median >= 2) & (median <= 6)).all())
    assert not seen.color.requires_grad


@pytest.mark.parametrize("ndc", [None, FRUSTUM])
def test_chunks_do_not_change_what_is_seen(ndc):
    whole = foggy_field(ndc=ndc).render(*rays())
    parts = foggy_field(ndc=ndc, rays_per_chunk=5, points_per_chunk=50).render(*rays())
    torch.testing.assert_close(whole.color, parts.color)
    torch.testing.assert_close(whole.depth, parts.depth)


def test_no_rays_give_an_empty_rendering():
    seen, jacobians = foggy_field().render_with_ray_derivatives(
        torch.zeros(0, 3), torch.zeros(0, 3)
    )
    assert seen.color.shape == (0, 3)
    assert jacobians.color_origin.shape == (0, 3, 3)
    assert foggy_field().render(torch.zeros(0, 3), torch.zeros(0, 3)).depth.shape == (0,)


def test_a_given_background_stands_behind_the_scene():
    field = foggy_field()
    black = field.render(*rays())
    behind = torch.tensor([0.2, 0.5, 0.9])
    seen = field.render(*rays(), background=behind)
    expected = black.color + (1 - black.opacity[:, None]) * behind
    torch.testing.assert_close(seen.color, expected)
    white = foggy_field(white_background=True).render(*rays())
    torch.testing.assert_close(white.color, black.color + 1 - black.opacity[:, None])


@pytest.mark.parametrize("ndc", [None, FRUSTUM])
def test_a_field_of_nothing_has_no_depth_and_shows_the_background(ndc):
    field = foggy_field(ndc=ndc, white_background=True)
    with torch.no_grad():
        for network in (field.networks.coarse, field.networks.fine):
            network.alpha_linear.weight.zero_()
            network.alpha_linear.bias.fill_(-1.0)
    seen, jacobians = field.render_with_ray_derivatives(*rays())
    assert bool(seen.depth.isnan().all())
    assert bool(seen.median_depth.isnan().all())
    torch.testing.assert_close(seen.color, torch.ones(12, 3))
    for jacobian in (jacobians.depth_origin, jacobians.depth_direction, jacobians.color_origin):
        assert float(jacobian.abs().max()) == 0.0


def test_limits_of_the_caller_override_those_of_the_training():
    field = foggy_field()
    near, far = torch.linspace(2.5, 3.0, 12), torch.linspace(3.5, 5.0, 12)
    seen = field.render(*rays(), near=near, far=far)
    assert bool(((seen.depth >= near) & (seen.depth <= far)).all())


def test_legacy_fields_see_as_deep_at_the_corner_as_in_the_middle():
    legacy = LegacyRays(width=40, height=30, focal=20.0)
    setting = VanillaSetting(near=2.0, far=6.0, legacy_rays=legacy)
    bearings = legacy.camera().bearings(np.array([[0.0, 0.0], [20.0, 15.0]]))
    _, far = setting.limits(torch.zeros(1), torch.full((1,), torch.inf))
    assert float(far) * bearings[0, 2] == pytest.approx(6.0)
    assert (legacy.camera().cx, legacy.camera().cy) == (20.0, 15.0)


@pytest.mark.parametrize("ndc", [None, FRUSTUM])
def test_ray_derivatives_are_those_of_finite_differences_at_frozen_samples(ndc):
    field = in_double(foggy_field(3, ndc, linear_in_disparity=ndc is None))
    origins, directions = rays(dtype=torch.float64)
    limits = field.setting.limits(torch.zeros(12).double(), torch.full((12,), torch.inf).double())
    sampled = Rays.through(origins, directions, *limits, ndc)
    network, distances = frozen_samples(field.networks, sampled, field.setting.rendering)

    def outputs(origins, directions):
        moved = Rays.through(origins, directions, *limits, ndc)
        with torch.no_grad():
            seen = network_pass(network, moved, distances, field.setting.rendering).composited
        depth = seen.depth()
        if ndc is not None:
            depth = ndc.from_ndc_distance(depth, origins, directions)
        return torch.cat([seen.color, depth[:, None]], dim=-1)

    step = 1e-6
    seen, jacobians = field.render_with_ray_derivatives(origins, directions)
    torch.testing.assert_close(
        outputs(origins, directions), torch.cat([seen.color, seen.depth[:, None]], dim=-1)
    )
    for axis in range(3):
        offset = step * torch.eye(3, dtype=torch.float64)[axis]
        for side, color, depth in (
            ((offset, 0 * offset), jacobians.color_origin, jacobians.depth_origin),
            ((0 * offset, offset), jacobians.color_direction, jacobians.depth_direction),
        ):
            after = outputs(origins + side[0], directions + side[1])
            before = outputs(origins - side[0], directions - side[1])
            expected = (after - before) / (2 * step)
            found = torch.cat([color[:, :, axis], depth[:, None, axis]], dim=-1)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_rays_that_ask_for_a_gradient_get_one():
    field = foggy_field()
    origins, directions = rays()
    origins.requires_grad_()
    field.render(origins, directions).color.sum().backward()
    _, jacobians = field.render_with_ray_derivatives(*rays())
    torch.testing.assert_close(origins.grad, jacobians.color_origin.sum(1), rtol=1e-3, atol=1e-4)


def test_derivatives_leave_the_rays_and_the_networks_alone():
    field = foggy_field()
    origins, directions = rays()
    seen, _ = field.render_with_ray_derivatives(origins, directions)
    assert not origins.requires_grad
    assert not seen.color.requires_grad
    assert all(values.grad is None for values in field.networks.parameters())
    assert torch.equal(seen.color, field.render(origins, directions).color)


@pytest.mark.parametrize("ndc", [None, FRUSTUM])
def test_quadrature_of_queries_gives_the_rendering(ndc):
    # Many uniform samples without the importance pass, against density per field unit.
    field = foggy_field(5, ndc, n_samples=3000, n_importance=0)
    origins, directions = rays(4)
    far = 40.0 if ndc else 6.0
    seen = field.render(origins, directions, near=2.0, far=far)
    distances = torch.linspace(2.0, far, 20_001)
    points = origins[:, None] + distances[None, :, None] * directions[:, None]
    each = directions[:, None].expand(points.shape).reshape(-1, 3)
    density, color = field.query(points.reshape(-1, 3), each)
    step = float(distances[1] - distances[0])
    inside = density.reshape(4, -1)[:, :-1].double() * step
    arriving = torch.exp(-torch.cumsum(inside, -1) + inside)
    weights = arriving * (1 - torch.exp(-inside))
    # What is dense at the last sample is opaque behind it, in the quadrature of the original.
    last = (1.0 - weights.sum(-1)) * (density.reshape(4, -1)[:, -1] > 0)
    color = color.reshape(4, -1, 3).double()
    expected = (weights[..., None] * color[:, :-1]).sum(1) + last[:, None] * color[:, -1]
    torch.testing.assert_close(seen.color.double(), expected, rtol=0.0, atol=5e-3)


def test_queries_outside_of_the_normalised_cube_find_nothing():
    field = foggy_field(ndc=FRUSTUM)
    points = torch.tensor([[0.0, 0.0, -0.5], [0.0, 0.0, 2.0], [3.0, 0.0, -2.0], [0.0, 0.0, -3.0]])
    density, _ = field.query(points, torch.tensor([[0.0, 0.0, -1.0]]).expand(4, 3))
    assert density[:3].tolist() == [0.0, 0.0, 0.0]
    assert bool(torch.isfinite(density).all())


def test_rays_away_from_a_forward_facing_scene_see_only_the_background():
    origins, directions = rays(3)
    directions[1] = torch.tensor([0.0, 0.0, 1.0])
    directions[2] = torch.tensor([1.0, 0.0, 0.0])
    seen, jacobians = foggy_field(ndc=FRUSTUM).render_with_ray_derivatives(origins, directions)
    assert float(seen.opacity[0]) > 0.1
    assert seen.opacity[1:].tolist() == [0.0, 0.0]
    assert bool(seen.depth[1:].isnan().all())
    assert float(seen.color[1:].abs().max()) == 0.0
    assert all(
        bool(torch.isfinite(values).all())
        for values in (jacobians.color_origin, jacobians.depth_origin, jacobians.depth_direction)
    )


def test_forward_facing_depths_are_distances_in_field_units():
    field = foggy_field(ndc=FRUSTUM, n_importance=64)
    with torch.no_grad():  # a wall: dense where the normalised depth exceeds that of z = -3
        for network in (field.networks.coarse, field.networks.fine):
            for values in network.parameters():
                values.zero_()
            network.pts_linears[0].weight[0, 2] = 1.0
            network.pts_linears[0].bias[0] = -(1.0 - 2.0 / 3.0)
            for layer in list(network.pts_linears)[1:5]:
                layer.weight[0, 0] = 1.0
            network.pts_linears[5].weight[0, -32] = 1.0
            network.alpha_linear.weight[0, 0] = 1e5
    origins, directions = rays()
    seen = field.render(origins, directions)
    expected = (-3.0 - origins[:, 2]) / directions[:, 2]
    torch.testing.assert_close(seen.depth, expected, rtol=0.05, atol=0.0)
    torch.testing.assert_close(seen.median_depth, expected, rtol=0.05, atol=0.0)


def test_world_rays_are_rendered_in_metres():
    frame = FieldFrame(SE3.random(np.random.default_rng(2)), metres_per_unit=0.25)
    field = foggy_field().in_frame(frame)
    origins, directions = rays()
    rotation = torch.from_numpy(frame.matrix()[:3, :3]).float()
    translation = torch.from_numpy(frame.matrix()[:3, 3]).float()
    world = (0.25 * origins @ rotation.T + translation, directions @ rotation.T)
    seen, expected = render_world(field, *world), field.render(origins, directions)
    torch.testing.assert_close(seen.color, expected.color, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(seen.depth, 0.25 * expected.depth, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("ndc", [None, FRUSTUM])
@pytest.mark.parametrize("n_importance", [0, 16])
def test_a_field_is_restored_from_its_state(ndc, n_importance):
    box = ((-1.0, -2.0, -3.0), (1.0, 2.0, 3.0))
    field = foggy_field(4, ndc, n_importance=n_importance)
    setting = replace(field.setting, box=box, legacy_rays=LegacyRays(40, 30, 20.0))
    frame = FieldFrame(SE3.random(np.random.default_rng(2)), 0.5, metric=True)
    field = field.with_setting(setting).in_frame(frame)
    state = field.state()
    state = replace(state, metadata=json.loads(json.dumps(state.metadata)))
    restored = VanillaField.from_state(state)
    assert restored.setting == setting
    assert restored.frame.metres_per_unit == 0.5
    assert torch.equal(restored.render(*rays()).color, field.render(*rays()).color)
    np.testing.assert_array_equal(restored.bounds, box)


def test_every_difference_of_a_state_is_listed_in_one_line():
    state = foggy_field().state()
    arrays = dict(state.arrays)
    del arrays["coarse.rgb_linear.bias"]
    arrays["coarse.alpha_linear.weight"] = np.zeros((1, 7), np.float32)
    arrays["coarse.surplus"] = np.zeros(3, np.float32)
    with pytest.raises(InputError) as caught:
        VanillaField.from_state(replace(state, arrays=arrays))
    message = str(caught.value)
    assert "missing rgb_linear.bias (3,)" in message
    assert "alpha_linear.weight expected (1, 32) got (1, 7)" in message
    assert "unknown surplus" in message
    assert "\n" not in message


def test_bounds_follow_from_the_limits_or_the_frustum():
    np.testing.assert_allclose(foggy_field().bounds, [[-2, -2, -2], [2, 2, 2]])
    low, high = foggy_field(ndc=FRUSTUM).bounds.numpy()
    np.testing.assert_allclose(high[2], -1.0)
    np.testing.assert_allclose(low[2], -5.0)
    inside = FRUSTUM.points(torch.tensor([[high[0], high[1], low[2]]], dtype=torch.float64))
    np.testing.assert_allclose(inside[0, :2], [1.0, 1.0], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"near": 3.0, "far": 2.0}, "near and far: expected 0 <= near < far"),
        ({"near": math.nan}, "near and far"),
        ({"far": math.inf}, "near and far"),
        ({"box": ((0.0, 0.0, 0.0), (1.0, 0.0, 1.0))}, "box: expected the smaller corner first"),
        ({"box": ((0.0, 0.0), (1.0, 1.0))}, "box: expected two corners"),
        (
            {"near": 0.0, "rendering": VanillaRendering(linear_in_disparity=True)},
            "near: expected > 0",
        ),
    ],
)
def test_a_degenerate_setting_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        VanillaSetting(**{"near": 2.0, "far": 6.0, **change})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(4, 2), torch.zeros(4, 2)), "rays: expected"),
        ((torch.zeros(4, 3), torch.zeros(5, 3)), "rays: expected"),
        ((torch.zeros(4, 3), torch.ones(4, 3), torch.zeros(3)), "near: expected one number"),
    ],
)
def test_misshapen_rays_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        foggy_field().render(*arguments)


def test_a_misshapen_background_is_refused():
    with pytest.raises(InputError, match="background: expected a colour"):
        foggy_field().render(*rays(), background=torch.zeros(2))


def test_a_fine_network_without_fine_samples_is_refused():
    field = foggy_field()
    setting = replace(field.setting, rendering=VanillaRendering(n_importance=0))
    with pytest.raises(InputError, match="n_importance"):
        VanillaField(field.networks, setting)
    alone = NetworkPair(field.networks.coarse, None)
    assert VanillaField(alone, setting).render(*rays()).color.shape == (12, 3)


def test_a_network_that_would_end_in_its_skip_connection_is_refused():
    architecture = VanillaArchitecture(depth=5)
    with pytest.raises(InputError, match="layers of a network"):
        VanillaField.untrained(architecture, VanillaSetting(), np.random.default_rng(0))


def test_points_that_are_not_on_rays_are_refused():
    """They would be broadcast against the directions, which takes gigabytes."""
    network = foggy_field().networks.best
    with pytest.raises(InputError, match=r"expected shape \(N, S, 3\), got \(7, 3\)"):
        network(torch.zeros(7, 3), torch.zeros(7, 3))
