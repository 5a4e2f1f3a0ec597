"""Labels from a field and boxes agree with exact geometry, hidden parts and borders included."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from analytic_field import BOXES, AnalyticField, camera_at, small_camera

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.similarity import Similarity
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.io.scene import SceneObject
from fast_inerf_ros.scene_building.object_boxes import box_segments
from fast_inerf_ros.scene_building.object_masks import ObjectLabeller
from fast_inerf_ros.scene_building.placed_field import PlacedField
from fast_inerf_ros.scene_building.support import support_height

pytestmark = pytest.mark.usefixtures("one_thread")

CAMERA = small_camera()
VIEW = camera_at((1.3, -0.9, 1.1))
MARGIN = 0.02
T_WORLD_FIELD = SE3(SO3.exp(np.array([0.0, 0.0, 0.7])), np.array([0.3, -0.2, 0.4]))
PLACES = {
    "as_it_is": Similarity(SE3.identity()),
    "elsewhere": Similarity(T_WORLD_FIELD, 0.25),
}


@pytest.fixture(params=PLACES, scope="module")
def place(request):
    return PLACES[request.param]


def boxes_in(place):
    """An object for each solid of the field, its box a little larger but for the foot."""
    for number, (low, high) in enumerate(BOXES):
        low, high = np.array(low) - [MARGIN, MARGIN, 0.0], np.array(high) + MARGIN
        pose = SE3(SO3.identity(), (low + high) / 2)
        extent = tuple((place.scale * (high - low)).tolist())
        yield SceneObject(f"box{number}", number + 1, place.pose_to_target(pose), extent)


def labeller_in(place, objects=None, room=True):
    placed = PlacedField(AnalyticField(room=room), place)
    return ObjectLabeller(placed, list(boxes_in(place)) if objects is None else objects)


def exact_solids(camera, T_field_camera, room=True):
    """Which solid every pixel sees: 0 room, 1 ... the boxes, -1 nothing."""
    import torch

    bearings = np.asarray(camera.bearings(camera.pixel_grid())).reshape(-1, 3)
    directions = torch.tensor(bearings @ np.asarray(T_field_camera.rotation.matrix).T)
    origin = torch.tensor(np.asarray(T_field_camera.translation)).expand(len(directions), 3)
    _, solid, _, hit = AnalyticField(room=room)._hits(origin, directions)
    number = solid if room else solid + 1
    return torch.where(hit, number, -1).numpy().reshape(camera.height, camera.width)


def overlap(first, second):
    return (first & second).sum() / max((first | second).sum(), 1)


def test_visible_masks_are_those_of_exact_geometry(place):
    solids = exact_solids(CAMERA, VIEW)
    seen = labeller_in(place).labels(CAMERA, place.pose_to_target(VIEW))
    assert [item.class_id for item, _ in seen] == [1, 2, 3]
    for item, truth in seen:
        assert overlap(truth.visible, solids == item.class_id) > 0.97
        assert not (truth.visible & ~truth.mask).any()


def test_silhouettes_keep_what_is_hidden(place):
    """From low behind the third box, which hides a part of the first."""
    view = camera_at((1.0, -1.2, 0.45), (-0.2, 0.0, 0.25))
    labels = labeller_in(place).labels(CAMERA, place.pose_to_target(view))
    truth = {item.class_id: truth for item, truth in labels}[1]
    alone = AnalyticField(room=False, boxes=BOXES[:1])
    silhouette = PlacedField(alone, Similarity(SE3.identity())).view(CAMERA, view).opacity > 0.5
    assert overlap(truth.mask, silhouette) > 0.97
    assert 0.1 < truth.visible_fraction < 0.9
    assert truth.visible_fraction == pytest.approx(truth.visible.sum() / truth.mask.sum())
    assert overlap(truth.visible, exact_solids(CAMERA, view) == 1) > 0.95


def test_something_in_front_is_taken_out_of_the_mask(place):
    """A slab between camera and object, which belongs to no object, hides it half."""
    slab = ((0.55, -0.35, 0.0), (0.6, 0.15, 1.0))
    target = list(boxes_in(place))[:1]
    view = camera_at((1.5, -0.05, 0.5), (-0.3, -0.05, 0.2))
    field = AnalyticField(boxes=(*BOXES[:1], slab))
    hidden = ObjectLabeller(PlacedField(field, place), target)
    free = ObjectLabeller(PlacedField(AnalyticField(boxes=BOXES[:1]), place), target)
    world = place.pose_to_target(view)
    ((_, behind),), ((_, before),) = (item.labels(CAMERA, world) for item in (hidden, free))
    assert np.array_equal(behind.mask, before.mask)
    assert behind.visible.sum() < 0.5 * before.visible.sum()


def test_the_floor_under_an_object_is_not_the_object(place):
    """A box that is larger than its object and reaches below the floor shows only the object."""
    low, high = np.array([-0.7, -0.5, -0.05]), np.array([0.0, 0.4, 0.55])
    pose = SE3(SO3.identity(), (low + high) / 2)
    extent = tuple((place.scale * (high - low)).tolist())
    loose = SceneObject("loose", 1, place.pose_to_target(pose), extent)
    ((_, truth),) = labeller_in(place, [loose]).labels(CAMERA, place.pose_to_target(VIEW))
    assert overlap(truth.visible, exact_solids(CAMERA, VIEW) == 1) > 0.97


def test_objects_in_the_air_have_no_support(place):
    placed = PlacedField(AnalyticField(room=False), place)
    assert support_height(placed, next(boxes_in(place))) is None


def test_what_lies_beyond_the_border_counts(place):
    view = camera_at((1.3, -0.9, 1.1), (0.45, 0.7, 0.2))
    wide = CAMERA.crop(-80, -60, 320, 240)
    labeller = labeller_in(place)
    world = place.pose_to_target(view)
    cut = {item.class_id: truth for item, truth in labeller.labels(CAMERA, world)}
    whole = {item.class_id: truth for item, truth in labeller.labels(wide, world)}
    partly = [k for k in cut if 0 < cut[k].mask.sum() < whole[k].mask.sum()]
    assert partly
    for number in partly:
        assert cut[number].n_all == whole[number].mask.sum()
        assert np.array_equal(cut[number].mask, whole[number].mask[60:-60, 80:-80])
        assert cut[number].visible_fraction < whole[number].visible_fraction


def test_objects_behind_the_camera_are_left_out(place):
    away = camera_at((1.3, -0.9, 1.1), (1.6, -1.2, 1.1))
    assert labeller_in(place).labels(CAMERA, place.pose_to_target(away)) == ()


def test_poses_are_those_of_the_scene(place):
    world = place.pose_to_target(VIEW)
    for item, truth in labeller_in(place).labels(CAMERA, world):
        back = world @ truth.T_camera_object
        assert np.allclose(back.matrix(), item.T_world_object.matrix(), atol=1e-9)


def test_box_segments_agree_with_sampling():
    generator = np.random.default_rng(3)
    item = SceneObject("box", 1, SE3.random(generator), (0.6, 0.4, 0.9), (0.1, -0.2, 0.3))
    origins = 2.0 * generator.standard_normal((400, 3))
    middle = np.asarray(item.T_world_object @ np.asarray(item.box_centre))
    directions = middle + 0.5 * generator.standard_normal((400, 3)) - origins
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    near, far = box_segments(item, origins, directions, floor=0.1)
    steps = np.linspace(0.0, 8.0, 4001)
    points = origins[:, None] + steps[:, None] * directions[:, None]
    local = np.asarray(item.T_world_object.inverse() @ points) - item.box_centre
    inside = (np.abs(local) <= np.array(item.extent) / 2).all(axis=-1) & (points[..., 2] >= 0.1)
    assert 20 < inside.any(axis=-1).sum() < 380
    between = (steps > near[:, None]) & (steps < far[:, None])
    assert (inside != between).sum(axis=-1).max() <= 2


def test_a_scene_without_objects_is_refused():
    with pytest.raises(InputError, match="objects: expected objects"):
        labeller_in(PLACES["as_it_is"], [])


def test_an_object_turned_upside_down_keeps_its_floor(place):
    """The floor is found in the world, whichever way the object's own axes point."""
    item = next(boxes_in(place))
    turned = item.T_world_object @ SE3(SO3.exp(np.array([np.pi, 0.0, 0.0])), np.zeros(3))
    other = dataclasses.replace(item, T_world_object=turned)
    placed = PlacedField(AnalyticField(), place)
    assert support_height(placed, other) == pytest.approx(support_height(placed, item) or np.nan)
