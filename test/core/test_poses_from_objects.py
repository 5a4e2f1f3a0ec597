"""The camera's pose follows from the objects that it sees, and its uncertainty is honest."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.geometry.symmetry import Symmetry, SymmetryAxis
from fast_inerf_ros.inerf.initialise import InitialPoseConfig, poses_from_objects
from fast_inerf_ros.io.scene import SceneObject
from fast_inerf_ros.posecnn.detection import Detection

PLAIN = Symmetry()
CAMERA = Camera(640, 480, 600.0, 600.0, 319.5, 239.5)
HALF_TURN = Symmetry(discrete=(SE3(SO3.exp(np.array([0.0, 0.0, math.pi])), np.zeros(3)),))
ROUND = Symmetry((SymmetryAxis((0.0, 0.0, 1.0)),))
ALL = (PLAIN, HALF_TURN, PLAIN, HALF_TURN, ROUND, ROUND)
NO_NOISE = {"pixels": 0.0, "log_depth": 0.0, "rotation": 0.0, "outliers": 0.0}
NOISE = {"pixels": 4.0, "log_depth": 0.04, "rotation": 0.15, "outliers": 0.15}


def table(generator, symmetries=ALL):
    objects = []
    for index, symmetry in enumerate(symmetries):
        yaw = SO3.exp(np.array([0.0, 0.0, generator.uniform(-3, 3)]))
        place = np.array([*generator.uniform(-0.3, 0.3, 2), generator.uniform(0.03, 0.1)])
        pose = SE3(yaw, place)
        objects.append(
            SceneObject(f"thing_{index}", index + 1, pose, (0.1, 0.1, 0.1), symmetry=symmetry)
        )
    return objects


def looking_at_the_table(generator) -> SE3:
    azimuth, elevation = generator.uniform(-3, 3), generator.uniform(0.4, 0.9)
    flat = np.array([math.cos(azimuth), math.sin(azimuth)]) * math.cos(elevation)
    centre = generator.uniform(0.6, 1.0) * np.array([*flat, math.sin(elevation)])
    forward = -centre / np.linalg.norm(centre)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    return SE3(SO3(np.stack([right, down, forward], axis=1)), centre)


def sighting(item: SceneObject, T_world_camera: SE3, generator, noise) -> Detection:
    pose = T_world_camera.inverse() @ item.T_world_object
    turns = item.symmetry.transforms(0.01)
    turn = turns[int(generator.integers(len(turns.translation)))].rotation
    shaken = SO3.exp(generator.normal(0, noise["rotation"] / math.sqrt(3), 3))
    rotation = pose.rotation @ turn @ shaken
    centre = np.asarray(CAMERA.project(pose.translation))
    centre = centre + generator.normal(0, noise["pixels"], 2)
    if generator.random() < noise["outliers"]:
        rotation = SO3.random(generator)
    if generator.random() < noise["outliers"]:
        centre = centre + generator.normal(0, 60, 2)
    depth = float(pose.translation[2]) * math.exp(generator.normal(0, noise["log_depth"]))
    return Detection(
        label=item.label,
        class_id=item.class_id,
        instance=0,
        score=0.9,
        box=(0, 0, 1, 1),
        mask=np.ones((1, 1), dtype=bool),
        centre_px=centre,
        centre_covariance_px=np.eye(2) * max(noise["pixels"], 0.1) ** 2,
        depth=depth,
        log_depth_deviation=max(noise["log_depth"], 1e-3),
        T_camera_object=SE3(rotation, pose.translation),
        rotation_deviation=max(noise["rotation"], 1e-3),
    )


def errors(estimate: SE3, truth: SE3) -> tuple[float, float]:
    difference = estimate.inverse() @ truth
    distance = np.linalg.norm(estimate.translation - truth.translation)
    return math.degrees(float(difference.rotation.angle())), float(distance)


@pytest.mark.parametrize("n_seen", [1, 2, 3, 6])
def test_exact_sightings_give_the_exact_pose(n_seen):
    generator = np.random.default_rng(n_seen)
    objects = table(generator)
    truth = looking_at_the_table(generator)
    seen = [sighting(item, truth, generator, NO_NOISE) for item in objects[:n_seen]]
    best = poses_from_objects(seen, objects, CAMERA)[0]
    angle, distance = errors(best.T_world_camera, truth)
    assert angle < 0.01
    assert distance < 1e-4
    assert best.matches == tuple((index, index) for index in range(n_seen))
    assert best.error_px < 0.01


def test_noise_and_outliers_are_outvoted_and_the_covariance_is_honest():
    generator = np.random.default_rng(0)
    found, squared = [], []
    for _ in range(25):
        objects = table(generator)
        truth = looking_at_the_table(generator)
        seen = [sighting(item, truth, generator, NOISE) for item in objects]
        best = poses_from_objects(seen, objects, CAMERA)[0]
        angle, distance = errors(best.T_world_camera, truth)
        found.append(angle < 10 and distance < 0.1)
        twist = np.asarray((best.T_world_camera.inverse() @ truth).log())
        squared.append(twist @ np.linalg.solve(best.covariance, twist))
    assert np.mean(found) >= 0.88
    # Half of the normalised squared errors of six dimensions lie below 5.3.
    assert 1.5 < np.median(squared) < 12


def test_better_sightings_give_a_smaller_covariance():
    generator = np.random.default_rng(3)
    objects = table(generator)
    truth = looking_at_the_table(generator)
    volumes = []
    for pixels in (8.0, 2.0):
        seen = [
            replace(
                sighting(item, truth, generator, NO_NOISE),
                centre_covariance_px=np.eye(2) * pixels**2,
            )
            for item in objects
        ]
        config = InitialPoseConfig(centre_deviation_px=0.1)
        best = poses_from_objects(seen, objects, CAMERA, config)[0]
        volumes.append(np.linalg.det(best.covariance))
    assert volumes[1] < volumes[0]


def test_one_object_with_a_half_turn_leaves_two_equal_poses_the_true_one_among_them():
    generator = np.random.default_rng(5)
    objects = table(generator, (HALF_TURN,))
    truth = looking_at_the_table(generator)
    found = poses_from_objects([sighting(objects[0], truth, generator, NO_NOISE)], objects, CAMERA)
    assert len(found) == 2
    assert found[0].weight == pytest.approx(0.5, abs=0.01)
    assert min(errors(item.T_world_camera, truth)[0] for item in found) < 0.1


def test_one_round_object_leaves_the_turn_about_its_axis_uncertain():
    generator = np.random.default_rng(6)
    objects = table(generator, (ROUND,))
    truth = looking_at_the_table(generator)
    found = poses_from_objects([sighting(objects[0], truth, generator, NO_NOISE)], objects, CAMERA)
    assert len(found) > 3
    # A turn of the world about the object's axis, as a body twist of the camera.
    best = found[0].T_world_camera
    axis = np.array([0.0, 0.0, 1.0])
    spot = np.asarray(objects[0].T_world_object.translation)
    twist = best.inverse().adjoint() @ np.concatenate([-np.cross(axis, spot), axis])
    variance = 1 / (twist @ np.linalg.solve(found[0].covariance, twist))
    assert math.sqrt(variance) > math.radians(60)


def test_objects_of_one_class_are_told_apart_by_the_others():
    generator = np.random.default_rng(8)
    places = [(-0.2, 0.1), (0.25, 0.05), (0.0, -0.25)]
    labels = ["twin", "twin", "single"]
    objects = [
        SceneObject(
            label,
            1 if label == "twin" else 2,
            SE3(SO3.exp(np.array([0.0, 0.0, angle])), np.array([*place, 0.05])),
            (0.1, 0.1, 0.1),
        )
        for label, place, angle in zip(labels, places, (0.3, -1.2, 2.0), strict=True)
    ]
    truth = looking_at_the_table(generator)
    # Seen in another order than the scene lists them.
    order = [1, 2, 0]
    seen = [sighting(objects[index], truth, generator, NO_NOISE) for index in order]
    best = poses_from_objects(seen, objects, CAMERA)[0]
    assert errors(best.T_world_camera, truth)[0] < 0.1
    assert best.matches == tuple(enumerate(order))


def test_places_alone_are_enough_for_three_objects():
    generator = np.random.default_rng(9)
    objects = table(generator)[:4]
    truth = looking_at_the_table(generator)
    seen = [
        replace(sighting(item, truth, generator, NO_NOISE), rotation_deviation=math.inf)
        for item in objects
    ]
    best = poses_from_objects(seen, objects, CAMERA)[0]
    angle, distance = errors(best.T_world_camera, truth)
    assert angle < 0.1
    assert distance < 1e-3


def test_nothing_known_gives_nothing():
    generator = np.random.default_rng(1)
    objects = table(generator)
    truth = looking_at_the_table(generator)
    stranger = replace(sighting(objects[0], truth, generator, NO_NOISE), label="stranger")
    assert poses_from_objects([], objects, CAMERA) == ()
    assert poses_from_objects([stranger], objects, CAMERA) == ()
    blind = replace(sighting(objects[0], truth, generator, NO_NOISE), rotation_deviation=math.inf)
    assert poses_from_objects([blind], objects, CAMERA) == ()


def test_sightings_that_are_not_finite_are_refused():
    generator = np.random.default_rng(1)
    objects = table(generator)
    good = sighting(objects[0], looking_at_the_table(generator), generator, NO_NOISE)
    for bad in (replace(good, depth=-1.0), replace(good, centre_px=np.array([np.nan, 1.0]))):
        with pytest.raises(InputError, match="finite numbers and depth > 0"):
            poses_from_objects([bad], objects, CAMERA)
