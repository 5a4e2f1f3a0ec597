"""A prior with a covariance is searched around; one without is taken as it is."""

from __future__ import annotations

import numpy as np
import pytest
from small_place import VIEW, estimator, observation, picture

from fast_inerf_ros.config import replace
from fast_inerf_ros.estimator.config import EstimatorConfig
from fast_inerf_ros.estimator.hypotheses import PRIORS, ranked
from fast_inerf_ros.estimator.observation import PosePrior
from fast_inerf_ros.estimator.priors import of_prior
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.geometry.covariance import ros_covariance_to_tangent, transport_covariance
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.inerf.problem import Problem

pytestmark = pytest.mark.usefixtures("one_thread")


def poses(covariance):
    found = of_prior(PosePrior(VIEW, covariance), np.random.default_rng(0))
    return [item.T_world_camera for item in found]


def spread(angle_deg, distance):
    return np.diag([distance**2] * 3 + [np.radians(angle_deg) ** 2] * 3)


def test_the_prior_itself_is_the_first():
    assert np.array_equal(poses(spread(10, 0.1))[0].matrix(), VIEW.matrix())


@pytest.mark.parametrize(
    "covariance",
    [None, np.full((6, 6), np.nan), np.eye(5), np.zeros((6, 6)), 1e6 * np.eye(6), -np.eye(6)],
    ids=["none", "nan", "shape", "zero", "unknown", "negative"],
)
def test_what_is_no_covariance_gives_the_prior_alone(covariance):
    assert len(poses(covariance)) == 1


def test_poses_spread_as_the_covariance_says():
    covariance = spread(10, 0.1)
    covariance[0, 4] = covariance[4, 0] = 0.8 * 0.1 * np.radians(10)
    twists = np.array([(VIEW.inverse() @ pose).log() for pose in poses(covariance)[1:]])
    whitened = np.linalg.solve(np.linalg.cholesky(covariance), twists.T)
    assert np.linalg.norm(whitened, axis=0).max() <= 2.0 * np.sqrt(6) + 1e-6
    assert 0.6 < whitened.std() < 1.1


def test_directions_of_which_nothing_is_known_are_not_searched():
    covariance = spread(10, 0.1)
    covariance[2, 2] = 1e6
    for pose in poses(covariance):
        assert abs((VIEW.inverse() @ pose).log()[2]) < 1e-6


def test_other_sources_have_their_turn():
    problem = Problem(picture(VIEW), observation(picture(VIEW)).camera, estimator().field, VIEW)
    starts = of_prior(PosePrior(VIEW, spread(10, 0.1)), np.random.default_rng(0))
    kept = ranked(problem, starts)
    assert len(kept) == PRIORS
    assert kept[0].score >= kept[1].score


def test_a_covariance_finds_starts_that_are_nearer_than_the_prior():
    """A click on a map: x, y and yaw about right, height and tilt as the robot stands."""
    seen, starts, wider = observation(picture(VIEW)), [], []
    for seed in range(3):
        config = replace(replace(EstimatorConfig(), "views.enabled", False), "seed", seed)
        place = estimator(config, with_landmarks=False)
        starts += [nearest_start(place, seen, given) for given in clicks(with_covariance=False)]
        wider += [nearest_start(place, seen, given) for given in clicks(with_covariance=True)]
    assert np.mean(wider) < 0.8 * np.mean(starts)


def clicks(with_covariance):
    """Priors 0.3 m and 25 degrees off, on the plane."""
    ground = SE3(SO3.identity(), np.array(VIEW.translation) * [1.0, 1.0, 0.0])
    T_base_camera = ground.inverse() @ VIEW
    deviations = np.diag([0.25**2, 0.25**2, 1e6, 1e6, 1e6, np.radians(20) ** 2])
    for direction in np.linspace(0, 2 * np.pi, 6, endpoint=False):
        shift = 0.3 * np.array([np.cos(direction), np.sin(direction), 0.0])
        turn = SO3.exp(np.array([0.0, 0.0, np.radians(25 * np.sign(np.cos(3 * direction)))]))
        base = ground @ SE3(turn, shift)
        covariance = transport_covariance(
            ros_covariance_to_tangent(deviations, base), T_base_camera.inverse()
        )
        yield PosePrior(base @ T_base_camera, covariance if with_covariance else None)


def nearest_start(place, seen, prior):
    """Smallest angle (degrees) between the truth and the hypotheses that are kept."""
    starts = place.sources.hypotheses(seen, prior, (), None, None)
    kept = ranked(Problem(seen.image, seen.camera, place.field, SE3.identity()), starts)
    angles = [pose_errors(item.T_world_camera, VIEW).rotation for item in kept]
    return np.degrees(min(angles))
