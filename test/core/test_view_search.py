"""Views rendered beforehand tell where to begin."""

from __future__ import annotations

import numpy as np
import pytest
from analytic_field import AnalyticField, camera_at, small_camera
from small_place import CAMERA, PLACE, VIEW, estimator, observation, picture, viewpoints

from fast_inerf_ros.config import replace
from fast_inerf_ros.estimator.config import EstimatorConfig
from fast_inerf_ros.estimator.estimate import Source, Status
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.view_search import ViewSearch, normalised
from fast_inerf_ros.inerf.views import around, field_views

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("eye", [(1.2, -0.9, 1.0), (-0.9, 0.9, 0.8)])
def test_the_first_of_the_views_leads_to_the_camera(eye):
    truth = camera_at(eye)
    smooth = AnalyticField(frequency=20.0)
    problem = Problem(picture(truth, smooth), CAMERA, smooth, SE3.identity())
    search = ViewSearch(SE3.stack(viewpoints()), 8, 3)
    found = search.search(problem, np.random.default_rng(0))
    assert len(found) == 3
    error = pose_errors(found[0], truth)
    assert np.degrees(error.rotation) < 5
    assert error.translation < 0.1


def test_where_landmarks_agree_on_nothing_views_take_over():
    config = replace(EstimatorConfig(), "landmarks.min_inliers", 100_000)
    config = replace(config, "views.n_aligned", 8)
    found = estimator(config).estimate(observation(picture(VIEW)))
    assert found.status is Status.LOCALISED, found.reason
    assert found.source is Source.VIEWS
    assert np.degrees(pose_errors(found.T_world_camera, VIEW).rotation) < 0.2


def test_views_look_at_the_middle_of_the_field_from_all_around():
    poses = around(PLACE, 40)
    middle = np.asarray(PLACE.bounds.numpy().mean(axis=0), dtype=float)
    ahead = np.asarray(poses.inverse() @ middle)
    assert np.allclose(ahead[:, :2], 0, atol=1e-9)
    assert (ahead[:, 2] > 0).all()
    down = np.asarray(poses.rotation.matrix)[:, 2, 1]
    assert (down < 0).all()
    azimuth = np.arctan2(*np.asarray(poses.translation).T[:2])
    assert np.ptp(azimuth) > 5.5


def test_a_rendered_view_is_what_a_camera_there_sees():
    (view, *_) = field_views(AnalyticField(room=False), 2, 64, 48)
    assert view.color.shape == (48, 64, 3)
    assert view.depth.shape == (48, 64)
    assert 0.005 < np.isfinite(view.depth).mean() < 0.9


def test_pictures_that_differ_in_exposure_alone_are_alike():
    image = np.random.default_rng(0).random((10, 12, 3)).astype(np.float32)
    a, b = normalised(image), normalised(0.5 * image + 0.2)
    assert float(a @ b) == pytest.approx(1.0, abs=1e-5)


def test_a_camera_with_another_lens_gets_views_of_its_own():
    search = ViewSearch(SE3.stack(viewpoints()[:4]), 4, 2)
    smooth = AnalyticField(frequency=20.0)
    for camera in (CAMERA, small_camera(120, 90)):
        problem = Problem(picture(VIEW, smooth, camera), camera, smooth, SE3.identity())
        assert len(search.search(problem, np.random.default_rng(0))) == 2
