"""Training finds a scene in its photographs, the same every time, broken off or not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import voxel_scenes as scenes
from ball_scene import looking_at_origin

from fast_inerf_ros.config import load
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.voxel import Shading
from fast_inerf_ros.fields.voxel_grid import Domain
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.rendering.rays import RayBank
from fast_inerf_ros.training import voxel_trainer
from fast_inerf_ros.training.voxel_options import SCENE_TYPES, VoxelTraining, options_for
from fast_inerf_ros.training.voxel_trainer import VoxelTrainer, draw_rays, train_voxel

SIZE = 24


def photographs(count=24, seed=0, alpha=True):
    """A ball, red above and blue below, with a green belt, as seen from around."""
    generator = np.random.default_rng(seed)
    camera = Camera(SIZE, SIZE, 0.9 * SIZE, 0.9 * SIZE, (SIZE - 1) / 2, (SIZE - 1) / 2)
    bearings = camera.bearings(camera.pixel_grid())
    poses, images = [], []
    for _ in range(count):
        place = generator.normal(size=3)
        poses.append(looking_at_origin(3.0 * place / np.linalg.norm(place)))
        images.append(_ball(poses[-1], bearings, alpha))
    return images, [bearings] * count, np.stack(poses)


def _ball(pose, bearings, alpha):
    """RGBA photograph of the ball, or RGB over white, averaged over the area of the pixels."""
    fine = torch.tensor(bearings.transpose(2, 0, 1)[None])
    fine = torch.nn.functional.interpolate(fine, scale_factor=4, mode="bicubic")[0].numpy()
    directions = fine.transpose(1, 2, 0) @ pose[:3, :3].T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    origin = pose[:3, 3]
    along = directions @ origin
    inside = along**2 - origin @ origin + 0.8**2
    hit = (inside > 0)[..., None]
    height = (origin + (-along - np.sqrt(np.maximum(inside, 0)))[..., None] * directions)[..., 2:]
    color = np.where(height > 0, [230, 30, 30], [30, 30, 230])
    color = np.where(np.abs(height) < 0.25, [30, 200, 30], color)
    share = _shrunk(hit)
    if not alpha:
        return _shrunk(np.where(hit, color, 255)).round().astype(np.uint8)
    straight = _shrunk(color * hit) / np.maximum(share, 1e-6)
    return np.concatenate([straight, 255 * share], -1).round().astype(np.uint8)


def _shrunk(image):
    return image.reshape(SIZE, 4, SIZE, 4, -1).mean((1, 3))


def options(**changes):
    small = {"steps": 90, "rays_per_step": 512, "resolutions": (16, 32), "prune_every": 20}
    return VoxelTraining(**{**small, "stage_starts": (0.0, 0.3), **changes})


def trainer(seed=0, threads=None, **changes):
    domain = Domain((0.0, 0.0, 0.0), (1.2, 1.2, 1.2), False, (4, 4, 4))
    generator = np.random.default_rng(seed)
    return VoxelTrainer(domain, options(**changes), Shading(), generator, n_threads=threads)


def held_out_psnr(field):
    images, bearings, poses = photographs(4, seed=9)
    errors = []
    for image, table, pose in zip(images, bearings, poses, strict=True):
        directions = torch.tensor(table.reshape(-1, 3) @ pose[:3, :3].T, dtype=torch.float32)
        origins = torch.tensor(pose[:3, 3], dtype=torch.float32).expand_as(directions)
        seen = field.render(origins, directions.contiguous()).color.numpy()
        share = image[..., 3:] / 255.0
        truth = share * image[..., :3] / 255.0 + 1.0 - share
        errors.append((seen.reshape(SIZE, SIZE, 3) - truth) ** 2)
    return -10 * np.log10(np.mean(errors))


@pytest.mark.parametrize("alpha", [True, False])
def test_training_learns_a_ball_from_its_photographs(alpha):
    bank = RayBank(*photographs(alpha=alpha))
    made = trainer()
    field = train_voxel(bank, made)
    assert made.step_count == 90
    assert held_out_psnr(field) > 25.0
    middle = field.render(torch.tensor([[0.0, -3.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]]))
    assert middle.opacity.item() > 0.95
    assert middle.median_depth.item() == pytest.approx(2.2, abs=0.2)


def test_training_by_steps_gives_the_same_field_every_time():
    bank = RayBank(*photographs(8))
    fields = [train_voxel(bank, trainer(threads=2, steps=40)) for _ in range(2)]
    assert torch.equal(fields[0].grid.density, fields[1].grid.density)
    assert torch.equal(fields[0].grid.color, fields[1].grid.color)


def test_restored_training_goes_on_as_if_unbroken():
    bank = RayBank(*photographs(8))
    whole = trainer()
    for step in range(40):
        if step == 30:
            saved = {
                k: v.clone() if isinstance(v, torch.Tensor) else v
                for k, v in whole.state().items()
            }
        whole.step(draw_rays(bank, whole), step / 90)
    broken = trainer(seed=5)
    broken.restore(saved)
    for step in range(30, 40):
        broken.step(draw_rays(bank, broken), step / 90)
    assert torch.equal(whole.grid.density, broken.grid.density)
    assert torch.equal(whole.grid.color, broken.grid.color)
    with pytest.raises(InputError, match="lacks"):
        broken.restore({"step_count": 3})


def test_time_budget_and_callback_end_training():
    bank = RayBank(*photographs(8))
    ticks = iter(np.arange(1000.0))
    timed = trainer(seconds=20.0)
    train_voxel(bank, timed, clock=lambda: float(next(ticks)))
    assert timed.step_count == 19
    stopped = trainer()
    train_voxel(bank, stopped, progress=lambda stats: stats.step < 5)
    assert stopped.step_count == 5


@pytest.mark.parametrize("crop", [True, False])
def test_refining_shrinks_the_box_to_what_is_in_it(crop):
    made = trainer(crop=crop)
    made.grid.density[1:] = -1.0
    bricks = made.grid.coordinates[1:]
    middle = ((bricks >= 1) & (bricks <= 2)).all(1)
    made.grid.density[1:][middle] = 5.0
    made.refine(32)
    assert max(made.grid.domain.half_size) == pytest.approx(0.9 if crop else 1.2, abs=0.11)
    inside = made.field().render(torch.tensor([[0.0, -3.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]]))
    assert inside.opacity.item() > 0.99
    assert inside.median_depth.item() == pytest.approx(2.4, abs=0.1)


def test_every_scene_type_has_defaults_and_unknown_ones_are_named(tmp_path):
    for name in SCENE_TYPES:
        assert isinstance(options_for(name), VoxelTraining)
    assert options_for("object", steps=7).steps == 7
    with pytest.raises(InputError, match="unbounded"):
        options_for("indoor")
    with pytest.raises(InputError, match="stage_starts"):
        VoxelTraining(resolutions=(64, 128))
    with pytest.raises(InputError, match="ascending"):
        VoxelTraining(stage_starts=(0.0, 0.5, 0.2))
    path = tmp_path / "training.yaml"
    path.write_text("steps: 12\nseconds: 3.0\n")
    assert load(VoxelTraining, path).steps == 12


def test_a_long_training_does_not_dwell_in_coarse_grids():
    """Stages start at their share of the progress, or in proportion after so many steps."""
    plan = VoxelTraining(stage_starts=(0.0, 0.1, 0.4), coarse_steps=1000)
    assert plan.stage_is_due(1, 0.1, 3)
    assert not plan.stage_is_due(1, 0.09, 249)
    assert plan.stage_is_due(1, 0.01, 250)
    assert plan.stage_is_due(2, 0.01, 1000)
    assert not plan.stage_is_due(2, 0.39, 999)
    assert not plan.stage_is_due(3, 1.0, 10**6)
    unlimited = VoxelTraining(stage_starts=(0.0, 0.1, 0.4), coarse_steps=0)
    assert not unlimited.stage_is_due(1, 0.09, 10**6)


def test_a_full_grid_is_not_refined_beyond_what_can_be_addressed():
    made = trainer(resolutions=(16, 1024))
    made.advance(0.5)
    assert made.stage == 0
    small = trainer(resolutions=(16, 32))
    small.advance(0.5)
    assert small.stage == 1


def test_gathered_rays_are_those_of_the_pixels():
    images, bearings, poses = photographs(5)
    bank = RayBank(images, bearings, poses)
    chosen = torch.tensor([0, SIZE * SIZE - 1, SIZE * SIZE, 3 * SIZE * SIZE + 7, len(bank) - 1])
    background = torch.rand(5, 3)
    rays = bank.gather(chosen, background)
    for row, pixel in enumerate(chosen.tolist()):
        image, place = divmod(pixel, SIZE * SIZE)
        expected = poses[image][:3, :3] @ bearings[image].reshape(-1, 3)[place]
        np.testing.assert_allclose(rays.directions[row], expected, atol=1e-5)
        np.testing.assert_allclose(rays.origins[row], poses[image][:3, 3], atol=1e-5)
        color = images[image].reshape(-1, 4)[place] / 255.0
        over = color[3] * color[:3] + (1 - color[3]) * background[row].numpy()
        np.testing.assert_allclose(rays.target[row], over, atol=1e-5)


@pytest.mark.parametrize("problem", ["none", "poses", "nan", "dtype", "mixed", "bearings"])
def test_bad_photographs_are_refused(problem):
    images, bearings, poses = photographs(3)
    if problem == "none":
        images, bearings, poses = [], [], poses[:0]
    elif problem == "poses":
        poses = poses[:2]
    elif problem == "nan":
        poses[1, 0, 3] = np.nan
    elif problem == "dtype":
        images[1] = images[1].astype(np.float32)
    elif problem == "mixed":
        images[1] = images[1][..., :3]
    else:
        bearings[2] = bearings[2][:5]
    with pytest.raises(InputError):
        RayBank(images, bearings, poses)


def test_a_scene_is_found_in_contracted_space_too():
    domain = Domain((0.0, 0.0, 0.0), (1.2, 1.2, 1.2), True, (4, 4, 4))
    made = VoxelTrainer(
        domain,
        options(steps=200, resolutions=(24, 48), distortion=1e-5),
        Shading(near=0.5),
        np.random.default_rng(0),
    )
    field = train_voxel(RayBank(*photographs(alpha=False)), made)
    assert held_out_psnr(field) > 18.0
    assert scenes.field_of(field.grid).bounds.shape == (2, 3)


def test_before_training_light_ends_at_the_far_end_of_contracted_space():
    domain = Domain((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), True, (4, 4, 4))
    changes = {"initial_opacity": 0.002, "far_opacity": 1.0}
    made = VoxelTrainer(domain, options(**changes), Shading(cutoff=0.0), np.random.default_rng(0))
    directions = torch.eye(3).repeat(2, 1) * torch.tensor([[1.0]] * 3 + [[-1.0]] * 3)
    seen = made.field().render(torch.zeros(6, 3), directions)
    assert torch.all(seen.opacity > 0.9)
    assert torch.all(seen.median_depth > 4.0)


def test_what_no_ray_meets_is_dropped_without_a_trace(monkeypatch):
    monkeypatch.setattr(voxel_trainer, "SEEN_AFTER", 10_000)
    bank = RayBank(*photographs(12))
    made = trainer(steps=120, crop=False, prune_every=10_000)
    # Opaque from the start, so that the middle stays stored, and is never seen.
    made.grid.density[1:] = 40.0
    for step in range(79):
        made.step(draw_rays(bank, made), step / 120)
    hidden = int((~made.moments.any(-1).any(-1)).sum()) - 1
    chosen = torch.arange(0, len(bank), 7)
    rays = bank.gather(chosen, torch.ones(len(chosen), 3))
    before = made.field().render(rays.origins, rays.directions, background=rays.background)
    bricks = made.grid.n_bricks
    made.prune()
    after = made.field().render(rays.origins, rays.directions, background=rays.background)
    assert hidden > 0
    assert made.grid.n_bricks < bricks
    assert (before.color - after.color).abs().mean() < 2e-3
