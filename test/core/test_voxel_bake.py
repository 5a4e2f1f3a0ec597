"""A baked field looks like the field it was made from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
import voxel_scenes as scenes

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.bake import BakeOptions, bake, psnr_lost
from fast_inerf_ros.fields.field import Rendered
from fast_inerf_ros.geometry.field_frame import FieldFrame

SMALL = BakeOptions(voxels=64, coarse_voxels=16, points_per_query=1 << 14)


@dataclass(frozen=True)
class Ball:
    """A soft ball whose colour depends on the place and, a little, on the view."""

    radius: float = 0.5
    density: float = 20.0
    frame: FieldFrame = field(default_factory=lambda: FieldFrame(metres_per_unit=0.5))
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def bounds(self):
        return torch.tensor([[-0.7, -0.8, -0.9], [0.9, 0.8, 0.7]])

    def query(self, points, directions):
        edge = torch.sigmoid(40.0 * (self.radius - points.norm(dim=-1)))
        logits = 2.0 * points + 0.5 * directions @ torch.tensor(
            [[0.0, 1, 0], [1, 0, 0], [0, 0, 1]]
        )
        return self.density * edge, torch.sigmoid(logits)

    def render(self, origins, directions, near=0.0, far=6.0, *, background=None):
        steps = torch.linspace(1.0, 5.0, 1601)
        points = (origins[:, None] + steps[:, None] * directions[:, None]).reshape(-1, 3)
        views = directions[:, None].expand(-1, len(steps), -1).reshape(-1, 3)
        density, color = (v.unflatten(0, (-1, len(steps))) for v in self.query(points, views))
        light = torch.exp(-torch.cumsum(density * 4.0 / 1600, 1))
        weight = torch.cat([1 - light[:, :1], light[:, :-1] - light[:, 1:]], 1)
        seen = (weight[..., None] * color).sum(1) + light[:, -1:]
        nothing = torch.full((len(origins),), torch.nan)
        return Rendered(seen, nothing, nothing, 1.0 - light[:, -1])


def rays(count=300):
    origins, directions = scenes.random_rays(0, count, spread=0.4)
    return origins - torch.tensor(scenes.CENTER), directions


def test_baked_field_looks_like_the_original():
    ball = Ball()
    seen = []
    baked = bake(ball, SMALL, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)
    assert baked.frame == ball.frame
    truth = ball.render(*rays()).color
    report = psnr_lost(ball, baked, *rays(), truth)
    assert report.between > 33.0
    assert report.baked == pytest.approx(report.between)
    noisy = truth + 0.05 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    against_photographs = psnr_lost(ball, baked, *rays(), noisy)
    assert abs(against_photographs.lost) < 0.1


def test_only_dense_space_is_stored():
    baked = bake(Ball(), SMALL)
    share = baked.grid.n_bricks / np.prod(baked.grid.domain.bricks)
    assert 0.1 < share < 0.5


class LonelyBall(Ball):
    """A small thing in a large box."""

    @property
    def bounds(self):
        return torch.tensor([[-3.0, -3.0, -3.0], [3.0, 3.0, 3.0]])


def test_the_box_shrinks_to_what_is_dense():
    ball = LonelyBall()
    baked = bake(ball, dataclasses.replace(SMALL, coarse_voxels=64))
    assert baked.bounds.abs().min() > ball.radius
    assert baked.bounds.abs().max() < 1.2
    assert psnr_lost(ball, baked, *rays(), ball.render(*rays()).color).between > 33.0


def test_directions_of_the_views_can_be_given():
    ahead = torch.nn.functional.normalize(
        torch.tensor([[0.0, 0, 1], [0.3, 0, 1], [0, 0.3, 1], [-0.3, -0.3, 1]]), dim=1
    )
    baked = bake(Ball(), SMALL, directions=ahead)
    origin, direction = torch.tensor([[0.0, 0.0, -3.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    difference = baked.render(origin, direction).color - Ball().render(origin, direction).color
    assert difference.abs().max() < 0.03
    with pytest.raises(InputError, match="at least 4"):
        bake(Ball(), SMALL, directions=ahead[:3])


def test_an_empty_field_is_refused():
    with pytest.raises(InputError, match="got nothing"):
        bake(Ball(density=0.0), SMALL)
