"""Gradients of the training kernel: right, and the same however many threads compute them."""

from __future__ import annotations

import pytest
import torch
import voxel_scenes as scenes

from fast_inerf_ros.rendering import reference
from fast_inerf_ros.rendering.rays import RayBatch
from fast_inerf_ros.training.voxel_batch import (
    GradientBuffers,
    LossOptions,
    Rates,
    accumulate,
    update,
)

CUTOFF = 1e-4


def batch(seed, count, distance=3.0):
    generator = torch.Generator().manual_seed(seed)
    rays = scenes.random_rays(seed, count, distance=distance)
    target, background = (torch.rand(count, 3, generator=generator) for _ in range(2))
    return RayBatch(*rays, target, background), torch.rand(count, generator=generator)


REACH = 2.8


def gradients(field, rays, jitter, distortion, light_cutoff=CUTOFF, nearness=0.0, huber=2.0):
    buffers = GradientBuffers(field.grid, 512)
    loss = LossOptions(distortion, nearness, REACH, CUTOFF, light_cutoff, huber)
    results = accumulate(field.grid, field.struct, rays, 0.0, 1e10, jitter, loss, buffers)
    return results, buffers


@pytest.mark.parametrize("contracted", [False, True])
@pytest.mark.parametrize(
    ("distortion", "nearness", "huber"),
    [(0.0, 0.0, 2.0), (0.1, 0.0, 2.0), (0.0, 0.3, 2.0), (0.0, 0.0, 0.2)],
)
def test_gradients_of_the_voxels_are_those_of_the_reference(
    contracted, distortion, nearness, huber
):
    field = scenes.field_of(scenes.random_grid(7, contracted))
    rays, jitter = batch(8, 200, 1.5 if contracted else 3.0)
    results, buffers = gradients(field, rays, jitter, distortion, nearness=nearness, huber=huber)
    twin = scenes.dense_twin(field)
    density, color = twin.density.requires_grad_(), twin.color.requires_grad_()
    samples = scenes.samples(field, rays.origins, rays.directions, jitter)
    lines = (rays.origins.double(), rays.directions.double())
    seen = reference.render(twin, *lines, *samples, rays.background.double(), CUTOFF)
    near = (seen.weights * (1.0 - samples[0] / REACH).clamp(min=0.0)).sum(-1)
    assert near.mean() > 0.0
    # torch's loss is half of the square below delta.
    loss = 2.0 * torch.nn.functional.huber_loss(seen.color, rays.target.double(), delta=huber)
    loss = loss + distortion * seen.distortion.mean() + nearness * near.mean()
    loss.backward()
    torch.testing.assert_close(results.color.double(), seen.color.detach(), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        results.distortion.double(), seen.distortion.detach(), atol=1e-4, rtol=1e-3
    )
    by_density, by_color = buffers.total()
    for mine, true in ((by_density[..., None], density.grad[..., None]), (by_color, color.grad)):
        stored = (field.grid.table > 0).reshape(field.grid.domain.bricks)
        kept = stored.repeat_interleave(4, 0).repeat_interleave(4, 1).repeat_interleave(4, 2)
        error = (scenes.dense_values(field.grid, mine) - true)[kept]
        assert true.abs().max() > 0
        assert error.abs().max() < 1e-3 * true.abs().max()


def test_two_threads_compute_the_gradients_of_one_in_100_runs():
    one = scenes.field_of(scenes.random_grid(11, threads=1))
    two = scenes.field_of(scenes.random_grid(11, threads=2))
    rays, jitter = batch(12, 257)
    _, expected = gradients(one, rays, jitter, 1e-3)
    first = None
    for _ in range(100):
        _, got = gradients(two, rays, jitter, 1e-3)
        for mine, true in zip(got.total(), expected.total(), strict=True):
            assert (mine - true).abs().max() <= 1e-5 * true.abs().max()
        if first is None:
            first = got
        assert torch.equal(got.values, first.values)
        assert torch.equal(got.touched, first.touched)


def test_every_voxel_with_a_gradient_is_marked_and_the_update_clears_all():
    field = scenes.field_of(scenes.random_grid(13, threads=2))
    rays, jitter = batch(14, 200)
    _, buffers = gradients(field, rays, jitter, 0.0)
    bits = (buffers.touched[..., None] >> torch.arange(64)) & 1
    changed = (buffers.values != 0).any(-1).view(bits.shape)
    assert changed.any()
    assert not (changed & (bits == 0)).any()
    before = field.grid.density.clone()
    total, _ = buffers.total()
    total = total.clone()
    moments = torch.zeros(*before.shape, 2)
    update(field.grid, field.struct, moments, buffers, Rates(0.25, 0.1, 0.99))
    moved = field.grid.density - before
    hit = total.abs() > 1e-9
    torch.testing.assert_close(moved[hit], -0.25 * total[hit].sign(), atol=1e-3, rtol=0)
    assert (moved[total == 0] == 0).all()
    assert (buffers.values == 0).all()
    assert (buffers.touched == 0).all()
    assert (field.grid.density[0] == 0).all()


def test_a_descent_step_lowers_the_loss():
    field = scenes.field_of(scenes.random_grid(15))
    rays, jitter = batch(16, 400)
    moments = torch.zeros(*field.grid.density.shape, 2)
    losses = []
    for _ in range(5):
        results, buffers = gradients(field, rays, jitter, 0.0)
        losses.append(float((results.color - rays.target).square().mean()))
        update(field.grid, field.struct, moments, buffers, Rates(0.02, 0.05, 0.99))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.98 * losses[0]


def test_smoothing_pulls_colours_together_whatever_thread_comes_first():
    rays, jitter = batch(20, 400)
    moved = []
    for threads in (1, 2, 2):
        field = scenes.field_of(scenes.random_grid(19, threads=threads))
        _, buffers = gradients(field, rays, jitter, 0.0)
        buffers.values.zero_()  # nothing but smoothing moves the colours
        before = field.grid.color.clone()
        moments = torch.zeros(*field.grid.density.shape, 2)
        for step in range(20):
            touched = buffers.touched.clone()
            rates = Rates(0.1, 1.0, 0.99, 0.1, 1 if step % 2 else -1)
            update(field.grid, field.struct, moments, buffers, rates)
            buffers.touched.copy_(touched)
        moved.append(field.grid.color)
        rough, smooth = (scenes.dense_values(field.grid, c) for c in (before, moved[-1]))
        assert smooth.diff(dim=0).square().mean() < 0.5 * rough.diff(dim=0).square().mean()
        assert torch.equal(moved[-1][0], before[0])
    assert torch.equal(moved[0], moved[1])
    assert torch.equal(moved[1], moved[2])


def test_rays_end_when_scratch_space_is_full():
    field = scenes.field_of(scenes.random_grid(17, mean=0.5))
    rays, jitter = batch(18, 50)
    buffers = GradientBuffers(field.grid, 3)
    results = accumulate(field.grid, field.struct, rays, 0.0, 1e10, jitter, LossOptions(), buffers)
    assert results.n_samples.max() == 3
    assert torch.isfinite(results.color).all()
