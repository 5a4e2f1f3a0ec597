"""Changes of convention: known examples, and back again."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry import conventions
from fast_inerf_ros.geometry.arrays import namespace, to_like
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3, SO3
from fast_inerf_ros.geometry.similarity import Similarity


@pytest.fixture
def pose():
    return SE3.random(np.random.default_rng(0))


@pytest.fixture
def poses():
    return SE3.random(np.random.default_rng(1), (4,))


def test_opengl_axes_point_up_and_back():
    matrix = conventions.opengl_to_opencv(np.eye(4))
    np.testing.assert_array_equal(matrix @ [0, 1, 0, 0], [0, -1, 0, 0])
    np.testing.assert_array_equal(matrix @ [0, 0, 1, 0], [0, 0, -1, 0])
    np.testing.assert_array_equal(matrix @ [1, 0, 0, 0], [1, 0, 0, 0])


@pytest.mark.parametrize("rows", [3, 4])
def test_opengl_conversion_keeps_centre_world_and_kind(poses, like, rows):
    matrix = to_like(poses.matrix()[:, :rows], like)
    there = conventions.opencv_to_opengl(matrix)
    assert namespace(there) is namespace(like)
    assert (np.asarray(there[..., 3]) == np.asarray(matrix[..., 3])).all()
    assert (np.asarray(conventions.opengl_to_opencv(there)) == np.asarray(matrix)).all()


def test_a_blender_camera_above_the_origin_looks_down_on_it():
    # Blender's and NeRF's camera at rest looks along -z with y up.
    matrix = np.eye(4)
    matrix[2, 3] = 4.0
    T_world_camera = SE3.from_matrix(conventions.opengl_to_opencv(matrix))
    camera = conventions.blender_camera(400, 300, 0.6911)
    origin, above = T_world_camera.inverse() @ np.array([[0.0, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(origin, [0, 0, 4])
    np.testing.assert_allclose(camera.project(origin), [199.5, 149.5])
    assert camera.project(above)[1] < 149.5


def test_blender_angle_reaches_the_outer_borders_of_the_image():
    camera = conventions.blender_camera(400, 300, 0.6911)
    edge = np.array([np.tan(0.6911 / 2), 0, 1])
    assert camera.project(edge)[0] == pytest.approx(399.5)
    assert camera.project(edge * [-1, 1, 1])[0] == pytest.approx(-0.5)


@pytest.mark.parametrize("angle", [0.0, -1.0, np.pi, 39.6, float("nan")])
def test_impossible_fields_of_view_are_refused(angle):
    with pytest.raises(InputError, match="degrees"):
        conventions.blender_camera(400, 300, angle)


def test_llff_columns_are_down_right_back(pose):
    right, down, forward, centre = pose.matrix()[:3].T
    columns = np.stack([down, right, -forward, centre, [378, 504, 407.6]], axis=-1)
    np.testing.assert_allclose(conventions.llff_to_opencv(columns), pose.matrix()[:3])
    np.testing.assert_allclose(conventions.opencv_to_llff(pose.matrix()), columns[:, :4])


def test_llff_poses_are_right_handed(external_data):
    rows = np.load(external_data("fern") / "poses_bounds.npy")
    poses = SE3.from_matrix(conventions.llff_to_opencv(rows[:, :15].reshape(-1, 3, 5)))
    # The cameras were held in front of the fern, all looking the same way.
    forward = poses.rotation.matrix[..., 2]
    assert (forward @ forward.mean(axis=0) > 0.9).all()


def test_quaternion_orders():
    np.testing.assert_array_equal(conventions.wxyz_to_xyzw([4, 1, 2, 3]), [1, 2, 3, 4])
    np.testing.assert_array_equal(conventions.xyzw_to_wxyz([1, 2, 3, 4]), [4, 1, 2, 3])


def test_colmap_poses_are_world_to_camera_with_w_first(poses):
    # images.txt: QW QX QY QZ TX TY TZ with p_camera = R p_world + T.
    turn = Rotation.from_matrix(poses.inverse().rotation.matrix).as_quat()
    quaternion, translation = turn[:, [3, 0, 1, 2]], poses.inverse().translation
    read = conventions.colmap_to_pose(quaternion, translation)
    np.testing.assert_allclose(read.matrix(), poses.matrix(), atol=1e-14)
    written = conventions.pose_to_colmap(poses)
    np.testing.assert_allclose(np.abs(written[0]), np.abs(quaternion), atol=1e-14)
    np.testing.assert_allclose(written[1], translation, atol=1e-14)


def test_bop_poses_are_model_to_camera_in_millimetres(pose):
    rotation = pose.rotation.matrix.ravel().tolist()
    read = conventions.bop_to_pose(rotation, [100.0, -20.0, 900.0])
    np.testing.assert_allclose(read @ np.zeros(3), [0.1, -0.02, 0.9])
    np.testing.assert_allclose(read.rotation.matrix, pose.rotation.matrix)
    cam_R_m2c, cam_t_m2c = json.loads(json.dumps(conventions.pose_to_bop(read)))
    np.testing.assert_allclose(cam_t_m2c, [100.0, -20.0, 900.0])
    np.testing.assert_allclose(cam_R_m2c, rotation)


def test_props_poses_are_the_inverse_in_metres(pose):
    inverse = pose.inverse()
    read = conventions.props_to_pose(inverse.rotation.matrix.tolist(), inverse.translation)
    np.testing.assert_allclose(read.matrix(), pose.matrix(), atol=1e-15)
    again = conventions.props_to_pose(*json.loads(json.dumps(conventions.pose_to_props(read))))
    np.testing.assert_allclose(again.matrix(), pose.matrix(), atol=1e-14)


@pytest.mark.parametrize(
    ("rotation", "translation", "message"),
    [
        ([1.0, 0, 0, 0], [0, 0, 1], "9 numbers"),
        (np.eye(3), [0, 1], "3 finite numbers"),
        (np.eye(3), [0, 1, np.nan], "3 finite numbers"),
        (2 * np.eye(3), [0, 0, 1], "rotation matrices"),
        (np.diag([1, 1, -1.0]), [0, 0, 1], "reflection"),
    ],
)
def test_object_poses_that_cannot_be_are_refused(rotation, translation, message):
    for read in (conventions.bop_to_pose, conventions.props_to_pose):
        with pytest.raises(InputError, match=message):
            read(rotation, translation)


def test_ros_poses_have_w_last():
    half = np.sqrt(0.5)
    pose = conventions.ros_to_pose([1.0, 2.0, 3.0], [0, 0, half, half])
    np.testing.assert_allclose(pose @ np.array([1.0, 0, 0]), [1, 3, 3], atol=1e-15)
    position, quaternion = conventions.pose_to_ros(pose)
    np.testing.assert_allclose(position, [1, 2, 3])
    np.testing.assert_allclose(quaternion, [0, 0, half, half])


def test_ros_poses_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="unit quaternions"):
        conventions.ros_to_pose(np.zeros(3), np.zeros(4))
    with pytest.raises(InputError, match="finite positions"):
        conventions.ros_to_pose([np.nan, 0, 0], [0, 0, 0, 1])


def test_optical_axes_in_a_ros_body():
    forward, left, up = np.eye(3)
    x_right, y_down, z_forward = conventions.T_BODY_OPTICAL @ np.eye(3)
    np.testing.assert_array_equal(z_forward, forward)
    np.testing.assert_array_equal(x_right, -left)
    np.testing.assert_array_equal(y_down, -up)


@settings(deadline=None, derandomize=True)
@given(st.integers(-(10**18), 4 * 10**18), st.integers(0, 100))
def test_tum_lines_keep_every_digit(stamp_ns, seed):
    pose = SE3.random(np.random.default_rng(seed))
    line = conventions.pose_to_tum_line(stamp_ns, pose)
    assert len(line.split(" ")) == 8
    stamp, read = conventions.tum_line_to_pose(line)
    assert stamp == stamp_ns
    assert (read.translation == pose.translation).all()
    np.testing.assert_allclose(read.matrix(), pose.matrix(), atol=1e-15)


def test_a_tum_line_of_the_data_set():
    line = "1305031102.1758 1.3405 0.6266 1.6575 0.6574 0.6126 -0.2949 -0.3248"
    stamp, pose = conventions.tum_line_to_pose(line + "\n")
    assert stamp == 1305031102175800000
    expected = Rotation.from_quat([0.6574, 0.6126, -0.2949, -0.3248]).as_matrix()
    np.testing.assert_allclose(pose.rotation.matrix, expected, atol=1e-15)
    np.testing.assert_allclose(pose.translation, [1.3405, 0.6266, 1.6575])


@pytest.mark.parametrize(
    "line",
    [
        "",
        "# timestamp tx ty",
        "1 2 3",
        "1 0 0 0 0 0 0 1 9",
        "nan 0 0 0 0 0 0 1",
        "1 nan 0 0 0 0 0 1",
        "inf 0 0 0 0 0 0 1",
        "1e300 0 0 0 0 0 0 1",
        "1 1e999 0 0 0 0 0 1",
    ],
)
def test_lines_that_are_not_tum_are_refused(line):
    with pytest.raises(InputError, match="TUM line"):
        conventions.tum_line_to_pose(line)


def test_pixel_origins_are_half_a_pixel_apart():
    assert conventions.corner_to_centre(0.5) == 0.0
    assert conventions.centre_to_corner(conventions.corner_to_centre(319.7)) == 319.7


def test_legacy_rays_are_those_of_nerf_pytorch():
    height, width, focal = 6, 8, 11.5
    camera = conventions.legacy_camera(width, height, focal)
    # get_rays of nerf-pytorch, OpenGL axes.
    i, j = np.meshgrid(np.arange(width), np.arange(height), indexing="xy")
    rays = np.stack([(i - width * 0.5) / focal, -(j - height * 0.5) / focal, -np.ones_like(i)], -1)
    ours = camera.unproject(camera.pixel_grid(), np.ones((height, width)))
    flip = conventions.opencv_to_opengl(np.eye(4))[:3, :3]
    np.testing.assert_allclose(ours @ flip.T, rays, atol=1e-15)


def test_a_field_lies_in_the_world_by_a_similarity(poses):
    T_world_field, metres_per_unit = SE3.random(np.random.default_rng(5)), 0.33
    world = Similarity(T_world_field, metres_per_unit)
    point = np.array([0.3, -0.2, 1.5])
    expected = T_world_field @ (metres_per_unit * point)
    np.testing.assert_allclose(world @ point, expected)
    np.testing.assert_allclose(world.inverse() @ expected, point, atol=1e-14)
    back = world.pose_to_source(world.pose_to_target(poses))
    np.testing.assert_allclose(back.matrix(), poses.matrix(), atol=1e-14)


def test_a_camera_sees_the_same_pixel_in_field_and_world(pose):
    world = Similarity(SE3.random(np.random.default_rng(5)), 0.33)
    camera = Camera(640, 480, 500.0, 500.0, 320.0, 240.0)
    T_world_camera = world.pose_to_target(pose)
    point_field = pose @ np.array([0.1, 0.2, 2.0])
    in_field = camera.project(pose.inverse() @ point_field)
    in_world = camera.project(T_world_camera.inverse() @ (world @ point_field))
    np.testing.assert_allclose(in_world, in_field, atol=1e-9)


def test_similarities_compose():
    a, b = (Similarity(SE3.random(np.random.default_rng(k)), k + 0.5) for k in (1, 2))
    point = np.array([0.3, -0.2, 1.5])
    np.testing.assert_allclose((a @ b) @ point, a @ (b @ point), atol=1e-12)
    np.testing.assert_allclose((a.inverse() @ a) @ point, point, atol=1e-12)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_scales_that_cannot_be_are_refused(scale):
    with pytest.raises(InputError, match="positive, finite scale"):
        Similarity(SE3.identity(), scale)


def random_covariance(seed, size=1e-6):
    factor = np.random.default_rng(seed).standard_normal((6, 6))
    return size * (factor @ factor.T + np.eye(6))


def sampled_covariance(samples):
    return np.cov(samples.T)


def relative_difference(a, b):
    return np.abs(a - b).max() / np.abs(b).max()


def test_ros_covariance_is_that_of_sampled_poses():
    """Position along, and small rotations about, the fixed axes of the header's frame."""
    pose, covariance = SE3.random(np.random.default_rng(3), (), 5.0), random_covariance(4)
    twists = np.random.default_rng(0).multivariate_normal(np.zeros(6), covariance, 100_000)
    samples = pose @ SE3.exp(twists)
    position = samples.translation - pose.translation
    turn = samples.rotation @ pose.rotation.inverse()
    measured = sampled_covariance(np.concatenate([position, turn.log()], axis=-1))
    predicted = conventions.tangent_covariance_to_ros(covariance, pose)
    assert relative_difference(measured, predicted) < 0.02
    # Euler angles about fixed axes agree with the rotation vector to first order.
    euler = Rotation.from_matrix(turn.matrix).as_euler("xyz")
    assert relative_difference(sampled_covariance(euler), predicted[3:, 3:]) < 0.02


def test_ros_covariance_and_back(poses):
    covariance = random_covariance(1)
    there = conventions.tangent_covariance_to_ros(covariance, poses)
    assert there.shape == (4, 6, 6)
    np.testing.assert_allclose(there, np.swapaxes(there, -1, -2), atol=0)
    back = conventions.ros_covariance_to_tangent(there, poses)
    np.testing.assert_allclose(back - covariance, 0, atol=1e-18)


def test_covariance_of_a_base_is_that_of_sampled_poses():
    T_world_camera, T_base_camera = SE3.random(np.random.default_rng(3), (2,))
    covariance = random_covariance(4)
    twists = np.random.default_rng(0).multivariate_normal(np.zeros(6), covariance, 100_000)
    T_camera_base = T_base_camera.inverse()
    samples = T_world_camera @ SE3.exp(twists) @ T_camera_base
    twists_of_base = ((T_world_camera @ T_camera_base).inverse() @ samples).log()
    predicted = conventions.transport_covariance(covariance, T_base_camera)
    assert relative_difference(sampled_covariance(twists_of_base), predicted) < 0.02


def test_covariances_keep_kind_and_dtype(like):
    pose = SE3.random(np.random.default_rng(0)).to_like(like)
    covariance = to_like(random_covariance(1), like)
    for convert in (
        conventions.tangent_covariance_to_ros,
        conventions.ros_covariance_to_tangent,
        conventions.transport_covariance,
    ):
        assert namespace(convert(covariance, pose)) is namespace(like)
        assert convert(covariance, pose).dtype == like.dtype
    with pytest.raises(InputError, match="covariances"):
        conventions.transport_covariance(np.eye(5), SE3.identity())


def test_poses_of_another_shape_are_refused():
    for convert in (conventions.opengl_to_opencv, conventions.opencv_to_opengl):
        with pytest.raises(InputError, match="pose matrices"):
            convert(np.eye(3))
    with pytest.raises(InputError, match="LLFF"):
        conventions.llff_to_opencv(np.zeros((3, 6)))


def test_rotation_of_a_reflected_file_is_refused():
    # A file whose axes were mixed up has determinant -1.
    with pytest.raises(InputError, match="check the axis convention"):
        SE3.from_matrix(np.eye(4)[[1, 0, 2, 3]])
    assert isinstance(SO3.identity(), SO3)
