"""Depth, masks and poses of the tabletop agree with each other and with the pictures."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from core.tabletop import (
    CAMERA,
    DISTORTED,
    FISHEYE,
    VIEW,
    layout,
    models,
    points_in_world,
    renderer,
    world,
)
from scipy.optimize import linprog
from scipy.spatial import ConvexHull

from fast_inerf_ros.datasets.synthetic.layout import (
    TABLE_HALF,
    UNDYED,
    dyed,
    make_layout,
    rearranged,
)
from fast_inerf_ros.datasets.synthetic.photographs import (
    expose,
    instance_truths,
    with_occluder,
)
from fast_inerf_ros.datasets.synthetic.render import TABLE, Renderer
from fast_inerf_ros.datasets.synthetic.sensor import Sensor
from fast_inerf_ros.datasets.synthetic.trajectories import look_at
from fast_inerf_ros.errors import InputError

LENSES = [CAMERA, DISTORTED, FISHEYE]


def photograph(view=VIEW, camera=CAMERA, prepared=None):
    prepared = prepared or world()
    rendered = renderer().render(prepared, camera, view)
    return expose(rendered, camera, view, Sensor(softness_px=0.0), np.random.default_rng(0))


@pytest.mark.parametrize("camera", LENSES, ids=lambda camera: camera.distortion_model)
def test_table_pixels_lie_on_the_table_plane(camera):
    rendered = renderer().render(world(), camera, VIEW)
    on_table = rendered.surface == TABLE
    assert on_table.mean() > 0.1
    points = points_in_world(rendered.depth, camera, VIEW)[on_table]
    np.testing.assert_allclose(points[:, 2], 0.0, atol=2e-5)
    assert (np.abs(points[:, :2]) <= np.array(TABLE_HALF) + 1e-4).all()


@pytest.mark.parametrize("camera", LENSES, ids=lambda camera: camera.distortion_model)
def test_object_pixels_lie_on_the_object_and_inside_of_its_box(camera):
    rendered = renderer().render(world(), camera, VIEW)
    points = points_in_world(rendered.depth, camera, VIEW)
    for index, placement in enumerate(layout().objects):
        seen = rendered.surface == index
        local = placement.T_world_object.inverse() @ points[seen]
        low, high = placement.model.mesh.bounds
        assert seen.sum() > 10
        assert (local > low - 1e-4).all()
        assert (local < high + 1e-4).all()


def test_objects_rest_on_the_table_and_stand_apart():
    for seed in range(3):
        placed = make_layout(seed, models(), n_clutter=4, crowding=1.0).placements
        outlines = []
        for placement in placed:
            vertices = placement.T_world_object @ placement.model.mesh.vertices.astype(float)
            assert vertices[:, 2].min() == pytest.approx(0.0, abs=1e-6)
            assert (np.abs(vertices[:, :2]) < TABLE_HALF).all()
            outlines.append(vertices[ConvexHull(vertices[:, :2]).vertices, :2])
        for i, a in enumerate(outlines):
            for b in outlines[i + 1 :]:
                # A line n.x = d with a on one side and b on the other, by linear programming.
                rows = np.vstack([np.c_[a, -np.ones(len(a))], np.c_[-b, np.ones(len(b))]])
                found = linprog(np.zeros(3), rows, -np.ones(len(rows)), bounds=[(None, None)] * 3)
                assert found.success, f"layout {seed}: two things overlap"


def test_too_many_things_for_the_table_are_refused():
    with pytest.raises(InputError, match="found no room for 40 things"):
        make_layout(0, models() * 10, n_clutter=0)


def test_visible_mask_is_the_part_of_the_silhouette_with_nothing_before_it():
    taken = photograph()
    for index, truth in enumerate(instance_truths(renderer(), world(), taken)):
        assert truth.visible.sum() > 0
        assert not (truth.visible & ~truth.mask).any()
        alone = dataclasses.replace(
            layout(), objects=(layout().objects[index],), clutter=(), occluders=()
        )
        only = renderer().render(renderer().prepare(alone), CAMERA, VIEW)
        np.testing.assert_array_equal(truth.mask, only.surface == 0)
        hidden = truth.mask & ~truth.visible
        assert (taken.rendered.depth[hidden] <= only.depth[hidden] + 1e-5).all()
        np.testing.assert_allclose(
            taken.rendered.depth[truth.visible], only.depth[truth.visible], atol=1e-5
        )


def test_visible_fraction_counts_what_the_border_and_other_things_hide():
    whole = photograph()
    wide = instance_truths(renderer(), world(), whole)
    for truth in wide:
        expected = truth.visible.sum() / truth.n_all
        assert truth.visible_fraction == pytest.approx(expected)
        assert truth.n_all == truth.mask.sum()  # all objects are within this image
    x = wide[0].box_all[0] + wide[0].box_all[2] // 2
    cut = CAMERA.crop(x, 0, CAMERA.width - x, CAMERA.height)
    truth = instance_truths(renderer(), world(), photograph(camera=cut))[0]
    assert truth.n_all == wide[0].n_all
    assert truth.box_all == (wide[0].box_all[0] - x, *wide[0].box_all[1:])
    assert truth.visible_fraction < 0.7 * wide[0].visible_fraction


def test_silhouette_lies_within_the_projected_box_and_fills_most_of_it():
    for truth, placement in zip(
        instance_truths(renderer(), world(), photograph()), layout().objects, strict=True
    ):
        low, high = placement.model.mesh.bounds.astype(float)
        corners = np.stack(np.meshgrid(*zip(low, high, strict=True)), -1).reshape(-1, 3)
        pixels = CAMERA.project(truth.T_camera_object @ corners)
        x, y, width, height = truth.box_all
        assert (pixels.min(0) <= [x + 0.5, y + 0.5]).all()
        assert (pixels.max(0) >= [x + width - 1.5, y + height - 1.5]).all()
        extent = np.ptp(pixels, axis=0)
        assert width > 0.7 * extent[0]
        assert height > 0.7 * extent[1]


def test_warping_one_view_into_another_by_depth_and_poses_leaves_little():
    other_view = look_at((0.50, -0.54, 0.52), (0.01, 0.0, 0.04))
    camera = CAMERA.resize(320, 240)
    a = renderer().render(world(), camera, VIEW)
    b = renderer().render(world(), camera, other_view)
    points = points_in_world(a.depth, camera, VIEW)
    in_b = other_view.inverse() @ points
    pixels = camera.project(in_b).astype(np.float32)
    maps = (pixels[..., 0], pixels[..., 1])
    moved = cv2.remap(b.colour, *maps, cv2.INTER_LINEAR)
    depth = cv2.remap(b.depth, *maps, cv2.INTER_NEAREST)
    same = camera.contains(pixels) & (np.abs(depth - in_b[..., 2]) < 0.005)
    difference = np.abs(a.colour - moved).mean(axis=-1)
    unmoved = np.abs(a.colour - b.colour).mean(axis=-1)
    assert same.mean() > 0.6
    assert np.median(difference[same]) < 0.02
    assert np.mean(difference[same]) < 0.25 * np.mean(unmoved[same])


def test_pictures_do_not_depend_on_the_number_of_threads_nor_on_what_was_rendered_before():
    fresh = Renderer(1)
    first = fresh.render(fresh.prepare(layout()), CAMERA, VIEW)
    again = renderer().render(renderer().prepare(layout()), CAMERA, VIEW)
    np.testing.assert_array_equal(first.colour, again.colour)
    np.testing.assert_array_equal(first.depth, again.depth)
    np.testing.assert_array_equal(first.surface, again.surface)


def test_layouts_of_other_seeds_are_other_layouts():
    poses = {
        tuple(make_layout(seed, models()).objects[0].T_world_object.translation)
        for seed in range(5)
    }
    assert len(poses) == 5


@pytest.mark.parametrize("n_moved", [0, 3, 10])
def test_rearranging_moves_so_many_things_and_nothing_else(n_moved):
    before = make_layout(3, models(), n_clutter=2)
    n_things = len(before.placements)
    after = rearranged(before, n_moved, np.random.default_rng(0))
    moved = [old is not new for old, new in zip(before.placements, after.placements, strict=True)]
    assert sum(moved) == min(n_moved, n_things)
    for old, new in zip(before.placements, after.placements, strict=True):
        assert new.model is old.model
        assert np.abs(new.T_world_object.translation[:2]).max() < max(TABLE_HALF)
    for field in {item.name for item in dataclasses.fields(before)} - {"objects", "clutter"}:
        assert getattr(after, field) == getattr(before, field)


def test_occluder_hides_a_part_of_an_object():
    before = [t.visible_fraction for t in instance_truths(renderer(), world(), photograph())]
    reduced = 0
    for seed in range(6):
        hidden = with_occluder(layout(), VIEW, np.random.default_rng(seed))
        prepared = renderer().prepare(hidden)
        after = instance_truths(renderer(), prepared, photograph(prepared=prepared))
        reduced += any(
            t.visible_fraction < 0.9 * fraction for t, fraction in zip(after, before, strict=True)
        )
    assert reduced >= 4


def test_dyes_change_unknown_things_alone_and_leave_greys_grey():
    before = with_occluder(layout(), VIEW, np.random.default_rng(0))
    dyes = set()
    for seed in range(12):
        after = dyed(before, np.random.default_rng(seed))
        assert after.objects == before.objects
        for old, new in zip(before.placements, after.placements, strict=True):
            assert new.model is old.model
            assert new.T_world_object is old.T_world_object
            grey = np.array(new.dye) @ np.ones(3)
            np.testing.assert_allclose(grey, grey[0])
            assert 0.5 < grey[0] < 1.3
        dyes |= {thing.dye for thing in after.clutter + after.occluders}
    assert UNDYED in dyes
    assert len(dyes) > 12


def test_dyed_thing_is_seen_in_the_colour_of_its_dye():
    thing = dataclasses.replace(layout().clutter[0], dye=((0, 1, 0), (0, 0.1, 0), (0, 0, 1)))
    turned = dataclasses.replace(layout(), clutter=(thing, *layout().clutter[1:]))
    pictures = [
        renderer().render(prepared, CAMERA, VIEW)
        for prepared in (world(), renderer().prepare(turned))
    ]
    np.testing.assert_array_equal(pictures[0].surface, pictures[1].surface)
    seen = pictures[0].surface == len(layout().objects)
    assert seen.sum() > 50
    (_, green, blue), new = (picture.colour[seen].mean(axis=0) for picture in pictures)
    np.testing.assert_allclose(new[[0, 2]], [green, blue], rtol=0.15)
    assert new[1] < 0.5 * green
    others = ~seen & (pictures[0].surface >= 0)
    assert np.abs(pictures[0].colour - pictures[1].colour)[others].mean() < 0.01


def test_silhouette_edges_are_antialiased():
    rendered = renderer().render(world(), CAMERA, VIEW)
    big = renderer().render(world(), CAMERA.resize(640, 480), VIEW)
    reference = cv2.resize(big.colour, (160, 120), interpolation=cv2.INTER_AREA)
    edge = cv2.Laplacian((rendered.surface >= 0).astype(np.float32), cv2.CV_32F) != 0
    error = np.abs(np.clip(rendered.colour, 0, 1) - np.clip(reference, 0, 1)).mean(-1)
    assert np.mean(error[edge]) < 0.03
