"""Puts many pictures on one page, as photographers do: a function and a command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.command_line import run
from fast_inerf_ros.config import option
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.io.atomic import atomic_path

Pixels = npt.NDArray[np.uint8]

MARGIN = 6
LABEL_HEIGHT = 22
PAPER = 245
SUFFIXES = (".png", ".jpg", ".jpeg")


def contact_sheet(
    images: Sequence[Pixels],
    columns: int,
    labels: Sequence[str] | None = None,
    tile_width: int | None = None,
) -> Pixels:
    """Arrange RGB images (H, W, 3) uint8 in rows of `columns`.

    Images are scaled to the width `tile_width` (that of the first unless given) and keep their
    proportions. labels: a line under each image.

    Raises InputError for no images, no columns, or labels that are not one for each image.
    """
    if not images or columns < 1:
        raise InputError(f"expected images and columns >= 1, got {len(images)} and {columns}")
    if labels is not None and len(labels) != len(images):
        raise InputError(f"expected one label an image ({len(images)}), got {len(labels)}")
    width = images[0].shape[1] if tile_width is None else tile_width
    tiles = [_tile(image, width) for image in images]
    height = max(tile.shape[0] for tile in tiles)
    step_y = height + MARGIN + (LABEL_HEIGHT if labels is not None else 0)
    rows = -(-len(tiles) // columns)
    columns = min(columns, len(tiles))
    sheet = np.full(
        (rows * step_y + MARGIN, columns * (width + MARGIN) + MARGIN, 3), PAPER, np.uint8
    )
    for index, tile in enumerate(tiles):
        top = MARGIN + index // columns * step_y
        left = MARGIN + index % columns * (width + MARGIN)
        sheet[top : top + tile.shape[0], left : left + width] = tile
        if labels is not None:
            _write_label(sheet, labels[index], left, top + height, width)
    return sheet


def _tile(image: Pixels, width: int) -> Pixels:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(
            f"expected 8-bit RGB images (H, W, 3), got {image.dtype} of shape {image.shape}"
        )
    if image.shape[1] == width:
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    shrinking = width < image.shape[1]
    method = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)


def _write_label(sheet: Pixels, text: str, left: int, top: int, width: int) -> None:
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.45
    (extent, _), _ = cv2.getTextSize(text, font, scale, 1)
    scale *= min(1.0, (width - 4) / max(extent, 1))
    place = (left + 2, top + LABEL_HEIGHT - 7)
    cv2.putText(sheet, text, place, font, scale, (40, 40, 40), 1, cv2.LINE_AA)


@dataclass(frozen=True)
class ContactSheetConfig:
    """Options of the command."""

    folder: str = option(doc="Folder of pictures; those in folders below it count too.")
    output: str = option(doc="Picture to write, .jpg or .png.")
    columns: int = option(4, doc="Pictures in a row.", minimum=1)
    n_images: int = option(12, doc="Pictures on the sheet, taken evenly from all.", minimum=1)
    tile_width: int = option(320, doc="Width of a picture.", unit="px", minimum=16)
    quality: int = option(85, doc="JPEG quality.", minimum=1, maximum=100)


def make_sheet(config: ContactSheetConfig) -> None:
    """Write a contact sheet of a folder.

    Raises InputError for folders without pictures and pictures that cannot be read.
    """
    paths = sorted(p for p in Path(config.folder).rglob("*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise InputError(f"{config.folder}: expected pictures (.png, .jpg), got none: correct it")
    chosen = np.unique(np.linspace(0, len(paths) - 1, config.n_images).round().astype(int))
    images = [_read(paths[index]) for index in chosen]
    sheet = contact_sheet(images, config.columns, tile_width=config.tile_width)
    with atomic_path(config.output) as temporary:
        jpeg = Path(config.output).suffix.lower() != ".png"
        flags = [cv2.IMWRITE_JPEG_QUALITY, config.quality] if jpeg else []
        if not cv2.imwrite(str(temporary), sheet[..., ::-1], flags):
            raise InputError(f"{config.output}: cannot be written: use .jpg or .png")


def _read(path: Path) -> Pixels:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{path}: cannot be read as a picture: remove or replace it")
    return np.asarray(image[..., ::-1], dtype=np.uint8)


def main() -> int:
    """Run the command."""
    return run(
        ContactSheetConfig,
        make_sheet,
        prog="contact_sheet",
        description="Put the pictures of a folder on one page.",
    )


if __name__ == "__main__":
    sys.exit(main())
