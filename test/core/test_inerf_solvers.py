"""Solvers find the camera again, say how well, and use only what they may."""

from __future__ import annotations

import numpy as np
import pytest
from analytic_field import AnalyticField, camera_at, disturbed, photograph, small_camera
from scipy.stats import chi2

from fast_inerf_ros.config import replace
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.inerf.observer import Recorder
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.result import Status
from fast_inerf_ros.inerf.solvers.registry import make_solver, options_class, solver_names

CAMERA = small_camera(96, 72)
SCENE = AnalyticField()
VIEW = camera_at((1.2, -0.9, 1.0))
PHOTOGRAPH = photograph(SCENE, CAMERA, VIEW)

# Angle in degrees and distance in metres that each solver is to recover from.
REACH = {"adam": (8.0, 0.03), "lm": (1.0, 0.01), "keyframe": (20.0, 0.05)}
ACCURACY = {"adam": (0.3, 0.008), "lm": (0.02, 0.0005), "keyframe": (0.02, 0.0005)}


pytestmark = pytest.mark.usefixtures("one_thread")


def solve(name, image=PHOTOGRAPH, start=VIEW, field=SCENE, camera=CAMERA, seed=0, **given):
    observer, changes = given.pop("observer", None), given.pop("changes", {})
    options = options_class(name)()
    for key, value in changes.items():
        options = replace(options, key, value)
    problem = Problem(image, camera, field, start, **given)
    return make_solver(name, options).solve(problem, np.random.default_rng(seed), observer)


def errors(result, truth=VIEW):
    found = pose_errors(result.T_world_camera, truth)
    return float(np.degrees(found.rotation)), float(found.translation)


def assert_recovered(result, name, truth=VIEW, factor=1.0):
    assert result.status.refined, result.reason
    angle_deg, distance = errors(result, truth)
    assert angle_deg < factor * ACCURACY[name][0]
    assert distance < factor * ACCURACY[name][1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", solver_names())
def test_a_disturbed_camera_is_found_again(name, seed):
    start = disturbed(VIEW, *REACH[name], np.random.default_rng(seed))
    result = solve(name, start=start, seed=seed)
    assert_recovered(result, name)
    assert result.solver == name
    assert result.residuals.correlation > 0.9
    assert result.residuals.held_out_end < result.residuals.held_out_start


@pytest.mark.parametrize("name", ["lm", "keyframe"])
def test_the_true_camera_stays_where_it_is(name):
    assert_recovered(solve(name, start=VIEW), name)


@pytest.mark.parametrize("name", ["lm", "keyframe"])
@pytest.mark.parametrize(("gain", "bias"), [(0.6, 0.1), (0.9, 0.05)])
def test_a_change_of_brightness_is_found_and_does_no_harm(name, gain, bias):
    image = (gain * PHOTOGRAPH + bias).astype(np.float32)
    start = disturbed(VIEW, *REACH[name], np.random.default_rng(1))
    result = solve(name, image, start)
    assert_recovered(result, name, factor=3.0)
    assert result.residuals.gain == pytest.approx(gain, rel=0.02)
    assert result.residuals.bias == pytest.approx(bias, abs=0.02)


@pytest.mark.parametrize("name", solver_names())
def test_what_is_masked_does_not_matter(name):
    mask = np.ones((CAMERA.height, CAMERA.width), dtype=bool)
    mask[20:50, 30:60] = False
    start = disturbed(VIEW, *REACH[name], np.random.default_rng(2))
    noise = np.random.default_rng(9).random(PHOTOGRAPH.shape).astype(np.float32)
    # Slopes of the pixels beside the mask reach into it.
    image = PHOTOGRAPH.copy()
    image[22:48, 32:58] = noise[22:48, 32:58]
    assert_recovered(solve(name, image, start, mask=mask), name, factor=1.5)


@pytest.mark.parametrize("name", ["lm", "keyframe"])
def test_a_small_mask_is_enough(name):
    mask = np.zeros((CAMERA.height, CAMERA.width), dtype=bool)
    mask[24:54, 36:66] = True
    start = disturbed(VIEW, 1.0, 0.01, np.random.default_rng(2))
    assert_recovered(solve(name, start=start, mask=mask), name, factor=5.0)


@pytest.mark.parametrize("seed", range(3))
def test_a_small_mask_does_not_take_the_reach_of_keyframes(seed):
    """An eighth of the image is masked, so that most points of a keyframe lie outside."""
    mask = np.zeros((CAMERA.height, CAMERA.width), dtype=bool)
    mask[20:54, 34:68] = True
    start = disturbed(VIEW, 5.0, 0.03, np.random.default_rng(seed))
    result = solve("keyframe", start=start, mask=mask, seed=seed)
    assert any(stage.accepted for stage in result.stages if stage.name.startswith("keyframe"))
    assert_recovered(result, "keyframe", factor=10.0)


def test_further_starts_end_with_the_first_that_agrees():
    """A soft photograph never correlates well enough, but two starts come to one pose."""
    noise = np.random.default_rng(3).normal(0, 0.12, PHOTOGRAPH.shape)
    image = np.clip(PHOTOGRAPH + noise, 0, 1).astype(np.float32)
    start = disturbed(VIEW, 4.0, 0.02, np.random.default_rng(0))
    changes = {"restart_correlation": 0.999}
    result = solve("keyframe", image, start, changes=changes)
    assert_recovered(result, "keyframe", factor=20.0)
    tried = {stage.name.split()[1] for stage in result.stages if stage.name.startswith("restart")}
    assert tried in ({"1"}, {"1", "2"}, {"1", "2", "3"})
    doubtful = solve("keyframe", image, start, changes=changes | {"restart_consensus_deg": 0.0})
    again = {s.name.split()[1] for s in doubtful.stages if s.name.startswith("restart")}
    assert again == {"1", "2", "3", "4"}


@pytest.mark.parametrize("name", ["lm", "keyframe"])
def test_something_in_the_way_is_an_outlier(name):
    image = PHOTOGRAPH.copy()
    image[25:45, 35:60] = (0.9, 0.1, 0.1)
    start = disturbed(VIEW, 0.5 * REACH[name][0], 0.01, np.random.default_rng(3))
    result = solve(name, image, start)
    assert_recovered(result, name, factor=5.0)
    assert result.residuals.inlier_share < 0.99


@pytest.mark.parametrize("name", ["lm", "keyframe"])
@pytest.mark.parametrize(
    "lens",
    [
        {"distortion_model": "plumb_bob", "distortion": (-0.25, 0.06, 0.002, -0.001, 0.0)},
        {"distortion_model": "equidistant", "distortion": (0.05, -0.01, 0.0, 0.0)},
    ],
    ids=["plumb_bob", "equidistant"],
)
def test_a_lens_is_part_of_the_camera(name, lens):
    camera = small_camera(96, 72, **lens)
    image = photograph(SCENE, camera, VIEW)
    start = disturbed(VIEW, *REACH[name], np.random.default_rng(4))
    assert_recovered(solve(name, image, start, camera=camera), name)


@pytest.mark.parametrize("name", solver_names())
def test_the_frame_of_the_field_does_not_matter(name):
    frame = FieldFrame(
        SE3(SO3.exp(np.array([0.4, -0.2, 1.0])), np.array([5.0, -3.0, 1.0])), 3.0, True
    )
    moved = AnalyticField(frame=frame)

    def to_world(pose):
        return frame.T_world_field @ SE3(pose.rotation, 3.0 * pose.translation)

    start = disturbed(VIEW, *REACH[name], np.random.default_rng(5))
    result = solve(name, start=to_world(start), field=moved)
    angle_deg, distance = errors(result, to_world(VIEW))
    assert result.status.refined
    assert angle_deg < ACCURACY[name][0]
    assert distance < 3.0 * ACCURACY[name][1]


@pytest.mark.parametrize("name", ["adam", "keyframe"])
def test_an_object_before_a_known_background_is_enough(name):
    field = AnalyticField(room=False)
    image = photograph(field, CAMERA, VIEW)
    start = disturbed(VIEW, 5.0, 0.02, np.random.default_rng(6))
    result = solve(name, image, start, field, background=(1.0, 1.0, 1.0))
    # Its outline is half of what there is to see, and renderings are not antialiased.
    assert_recovered(result, name, factor=5.0)


@pytest.mark.parametrize("name", solver_names())
def test_equal_generators_give_equal_results(name):
    start = disturbed(VIEW, *REACH[name], np.random.default_rng(7))
    changes = {"max_steps": 20} if name == "adam" else {}
    first, again = (solve(name, start=start, seed=3, changes=changes) for _ in range(2))
    np.testing.assert_array_equal(first.T_world_camera.matrix(), again.T_world_camera.matrix())
    assert first.residuals == again.residuals


@pytest.mark.parametrize("name", solver_names())
def test_an_observer_sees_every_step_from_the_start_on(name):
    recorder = Recorder()
    start = disturbed(VIEW, *REACH[name], np.random.default_rng(8))
    changes = {"max_steps": 20} if name == "adam" else {}
    result = solve(name, start=start, observer=recorder, changes=changes)
    steps = [iteration.step for iteration in recorder.iterations]
    assert steps == list(range(len(steps)))
    assert len(steps) == sum(stage.n_steps for stage in result.stages)
    assert recorder.poses.batch_shape == (len(steps),)
    seconds = [iteration.seconds for iteration in recorder.iterations]
    assert seconds == sorted(seconds)
    assert sum(stage.seconds for stage in result.stages) <= result.seconds


@pytest.mark.parametrize("name", solver_names())
def test_an_observer_can_stop_a_solver(name):
    seen = []
    start = disturbed(VIEW, *REACH[name], np.random.default_rng(8))
    result = solve(name, start=start, observer=lambda step: seen.append(step) or False)
    assert result.status in (Status.STOPPED, Status.REJECTED)
    assert len(seen) <= 8


def test_covariance_is_that_of_the_errors():
    """Normalised squared errors of repeats with fresh noise follow chi-square with 6 degrees."""
    changes = {"descent.loss.kind": "none", "pixels.strategy": "random", "pixels.count": 3000}
    sharp = photograph(SCENE, CAMERA, VIEW, 1)
    squares = []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        noisy = sharp + generator.normal(0, 0.03, sharp.shape)
        start = disturbed(VIEW, 0.3, 0.003, generator)
        result = solve("lm", noisy.clip(0, 1).astype(np.float32), start, changes=changes)
        error = np.asarray((VIEW.inverse() @ result.T_world_camera).log())
        squares.append(error @ np.linalg.solve(result.covariance(), error))
    total = float(np.sum(squares))
    assert chi2.ppf(0.001, 6 * 40) < total < chi2.ppf(0.999, 6 * 40)


def test_every_stage_tells_what_the_held_out_pixels_said():
    start = disturbed(VIEW, 15.0, 0.05, np.random.default_rng(10))
    result = solve("keyframe", start=start)
    assert result.stages[0].name == "keyframe 1"
    assert result.stages[-1].name == "polish"
    assert result.stages[0].held_out_before == result.residuals.held_out_start
    best = lowest = result.residuals.held_out_start
    for stage in result.stages:
        assert stage.held_out_before == best
        assert stage.accepted == (stage.held_out_after <= 1.02 * lowest)
        best = stage.held_out_after if stage.accepted else best
        lowest = min(lowest, best)
    assert best == result.residuals.held_out_end


def test_restarts_reach_further():
    generator = np.random.default_rng(11)
    starts = [disturbed(VIEW, 40.0, 0.0, generator) for _ in range(4)]
    recovered = []
    for restarts in (0, 6):
        results = [solve("keyframe", start=s, changes={"restarts": restarts}) for s in starts]
        recovered.append(sum(errors(result)[0] < 0.1 for result in results))
    assert recovered[0] <= recovered[1]
    assert recovered[1] >= 2


def test_solvers_are_found_by_name():
    assert solver_names() == ("adam", "keyframe", "lm")
    assert make_solver().name == "keyframe"
    with pytest.raises(InputError, match="did you mean keyframe"):
        make_solver("keyfrme")
    with pytest.raises(InputError, match=r"lm\.Options"):
        make_solver("lm", options_class("adam")())


def test_a_problem_refuses_what_does_not_belong_together():
    with pytest.raises(InputError, match="image"):
        Problem(PHOTOGRAPH[:-1], CAMERA, SCENE, VIEW)
    with pytest.raises(InputError, match="mask"):
        Problem(PHOTOGRAPH, CAMERA, SCENE, VIEW, mask=np.ones((3, 3), dtype=bool))
    with pytest.raises(InputError, match="one pose"):
        Problem(PHOTOGRAPH, CAMERA, SCENE, SE3.stack([VIEW, VIEW]))
    with pytest.raises(InputError, match="near"):
        Problem(PHOTOGRAPH, CAMERA, SCENE, VIEW, near=2.0, far=1.0)
