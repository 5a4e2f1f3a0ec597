"""Analytic Jacobians by the ray agree with finite differences and with autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import voxel_scenes as scenes

from fast_inerf_ros.fields.field import render_world, render_world_with_ray_derivatives
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.geometry.se3 import SE3, SO3
from fast_inerf_ros.rendering import reference

KINDS = pytest.mark.parametrize("contracted", [False, True])
CUTOFF = 1e-4


def scene(contracted, seed=0, count=200):
    field = scenes.field_of(scenes.random_grid(seed, contracted), cutoff=CUTOFF)
    rays = scenes.random_rays(seed + 1, count, distance=1.5 if contracted else 3.0)
    return field, rays, torch.rand(count, 3, generator=torch.Generator().manual_seed(seed))


def frozen(field, rays, background):
    """Colour and depth of rays whose samples stay at their distances, in float64."""
    where = scenes.samples(field, *rays)
    twin = scenes.dense_twin(field)

    def render(origins, directions):
        composite = reference.render(
            twin, origins, directions, *where, background.double(), CUTOFF
        )
        return composite.color, composite.depth, composite.opacity

    return render


@KINDS
def test_jacobians_agree_with_autograd_of_the_reference(contracted):
    field, rays, background = scene(contracted)
    _, jacobians = field.render_with_ray_derivatives(*rays, background=background)
    render = frozen(field, rays, background)
    origins, directions = (r.double().requires_grad_() for r in rays)
    color, depth, opacity = render(origins, directions)
    for channel in range(3):
        by_origin, by_direction = torch.autograd.grad(
            color[:, channel].sum(), (origins, directions), retain_graph=True
        )
        for mine, true in (
            (jacobians.color_origin[:, channel], by_origin),
            (jacobians.color_direction[:, channel], by_direction),
        ):
            scale = true.abs().max()
            assert (mine.double() - true).abs().max() < 2e-3 * scale
    hit = opacity > 0.3
    by_origin, by_direction = torch.autograd.grad(depth[hit].sum(), (origins, directions))
    assert (jacobians.depth_origin - by_origin)[hit].abs().max() < 5e-3 * by_origin.abs().max()
    difference = (jacobians.depth_direction - by_direction)[hit].abs().max()
    assert difference < 5e-3 * by_direction.abs().max()


@KINDS
@pytest.mark.parametrize("axis", range(3))
def test_jacobians_correlate_with_finite_differences_on_every_axis(contracted, axis):
    field, rays, background = scene(contracted, seed=axis + 1)
    _, jacobians = field.render_with_ray_derivatives(*rays, background=background)
    render = frozen(field, rays, background)
    step = torch.zeros(3, dtype=torch.float64)
    step[axis] = 1e-4
    origins, directions = (r.double() for r in rays)
    for number, mine in enumerate((jacobians.color_origin, jacobians.color_direction)):
        moved = [(origins, directions), (origins, directions)]
        plus, minus = (
            render(*(p + sign * step if i == number else p for i, p in enumerate(pair)))[0]
            for sign, pair in zip((1, -1), moved, strict=True)
        )
        difference = ((plus - minus) / 2e-4).flatten()
        correlation = np.corrcoef(mine[:, :, axis].flatten().numpy(), difference.numpy())[0, 1]
        assert correlation >= 0.99


def test_rendering_with_derivatives_renders_the_same():
    field, rays, background = scene(False)
    plain = field.render(*rays, background=background)
    with_derivatives, _ = field.render_with_ray_derivatives(*rays, background=background)
    for name in ("color", "depth", "median_depth", "opacity"):
        torch.testing.assert_close(
            getattr(plain, name), getattr(with_derivatives, name), equal_nan=True
        )


def test_rays_that_meet_nothing_have_no_derivatives():
    field, rays, _ = scene(False)
    away = (rays[0], -rays[1])
    seen, jacobians = field.render_with_ray_derivatives(*away)
    assert (seen.opacity == 0).all()
    for values in vars(jacobians).values():
        assert (values == 0).all()


def test_world_rays_see_the_same_field_in_metres():
    field, rays, background = scene(False)
    generator = np.random.default_rng(0)
    pose = SE3(SO3.random(generator), np.array([1.0, -2.0, 0.5]))
    moved = field.with_frame(FieldFrame(pose, metres_per_unit=2.5, metric=True))
    rotation = torch.tensor(pose.rotation.matrix, dtype=torch.float32)
    offset = torch.tensor(pose.translation, dtype=torch.float32)
    origins, directions = 2.5 * rays[0] @ rotation.T + offset, rays[1] @ rotation.T
    here = field.render(*rays, background=background)
    there = render_world(moved, origins, directions, background=background)
    assert (here.color - there.color).abs().max() < 2e-2
    assert (here.color - there.color).abs().mean() < 1e-4
    _, in_field = field.render_with_ray_derivatives(*rays, background=background)
    _, in_world = render_world_with_ray_derivatives(
        moved, origins, directions, background=background
    )
    expected = (in_field.color_origin @ rotation.T / 2.5).flatten()
    got = in_world.color_origin.flatten()
    assert np.corrcoef(expected.numpy(), got.numpy())[0, 1] > 0.999
    depth = (in_field.depth_origin @ rotation.T).flatten()
    assert np.corrcoef(depth.numpy(), in_world.depth_origin.flatten().numpy())[0, 1] > 0.99
