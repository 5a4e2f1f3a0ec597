"""Rotations: group axioms, logarithms at the hard angles, agreement with scipy, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.arrays import namespace, to_like
from fast_inerf_ros.geometry.so3 import SO3

NUMPY_1 = np.lib.NumpyVersion(np.__version__) < "2.0.0"
BATCH_SHAPES = [(), (1,), (4,), (2, 3), (0,)]


def close(a, b, like):
    tolerance = 1e-13 if "64" in str(like.dtype) else 3e-6
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=tolerance, rtol=tolerance)


def random_rotation(like, batch_shape, seed=0):
    return SO3.random(np.random.default_rng(seed), batch_shape).to_like(like)


@pytest.mark.parametrize("shape", BATCH_SHAPES)
def test_group_axioms(like, shape):
    a, b, c = (random_rotation(like, shape, seed) for seed in range(3))
    identity = SO3.identity(shape, like)
    close(((a @ b) @ c).matrix, (a @ (b @ c)).matrix, like)
    close((a @ identity).matrix, a.matrix, like)
    close((identity @ a).matrix, a.matrix, like)
    close((a @ a.inverse()).matrix, identity.matrix, like)
    close((a @ b).inverse().matrix, (b.inverse() @ a.inverse()).matrix, like)
    assert (a @ b).batch_shape == shape


@pytest.mark.parametrize("shape", BATCH_SHAPES)
def test_results_keep_kind_dtype_and_shape(like, shape):
    rotation = random_rotation(like, shape)
    for array, trailing in [
        (rotation.matrix, (3, 3)),
        (rotation.log(), (3,)),
        (rotation.quaternion_xyzw(), (4,)),
        (rotation.angle(), ()),
        (SO3.exp(rotation.log()).matrix, (3, 3)),
        (rotation @ rotation.log(), (3,)),
        (rotation.interpolate(rotation, 0.5).matrix, (3, 3)),
    ]:
        assert namespace(array) is namespace(rotation.matrix)
        # numpy 1 takes 0-d float32 for a Python number, and answers in float64.
        assert array.dtype == like.dtype or (NUMPY_1 and shape == ())
        assert tuple(array.shape) == (*shape, *trailing)


@pytest.mark.parametrize("shape", BATCH_SHAPES)
def test_exp_undoes_log(like, shape):
    rotation = random_rotation(like, shape)
    close(SO3.exp(rotation.log()).matrix, rotation.matrix, like)


@pytest.mark.parametrize("angle", [0.0, 1e-30, 1e-9, 1e-4, 0.4999, 0.5001, 1.0, 3.0])
def test_log_undoes_exp_to_the_last_digits(like, angle):
    axis = np.random.default_rng(3).standard_normal((50, 3))
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    vector = to_like(angle * axis, like)
    precise = 1e-14 if "64" in str(like.dtype) else 2e-6
    error = np.abs(np.asarray(SO3.exp(vector).log()) - np.asarray(vector)).max()
    assert error <= precise * max(angle, 1e-20)


@pytest.mark.parametrize("gap", [0.0, 1e-12, 1e-8, 1e-4])
@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (-1, 2, -2)])
def test_log_near_half_a_turn_gives_the_axis_and_the_angle(like, axis, gap):
    unit = np.array(axis) / np.linalg.norm(axis)
    rotation = SO3(to_like(SO3.exp((np.pi - gap) * unit).matrix, like))
    vector = np.asarray(rotation.log(), dtype=np.float64)
    tolerance = 1e-12 if "64" in str(like.dtype) else 2e-6
    # At half a turn both signs are right.
    assert abs(abs(vector @ unit) - (np.pi - gap)) < tolerance
    assert abs(float(rotation.angle()) - (np.pi - gap)) < tolerance


@settings(deadline=None, derandomize=True)
@given(st.tuples(*[st.floats(-9, 9)] * 3))
def test_agrees_with_scipy(vector):
    rotation, expected = SO3.exp(np.array(vector)), Rotation.from_rotvec(vector)
    np.testing.assert_allclose(rotation.matrix, expected.as_matrix(), atol=1e-13)
    quaternion = expected.as_quat()
    sign = np.sign(quaternion @ rotation.quaternion_xyzw())
    np.testing.assert_allclose(rotation.quaternion_xyzw(), sign * quaternion, atol=1e-13)
    np.testing.assert_allclose(rotation.angle(), expected.magnitude(), atol=1e-7)
    points = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(rotation @ points, expected.apply(points), atol=1e-12)


def test_batches_broadcast(like):
    rotations = random_rotation(like, (4, 1))
    points = to_like(np.random.default_rng(1).standard_normal((5, 3)), like)
    turned = rotations @ points
    assert tuple(turned.shape) == (4, 5, 3)
    for i in range(4):
        for j in range(5):
            close(turned[i, j], np.asarray(rotations.matrix[i, 0]) @ np.asarray(points[j]), like)
    assert (rotations @ random_rotation(like, (5,))).batch_shape == (4, 5)


@pytest.mark.parametrize(
    ("rotation_shape", "points_shape", "expected"),
    [
        ((), (7, 5, 3), (7, 5, 3)),
        ((6,), (3,), (6, 3)),
        ((6,), (6, 3), (6, 3)),
        ((6, 1), (6, 5, 3), (6, 5, 3)),
        ((1,), (5, 3), (5, 3)),
        ((2, 1, 1), (4, 5, 3), (2, 4, 5, 3)),
    ],
)
def test_every_way_of_rotating_points_agrees_with_broadcasting(
    like, rotation_shape, points_shape, expected
):
    rotation = random_rotation(like, rotation_shape)
    points = to_like(np.random.default_rng(1).standard_normal(points_shape), like)
    rotated = rotation @ points
    assert tuple(rotated.shape) == expected
    plain = np.einsum("...ij,...j->...i", np.asarray(rotation.matrix), np.asarray(points))
    close(rotated, plain, like)


def test_interpolation_is_geodesic(like):
    a, b = random_rotation(like, (3,), 1), random_rotation(like, (3,), 2)
    close(a.interpolate(b, 0.0).matrix, a.matrix, like)
    close(a.interpolate(b, 1.0).matrix, b.matrix, like)
    whole = (a.inverse() @ b).angle()
    fraction = to_like(np.array([0.1, 0.5, 0.9]), like)
    close((a.inverse() @ a.interpolate(b, fraction)).angle(), fraction * whole, like)


def test_indexing_touches_the_batch_only(like):
    rotations = random_rotation(like, (4, 2))
    assert rotations[1].batch_shape == (2,)
    assert rotations[1, 0].batch_shape == ()
    assert rotations[:, None].batch_shape == (4, 1, 2)
    assert rotations[..., 0].batch_shape == (4,)
    assert len(list(rotations)) == 4
    with pytest.raises(IndexError):
        rotations[0, 0, 0]
    close(rotations[2, 1].matrix, rotations.matrix[2, 1], like)
    assert SO3.stack([rotations[0], rotations[1]]).batch_shape == (2, 2)


def test_random_rotations_are_uniform():
    rotations = SO3.random(np.random.default_rng(0), (20000,))
    # Uniform on SO(3): the mean matrix is zero, and the angle's density (1 - cos) / pi.
    assert np.abs(rotations.matrix.mean(axis=0)).max() < 0.02
    angles = np.sort(rotations.angle())
    expected = (angles - np.sin(angles)) / np.pi
    assert np.abs(expected - np.linspace(0, 1, len(angles))).max() < 0.015


def test_nearest_is_a_rotation_closer_than_its_neighbours():
    generator = np.random.default_rng(0)
    matrices = generator.standard_normal((20, 3, 3))
    nearest = SO3.nearest(matrices)
    np.testing.assert_allclose(np.linalg.det(nearest.matrix), 1.0, atol=1e-12)
    np.testing.assert_allclose((nearest @ nearest.inverse()).matrix - np.eye(3), 0, atol=1e-12)
    distance = np.linalg.norm(matrices - nearest.matrix, axis=(-1, -2))
    for _ in range(50):
        other = nearest @ SO3.exp(0.05 * generator.standard_normal((20, 3)))
        assert (np.linalg.norm(matrices - other.matrix, axis=(-1, -2)) > distance).all()


def test_many_products_stay_a_rotation_after_normalising(like):
    step, rotation = random_rotation(like, ()), SO3.identity((), like)
    for _ in range(2000):
        rotation = rotation @ step
    matrix = np.asarray(rotation.normalized().matrix, dtype=np.float64)
    eps = 1e-15 if "64" in str(like.dtype) else 1e-6
    assert np.abs(matrix.T @ matrix - np.eye(3)).max() < 2 * eps


def test_from_matrix_takes_out_the_rounding():
    rotation = SO3.random(np.random.default_rng(0), (5,))
    rounded = SO3.from_matrix(np.round(rotation.matrix, 5))
    np.testing.assert_allclose((rounded @ rounded.inverse()).matrix - np.eye(3), 0, atol=1e-14)
    assert (rounded.inverse() @ rotation).angle().max() < 2e-5


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (1.001 * np.eye(3), "use SO3.nearest"),
        (np.diag([1.0, 1.0, 0.0]), "use SO3.nearest"),
        (np.diag([1.0, 1.0, -1.0]), "reflection"),
        (np.full((3, 3), np.nan), "finite"),
        (np.eye(4), r"shape \(..., 3, 3\)"),
        (np.eye(3, dtype=complex), "real numbers"),
        (np.zeros(3), "shape"),
    ],
)
def test_matrices_that_are_no_rotations_are_refused(matrix, message):
    with pytest.raises(InputError, match=message) as error:
        SO3.from_matrix(matrix)
    assert "\n" not in str(error.value)


def test_one_bad_matrix_in_a_batch_is_refused():
    matrices = SO3.random(np.random.default_rng(0), (5,)).matrix.copy()
    matrices[3, 0] *= -1
    with pytest.raises(InputError, match="reflection"):
        SO3.from_matrix(matrices)


@pytest.mark.parametrize("matrix", [np.zeros((3, 3)), np.diag([1.0, 0, 0]), -np.eye(3)])
def test_nearest_refuses_matrices_without_one_answer(matrix):
    with pytest.raises(InputError, match="degenerate"):
        SO3.nearest(matrix)


@pytest.mark.parametrize(
    "quaternion",
    [np.zeros(4), [0, 0, 0, 1.01], [np.nan, 0, 0, 1], [[0, 0, 0, 1], [1, 1, 0, 0]]],
)
def test_quaternions_that_are_not_normalised_are_refused(quaternion):
    with pytest.raises(InputError, match="unit quaternions"):
        SO3.from_quaternion_xyzw(quaternion)


def test_quaternions_of_another_size_are_refused():
    with pytest.raises(InputError, match="quaternions of shape"):
        SO3.from_quaternion_xyzw([0.0, 0.0, 1.0])


def test_slightly_rounded_quaternions_are_normalised():
    rotation = SO3.from_quaternion_xyzw([0.0, 0.0, 0.7071, 0.7071])
    np.testing.assert_allclose((rotation @ rotation.inverse()).matrix, np.eye(3), atol=1e-15)
    np.testing.assert_allclose(rotation @ [1.0, 0, 0], [0, 1, 0], atol=1e-15)


def test_integers_and_lists_become_floats():
    assert SO3.exp([0, 0, 1]).matrix.dtype == np.float64
    assert (SO3.identity() @ [1, 2, 3]).dtype == np.float64


def test_arrays_of_two_kinds_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(InputError, match="one kind"):
        SO3.identity() @ torch.zeros(3)


def test_an_array_on_the_left_is_refused():
    with pytest.raises(TypeError):
        np.eye(3) @ SO3.identity()


NEAR_HALF_A_TURN = (np.pi - 1e-3) * np.array([2.0, -1.0, 2.0]) / 3


@pytest.mark.parametrize(
    "vector", [np.zeros(3), np.array([0.1, -0.2, 0.3]), np.array([1, 2, -1.5]), NEAR_HALF_A_TURN]
)
@pytest.mark.parametrize(
    "function",
    [
        lambda v: SO3.exp(v).matrix,
        lambda v: SO3.exp(v).log(),
        lambda v: SO3.exp(v).quaternion_xyzw(),
        lambda v: SO3.exp(v).normalized().matrix,
        lambda v: SO3.from_matrix(SO3.exp(v).matrix).matrix,
        lambda v: SO3.identity((), v).interpolate(SO3.exp(v), 0.3).matrix,
    ],
)
def test_gradients_are_right_at_zero_near_pi_and_between(function, vector):
    torch = pytest.importorskip("torch")
    point = torch.tensor(vector, requires_grad=True)
    assert torch.autograd.gradcheck(function, point, atol=1e-4)


def test_second_derivatives_at_zero_are_right():
    torch = pytest.importorskip("torch")
    point = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda v: SO3.exp(v).matrix, point)


@pytest.mark.parametrize("vector", [(0.0, 0, 0), (np.pi, 0, 0), (0, -np.pi, 0)])
def test_no_gradient_is_nan_at_the_singular_points(vector):
    torch = pytest.importorskip("torch")
    for function in (SO3.log, SO3.angle, SO3.quaternion_xyzw):
        point = torch.tensor(vector, dtype=torch.float64, requires_grad=True)
        function(SO3.exp(point)).sum().backward()
        assert torch.isfinite(point.grad).all()
