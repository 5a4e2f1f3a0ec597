"""Image files: decoding, area averages, transparency and the memory they take."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fast_inerf_ros.datasets.images import (
    LazyImages,
    composite,
    image_size,
    read_image,
    resize_by_area,
)
from fast_inerf_ros.errors import InputError


def random_pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def saved(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_and_alpha_are_read_as_stored(tmp_path, channels):
    pixels = random_pixels(0, 7, 5, channels)
    path = saved(tmp_path / "image.png", pixels)
    assert (read_image(path) == pixels).all()
    assert image_size(path) == (5, 7)


def test_grey_becomes_rgb_and_16_bits_are_rounded_to_8(tmp_path):
    deep = np.array([[0, 128, 129, 65535], [257, 385, 386, 40000]], dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    expected = np.array([[0, 0, 1, 255], [1, 1, 2, 156]], dtype=np.uint8)
    assert (read_image(tmp_path / "deep.png") == expected[..., None]).all()


def test_rotation_in_exif_data_is_not_applied(tmp_path):
    image = Image.fromarray(random_pixels(1, 8, 16, 3))
    exif = image.getexif()
    exif[0x0112] = 6  # rotate by 90 degrees
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert image_size(tmp_path / "turned.jpg") == (16, 8)
    assert read_image(tmp_path / "turned.jpg").shape == (8, 16, 3)


def test_file_that_is_no_image_is_named(tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"not an image")
    for read in (read_image, image_size):
        with pytest.raises(InputError, match=r"broken\.png: expected an image.*copy it again"):
            read(path)


def test_truncated_and_missing_files_are_named(tmp_path):
    whole = saved(tmp_path / "whole.png", random_pixels(2, 64, 64, 3)).read_bytes()
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes(whole[:30])
    for name in ("empty.png", "cut.png", "absent.png"):
        with pytest.raises(InputError, match=f"{name}: expected an image") as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_images_of_floats_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "depth.tiff"), np.zeros((4, 4), np.float32))
    with pytest.raises(InputError, match="8 or 16 bits a channel, got float32"):
        read_image(tmp_path / "depth.tiff")


def test_shrinking_by_a_whole_factor_is_the_mean_of_blocks():
    pixels = random_pixels(3, 12, 20, 3)
    blocks = pixels.reshape(3, 4, 5, 4, 3).mean(axis=(1, 3))
    assert resize_by_area(pixels, 5, 3) == pytest.approx(blocks, abs=0.51)


def test_colours_under_transparency_do_not_bleed():
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[...] = (255, 0, 255, 0)
    pixels[0] = (10, 200, 30, 255)
    assert resize_by_area(pixels, 1, 1)[0, 0] == pytest.approx([10, 200, 30, 128], abs=1)


def test_shrinking_and_compositing_commute():
    generator = np.random.default_rng(4)
    pixels = random_pixels(4, 16, 24, 4)
    pixels[..., 3] = generator.choice([0, 90, 255], (16, 24))
    before = composite(pixels).reshape(4, 4, 6, 4, 3).mean(axis=(1, 3))
    assert composite(resize_by_area(pixels, 6, 4)) == pytest.approx(before, abs=0.01)


def test_transparency_shows_the_background():
    pixels = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [255, 0, 0, 51]]], np.uint8)
    assert composite(pixels) == pytest.approx(
        np.array([[[1, 0, 0], [1, 1, 1], [1, 0.8, 0.8]]]), abs=1e-6
    )
    behind = np.random.default_rng(5).random((1, 3, 3), dtype=np.float32)
    over = composite(pixels, behind)
    assert over[0, 1] == pytest.approx(behind[0, 1])
    assert over.dtype == np.float32
    assert (composite(pixels[..., :3], behind)[0] == [1, 0, 0]).all()


def lazy(folder: Path, n: int, **kwargs: int) -> LazyImages:
    paths = [saved(folder / f"{i}.png", random_pixels(i, 8, 6, 3)) for i in range(n)]
    return LazyImages(paths, [(6, 8)] * n, **kwargs)


def test_images_are_decoded_when_asked_for_and_then_kept(tmp_path):
    images = lazy(tmp_path, 3)
    assert images.cached_bytes == 0
    first = images[1]
    assert images.cached_bytes == 8 * 6 * 3
    (tmp_path / "1.png").unlink()
    assert images[1] is first
    assert images[-2] is first


def test_kept_images_cannot_be_changed(tmp_path):
    with pytest.raises(ValueError, match="read-only"):
        lazy(tmp_path, 1)[0][0, 0] = 0


def test_memory_stays_within_the_budget(tmp_path):
    images = lazy(tmp_path, 5, cache_bytes=2 * 8 * 6 * 3)
    for i in (0, 1, 0, 2, 3, 4):
        assert (images[i] == random_pixels(i, 8, 6, 3)).all()
        assert images.cached_bytes <= 2 * 8 * 6 * 3


def test_preload_decodes_everything_and_pickles_leave_it_behind(tmp_path):
    images = lazy(tmp_path, 4)
    images.preload(n_threads=3)
    assert images.cached_bytes == 4 * 8 * 6 * 3
    copy = pickle.loads(pickle.dumps(images))
    assert copy.cached_bytes == 0
    assert (copy[3] == images[3]).all()


def test_preload_stops_before_it_would_push_out_what_it_loaded(tmp_path):
    images = lazy(tmp_path, 4, cache_bytes=3 * 8 * 6 * 4)
    images.preload()
    assert images.cached_bytes == 3 * 8 * 6 * 3


def test_index_outside_the_sequence_ends_iteration(tmp_path):
    images = lazy(tmp_path, 2)
    assert len(list(images)) == 2
    with pytest.raises(IndexError):
        images[2]


def test_subset_and_resized_name_the_same_files(tmp_path):
    images = lazy(tmp_path, 3).subset([2, 0]).resized([(3, 4), (6, 8)])
    assert images[0].shape == (4, 3, 3)
    assert (images[1] == random_pixels(0, 8, 6, 3)).all()
