"""Which box and which rays a voxel field gets for a set of photographs."""

from __future__ import annotations

import ball_scene
import numpy as np
import pytest

from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.training.voxel_options import VoxelTraining, options_for
from fast_inerf_ros.training.voxel_scene import (
    ray_bank,
    scene_box,
    scene_options,
    scene_type_of,
)


@pytest.fixture(scope="module")
def ball(tmp_path_factory):
    return load_dataset(ball_scene.write_blender(tmp_path_factory.mktemp("data") / "ball"))


@pytest.fixture(scope="module")
def opaque(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "ball"
    return load_dataset(ball_scene.write_blender(folder, alpha=False))


@pytest.fixture(scope="module")
def llff(tmp_path_factory):
    return load_dataset(ball_scene.write_llff(tmp_path_factory.mktemp("data") / "llff"))


def test_the_type_of_scene_is_guessed(ball, opaque, llff):
    assert scene_type_of(ball) == "object"
    assert scene_type_of(opaque) == "unbounded"
    assert scene_type_of(llff) == "forward_facing"


def corners(posed, scene_type):
    box, near = scene_box(posed, scene_type)
    center, half = np.asarray(box.center), np.asarray(box.half_size)
    return center - half, center + half, near, box.contracted


def test_the_box_of_an_object_holds_the_object_and_not_the_cameras(ball):
    low, high, near, contracted = corners(ball, "object")
    assert (low < -ball_scene.RADIUS).all()
    assert (high > ball_scene.RADIUS).all()
    assert ((high - low) / 2 < 0.8 * ball_scene.DISTANCE).all()
    assert (near, contracted) == (0.0, False)


def test_the_inner_box_of_a_place_is_around_what_the_cameras_see(opaque):
    low, high, near, contracted = corners(opaque, "unbounded")
    assert (low < -ball_scene.RADIUS).all()
    assert (high > ball_scene.RADIUS).all()
    assert ((high - low) / 2 < ball_scene.DISTANCE).all()
    assert contracted
    assert 0.0 < near < ball_scene.DISTANCE - ball_scene.RADIUS


def test_the_box_of_a_scene_that_faces_forward_lies_before_the_cameras(llff):
    low, high, near, contracted = corners(llff, "forward_facing")
    middle = (low + high) / 2
    poses = llff.T_field_camera
    ahead = np.asarray(poses.rotation.matrix)[:, :, 2]
    assert (((middle - np.asarray(poses.translation)) * ahead).sum(axis=-1) > 0).all()
    assert contracted
    assert 0.0 < near < llff.field_bounds.min()
    assert (low < middle).all()


def test_options_that_were_given_stay_and_the_rest_are_those_of_the_scene():
    given = VoxelTraining(steps=7)
    found = scene_options("unbounded", given)
    assert found == options_for("unbounded", steps=7)
    assert scene_options("object", VoxelTraining()) == options_for("object")


def test_every_pixel_is_a_ray_of_its_camera(llff):
    posed = load_dataset(llff.images.paths[0].parents[1], DatasetOptions(hold_out=0))
    bank = ray_bank(posed, "cpu")
    assert len(bank) == 9 * 24 * 18
    assert not bank.has_alpha
    import torch

    chosen = torch.tensor([24 * 18 * 4 + 24 * 5 + 7])
    rays = bank.gather(chosen, torch.ones(1, 3))
    camera, pose = posed.cameras[4], posed.T_field_camera[4]
    expected = np.asarray(pose.rotation.matrix) @ camera.bearings(np.array([7.0, 5.0]))
    np.testing.assert_allclose(rays.directions[0].numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(rays.origins[0].numpy(), pose.translation, atol=1e-6)
    color = posed.image(4)[5, 7] / 255.0
    np.testing.assert_allclose(rays.target[0].numpy(), color, atol=1e-6)


def test_transparent_and_opaque_photographs_may_be_mixed(ball, tmp_path):
    from PIL import Image

    folder = ball_scene.write_blender(tmp_path / "mixed")
    with Image.open(folder / "train" / "r_1.png") as image:
        image.convert("RGB").save(folder / "train" / "r_1.png")
    bank = ray_bank(load_dataset(folder), "cpu")
    assert bank.has_alpha
    alpha = bank.pixels[24 * 24 : 2 * 24 * 24, 3]
    assert (alpha == 255).all()
