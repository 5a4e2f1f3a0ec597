"""Batches hold what the network should say, whatever was varied, and follow from seed and step."""

from __future__ import annotations

from dataclasses import replace

import disc_scene
import numpy as np
import pytest

from fast_inerf_ros.datasets.augmentation import AugmentationConfig
from fast_inerf_ros.datasets.bop import load_pose_set
from fast_inerf_ros.posecnn.decoding import crop_rotation
from fast_inerf_ros.training.pose_batches import (
    BatchMaker,
    BatchPlan,
    Prefetcher,
    pose_item,
    seen_boxes,
)
from fast_inerf_ros.training.pose_images import read_images, stored_image
from fast_inerf_ros.training.posecnn import input_size

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def pose_set(tmp_path_factory):
    return load_pose_set(disc_scene.write(tmp_path_factory.mktemp("data") / "discs"))


@pytest.fixture(scope="module")
def images(pose_set):
    return read_images(pose_set, pose_set.labels, 96, 1)


def maker(images, share=slice(0, 4)):
    plan = BatchPlan(len(images), 4, seed=3)
    return BatchMaker(images, plan, AugmentationConfig(), (), 4, True, share)


def test_a_part_is_seen_with_the_focal_length_of_the_whole(images):
    whole = maker(images).batch(0, (96, 64))
    part = replace(maker(images), whole=96).batch(0, (64, 32))
    reduced = maker(images).batch(0, (64, 32))
    assert part.images.shape == (4, 3, 32, 64)
    assert part.focal_px.tolist() == pytest.approx(whole.focal_px.tolist())
    assert reduced.focal_px.tolist() == pytest.approx((whole.focal_px * 64 / 96).tolist())


def same(first, second):
    pairs = [(getattr(first, n), getattr(second, n)) for n in ("images", "boxes", "rotations")]
    pairs.append((first.targets.labels, second.targets.labels))
    return all(a.shape == b.shape and bool((a == b).all()) for a, b in pairs)


def test_an_epoch_takes_every_image_once():
    plan = BatchPlan(12, 4, seed=0)
    epochs = [
        np.concatenate([plan.indices(3 * epoch + step) for step in range(3)]) for epoch in (0, 1)
    ]
    for taken in epochs:
        assert sorted(taken) == list(range(12))
    assert epochs[0].tolist() != epochs[1].tolist()


def test_few_images_fill_a_batch():
    plan = BatchPlan(3, 8, seed=0)
    assert plan.steps_per_epoch == 1
    assert set(plan.indices(5).tolist()) == {0, 1, 2}


def test_batches_follow_from_seed_and_step(images):
    one = maker(images).batch(7, (64, 32))
    assert same(one, maker(images).batch(7, (64, 32)))
    assert not same(one, maker(images).batch(8, (64, 32)))
    ahead = Prefetcher(maker(images), 2)
    try:
        ahead.batch(6, (64, 32))
        # Those made ahead in another size are not what is asked for.
        assert same(ahead.batch(7, (96, 64)), maker(images).batch(7, (96, 64)))
        assert same(ahead.batch(2, (64, 32)), maker(images).batch(2, (64, 32)))
    finally:
        ahead.close()


def test_shares_of_processes_make_the_whole_batch(images):
    whole = maker(images).batch(5, (64, 32))
    halves = [maker(images, share).batch(5, (64, 32)) for share in (slice(0, 2), slice(2, 4))]
    assert (whole.images[:2] == halves[0].images).all()
    assert (whole.images[2:] == halves[1].images).all()
    assert sum(len(half.boxes) for half in halves) == len(whole.boxes)


def test_boxes_and_rotations_are_those_of_decoding(images):
    stored = images[0]
    item = stored.training_image()
    generator = np.random.default_rng(0)
    found = pose_item(item, stored.class_ids, 4, True, generator)
    assert found.class_ids.tolist() == [1, 2]
    assert found.image.shape == (64, 96, 3)
    middle = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    rotation = crop_rotation(item.camera, middle) @ found.rotations
    assert np.allclose(rotation, item.poses.rotation.matrix, atol=1e-9)
    centres = item.centres_px()
    assert (np.linalg.norm(middle - centres, axis=1) < 6).all()
    plain = pose_item(item, stored.class_ids, 4, False, generator)
    assert np.allclose(plain.rotations, item.poses.rotation.matrix, atol=1e-12)


def test_hardly_seen_objects_teach_no_rotation():
    instances = np.full((64, 96), -1, dtype=np.int64)
    instances[8:40, 20:60] = 0
    instances[50:54, 80:84] = 1
    shown, boxes = seen_boxes(instances, 3, 4)
    assert shown.tolist() == [0]
    assert boxes.tolist() == [[20, 8, 59, 39]]


def test_images_are_kept_small_and_exact(pose_set):
    small = stored_image(pose_set.sample(0), {7: 1}, 48)
    assert small.image.shape == (32, 48, 3)
    assert small.camera.width == 48
    assert small.class_ids.tolist() == [1]
    rows, columns = np.nonzero(small.instances == 0)
    centre = np.asarray(small.camera.project(np.asarray(small.poses.translation)))[0]
    assert np.hypot(columns.mean() - centre[0], rows.mean() - centre[1]) < 0.7
    assert set(np.unique(small.instances)) == {-1, 0}


def test_inputs_have_the_shape_of_the_images(images):
    assert input_size(images, 96, 32) == (96, 64)
    assert input_size(images, 320, 32) == (320, 224)
    assert input_size(images, 10, 32) == (32, 32)
    assert input_size(images, 90, 16) == (96, 64)
