"""Folders that appear whole or not at all, and pictures written while the next one is made."""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from fast_inerf_ros.errors import InputError

Pixels = npt.NDArray[Any]
Item = TypeVar("Item")

LOGGER = logging.getLogger(__name__)
PNG_COMPRESSION = 1
"""Noise does not compress: higher levels take several times as long for a few per cent."""


@contextmanager
def finished_folder(target: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `target` that takes its place at the end of the block.

    On an exception it is removed and whatever stood at `target` stays.

    Raises InputError for a folder that holds something (unless `overwrite`), a file in its
    place, and a parent that cannot be written to.
    """
    path = Path(target).absolute()
    if path.exists() and not path.is_dir():
        raise InputError(f"{target}: expected a folder, got a file: choose another --output")
    if not overwrite and path.is_dir() and any(path.iterdir()):
        raise InputError(f"{target}: the folder is not empty: choose another or use --overwrite")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise InputError(
            f"{target}: cannot create the folder ({error.strerror}): choose a writable --output"
        ) from error
    try:
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


class PictureWriter:
    """Encodes pictures on a thread of its own; a context manager that waits for the last one."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> PictureWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            while self._waiting:
                self._waiting.popleft().result()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def write(self, path: Path, image: Pixels) -> None:
        """Write a grey, RGB or RGBA picture, 8 or 16 bit, as PNG."""
        self._waiting.append(self._pool.submit(write_picture, path, image))
        while len(self._waiting) > 24:
            self._waiting.popleft().result()


def progress(items: Iterable[Item], total: int, description: str) -> Iterator[Item]:
    """The items, with a progress bar; a log that is no terminal gets a line every 10 s."""
    interval_s = 0.1 if sys.stderr.isatty() else 10.0
    bar = tqdm(items, total=total, desc=description, unit="image", mininterval=interval_s)
    return iter(bar)


def write_picture(path: Path, image: Pixels) -> None:
    """Write one PNG now; RGB order."""
    if image.ndim == 3:
        image = image[..., [2, 1, 0, 3][: image.shape[2]]]
    if image.dtype == np.bool_:
        image = image.astype(np.uint8) * np.uint8(255)
    flags = [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION]
    if not cv2.imwrite(str(path), np.ascontiguousarray(image), flags):
        raise InputError(f"{path}: cannot write the picture: is the disk full?")


def write_json(path: Path, content: Any) -> None:
    """Write JSON that people can read."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
