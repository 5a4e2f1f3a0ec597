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
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.posecnn.detector import Detector

pytestmark = pytest.mark.usefixtures("one_thread")

SHIPPED = Path(__file__).parents[2] / "resource" / "posecnn_tabletop.pt"
LARGEST = 10_000_000
UNSEEN_LAYOUT = 4_000_007
CAMERA = Camera(640, 480, 600.0, 600.0, 319.5, 239.5)
CLEARLY = 600
"""Pixels from which an object is clearly in view."""


def test_it_is_small_enough_to_be_kept_beside_the_code():
    assert SHIPPED.stat().st_size <= LARGEST


def test_it_finds_most_objects_of_a_table_it_has_never_seen():
    models, renderer = object_set(0, n_boxes=4, n_cans=3), Renderer(2)
    layout = make_layout(UNSEEN_LAYOUT, models, n_clutter=3, crowding=0.5)
    detector, world = Detector.load(SHIPPED), renderer.prepare(layout)
    n_clear, n_found, n_wrong = 0, 0, 0
    for place in ((0.6, -0.5, 0.5), (-0.5, -0.5, 0.6), (0.1, -0.7, 0.55)):
        view = look_at(place, (0.0, 0.0, 0.04))
        rendered = renderer.render(world, CAMERA, view)
        photograph = expose_randomised(
            rendered, CAMERA, view, Randomisation(), np.random.default_rng(0)
        )
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
