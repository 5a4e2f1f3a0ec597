from __future__ import annotations

import array
import io

import cv2
import numpy as np
import pytest

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.nodes.compressed_decoding import decode_compressed_rgb


def smooth_picture(height=48, width=66):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 4, columns * 3, 255 - rows - columns], axis=-1).astype(np.uint8)


def noise(height=48, width=66, channels=3, sample=np.uint8):
    generator = np.random.default_rng(5)
    return generator.integers(0, np.iinfo(sample).max, (height, width, channels), sample)


def encoded(suffix, stored):
    succeeded, data = cv2.imencode(suffix, stored)
    assert succeeded
    return data.tobytes()


FORMATS = ["png", "rgb8; png compressed bgr8", "bgr8; png compressed bgr8", "", "bgra8; png"]


@pytest.mark.parametrize("image_format", FORMATS)
def test_png_comes_out_exactly_whatever_the_camera_sent(image_format):
    rgb = noise()
    data = array.array("B", encoded(".png", rgb[..., ::-1]))
    np.testing.assert_array_equal(decode_compressed_rgb(data, image_format), rgb)


@pytest.mark.parametrize("image_format", ["jpeg", "jpg", "rgb8; jpeg compressed bgr8", ""])
def test_jpeg_comes_out_close_and_in_the_right_order(image_format):
    rgb = smooth_picture()
    decoded = decode_compressed_rgb(encoded(".jpg", rgb[..., ::-1]), image_format)
    assert np.abs(decoded.astype(int) - rgb).mean() < 3


def test_alpha_is_dropped():
    rgba = noise(channels=4)
    data = encoded(".png", rgba[..., [2, 1, 0, 3]])
    np.testing.assert_array_equal(decode_compressed_rgb(data, "png"), rgba[..., :3])


def test_sixteen_bit_png_is_scaled_and_rounded():
    rgb = noise(sample=np.uint16)
    decoded = decode_compressed_rgb(encoded(".png", rgb[..., ::-1]), "rgb16; png compressed bgr16")
    np.testing.assert_array_equal(decoded, np.rint(rgb / 257.0))


def test_grey_is_repeated():
    grey = noise(channels=1)
    decoded = decode_compressed_rgb(encoded(".png", grey), "mono8; png compressed ")
    np.testing.assert_array_equal(decoded, np.repeat(grey, 3, axis=2))


def test_compressed_mosaic_is_demosaiced():
    rows, columns = np.mgrid[:8, :10]
    mosaic = np.where(
        rows % 2 + columns % 2 == 0, 200, np.where(rows % 2 + columns % 2 == 2, 30, 90)
    )
    decoded = decode_compressed_rgb(
        encoded(".png", mosaic.astype(np.uint8)), "bayer_rggb8; png compressed "
    )
    np.testing.assert_array_equal(decoded, np.broadcast_to([200, 90, 30], (8, 10, 3)))


def test_mosaic_that_was_demosaiced_before_compression_is_left_alone():
    rgb = noise()
    decoded = decode_compressed_rgb(
        encoded(".png", rgb[..., ::-1]), "bayer_rggb8; png compressed bgr8"
    )
    np.testing.assert_array_equal(decoded, rgb)


def test_orientation_tag_does_not_turn_the_image():
    pillow = pytest.importorskip("PIL.Image", reason="Pillow writes the orientation tag")
    picture = pillow.fromarray(smooth_picture(32, 48))
    tags = picture.getexif()
    tags[0x0112] = 6  # turn by a quarter
    stream = io.BytesIO()
    picture.save(stream, "JPEG", exif=tags)
    assert decode_compressed_rgb(stream.getvalue(), "jpeg").shape == (32, 48, 3)


def test_bytes_after_the_end_are_tolerated():
    data = encoded(".jpg", smooth_picture()[..., ::-1])
    np.testing.assert_array_equal(
        decode_compressed_rgb(data + bytes(64), "jpeg"), decode_compressed_rgb(data, "jpeg")
    )


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("kept", [2, 8, 30, 0.3, 0.6, 0.9, 0.999])
def test_truncated_data_is_refused_in_one_line(suffix, kept, capfd):
    data = encoded(suffix, noise())
    part = data[: kept if isinstance(kept, int) else int(kept * len(data))]
    with pytest.raises(InputError, match=r"compressed image: expected .* got \d+ ") as caught:
        decode_compressed_rgb(part, "jpeg")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""  # the decoder itself was not asked


def test_truncated_jpeg_with_a_thumbnail_is_refused():
    thumbnail = encoded(".jpg", smooth_picture(8, 8))
    segment = b"Exif\0\0" + thumbnail
    data = encoded(".jpg", smooth_picture())
    tagged = data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:]
    assert decode_compressed_rgb(tagged).shape == (48, 66, 3)
    with pytest.raises(InputError, match="truncated"):
        decode_compressed_rgb(tagged[:-200])


def test_corrupt_png_is_refused(capfd):
    data = bytearray(encoded(".png", noise()))
    data[200:400] = bytes(200)
    with pytest.raises(InputError, match="corrupt bytes"):
        decode_compressed_rgb(bytes(data), "png")


@pytest.mark.parametrize(
    ("data", "image_format", "message"),
    [
        (b"", "jpeg", "got 0 bytes starting with nothing"),
        (b"GIF89a....", "gif", "starting with 47 49 46 38"),
        (b"x", "16UC1; compressedDepth png", "got the depth format"),
        (b"x", "32FC1; compressedDepth", "got the depth format"),
        (b"x", "16UC1; png compressed", "which holds depth"),
    ],
)
def test_what_is_no_colour_image_is_refused(data, image_format, message):
    with pytest.raises(InputError, match=message):
        decode_compressed_rgb(data, image_format)
