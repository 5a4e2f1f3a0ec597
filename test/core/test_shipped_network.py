"""The network in `resource/`, which `make demo` starts from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fast_inerf_ros.datasets.synthetic.layout import make_layout
from fast_inerf_ros.datasets.synthetic.objects import object_set
from fast_inerf_ros.datasets.synthetic.photographs import Randomisation, expose_randomised
from fast_inerf_ros.datasets.synthetic.render import Renderer
from fast_inerf_ros.datasets.synthetic.trajectories import look_at
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.posecnn.detector import Detector, DetectorConfig

pytestmark = pytest.mark.usefixtures("one_thread")

SHIPPED = Path(__file__).parents[2] / "resource" / "posecnn_tabletop.pt"
LARGEST = 10_000_000
UNSEEN_LAYOUT = 4_000_007
CAMERA = Camera(640, 480, 600.0, 600.0, 319.5, 239.5)
CLEARLY = 600
"""Pixels from which an object is clearly in view."""


def test_it_is_small_enough_to_be_kept_beside_the_code():
    assert SHIPPED.stat().st_size <= LARGEST


@pytest.fixture(scope="module")
def layout():
    return make_layout(UNSEEN_LAYOUT, object_set(0, n_boxes=4, n_cans=3), 3, 0.5)


@pytest.fixture(scope="module")
def photographs(layout):
    """Three photographs of the table."""
    renderer = Renderer(2)
    world = renderer.prepare(layout)
    taken = []
    for place in ((0.6, -0.5, 0.5), (-0.5, -0.5, 0.6), (0.1, -0.7, 0.55)):
        view = look_at(place, (0.0, 0.0, 0.04))
        rendered = renderer.render(world, CAMERA, view)
        generator = np.random.default_rng(0)
        taken.append(expose_randomised(rendered, CAMERA, view, Randomisation(), generator))
    return taken


def test_it_finds_most_objects_of_a_table_it_has_never_seen(layout, photographs):
    detector = Detector.load(SHIPPED)
    n_clear, n_found, n_wrong = 0, 0, 0
    for photograph in photographs:
        masks = {item.model.label: photograph.visible_mask(index) for index, item in
                 enumerate(layout.objects)}  # fmt: skip
        found = set()
        for detection in detector.detect(photograph.image, CAMERA):
            seen = detection.full_mask(CAMERA.width, CAMERA.height)
            both = np.count_nonzero(seen & masks[detection.label])
            right = both > 0.3 * np.count_nonzero(seen | masks[detection.label])
            n_wrong += not right
            found |= {detection.label} if right else set()
        clear = {label for label, mask in masks.items() if np.count_nonzero(mask) >= CLEARLY}
        n_clear, n_found = n_clear + len(clear), n_found + len(clear & found)
    assert n_clear >= 12
    assert n_found >= 0.7 * n_clear
    assert n_wrong <= 0.3 * n_clear


def test_sixteen_bits_find_the_same(photographs):
    whole, half = (
        Detector.load(SHIPPED, DetectorConfig(device="cpu", half_precision=half))
        for half in (False, True)
    )
    n_same, n_all = 0, 0
    for photograph in photographs:
        expected = {item.label: item for item in whole.detect(photograph.image, CAMERA)}
        found = {item.label: item for item in half.detect(photograph.image, CAMERA)}
        n_all += len(expected | found)
        for label in expected.keys() & found.keys():
            ours, theirs = found[label], expected[label]
            error = pose_errors(ours.T_camera_object, theirs.T_camera_object)
            shift = np.linalg.norm(ours.centre_px - theirs.centre_px)
            n_same += shift < 2.0 and error.rotation_deg < 3.0 and error.translation < 0.02
    assert n_all >= 12
    assert n_same >= 0.8 * n_all
