"""Every encoding is built here from a known picture, without the code under test."""

from __future__ import annotations

import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.nodes.encodings import ENCODINGS
from fast_inerf_ros.nodes.image_decoding import ImageLayout, decode_depth, decode_rgb

PROPERTIES = settings(deadline=None, derandomize=True, max_examples=40)
SIZES = st.tuples(st.integers(1, 23), st.integers(1, 23))
PADDINGS = st.integers(0, 9)
SEEDS = st.integers(0, 2**32 - 1)
CHANNEL_ORDERS = {
    "rgb": [0, 1, 2],
    "bgr": [2, 1, 0],
    "rgba": [0, 1, 2, 3],
    "bgra": [2, 1, 0, 3],
}
# Colour of the top-left 2x2 block, row by row.
MOSAICS = {"rggb": "RGGB", "bggr": "BGGR", "gbrg": "GBRG", "grbg": "GRBG"}


def picture(seed, height, width, channels=3, sample=np.uint8):
    values = np.random.default_rng(seed).integers(
        0, np.iinfo(sample).max, endpoint=True, size=(height, width, channels), dtype=sample
    )
    return values


def packed(rows, padding, bigendian=False):
    """Lay out samples (rows, ...) as message bytes; returns data and step."""
    stored = rows.astype(rows.dtype.newbyteorder(">" if bigendian else "<"))
    lines = [row.tobytes() + b"\xaa" * padding for row in stored]
    return array.array("B", b"".join(lines)), len(lines[0])


@pytest.mark.parametrize("order", CHANNEL_ORDERS)
@PROPERTIES
@given(size=SIZES, padding=PADDINGS, seed=SEEDS)
def test_eight_bit_colours_come_out_exactly(order, size, padding, seed):
    rgba = picture(seed, *size, channels=4)
    data, step = packed(rgba[..., CHANNEL_ORDERS[order]], padding)
    decoded = decode_rgb(data, ImageLayout(f"{order}8", size[1], size[0], step))
    np.testing.assert_array_equal(decoded, rgba[..., :3])
    assert decoded.dtype == np.uint8


@pytest.mark.parametrize("order", CHANNEL_ORDERS)
@PROPERTIES
@given(size=SIZES, padding=PADDINGS, seed=SEEDS, bigendian=st.booleans())
def test_sixteen_bit_colours_are_scaled_and_rounded(order, size, padding, seed, bigendian):
    rgba = picture(seed, *size, channels=4, sample=np.uint16)
    data, step = packed(rgba[..., CHANNEL_ORDERS[order]], padding, bigendian)
    decoded = decode_rgb(data, ImageLayout(f"{order}16", size[1], size[0], step, bigendian))
    np.testing.assert_array_equal(decoded, np.rint(rgba[..., :3] / 65535.0 * 255.0))


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
@PROPERTIES
@given(size=SIZES, padding=PADDINGS, seed=SEEDS)
def test_grey_is_repeated_in_all_channels(encoding, size, padding, seed):
    grey = picture(seed, *size, channels=1)
    data, step = packed(grey, padding)
    decoded = decode_rgb(data, ImageLayout(encoding, size[1], size[0], step))
    np.testing.assert_array_equal(decoded, np.repeat(grey, 3, axis=2))


@PROPERTIES
@given(size=SIZES, padding=PADDINGS, seed=SEEDS, bigendian=st.booleans())
def test_sixteen_bit_grey_is_scaled_and_rounded(size, padding, seed, bigendian):
    grey = picture(seed, *size, channels=1, sample=np.uint16)
    data, step = packed(grey, padding, bigendian)
    decoded = decode_rgb(data, ImageLayout("mono16", size[1], size[0], step, bigendian))
    np.testing.assert_array_equal(decoded[..., :1], np.rint(grey / 65535.0 * 255.0))


@pytest.mark.parametrize(("encoding", "order"), [("8UC3", [2, 1, 0]), ("8UC4", [2, 1, 0, 3])])
def test_untyped_matrices_are_in_opencv_order(encoding, order):
    rgba = picture(1, 5, 7, channels=4)
    data, step = packed(rgba[..., order], 3)
    np.testing.assert_array_equal(
        decode_rgb(data, ImageLayout(encoding, 7, 5, step)), rgba[..., :3]
    )


def test_rgb8_shares_the_memory_of_the_message_even_with_padding():
    for padding in (0, 5):
        data, step = packed(picture(0, 6, 8), padding)
        decoded = decode_rgb(data, ImageLayout("rgb8", 8, 6, step))
        assert np.shares_memory(decoded, np.frombuffer(data, np.uint8))


def mosaic_of(rgb, pattern):
    """Keep one colour of each pixel, as the sensor does."""
    height, width, _ = rgb.shape
    rows, columns = np.mgrid[:height, :width]
    channel = np.array(["RGB".index(letter) for letter in pattern]).reshape(2, 2)
    return np.take_along_axis(rgb, channel[rows % 2, columns % 2][..., None], axis=2), channel


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", MOSAICS)
@PROPERTIES
@given(
    size=st.tuples(st.integers(3, 22), st.integers(3, 22)),
    padding=PADDINGS,
    seed=SEEDS,
    bigendian=st.booleans(),
)
def test_mosaic_keeps_every_measured_sample(pattern, bits, size, padding, seed, bigendian):
    sample = np.uint8 if bits == 8 else np.uint16
    rgb = picture(seed, *size, sample=sample)
    mosaic, channel = mosaic_of(rgb, MOSAICS[pattern])
    data, step = packed(mosaic, padding, bigendian)
    layout = ImageLayout(f"bayer_{pattern}{bits}", size[1], size[0], step, bigendian)
    decoded = decode_rgb(data, layout)
    inside = np.s_[1:-1, 1:-1]  # at the border OpenCV repeats its neighbours
    rows, columns = np.mgrid[: size[0], : size[1]]
    measured = np.take_along_axis(decoded, channel[rows % 2, columns % 2][..., None], axis=2)
    expected = mosaic if bits == 8 else np.rint(mosaic / 257.0)
    np.testing.assert_array_equal(measured[inside], expected[inside])


@pytest.mark.parametrize("pattern", MOSAICS)
def test_mosaic_of_one_colour_becomes_that_colour(pattern):
    rgb = np.broadcast_to(np.array([200, 90, 30], np.uint8), (6, 9, 3))
    data, step = packed(mosaic_of(rgb, MOSAICS[pattern])[0], 0)
    decoded = decode_rgb(data, ImageLayout(f"bayer_{pattern}8", 9, 6, step))
    np.testing.assert_array_equal(decoded, rgb)


def yuv_of(rgb):
    """BT.601 with limited range, in floating point (ITU-R BT.601-7, section 2.5)."""
    red, green, blue = np.moveaxis(rgb.astype(np.float64) / 255.0, -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    first = (blue - luma) / 1.772
    second = (red - luma) / 1.402
    return 16 + 219 * luma, 128 + 224 * first, 128 + 224 * second


def blocks(seed, height, width, rows, columns):
    """A picture whose colours are constant over the pixels that share their chroma."""
    coarse = picture(seed, -(-height // rows), -(-width // columns))
    return coarse.repeat(rows, axis=0).repeat(columns, axis=1)[:height, :width]


@pytest.mark.parametrize("encoding", ["yuyv", "yuv422_yuy2", "uyvy", "yuv422"])
@PROPERTIES
@given(
    height=st.integers(1, 12),
    pairs=st.integers(1, 12),
    odd=st.booleans(),
    padding=PADDINGS,
    seed=SEEDS,
)
def test_packed_yuv_comes_back_within_rounding(encoding, height, pairs, odd, padding, seed):
    width = 2 * pairs
    rgb = blocks(seed, height, width, 1, 2)
    luma, blue, red = (np.rint(plane) for plane in yuv_of(rgb))
    chroma = np.where(np.arange(width) % 2 == 0, blue, red)
    order = [chroma, luma] if encoding in ("uyvy", "yuv422") else [luma, chroma]
    data, step = packed(np.stack(order, axis=-1).astype(np.uint8), padding)
    shown = width - odd  # an odd width whose last pair is complete
    decoded = decode_rgb(data, ImageLayout(encoding, shown, height, step))
    assert decoded.shape == (height, shown, 3)
    assert np.abs(decoded.astype(int) - rgb[:, :shown]).max() <= 3


@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
@PROPERTIES
@given(rows=st.integers(1, 8), columns=st.integers(1, 8), padding=PADDINGS, seed=SEEDS)
def test_planar_yuv_comes_back_within_rounding(encoding, rows, columns, padding, seed):
    height, width = 2 * rows, 2 * columns
    rgb = blocks(seed, height, width, 2, 2)
    luma, blue, red = (np.rint(plane) for plane in yuv_of(rgb))
    pair = (blue, red) if encoding == "nv12" else (red, blue)
    chroma = np.stack([plane[::2, ::2] for plane in pair], axis=-1).reshape(rows, width)
    data, step = packed(np.vstack([luma, chroma]).astype(np.uint8), padding)
    decoded = decode_rgb(data, ImageLayout(encoding, width, height, step))
    assert np.abs(decoded.astype(int) - rgb).max() <= 3


@PROPERTIES
@given(size=SIZES, padding=PADDINGS, seed=SEEDS, bigendian=st.booleans())
def test_depth_in_millimetres_becomes_metres_and_zero_becomes_nan(size, padding, seed, bigendian):
    millimetres = picture(seed, *size, channels=1, sample=np.uint16)
    millimetres[::2] = 0
    data, step = packed(millimetres, padding, bigendian)
    depth = decode_depth(data, ImageLayout("16UC1", size[1], size[0], step, bigendian))
    expected = np.where(millimetres[..., 0] > 0, millimetres[..., 0] / 1000.0, np.nan)
    np.testing.assert_allclose(depth, expected, rtol=1e-6)


@pytest.mark.parametrize(("encoding", "sample"), [("32FC1", np.float32), ("64FC1", np.float64)])
@pytest.mark.parametrize("bigendian", [False, True])
def test_depth_in_metres_keeps_its_values(encoding, sample, bigendian):
    metres = np.array([[1.5, 0.25, np.nan], [np.inf, -1.0, 7.0]], dtype=sample)
    data, step = packed(metres, 2, bigendian)
    depth = decode_depth(data, ImageLayout(encoding, 3, 2, step, bigendian))
    nan = np.nan
    np.testing.assert_array_equal(depth, [[1.5, 0.25, nan], [nan, nan, 7.0]])


def layout_and_data(encoding="rgb8", width=6, height=4, padding=0):
    step = width * ENCODINGS[encoding].pixel_bytes + padding
    rows = int(height * ENCODINGS[encoding].rows_per_height)
    return ImageLayout(encoding, width, height, step), bytes(rows * step)


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if "C1" not in name])
def test_missing_or_surplus_bytes_are_refused(encoding):
    layout, data = layout_and_data(encoding)
    decode_rgb(data, layout)
    for wrong in (data[:-1], data + b"\0", b""):
        with pytest.raises(InputError, match=f"expected {len(data)} bytes .* got {len(wrong)}"):
            decode_rgb(wrong, layout)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (ImageLayout("rgb9", 6, 4, 18), "expected one of rgb8, .* got 'rgb9'"),
        (ImageLayout("", 6, 4, 18), "got ''"),
        (ImageLayout("rgb8", 0, 4, 0), "expected at least 1x1 pixels, got rgb8 0x4"),
        (ImageLayout("mono8", 6, 0, 6), "got mono8 6x0"),
        (ImageLayout("bayer_rggb8", 2, 2, 2), "expected at least 3x3"),
        (ImageLayout("rgb8", 6, 4, 17), "expected at least 18 bytes per row .* got 17"),
        (ImageLayout("yuyv", 5, 4, 10), "expected an even size, got yuyv 5x4"),
        (ImageLayout("nv21", 5, 4, 6), "expected an even size, got nv21 5x4"),
        (ImageLayout("nv12", 6, 3, 6), "expected an even size, got nv12 6x3"),
        (ImageLayout("16UC1", 6, 4, 12), "got the depth encoding '16UC1'"),
    ],
)
def test_impossible_images_are_refused_in_one_line(layout, message):
    with pytest.raises(InputError, match=message) as caught:
        decode_rgb(bytes(layout.step * layout.height), layout)
    assert "\n" not in str(caught.value)


def test_colour_is_refused_where_depth_is_expected():
    layout, data = layout_and_data("rgb8")
    with pytest.raises(InputError, match=r"expected 16UC1, .* got 'rgb8'"):
        decode_depth(data, layout)
