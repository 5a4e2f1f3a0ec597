"""Every change of axes, units, quaternion order and pixel origin, each a small pure function.

Inside the package there is one convention (docs/conventions.md): optical axes (x right, y down,
z forward), metres, radians, pixel (0, 0) at the centre of the first pixel, poses
`T_target_source`, quaternions x, y, z, w. These functions are called where a file or a message
is read or written, and nowhere else.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from math import isfinite, pi, tan

import numpy as np

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.arrays import (
    Array,
    as_float,
    constant,
    namespace,
    require_finite,
    require_shape,
    to_numpy,
)
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.covariance import (
    ros_covariance_to_tangent,
    tangent_covariance_to_ros,
    transport_covariance,
)
from fast_inerf_ros.geometry.se3 import SE3, SO3

__all__ = [
    "METRES_PER_MILLIMETRE",
    "T_BODY_OPTICAL",
    "blender_camera",
    "bop_to_pose",
    "centre_to_corner",
    "colmap_to_pose",
    "corner_to_centre",
    "focal_length",
    "legacy_camera",
    "llff_to_opencv",
    "opencv_to_llff",
    "opencv_to_opengl",
    "opengl_to_opencv",
    "pose_to_bop",
    "pose_to_colmap",
    "pose_to_props",
    "pose_to_ros",
    "pose_to_tum_line",
    "props_to_pose",
    "ros_covariance_to_tangent",
    "ros_to_pose",
    "tangent_covariance_to_ros",
    "transport_covariance",
    "tum_line_to_pose",
    "wxyz_to_xyzw",
    "xyzw_to_wxyz",
]

METRES_PER_MILLIMETRE = 1e-3
LATEST_STAMP = 10**11
"""Seconds since 1970; beyond it a stamp is in another unit."""

T_BODY_OPTICAL = SE3(SO3(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])), np.zeros(3))
"""Optical axes in a ROS body frame (x forward, y left, z up): `camera_optical` in `camera`."""


# ---- Axes of camera poses


def opengl_to_opencv(T_world_camera: Array) -> Array:
    """Pose matrices (..., 4, 4) or (..., 3, 4) whose camera gets optical axes instead of OpenGL's.

    OpenGL (NeRF, Blender, instant-ngp): x right, y up, z backward. The world stays.
    """
    matrix = as_float(T_world_camera)
    rows = 4 if matrix.ndim >= 2 and matrix.shape[-2] == 4 else 3
    require_shape(matrix, (rows, 4), "pose matrices")
    return matrix * constant([1.0, -1.0, -1.0, 1.0], matrix)


def opencv_to_opengl(T_world_camera: Array) -> Array:
    """Pose matrices (..., 4, 4) or (..., 3, 4) whose camera gets OpenGL's axes: x, up, back."""
    return opengl_to_opencv(T_world_camera)


def llff_to_opencv(columns: Array) -> Array:
    """Pose matrices (..., 3, 4) `T_world_camera` of LLFF's (..., 3, 4 or 5).

    LLFF's columns are the camera's axes down, right, back, its centre, and (fifth) height,
    width and focal length, which are left out.
    """
    values = as_float(columns)
    width = 5 if values.ndim >= 2 and values.shape[-1] == 5 else 4
    require_shape(values, (3, width), "LLFF poses")
    down, right, back, centre = (values[..., :, k] for k in range(4))
    return namespace(values).stack([right, down, -back, centre], axis=-1)


def opencv_to_llff(T_world_camera: Array) -> Array:
    """LLFF's four columns (..., 3, 4) of pose matrices (..., 3 or 4, 4)."""
    values = as_float(T_world_camera)[..., :3, :]
    require_shape(values, (3, 4), "pose matrices")
    right, down, forward, centre = (values[..., :, k] for k in range(4))
    return namespace(values).stack([down, right, -forward, centre], axis=-1)


# ---- Quaternions


def wxyz_to_xyzw(quaternion: Array) -> Array:
    """Quaternions (..., 4) of COLMAP or Eigen's constructor (w first) in the order of ROS."""
    values = require_shape(as_float(quaternion), (4,), "quaternions")
    return namespace(values).concat([values[..., 1:], values[..., :1]], axis=-1)


def xyzw_to_wxyz(quaternion: Array) -> Array:
    """Quaternions (..., 4) in the order of ROS with w first, as COLMAP wants them."""
    values = require_shape(as_float(quaternion), (4,), "quaternions")
    return namespace(values).concat([values[..., 3:], values[..., :3]], axis=-1)


# ---- Poses of files and messages


def colmap_to_pose(quaternion_wxyz: Array, translation: Array) -> SE3:
    """`T_world_camera` of COLMAP's QW QX QY QZ (..., 4) and TX TY TZ (..., 3), world to camera.

    Raises:
        InputError: quaternions that are not normalised.
    """
    rotation = SO3.from_quaternion_xyzw(wxyz_to_xyzw(quaternion_wxyz))
    return SE3(rotation, require_shape(as_float(translation), (3,), "translations")).inverse()


def pose_to_colmap(T_world_camera: SE3) -> tuple[Array, Array]:
    """COLMAP's quaternion (..., 4), w first, and translation (..., 3), world to camera."""
    T_camera_world = T_world_camera.inverse()
    return xyzw_to_wxyz(T_camera_world.rotation.quaternion_xyzw()), T_camera_world.translation


def bop_to_pose(cam_R_m2c: Array, cam_t_m2c_mm: Array) -> SE3:
    """`T_camera_object` of BOP's model-to-camera rotation (9 or 3x3) and millimetres (3).

    Raises:
        InputError: not a rotation within 1e-3 (files have few digits).
    """
    return SE3(_row_major_rotation(cam_R_m2c), _three(cam_t_m2c_mm) * METRES_PER_MILLIMETRE)


def pose_to_bop(T_camera_object: SE3) -> tuple[list[float], list[float]]:
    """BOP's `cam_R_m2c` (9, row by row) and `cam_t_m2c` (3) in millimetres, of one pose."""
    translation = to_numpy(T_camera_object.translation) / METRES_PER_MILLIMETRE
    return _row_major_numbers(T_camera_object.rotation), translation.tolist()


def props_to_pose(cam_R_m2c: Array, cam_t_m2c: Array) -> SE3:
    """`T_camera_object` of PROPS files, which store the inverse in metres under BOP's names.

    Raises:
        InputError: not a rotation.
    """
    T_object_camera = SE3(_row_major_rotation(cam_R_m2c), _three(cam_t_m2c))
    return T_object_camera.inverse()


def pose_to_props(T_camera_object: SE3) -> tuple[list[float], list[float]]:
    """The two lists of a PROPS file: 9 numbers row by row and 3 metres, camera to model."""
    T_object_camera = T_camera_object.inverse()
    translation = to_numpy(T_object_camera.translation).tolist()
    return _row_major_numbers(T_object_camera.rotation), translation


def ros_to_pose(position: Array, quaternion_xyzw: Array) -> SE3:
    """`T_frame_body` of a ROS pose: position (..., 3) in metres, quaternion (..., 4).

    Raises:
        InputError: a quaternion that is not normalised, such as all zeros, or NaN.
    """
    translation = require_shape(as_float(position), (3,), "positions")
    require_finite(translation, "positions")
    return SE3(SO3.from_quaternion_xyzw(quaternion_xyzw), translation)


def pose_to_ros(T_frame_body: SE3) -> tuple[Array, Array]:
    """Position (..., 3) in metres and quaternion (..., 4), x, y, z, w with w >= 0."""
    return T_frame_body.translation, T_frame_body.rotation.quaternion_xyzw()


def tum_line_to_pose(line: str) -> tuple[int, SE3]:
    """Nanoseconds and pose of a line `timestamp tx ty tz qx qy qz qw` (TUM RGB-D, evo).

    Raises:
        InputError: not eight numbers, or a quaternion that is not normalised.
    """
    try:
        stamp, *numbers = (Decimal(word) for word in re.split(r"[\s,]+", line.strip()))
        values = np.array([float(number) for number in numbers])
        if len(values) != 7 or not abs(stamp) < LATEST_STAMP or not np.isfinite(values).all():
            raise InvalidOperation
    except InvalidOperation:
        raise InputError(
            f"expected a TUM line 'timestamp tx ty tz qx qy qz qw' in seconds and metres, got "
            f"{line.strip()!r}: check the format of the trajectory"
        ) from None
    return round(stamp * 10**9), ros_to_pose(values[:3], values[3:])


def pose_to_tum_line(stamp_ns: int, T_world_camera: SE3) -> str:
    """Line `timestamp tx ty tz qx qy qz qw` of one pose, with all digits of stamp and pose."""
    position, quaternion = (to_numpy(part) for part in pose_to_ros(T_world_camera))
    sign = "-" if stamp_ns < 0 else ""
    seconds, nanoseconds = divmod(abs(stamp_ns), 10**9)
    numbers = [repr(float(value)) for value in (*position, *quaternion)]
    return " ".join([f"{sign}{seconds}.{nanoseconds:09d}", *numbers])


# ---- Pixels and cameras


def corner_to_centre(pixels: Array) -> Array:
    """Coordinates measured from the corner of the first pixel, measured from its centre.

    For principal points and pixels of COLMAP, instant-ngp and OpenGL.
    """
    return pixels - 0.5


def centre_to_corner(pixels: Array) -> Array:
    """Coordinates measured from the centre of the first pixel, measured from its corner."""
    return pixels + 0.5


def focal_length(size: int, angle: float) -> float:
    """Focal length in pixels of a field of view in radians across `size` pixels.

    Raises:
        InputError: an angle that is not between 0 and π.
    """
    if not (isfinite(angle) and 0 < angle < pi):
        raise InputError(
            f"expected a field of view between 0 and π radians, got {angle}: is it in degrees?"
        )
    return 0.5 * size / tan(0.5 * angle)


def blender_camera(width: int, height: int, camera_angle_x: float) -> Camera:
    """Camera of Blender's `camera_angle_x` (radians): the axis meets the image's middle."""
    focal = focal_length(width, camera_angle_x)
    cx, cy = corner_to_centre(width / 2), corner_to_centre(height / 2)
    return Camera(width, height, focal, focal, cx, cy)


def legacy_camera(width: int, height: int, focal: float) -> Camera:
    """Camera whose rays are those that nerf-pytorch checkpoints were trained with.

    They are (i - W/2) / f at integer pixels i: half a pixel right of and below the middle.
    """
    return Camera(width, height, focal, focal, width / 2, height / 2)


def _row_major_rotation(values: Array) -> SO3:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.size != 9:
        raise InputError(f"expected 9 numbers of a rotation, got {matrix.size}: check the file")
    return SO3.from_matrix(matrix.reshape(3, 3), tolerance=1e-3)


def _row_major_numbers(rotation: SO3) -> list[float]:
    return [float(value) for value in to_numpy(rotation.matrix).reshape(9)]


def _three(values: Array) -> Array:
    vector = np.asarray(values, dtype=np.float64).reshape(-1)
    if vector.shape != (3,) or not np.isfinite(vector).all():
        raise InputError(f"expected 3 finite numbers of a translation, got {vector}: check it")
    return vector
