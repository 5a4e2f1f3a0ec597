from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from geometry_msgs.msg import Pose, PoseWithCovarianceStamped, Quaternion, Transform
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.nodes import conversions, distribution
from fast_inerf_ros.nodes.encodings import ENCODINGS
from fast_inerf_ros.nodes.image_decoding import ImageLayout, decode_rgb

PROPERTIES = settings(deadline=None, derandomize=True, max_examples=50)
HEADER = conversions.header(1_700_000_000_123_456_789, "camera")


def picture(*shape, sample=np.uint8):
    return np.random.default_rng(7).integers(0, np.iinfo(sample).max, shape, sample)


@pytest.mark.parametrize("shape", [(4, 6, 3), (5, 7)])
def test_images_survive_a_message(shape):
    image = picture(*shape)
    message = conversions.encode_image(image, HEADER)
    expected = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    np.testing.assert_array_equal(conversions.image_to_rgb(message), expected)
    assert (message.header.frame_id, message.width) == ("camera", shape[1])


def test_decoding_rgb8_copies_nothing():
    message = conversions.encode_image(picture(4, 6, 3), HEADER)
    decoded = conversions.image_to_rgb(message)
    assert np.shares_memory(decoded, np.frombuffer(message.data, np.uint8))


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bits_and_their_byte_order_survive_a_message(order):
    image = picture(4, 6, sample=np.uint16).astype(f"{order}u2")
    message = conversions.encode_image(image, HEADER)
    assert (message.encoding, message.is_bigendian) == ("mono16", order == ">")
    depth = conversions.image_to_depth(conversions.encode_image(image, HEADER, "16UC1"))
    np.testing.assert_allclose(depth, np.where(image > 0, image * 1e-3, np.nan), rtol=1e-6)


def test_depth_survives_a_message():
    depth = np.array([[0.5, np.nan], [3.25, 1.0]], np.float32)
    message = conversions.encode_image(depth, HEADER)
    np.testing.assert_array_equal(conversions.image_to_depth(message), depth)


def test_strided_images_are_encoded_rightly():
    image = picture(8, 12, 3)[::2, ::-3]
    message = conversions.encode_image(image, HEADER)
    np.testing.assert_array_equal(conversions.image_to_rgb(message), image)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((2, 3, 4), np.uint8),
        np.zeros((2, 3)),
        np.zeros((0, 3), np.uint8),
        np.zeros(3, np.uint8),
    ],
)
def test_what_is_no_image_is_refused(image):
    with pytest.raises(InputError, match="image to publish: expected"):
        conversions.encode_image(image, HEADER)


@pytest.mark.parametrize("shape", [(9, 11, 3), (9, 11)])
def test_png_messages_are_lossless_and_labelled_as_image_transport_does(shape):
    image = picture(*shape)
    message = conversions.encode_compressed(image, HEADER, "png")
    expected = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    np.testing.assert_array_equal(conversions.image_to_rgb(message), expected)
    assert message.format.startswith("rgb8; png compressed bgr8" if image.ndim == 3 else "mono8;")


def test_jpeg_quality_is_honoured():
    image = picture(64, 64, 3)
    sizes = [
        len(conversions.encode_compressed(image, HEADER, "jpeg", quality).data)
        for quality in (10, 95)
    ]
    assert sizes[0] < sizes[1]
    with pytest.raises(InputError, match="expected jpeg or png"):
        conversions.encode_compressed(image, HEADER, "webp")
    with pytest.raises(InputError, match="image to compress"):
        conversions.encode_compressed(image.astype(np.float32), HEADER)


BRIDGED = [
    name
    for name, encoding in ENCODINGS.items()
    if conversions.bridge_handles(ImageLayout(name, 8, 6, 8 * encoding.pixel_bytes))
]


def test_the_bridge_is_used_only_where_it_is_right():
    assert {"bgr8", "rgba8", "mono16", "bayer_rggb8"} <= set(BRIDGED)
    assert not {"yuyv", "uyvy", "nv21", "32FC1", "8UC3", "unknown"} & set(BRIDGED)
    assert not conversions.bridge_handles(ImageLayout("bgr8", 8, 6, 25))
    assert not conversions.bridge_handles(ImageLayout("mono16", 8, 6, 16, is_bigendian=True))


def test_the_bridge_and_the_own_decoder_agree():
    if distribution.cv_bridge() is None:
        pytest.skip("needs the cv_bridge of a sourced ROS distribution, to compare with")
    for name in BRIDGED:
        layout = ImageLayout(name, 8, 6, 8 * ENCODINGS[name].pixel_bytes)
        data = picture(layout.step * layout.height)
        message = Image(encoding=name, width=8, height=6, step=layout.step, data=data.tobytes())
        difference = conversions.image_to_rgb(message).astype(int) - decode_rgb(data, layout)
        assert np.abs(difference).max() <= (1 if "16" in name else 0), name


class FakeBridge:
    """Stands in for cv_bridge, which only a distribution has."""

    def __init__(self, answer):
        self.answer = answer

    def imgmsg_to_cv2(self, message, desired_encoding):
        assert desired_encoding == "rgb8"
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_what_the_bridge_refuses_is_decoded_here(monkeypatch):
    image = picture(4, 6, 3)
    message = conversions.encode_image(image, HEADER)
    answer = np.zeros_like(image)
    monkeypatch.setattr(conversions, "_bridge", lambda: FakeBridge(answer))
    np.testing.assert_array_equal(conversions.image_to_rgb(message), answer)
    monkeypatch.setattr(conversions, "_bridge", lambda: FakeBridge(TypeError("no such type")))
    np.testing.assert_array_equal(conversions.image_to_rgb(message), image)
    message.data = message.data[:-1]
    with pytest.raises(InputError, match="image data: expected"):
        conversions.image_to_rgb(message)


CAMERAS = [
    Camera(640, 480, 600.0, 610.0, 319.5, 239.5),
    Camera(640, 480, 600.0, 610.0, 300.0, 250.0, "plumb_bob", (0.1, -0.2, 0.001, 0.002, 0.03)),
    Camera(64, 48, 60.0, 61.0, 30.0, 25.0, "rational_polynomial", tuple(0.01 * np.arange(1, 9))),
    Camera(64, 48, 60.0, 61.0, 30.0, 25.0, "equidistant", (0.1, 0.01, 0.001, 0.0001)),
    Camera(64, 48, 60.0, 61.0, 30.0, 25.0, "equidistant", (0.0, 0.0, 0.0, 0.0)),
]


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.distortion_model)
def test_cameras_survive_a_message(camera):
    message = conversions.camera_to_message(camera, HEADER)
    assert conversions.camera_from_message(message, rectified=False) == camera
    rectified = conversions.camera_from_message(message, rectified=True)
    assert (rectified.distortion_model, rectified.fx) == ("none", camera.fx)


def test_binning_and_region_of_interest_are_applied():
    message = conversions.camera_to_message(CAMERAS[0], HEADER)
    message.binning_x = message.binning_y = 2
    message.roi.x_offset, message.roi.y_offset = 100, 40
    message.roi.width, message.roi.height = 400, 300
    camera = conversions.camera_from_message(message, rectified=False)
    assert (camera.width, camera.height, camera.fx) == (200, 150, 300.0)
    # The centre of the sensor pixel (100.5, 40.5) block is the first binned pixel.
    point = np.array([(100.5 - 319.5) / 600.0, (40.5 - 239.5) / 610.0, 1.0])
    np.testing.assert_allclose(camera.project(point), [0.0, 0.0], atol=1e-9)


def test_an_uncalibrated_camera_is_refused():
    with pytest.raises(InputError, match="calibrat"):
        conversions.camera_from_message(CameraInfo(width=640, height=480), rectified=False)


@PROPERTIES
@given(st.integers(-(2**31) * 10**9, 2**31 * 10**9 - 1))
def test_stamps_are_exact(nanoseconds):
    stamp = conversions.nanoseconds_to_stamp(nanoseconds)
    assert conversions.stamp_to_nanoseconds(stamp) == nanoseconds


def test_times_that_do_not_fit_a_stamp_are_refused():
    with pytest.raises(InputError, match="fit 32-bit seconds"):
        conversions.nanoseconds_to_stamp(2**31 * 10**9)


@PROPERTIES
@given(st.integers(0, 2**32 - 1))
def test_poses_survive_messages(seed):
    T_world_camera = SE3.random(np.random.default_rng(seed), translation_scale=3.0)
    pose = conversions.se3_to_pose_stamped(T_world_camera, 5, "world")
    tf = conversions.se3_to_transform_stamped(T_world_camera, 5, "world", "camera")
    for back in (
        conversions.pose_to_se3(pose.pose),
        conversions.transform_to_se3(tf.transform),
    ):
        np.testing.assert_allclose(back.matrix(), T_world_camera.matrix(), atol=1e-12)
    assert (tf.header.frame_id, tf.child_frame_id) == ("world", "camera")


def test_covariances_survive_messages():
    factor = np.random.default_rng(3).normal(size=(6, 6))
    covariance = factor @ factor.T
    message = conversions.se3_to_pose_with_covariance(SE3.identity(), covariance, 5, "world")
    assert isinstance(message, PoseWithCovarianceStamped)
    np.testing.assert_allclose(conversions.covariance_from_message(message), covariance)


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        (np.eye(5), "finite 6x6 matrix, got shape \\(5, 5\\)"),
        (np.diag([1, 1, 1, 1, 1, np.nan]), "1 values that are not finite"),
        (np.triu(np.ones((6, 6))), "symmetric"),
    ],
)
def test_impossible_covariances_are_refused(covariance, message):
    with pytest.raises(InputError, match=message):
        conversions.se3_to_pose_with_covariance(SE3.identity(), covariance, 5, "world")


def test_unset_and_unfinite_poses_are_refused():
    unset = Transform(rotation=Quaternion(x=0.0, y=0.0, z=0.0, w=0.0))
    with pytest.raises(InputError, match="quaternion"):
        conversions.transform_to_se3(unset)
    lost = Pose()
    lost.position.x = float("nan")
    with pytest.raises(InputError, match="finite position"):
        conversions.pose_to_se3(lost)


def test_corrupt_compressed_messages_are_refused():
    with pytest.raises(InputError, match="compressed image: expected"):
        conversions.image_to_rgb(CompressedImage(format="jpeg", data=b"nonsense"))
