"""Cameras look at the table; hand-held ways keep their limits and come close to them."""

from __future__ import annotations

import numpy as np
import pytest

from fast_inerf_ros.datasets.synthetic.trajectories import (
    TARGET,
    ViewRange,
    hand_held,
    hemisphere_views,
    random_view,
)


def directions(poses):
    """How far the optical axes pass from the table's middle, and the distances."""
    for pose in poses:
        offset = TARGET - pose.translation
        axis = pose.rotation.matrix[:, 2]
        yield np.linalg.norm(np.cross(axis, offset)), np.linalg.norm(offset)


@pytest.mark.parametrize("kind", ["spread", "random"])
def test_views_look_at_the_table_from_within_the_range(kind):
    views = ViewRange((0.6, 1.0), (15.0, 65.0), target_jitter=0.08)
    generator = np.random.default_rng(0)
    poses = (
        hemisphere_views(50, generator, views)
        if kind == "spread"
        else [random_view(generator, views) for _ in range(50)]
    )
    for miss, distance in directions(poses):
        assert miss < 0.16
        assert 0.4 < distance < 1.2
    heights = np.array([pose.translation[2] for pose in poses])
    assert (heights > 0.1).all()
    azimuths = np.sort([np.arctan2(p.translation[1], p.translation[0]) for p in poses])
    assert np.diff(azimuths).max() < np.radians(60)
    up = np.array([-pose.rotation.matrix[2, 1] for pose in poses])
    assert (up > 0).all()  # the image's y axis points down


@pytest.mark.parametrize("seed", range(3))
def test_hand_held_way_keeps_its_limits_and_uses_them(seed):
    way = hand_held(np.random.default_rng(seed), 6.0, max_speed=0.5, max_rate_deg=90.0)
    speed, rate = way.speeds(300.0)
    assert speed.max() <= 0.505
    assert np.degrees(rate.max()) <= 90.5
    assert speed.max() > 0.2
    assert np.degrees(rate.max()) > 85
    jerk = np.abs(np.diff(speed)).max() * 300
    assert jerk < 5.0  # m/s^2: no jumps
    for miss, distance in directions([way.at(t) for t in np.linspace(0, 6, 40)]):
        assert miss < 0.45
        assert 0.4 < distance < 1.3


def test_motion_is_the_movement_between_shutter_opening_and_closing():
    way = hand_held(np.random.default_rng(1), 4.0)
    motion = way.motion(2.0, 0.01)
    np.testing.assert_allclose(
        (way.at(2.0) @ motion.T_mid_end).matrix(), way.at(2.005).matrix(), atol=1e-9
    )
    np.testing.assert_allclose(
        (way.at(2.0) @ motion.T_mid_start).matrix(), way.at(1.995).matrix(), atol=1e-9
    )
