"""Whatever an image, a mask or a start contains, the answer is a status and a reason."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from analytic_field import AnalyticField, camera_at, photograph, small_camera

from fast_inerf_ros.config import replace
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.result import Status
from fast_inerf_ros.inerf.solvers.registry import make_solver, options_class, solver_names

CAMERA = small_camera(96, 72)
SCENE = AnalyticField()
VIEW = camera_at((1.2, -0.9, 1.0))
PHOTOGRAPH = photograph(SCENE, CAMERA, VIEW, 1)
WALLED = AnalyticField(boxes=(((0.7, -2.0, 0.0), (0.8, 2.0, 2.5)),))
SHAPE = (CAMERA.height, CAMERA.width)


def filled(value):
    return np.full((*SHAPE, 3), value, dtype=np.float32)


def with_nan(pose):
    return SE3(pose.rotation, pose.translation * np.array([1.0, np.nan, 1.0]))


def half_saturated():
    image = np.ones((*SHAPE, 3), dtype=np.float32)
    image[:, :10] = 0.0
    return image


def not_finite():
    image = PHOTOGRAPH.copy()
    image[:] = np.nan
    return image


def noise():
    return np.random.default_rng(0).random((*SHAPE, 3)).astype(np.float32)


def only(n_pixels):
    mask = np.zeros(SHAPE, dtype=bool)
    mask.ravel()[: n_pixels * 7 : 7] = True
    return mask


def problem(image=PHOTOGRAPH, camera=CAMERA, field=SCENE, start=VIEW, **given):
    return Problem(image, camera, field, start, **given)


def zoomed():
    return Camera(96, 72, 400.0, 30.0, 5.0, 60.0)


# Name: problem, what the reason says, and statuses that are right.
FAILED, REJECTED = {Status.FAILED}, {Status.REJECTED}
CASES = {
    "black image": (lambda: problem(filled(0)), "black", FAILED),
    "white image": (lambda: problem(filled(1)), "saturated", FAILED),
    "grey image": (lambda: problem(filled(0.5)), "blank", FAILED),
    "clipped image": (lambda: problem(half_saturated()), "saturated", FAILED),
    "image of NaN": (lambda: problem(not_finite()), "pixels", FAILED),
    "start of NaN": (lambda: problem(start=with_nan(VIEW)), "NaN", FAILED),
    "mask of nothing": (lambda: problem(mask=only(0)), "mask has no pixels", FAILED),
    "mask of five pixels": (lambda: problem(mask=only(5)), "5 pixels", FAILED),
    "noise": (lambda: problem(noise()), "", REJECTED),
    "wrong intrinsics": (lambda: problem(camera=zoomed()), "", REJECTED),
    "view of nothing": (
        lambda: problem(field=AnalyticField(room=False), start=camera_at((1, 1, 1), (3, 3, 2))),
        "",
        REJECTED,
    ),
    "start in an object": (
        lambda: problem(start=SE3(VIEW.rotation, np.array([-0.3, 0.0, 0.2]))),
        "",
        REJECTED,
    ),
    "start behind a wall": (lambda: problem(field=WALLED), "", REJECTED),
    "start far away": (
        lambda: problem(start=SE3(VIEW.rotation, VIEW.translation + 1e6)),
        "",
        REJECTED,
    ),
}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", solver_names())
@pytest.mark.parametrize("case", CASES)
def test_bad_input_gives_a_status_and_a_reason(case, name):
    make, words, statuses = CASES[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = make()
        result = solver(name).solve(made, np.random.default_rng(0))
    assert result.status in statuses, result.reason
    assert words in result.reason
    if result.status is Status.REJECTED:
        assert result.T_world_camera is made.start
    assert result.reason
    assert "\n" not in result.reason
    assert_finite(result)


@pytest.mark.parametrize("name", solver_names())
@pytest.mark.parametrize("strategy", ["interest_points", "interest_regions"])
def test_too_few_interesting_pixels_are_a_failure_with_their_number(name, strategy):
    ramp = np.linspace(0.2, 0.8, CAMERA.width, dtype=np.float32)
    smooth = np.broadcast_to(ramp[None, :, None], (*SHAPE, 3)).copy()
    options = replace(solver(name).options, "pixels.strategy", strategy)
    result = make_solver(name, options).solve(problem(smooth), np.random.default_rng(0))
    assert result.status is Status.FAILED
    assert f"{strategy} found 0 pixels" in result.reason


def solver(name):
    options = options_class(name)()
    return make_solver(name, replace(options, "max_steps", 30) if name == "adam" else options)


def assert_finite(result):
    if result.status is Status.FAILED:
        assert result.T_world_camera is None
    else:
        assert np.isfinite(np.asarray(result.T_world_camera.matrix())).all()
    assert np.isfinite(result.information).all()
    covariance = result.covariance()
    assert covariance is None or np.isfinite(covariance).all()
    if result.residuals is not None:
        assert np.isfinite(list(vars(result.residuals).values())).all()
