"""Training of the vanilla field: it learns, it resumes exactly, it takes the right pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.vanilla import VanillaField
from fast_inerf_ros.fields.vanilla_file import load_vanilla, save_vanilla
from fast_inerf_ros.fields.vanilla_options import (
    VanillaArchitecture,
    VanillaRendering,
    VanillaTraining,
)
from fast_inerf_ros.fields.vanilla_setting import VanillaSetting
from fast_inerf_ros.fields.vanilla_trainer import VanillaTrainer
from fast_inerf_ros.training.pixel_batches import PixelBatches

SMALL = VanillaArchitecture(
    depth=3,
    width=48,
    depth_fine=3,
    width_fine=48,
    position_frequencies=4,
    direction_frequencies=2,
    view_directions=True,
)
RENDERING = VanillaRendering(n_samples=16, n_importance=16)


pytestmark = pytest.mark.usefixtures("one_thread")


def new_trainer(
    rendering: VanillaRendering = RENDERING,
    architecture: VanillaArchitecture = SMALL,
    **training,
) -> VanillaTrainer:
    setting = VanillaSetting(rendering, near=1.0, far=3.0)
    field = VanillaField.untrained(architecture, setting, np.random.default_rng(0))
    return VanillaTrainer(field, VanillaTraining(**{"rays_per_step": 256, **training}))


def ball_batch(step: int, n_rays: int = 256):
    """Rays from around a ball of radius 0.5 with the colours of its normals, on black."""
    generator = np.random.default_rng((99, step))
    origins = generator.normal(size=(n_rays, 3))
    origins *= 2.0 / np.linalg.norm(origins, axis=-1, keepdims=True)
    aims = generator.uniform(-0.6, 0.6, (n_rays, 3))
    directions = aims - origins
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    middle = -(origins * directions).sum(-1)
    squared = 0.25 - (origins**2).sum(-1) + middle**2
    depth = middle - np.sqrt(np.maximum(squared, 0.0))
    hit = squared > 0
    colors = np.where(hit[:, None], 0.5 + origins + depth[:, None] * directions, 0.0)
    rays, targets = np.stack([origins, directions]), np.clip(colors, 0.0, 1.0)
    origins_t, directions_t = torch.from_numpy(rays.astype(np.float32))
    targets_t = torch.from_numpy(targets.astype(np.float32))
    return (origins_t, directions_t), targets_t, torch.from_numpy(np.where(hit, depth, np.nan))


def parameters_of(trainer: VanillaTrainer) -> torch.Tensor:
    return torch.cat([values.detach().ravel() for values in trainer.field.networks.parameters()])


def run(trainer: VanillaTrainer, n_steps: int) -> list[float]:
    losses = []
    for _ in range(n_steps):
        rays, targets, _ = ball_batch(trainer.global_step)
        losses.append(float(trainer.step(rays, targets).loss))
    return losses


def test_a_small_scene_is_learnt_in_colour_and_depth():
    architecture = replace(SMALL, position_frequencies=3, view_directions=False)
    trainer = new_trainer(architecture=architecture, learning_rate=1e-2)
    run(trainer, 200)
    rays, targets, depth = ball_batch(10_000)
    seen = trainer.field.render(*rays)
    error = float(((seen.color - targets) ** 2).mean())
    assert -10 * np.log10(error) > 18.0
    middle = ~depth.isnan() & (seen.opacity > 0.9)
    assert int(middle.sum()) > 100
    assert float((seen.depth - depth)[middle].abs().median()) < 0.1


def test_training_resumed_from_a_file_is_training_never_interrupted(tmp_path):
    options = {"density_noise": 0.5, "learning_rate_decay": 1}
    whole = new_trainer(**options)
    expected = run(whole, 8)
    first = new_trainer(**options)
    assert run(first, 3) == expected[:3]
    save_vanilla(first.checkpoint(), tmp_path / "000003.tar")
    loaded = load_vanilla(tmp_path / "000003.tar")
    resumed = VanillaTrainer.resumed(loaded, loaded.field(), first.options)
    assert run(resumed, 5) == expected[3:]
    assert torch.equal(parameters_of(resumed), parameters_of(whole))
    assert resumed.learning_rate == whole.learning_rate


def test_the_learning_rate_falls_to_a_tenth_over_its_decay():
    trainer = new_trainer(learning_rate=1e-3, learning_rate_decay=2)
    assert trainer.learning_rate == 1e-3
    trainer.global_step = 2000
    run(trainer, 1)
    assert trainer.learning_rate == pytest.approx(1e-4)


def test_jitter_and_noise_depend_on_seed_and_step_alone():
    first = run(new_trainer(), 3)
    assert run(new_trainer(), 3) == first
    other = new_trainer()
    other.options = replace(other.options, seed=1)
    assert run(other, 1) != first[:1]
    without = new_trainer(perturb=0.0)
    without.options = replace(without.options, seed=1)
    assert run(without, 1) == run(new_trainer(perturb=0.0), 1)


@pytest.mark.parametrize("option", [{"perturb": 0.0}, {"density_noise": 1.0}])
def test_perturbation_and_density_noise_change_the_loss(option):
    assert run(new_trainer(**option), 1) != run(new_trainer(), 1)


def test_gradients_in_parts_are_the_gradients_of_the_whole_batch():
    gradients = []
    for size in (256, 50):
        trainer = new_trainer(replace(RENDERING, rays_per_chunk=size), perturb=0.0)
        rays, targets, _ = ball_batch(0)
        stats = trainer.accumulate(rays, targets)
        networks = trainer.field.networks
        gradients.append(torch.cat([values.grad.ravel() for values in networks.parameters()]))
        assert trainer.global_step == 0
        assert float(stats.loss) == pytest.approx(float(stats.error + stats.coarse_error))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-6)


def test_without_fine_samples_one_network_is_trained():
    trainer = new_trainer(VanillaRendering(n_samples=16), learning_rate=3e-3)
    assert trainer.field.networks.fine is None
    rays, targets, _ = ball_batch(0)
    stats = trainer.step(rays, targets)
    assert stats.coarse_error is None
    assert float(stats.loss) == float(stats.error)
    assert stats.psnr_db == pytest.approx(-10 * np.log10(float(stats.error)), abs=1e-4)
    losses = run(trainer, 25)
    assert losses[-1] < losses[0]


def test_white_targets_are_met_without_density_on_a_white_background():
    trainer = new_trainer(replace(RENDERING, white_background=True))
    with torch.no_grad():
        for network in (trainer.field.networks.coarse, trainer.field.networks.fine):
            network.alpha_linear.weight.zero_()
            network.alpha_linear.bias.fill_(-1.0)
    rays, targets, _ = ball_batch(0)
    assert float(trainer.step(rays, torch.ones_like(targets)).loss) == 0.0


@pytest.mark.parametrize(
    "shapes",
    [((4, 3), (4, 3), (4, 4)), ((4, 3), (5, 3), (4, 3)), ((0, 3),) * 3, ((4,),) * 3],
)
def test_a_misshapen_batch_is_refused(shapes):
    origins, directions, targets = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(InputError, match="batch: expected origins, directions and targets"):
        new_trainer().step((origins, directions), targets)


# ---- pixels


def all_pixels(options: VanillaTraining, n_steps: int) -> np.ndarray:
    batches = PixelBatches(3, 5, 7, options)
    parts = [batches.batch(step) for step in range(n_steps)]
    return np.concatenate([np.stack([p.images, p.rows, p.columns], axis=-1) for p in parts])


def test_every_pixel_is_seen_once_in_each_epoch():
    options = VanillaTraining(rays_per_step=20)
    steps = 6  # 105 pixels
    for epoch in range(2):
        both = all_pixels(options, steps * (epoch + 1))[105 * epoch :]
        assert both.shape == (105, 3)
        assert len(np.unique(both, axis=0)) == 105
    first, second = np.split(all_pixels(options, 2 * steps), 2)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("one_image", [False, True])
def test_pixels_of_a_step_do_not_depend_on_the_steps_before(one_image):
    options = VanillaTraining(rays_per_step=20, one_image_per_step=one_image)
    before = PixelBatches(3, 5, 7, options)
    for step in range(20):
        expected = before.batch(step)
        found = PixelBatches(3, 5, 7, options).batch(step)
        np.testing.assert_array_equal(found.rows, expected.rows)
        np.testing.assert_array_equal(found.images, expected.images)


def test_a_step_on_one_image_takes_different_pixels_of_it():
    options = VanillaTraining(rays_per_step=35, one_image_per_step=True)
    batches = PixelBatches(4, 5, 7, options)
    seen = set()
    for step in range(60):
        batch = batches.batch(step)
        assert len(set(batch.images.tolist())) == 1
        assert len(set(zip(batch.rows.tolist(), batch.columns.tolist(), strict=True))) == 35
        seen.add(int(batch.images[0]))
    assert seen == {0, 1, 2, 3}


def test_first_steps_take_the_middle_of_the_image():
    options = VanillaTraining(
        rays_per_step=30, one_image_per_step=True, precrop_steps=5, precrop_fraction=0.5
    )
    batches = PixelBatches(1, 20, 40, options)
    for step in range(10):
        batch = batches.batch(step)
        inside = (abs(batch.rows - 9.5) < 5) & (abs(batch.columns - 19.5) < 10)
        # nerf-pytorch counts steps from one and crops while that is less than precrop_iters.
        assert inside.all() == (step < 4)


def test_more_rays_than_pixels_in_the_middle_are_refused():
    options = VanillaTraining(rays_per_step=300, one_image_per_step=True, precrop_steps=5)
    with pytest.raises(InputError, match="at most the 200 pixels"):
        PixelBatches(1, 20, 40, options)
    with pytest.raises(InputError, match="training images: expected at least one"):
        PixelBatches(0, 20, 40, options)
