"""Variations of an image keep its truth: what is seen stays where the poses say it is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fast_inerf_ros.datasets.augmentation import (
    AugmentationConfig,
    TrainingImage,
    augmented,
    moved_camera,
    recoloured,
)
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3

CAMERA = Camera(160, 120, 150.0, 140.0, 77.0, 62.0)
STILL = AugmentationConfig(
    roll_deg=0.0,
    zoom=(1.0, 1.0),
    shift=0.0,
    exposure=0.0,
    contrast=0.0,
    colour=0.0,
    noise=0.0,
    blur_px=0.0,
    occlusion=0.0,
)


def scene(camera: Camera = CAMERA) -> TrainingImage:
    """Draw two discs around the origins of two objects, bright on dark."""
    places = np.array([[-0.12, 0.05, 0.9], [0.15, -0.1, 1.3]])
    generator = np.random.default_rng(0)
    poses = SE3(SO3.random(generator, (2,)), places)
    rays = np.asarray(camera.normalise(np.asarray(camera.pixel_grid())))
    instances = np.full((camera.height, camera.width), -1)
    for index, place in enumerate(places):
        instances[np.linalg.norm(rays - place[:2] / place[2], axis=-1) < 0.1] = index
    image = np.full((*instances.shape, 3), 30, np.uint8)
    image[instances == 0] = (220, 40, 40)
    image[instances == 1] = (40, 60, 230)
    return TrainingImage(image, instances, camera, poses)


def test_without_variation_nothing_changes():
    before = scene()
    after = augmented(before, 160, 120, STILL, np.random.default_rng(0))
    # The new principal point is the middle's: the camera is the old one to rounding.
    assert after.camera.cx == pytest.approx(CAMERA.cx)
    assert after.camera.fy == pytest.approx(CAMERA.fy)
    assert np.array_equal(after.instances, before.instances)
    assert np.abs(after.image.astype(int) - before.image).max() <= 1
    assert np.allclose(after.poses.matrix(), before.poses.matrix())


def test_a_part_shows_everything_as_large_as_in_the_whole_and_stays_inside():
    before = scene()
    middles = []
    for seed in range(40):
        after = augmented(before, 80, 60, STILL, np.random.default_rng(seed), part=0.5)
        assert after.camera.fx == pytest.approx(CAMERA.fx)
        left = CAMERA.cx - after.camera.cx
        top = CAMERA.cy - after.camera.cy
        assert -0.5 <= left <= 80.5
        assert -0.5 <= top <= 60.5
        middles.append((left, top))
    assert np.ptp(middles, axis=0) == pytest.approx([80, 60], rel=0.2)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    roll=st.floats(-math.pi, math.pi),
    zoom=st.floats(0.6, 2.0),
    x=st.floats(40, 110),
    y=st.floats(30, 90),
)
def test_discs_stay_around_the_projected_origins(roll, zoom, x, y):
    after = moved_camera(scene(), 200, 180, roll, zoom * CAMERA.fx, (x, y))
    # The disc is round in normalised coordinates about the ray of the origin.
    rays = np.asarray(after.camera.normalise(np.asarray(after.camera.pixel_grid())))
    for index, place in enumerate(np.asarray(after.poses.translation)):
        distance = np.linalg.norm(rays - place[:2] / place[2], axis=-1)
        one_pixel = 1.5 / min(after.camera.fx, after.camera.fy, CAMERA.fy)
        inside = after.instances == index
        assert not inside[distance > 0.1 + one_pixel].any()
        seen = np.asarray(CAMERA.project(_back(rays, roll)))
        was_inside = ((seen > 0) & (seen < np.array([159, 119]))).all(axis=-1)
        assert (
            inside[(distance < 0.1 - one_pixel) & was_inside].mean() > 0.95
            or not ((distance < 0.1 - one_pixel) & was_inside).any()
        )


def _back(rays, roll):
    points = np.concatenate([rays, np.ones_like(rays[..., :1])], axis=-1)
    return SO3.exp(np.array([0.0, 0.0, -roll])) @ points


def test_colours_move_with_the_instances():
    after = moved_camera(scene(), 160, 120, 0.7, 200.0, (80, 60))
    first = after.image[after.instances == 0]
    assert np.median(first, axis=0) == pytest.approx([220, 40, 40], abs=2)


def test_depths_do_not_change():
    before = scene()
    after = moved_camera(before, 160, 120, 1.0, 90.0, (70, 50))
    assert np.allclose(after.poses.translation[:, 2], before.poses.translation[:, 2])


def test_the_same_generator_draws_the_same_image():
    images = [
        augmented(scene(), 96, 80, AugmentationConfig(), np.random.default_rng(3)).image
        for _ in range(2)
    ]
    assert np.array_equal(*images)
    other = augmented(scene(), 96, 80, AugmentationConfig(), np.random.default_rng(4)).image
    assert not np.array_equal(images[0], other)
    assert other.shape == (80, 96, 3)


def test_patches_hide_what_they_cover():
    config = AugmentationConfig(**{**vars(STILL), "occlusion": 1.0})
    before = scene()
    hidden = 0
    for seed in range(10):
        after = augmented(before, 160, 120, config, np.random.default_rng(seed))
        changed = np.abs(after.image.astype(int) - before.image).max(axis=-1) > 2
        assert (after.instances[~changed & (after.instances >= 0)] >= 0).all()
        lost = (before.instances >= 0) & (after.instances < 0)
        assert not ((before.instances < 0) & (after.instances >= 0)).any()
        hidden += int(lost.sum())
    assert hidden > 0


def test_backgrounds_are_put_behind_the_objects_only():
    config = AugmentationConfig(**{**vars(STILL), "background": 1.0})
    picture = np.full((50, 50, 3), 128, np.uint8)
    before = scene()
    after = augmented(before, 160, 120, config, np.random.default_rng(0), [picture])
    assert (after.image[before.instances < 0] == 128).all()
    shown = before.instances >= 0
    assert np.abs(after.image[shown].astype(int) - before.image[shown]).max() <= 1
    with pytest.raises(InputError, match="expected pictures to put behind"):
        augmented(before, 160, 120, config, np.random.default_rng(0))


def test_exposure_makes_brighter_and_darker_and_stays_in_range():
    config = AugmentationConfig(**{**vars(STILL), "exposure": 2.0})
    image = np.full((8, 8, 3), 100, np.uint8)
    means = [recoloured(image, config, np.random.default_rng(s)).mean() for s in range(20)]
    assert min(means) < 60
    assert max(means) > 200


def test_images_without_objects_are_taken():
    empty = TrainingImage(np.zeros((40, 50, 3), np.uint8), np.full((40, 50), -1), CAMERA, None)
    after = augmented(empty, 64, 64, AugmentationConfig(), np.random.default_rng(0))
    assert after.poses is None
    assert after.centres_px().shape == (0, 2)
    assert (after.instances == -1).all()


def test_distorted_images_are_refused():
    lens = Camera(160, 120, 150.0, 150.0, 80.0, 60.0, "plumb_bob", (0.1, 0, 0, 0, 0))
    with pytest.raises(InputError, match="undistort"):
        augmented(scene(lens), 64, 64, AugmentationConfig(), np.random.default_rng(0))
