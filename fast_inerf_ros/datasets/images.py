"""Image files as uint8 arrays: decoded when asked for, resized by area, kept within a budget."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, UnidentifiedImageError

from fast_inerf_ros.errors import InputError

Pixels = NDArray[np.uint8]
Size = tuple[int, int]  # width, height

EXTENSIONS = (".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG", ".webp", ".tif", ".tiff", ".bmp")
DEFAULT_CACHE_BYTES = 2 * 1024**3


class LazyImages:
    """A sequence of images that are decoded when first asked for; safe to use from threads.

    ``images[i]`` is a read-only uint8 array (height, width, 3) RGB, or (height, width, 4) RGBA
    with straight alpha. Decoded images stay in memory up to ``cache_bytes``; then those that
    were used longest ago leave.
    """

    def __init__(
        self, paths: Sequence[Path], sizes: Sequence[Size], cache_bytes: int = DEFAULT_CACHE_BYTES
    ) -> None:
        """Take the files, and the size (width, height) that each is to have."""
        self.paths = tuple(paths)
        self.sizes = tuple(sizes)
        self._cache_bytes = cache_bytes
        self._cache: OrderedDict[int, Pixels] = OrderedDict()
        self._used_bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Pixels:
        index = range(len(self.paths))[index]
        with self._lock:
            if index in self._cache:
                self._cache.move_to_end(index)
                return self._cache[index]
        pixels = resize_by_area(read_image(self.paths[index]), *self.sizes[index])
        pixels.flags.writeable = False
        self._keep(index, pixels)
        return pixels

    def __getstate__(self) -> tuple[tuple[Path, ...], tuple[Size, ...], int]:
        return self.paths, self.sizes, self._cache_bytes

    def __setstate__(self, state: tuple[tuple[Path, ...], tuple[Size, ...], int]) -> None:
        LazyImages.__init__(self, *state)

    @property
    def cached_bytes(self) -> int:
        """Memory that decoded images occupy now."""
        return self._used_bytes

    def preload(self, n_threads: int = 2) -> None:
        """Decode every image now, or the first ones as far as the budget is sure to hold them."""
        needed = np.cumsum([4 * width * height for width, height in self.sizes])
        n_images = int(np.searchsorted(needed, self._cache_bytes, side="right"))
        with ThreadPoolExecutor(n_threads) as pool:
            for _ in pool.map(self.__getitem__, range(n_images)):
                pass

    def subset(self, indices: Sequence[int]) -> LazyImages:
        """The images of these indices, in this order."""
        paths, sizes = [self.paths[i] for i in indices], [self.sizes[i] for i in indices]
        return LazyImages(paths, sizes, self._cache_bytes)

    def resized(self, sizes: Sequence[Size]) -> LazyImages:
        """The same files at other sizes (width, height), resized when decoded."""
        return LazyImages(self.paths, sizes, self._cache_bytes)

    def _keep(self, index: int, pixels: Pixels) -> None:
        with self._lock:
            if index in self._cache:
                return
            self._cache[index] = pixels
            self._used_bytes += pixels.nbytes
            while self._used_bytes > self._cache_bytes and len(self._cache) > 1:
                _, dropped = self._cache.popitem(last=False)
                self._used_bytes -= dropped.nbytes


def image_size(path: Path) -> Size:
    """Width and height of an image file as stored, read from its header alone.

    Raises:
        InputError: the file is missing or not an image.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except FileNotFoundError:
        raise InputError(f"{path}: expected an image, got no such file; check the path") from None
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path}: expected an image, got a file that cannot be read as one "
            f"({_one_line(error)}); copy it again or remove it"
        ) from None


def read_image(path: Path) -> Pixels:
    """Decode an image file as stored: uint8 RGB (h, w, 3), or straight RGBA (h, w, 4).

    A rotation in EXIF data is not applied: the cameras of every supported data set refer to
    the pixels as stored. 16-bit files are rounded to 8 bits, grey ones become RGB.

    Raises:
        InputError: the file is missing, truncated, no image, or of floats.
    """
    encoded = _read_bytes(path)
    try:
        decoded = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED) if encoded.size else None
    except cv2.error:
        decoded = None
    if decoded is None:
        raise InputError(
            f"{path}: expected an image, got a file that cannot be decoded; copy it again or "
            "remove it"
        )
    if decoded.dtype == np.uint16:
        decoded = np.rint(decoded / 257.0).astype(np.uint8)
    if decoded.dtype != np.uint8:
        raise InputError(f"{path}: expected 8 or 16 bits a channel, got {decoded.dtype}; convert")
    return _to_rgb(np.asarray(decoded, dtype=np.uint8))


def resize_by_area(image: Pixels, width: int, height: int) -> Pixels:
    """Image at another size by area averaging when it shrinks, bilinear when it grows.

    Colours are weighted by their alpha, so that those hidden under transparency do not bleed
    into the edges.

    Args:
        image: uint8 (h, w, 3) or straight RGBA (h, w, 4).
        width: of the result, pixels.
        height: of the result, pixels.
    """
    if image.shape[:2] == (height, width):
        return image
    shrinks = width <= image.shape[1] and height <= image.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    if image.shape[2] == 3:
        return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)
    alpha = image[..., 3:].astype(np.float32) / 255.0
    premultiplied = np.concatenate([image[..., :3] * alpha, alpha], axis=-1)
    small = cv2.resize(premultiplied, (width, height), interpolation=method)
    opacity = small[..., 3:]
    colour = small[..., :3] / np.maximum(opacity, 1e-6)
    straight = np.concatenate([colour, 255.0 * opacity], axis=-1)
    return np.asarray(np.rint(np.clip(straight, 0.0, 255.0)), dtype=np.uint8)


def composite(image: Pixels, background: ArrayLike = (1.0, 1.0, 1.0)) -> NDArray[np.float32]:
    """Colours in [0, 1], float32 (h, w, 3): RGBA over a background, RGB as it is.

    Args:
        image: uint8 (h, w, 3) or straight RGBA (h, w, 4).
        background: (3,) or (h, w, 3) in [0, 1]; white by default, for a random one give
            ``generator.random((h, w, 3), dtype=numpy.float32)`` and render over the same.
    """
    colour = image.astype(np.float32) / np.float32(255.0)
    if image.shape[-1] == 3:
        return colour
    alpha = colour[..., 3:]
    behind = np.asarray(background, dtype=np.float32)
    return np.asarray(colour[..., :3] * alpha + behind * (1.0 - alpha), dtype=np.float32)


def _read_bytes(path: Path) -> Pixels:
    try:
        return np.frombuffer(path.read_bytes(), dtype=np.uint8)
    except OSError as error:
        raise InputError(
            f"{path}: expected an image, got {_one_line(error)}; check the path"
        ) from None


def _to_rgb(decoded: NDArray[np.uint8]) -> Pixels:
    channels = 1 if decoded.ndim == 2 else decoded.shape[2]
    conversion = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}[channels]
    return np.asarray(cv2.cvtColor(decoded, conversion), dtype=np.uint8)


def _one_line(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())
