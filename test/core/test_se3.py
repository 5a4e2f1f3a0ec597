"""Rigid transforms: group axioms, the exponential map, adjoint, derivatives, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.arrays import namespace, to_like
from fast_inerf_ros.geometry.jacobians import (
    se3_left_jacobian,
    se3_left_jacobian_inverse,
    so3_left_jacobian,
    so3_left_jacobian_inverse,
)
from fast_inerf_ros.geometry.se3 import SE3, SO3
from fast_inerf_ros.geometry.so3 import skew

NUMPY_1 = np.lib.NumpyVersion(np.__version__) < "2.0.0"
BATCH_SHAPES = [(), (1,), (4,), (2, 3), (0,)]


def close(a, b, like):
    tolerance = 1e-13 if "64" in str(like.dtype) else 1e-5
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=tolerance, rtol=tolerance)


def random_pose(like, batch_shape, seed=0):
    return SE3.random(np.random.default_rng(seed), batch_shape).to_like(like)


@pytest.mark.parametrize("shape", BATCH_SHAPES)
def test_group_axioms(like, shape):
    a, b, c = (random_pose(like, shape, seed) for seed in range(3))
    identity = SE3.identity(shape, like)
    close(((a @ b) @ c).matrix(), (a @ (b @ c)).matrix(), like)
    close((a @ identity).matrix(), a.matrix(), like)
    close((identity @ a).matrix(), a.matrix(), like)
    close((a @ a.inverse()).matrix(), identity.matrix(), like)
    close((a @ b).inverse().matrix(), (b.inverse() @ a.inverse()).matrix(), like)


@pytest.mark.parametrize("shape", BATCH_SHAPES)
def test_results_keep_kind_dtype_and_shape(like, shape):
    pose = random_pose(like, shape)
    for array, trailing in [
        (pose.matrix(), (4, 4)),
        (pose.log(), (6,)),
        (pose.adjoint(), (6, 6)),
        (SE3.exp(pose.log()).matrix(), (4, 4)),
        (pose.inverse().translation, (3,)),
        (pose @ pose.translation, (3,)),
        (SE3.from_matrix(pose.matrix()).matrix(), (4, 4)),
        (se3_left_jacobian(pose.log()), (6, 6)),
        (se3_left_jacobian_inverse(pose.log()), (6, 6)),
    ]:
        assert namespace(array) is namespace(pose.translation)
        # numpy 1 takes 0-d float32 for a Python number, and answers in float64.
        assert array.dtype == like.dtype or (NUMPY_1 and shape == ())
        assert tuple(array.shape) == (*shape, *trailing)
    assert pose.batch_shape == shape


def test_matrix_and_points_agree_on_what_a_pose_does(like):
    pose, points = random_pose(like, (4,)), to_like(np.arange(12.0).reshape(4, 3), like)
    homogeneous = np.concatenate([np.asarray(points), np.ones((4, 1))], axis=-1)
    moved = np.einsum("nij,nj->ni", np.asarray(pose.matrix()), homogeneous)[:, :3]
    close(pose @ points, moved, like)
    close((pose @ pose) @ points, pose @ (pose @ points), like)


@settings(deadline=None, derandomize=True)
@given(st.tuples(*[st.floats(-3, 3)] * 6))
def test_exp_is_the_matrix_exponential(twist):
    hat = np.zeros((4, 4))
    hat[:3, :3], hat[:3, 3] = skew(np.array(twist[3:])), twist[:3]
    np.testing.assert_allclose(SE3.exp(np.array(twist)).matrix(), expm(hat), atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-5, 0.4999, 0.5001, 2.0, np.pi - 1e-7])
def test_log_undoes_exp(like, angle):
    generator = np.random.default_rng(0)
    axis = generator.standard_normal((20, 3))
    axis *= angle / np.linalg.norm(axis, axis=-1, keepdims=True)
    twist = to_like(np.concatenate([generator.standard_normal((20, 3)), axis], axis=-1), like)
    if "32" in str(like.dtype) and angle > 3:
        pytest.skip("single precision cannot tell this angle from a half turn the other way")
    close(SE3.exp(twist).log(), twist, like)


@pytest.mark.parametrize("shape", BATCH_SHAPES)
def test_exp_undoes_log(like, shape):
    pose = random_pose(like, shape)
    close(SE3.exp(pose.log()).matrix(), pose.matrix(), like)


def test_adjoint_moves_a_twist_to_the_other_side(like):
    pose = random_pose(like, (5,))
    twist = to_like(np.random.default_rng(1).uniform(-1, 1, (5, 6)), like)
    carried = (pose.adjoint() @ twist[..., None])[..., 0]
    close((pose @ SE3.exp(twist)).matrix(), (SE3.exp(carried) @ pose).matrix(), like)


def test_adjoint_of_a_product_is_the_product_of_adjoints(like):
    a, b = random_pose(like, (3,), 1), random_pose(like, (3,), 2)
    close((a @ b).adjoint(), a.adjoint() @ b.adjoint(), like)


def test_inverse_is_exact():
    pose = SE3.random(np.random.default_rng(0), (100,), translation_scale=1e3)
    twice = pose.inverse().inverse()
    assert (twice.rotation.matrix == pose.rotation.matrix).all()
    np.testing.assert_allclose(twice.translation, pose.translation, rtol=0, atol=1e-11)


def test_interpolation_reaches_both_ends_and_moves_steadily(like):
    a, b = random_pose(like, (3,), 1), random_pose(like, (3,), 2)
    close(a.interpolate(b, 0.0).matrix(), a.matrix(), like)
    close(a.interpolate(b, 1.0).matrix(), b.matrix(), like)
    quarter, half = a.interpolate(b, 0.25), a.interpolate(b, 0.5)
    close((a.inverse() @ quarter).matrix(), (quarter.inverse() @ half).matrix(), like)
    fractions = to_like(np.array([0.0, 0.5, 1.0]), like)
    close(a.interpolate(b, fractions)[1].matrix(), half[1].matrix(), like)


def test_batches_broadcast_between_poses_points_and_each_other(like):
    poses = random_pose(like, (4, 1))
    assert (poses @ random_pose(like, (5,))).matrix().shape == (4, 5, 4, 4)
    assert (poses @ to_like(np.zeros((5, 3)), like)).shape == (4, 5, 3)
    mixed = SE3(random_pose(like, ()).rotation, random_pose(like, (6,)).translation)
    assert mixed.batch_shape == (6,)
    for array in (mixed.matrix(), mixed.log(), mixed.adjoint()):
        assert array.shape[0] == 6


def test_stack_and_index_are_inverse(like):
    poses = [random_pose(like, (2,), seed) for seed in range(3)]
    stacked = SE3.stack(poses)
    assert stacked.batch_shape == (3, 2)
    close(stacked[1].matrix(), poses[1].matrix(), like)
    close(stacked[2, 0].matrix(), poses[2][0].matrix(), like)
    assert stacked[..., None].batch_shape == (3, 2, 1)


def test_from_matrix_takes_upper_rows_and_whole_matrices(like):
    pose = random_pose(like, (2,))
    close(SE3.from_matrix(pose.matrix()).matrix(), pose.matrix(), like)
    close(SE3.from_matrix(pose.matrix()[:, :3]).matrix(), pose.matrix(), like)


def broken(row, column, value):
    matrix = np.eye(4)
    matrix[row, column] = value
    return matrix


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (broken(0, 0, 2.0), "rotation matrices"),
        (broken(2, 2, -1.0), "reflection"),
        (broken(0, 3, np.nan), "finite"),
        (broken(1, 3, np.inf), "finite"),
        (broken(3, 0, 1.0), "last row"),
        (broken(3, 3, 2.0), "last row"),
        (np.eye(3), "shape"),
        (np.zeros(4), "shape"),
        (SE3.exp([1, 2, 3, 0.1, 0.2, 0.3]).matrix().T, "last row"),
    ],
)
def test_matrices_that_are_no_rigid_transforms_are_refused(matrix, message):
    with pytest.raises(InputError, match=message) as error:
        SE3.from_matrix(matrix)
    assert "\n" not in str(error.value)


def test_conversion_of_dtype_and_kind_keeps_the_numbers():
    torch = pytest.importorskip("torch")
    pose = SE3.random(np.random.default_rng(0), (2,))
    tensor = pose.to_like(torch.zeros((), dtype=torch.float32))
    assert tensor.translation.dtype == torch.float32
    back = tensor.to_like(np.zeros(()))
    np.testing.assert_allclose(back.matrix(), pose.matrix(), atol=1e-6)
    assert pose.astype(np.float32).matrix().dtype == np.float32
    assert tensor.astype(torch.float64).matrix().dtype == torch.float64


NEAR_HALF_A_TURN = np.r_[1.0, -2.0, 0.5, (np.pi - 1e-3) * np.array([2.0, -1.0, 2.0]) / 3]


@pytest.mark.parametrize(
    "twist",
    [
        np.zeros(6),
        np.r_[1.0, 2.0, 3.0, 0.0, 0.0, 0.0],
        np.array([0.3, -1.0, 2.0, 0.1, 0.2, -0.3]),
        np.array([0.3, -1.0, 2.0, 1.1, 0.2, -1.3]),
        NEAR_HALF_A_TURN,
    ],
)
@pytest.mark.parametrize(
    "function",
    [
        lambda x: SE3.exp(x).matrix(),
        lambda x: SE3.exp(x).log(),
        lambda x: SE3.exp(x).inverse().matrix(),
        lambda x: SE3.exp(x).adjoint(),
        lambda x: SE3.exp(x) @ x[:3],
        se3_left_jacobian,
        se3_left_jacobian_inverse,
    ],
)
def test_gradients_are_right_at_zero_near_pi_and_between(function, twist):
    torch = pytest.importorskip("torch")
    point = torch.tensor(twist, requires_grad=True)
    assert torch.autograd.gradcheck(function, point, atol=1e-4)


def test_second_derivatives_at_zero_are_right():
    torch = pytest.importorskip("torch")
    point = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: SE3.exp(x).matrix(), point)


def test_gradients_in_single_precision_are_finite_at_zero():
    torch = pytest.importorskip("torch")
    point = torch.zeros(3, 6, requires_grad=True)
    SE3.exp(point).log().sum().backward()
    np.testing.assert_allclose(point.grad, 1.0, atol=1e-6)


@pytest.mark.parametrize("scale", [0.0, 1e-6, 0.4, 1.5])
def test_left_jacobian_is_the_derivative_of_exp(scale):
    twists = scale * np.random.default_rng(0).uniform(-1, 1, (10, 6))
    step = 1e-6 * np.eye(6)
    ahead, behind = (SE3.exp(twists[:, None] + sign * step) for sign in (1, -1))
    columns = (ahead @ behind.inverse()).log() / 2e-6
    np.testing.assert_allclose(np.swapaxes(columns, -1, -2), se3_left_jacobian(twists), atol=2e-9)


def test_inverse_jacobians_are_inverse():
    twists = np.random.default_rng(0).uniform(-2, 2, (10, 6))
    product = se3_left_jacobian(twists) @ se3_left_jacobian_inverse(twists)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(6), product.shape), atol=1e-12)
    vectors = twists[:, 3:]
    product = so3_left_jacobian(vectors) @ so3_left_jacobian_inverse(vectors)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=1e-12)


def test_translation_of_exp_is_the_left_jacobian_times_the_velocity():
    twists = np.random.default_rng(0).uniform(-2, 2, (10, 6))
    moved = np.einsum("nij,nj->ni", so3_left_jacobian(twists[:, 3:]), twists[:, :3])
    np.testing.assert_allclose(SE3.exp(twists).translation, moved, atol=1e-13)


def test_torch_is_not_imported_by_the_geometry():
    import subprocess
    import sys

    code = (
        "import sys, numpy; from fast_inerf_ros.geometry.se3 import SE3;"
        "from fast_inerf_ros.geometry.camera import Camera;"
        "SE3.exp(numpy.zeros(6)).log(); Camera(4, 3, 2., 2., 1., 1.).bearings(numpy.zeros(2));"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rotation_and_pose_are_immutable():
    pose = SE3.identity()
    with pytest.raises(AttributeError):
        pose.translation = np.zeros(3)
    with pytest.raises(AttributeError):
        pose.rotation.matrix = np.eye(3)
    assert isinstance(pose.rotation, SO3)
