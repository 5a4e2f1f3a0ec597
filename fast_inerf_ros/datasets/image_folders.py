"""The folder of images that fits a wanted factor: ``images`` or ``images_<factor>``."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from fast_inerf_ros.datasets.images import EXTENSIONS, Size
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageFolder:
    """A folder, its images sorted by name, and the factor by which they are still too large."""

    path: Path
    paths: tuple[Path, ...]
    remaining_factor: float


def choose_image_folder(folder: Path, factor: int) -> ImageFolder:
    """Folder for a factor: ``images_<factor>``, else the largest images that are shrunk to it.

    Args:
        folder: of the data set.
        factor: wanted; 0 for the largest images there are.

    Raises:
        InputError: no images, or only images smaller than wanted.
    """
    found = _image_folders(folder)
    if not found:
        raise InputError(
            f"{folder}: expected a folder images or images_<factor> with images, got none; copy "
            "the images there"
        )
    largest = min(found)
    wanted = factor or largest
    if wanted in found:
        return ImageFolder(found[wanted], image_paths(found[wanted]), 1.0)
    if wanted < largest:
        raise InputError(
            f"{folder}: expected images for factor {wanted}, got {found[largest].name} as the "
            f"largest; ask for factor {largest} or copy the larger images there"
        )
    logger.info("%s: no images_%d; resizing %s", folder, wanted, found[largest].name)
    return ImageFolder(found[largest], image_paths(found[largest]), wanted / largest)


def image_paths(folder: Path) -> tuple[Path, ...]:
    """Images directly in a folder, sorted by name (those of LLFF; COLMAP's may lie deeper)."""
    return tuple(sorted(path for path in folder.iterdir() if path.suffix in EXTENSIONS))


def fitted_camera(camera: Camera, size: Size, where: str) -> Camera:
    """Camera of a calibrated image for a copy of it (w, h) of the same proportions.

    Raises:
        InputError: a side differs from the one expected by more than a rounded pixel.
    """
    width, height = size
    expected = (camera.width * height / camera.height, camera.height * width / camera.width)
    if abs(expected[0] - width) > 1.0 and abs(expected[1] - height) > 1.0:
        raise InputError(
            f"{where}: expected an image in the proportions of its intrinsics, "
            f"{camera.width}x{camera.height} pixels, got {width}x{height}; restore the image"
        )
    return camera if size == (camera.width, camera.height) else camera.resize(*size)


def _image_folders(folder: Path) -> dict[int, Path]:
    """Folders that hold images, by their factor."""
    found = {}
    for path in sorted(folder.glob("images*")):
        match = re.fullmatch(r"images(?:_([1-9]\d*))?", path.name)
        if match and path.is_dir() and any(file.suffix in EXTENSIONS for file in path.rglob("*")):
            found[int(match.group(1) or 1)] = path
    return found
