"""Printed ArUco markers: the sheet to print, and finding its markers in a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.io.atomic import atomic_path

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

N_MARKERS = 6
EDGE_MM = 80
PAPER_MM = (210, 297)
"""A4: two columns and three rows of markers."""

DOTS_PER_INCH = 300
SUFFIXES = (".png", ".pdf")


def find_markers(image: Pixels) -> dict[int, Floats]:
    """Corners (4, 2) in pixels by number, of the sheet's markers in an RGB image (h, w, 3).

    Garrido-Jurado et al., "Automatic generation and detection of highly reliable fiducial
    markers under occlusion" (2014), as OpenCV has it; corners are refined below a pixel.

    Raises:
        InputError: OpenCV is too old.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    parameters = _aruco().DetectorParameters()
    parameters.cornerRefinementMethod = _aruco().CORNER_REFINE_SUBPIX
    detector = _aruco().ArucoDetector(_dictionary(), parameters)
    corners, numbers, _ = detector.detectMarkers(grey)
    if numbers is None:
        return {}
    found = zip(np.asarray(numbers).ravel().tolist(), corners, strict=True)
    return {
        number: np.asarray(places, dtype=np.float64).reshape(4, 2)
        for number, places in found
        if number < N_MARKERS
    }


def marker_image(number: int, side: int) -> Pixels:
    """Picture (side, side) of a marker; raises as ``find_markers``."""
    return np.asarray(_aruco().generateImageMarker(_dictionary(), number, side), dtype=np.uint8)


def write_sheet(path: str | Path) -> None:
    """Write the sheet for A4 paper as PNG or PDF, by the suffix.

    Raises:
        InputError: another suffix, a folder that does not exist, or OpenCV is too old.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: expected a name that ends in .png or .pdf: rename it")
    sheet = _sheet()
    with atomic_path(path) as temporary:
        if Path(path).suffix.lower() == ".pdf":
            sheet.save(temporary, format="PDF", resolution=DOTS_PER_INCH)
        else:
            sheet.save(temporary, format="PNG", dpi=(DOTS_PER_INCH, DOTS_PER_INCH))


def _sheet() -> Image.Image:
    width, height = (_dots(length) for length in PAPER_MM)
    sheet = Image.new("L", (width, height), 255)
    columns, rows = 2, N_MARKERS // 2
    side = _dots(EDGE_MM)
    gap_x, gap_y = _dots(14), _dots(9)
    left = (width - columns * side - (columns - 1) * gap_x) // 2
    top = (height - rows * side - (rows - 1) * gap_y) // 2
    for number in range(N_MARKERS):
        place = (
            left + number % columns * (side + gap_x),
            top + number // columns * (side + gap_y),
        )
        sheet.paste(Image.fromarray(marker_image(number, side)), place)
    text = f"Edge of a marker: {EDGE_MM} mm if printed at 100 %. Measure it: --aruco takes metres."
    font = ImageFont.load_default(size=_dots(4))
    ImageDraw.Draw(sheet).text((left, top + rows * (side + gap_y)), text, fill=0, font=font)
    return sheet


def _dots(length_mm: float) -> int:
    return round(length_mm / 25.4 * DOTS_PER_INCH)


def _dictionary() -> Any:
    return _aruco().getPredefinedDictionary(_aruco().DICT_5X5_50)


def _aruco() -> Any:
    found: Any = getattr(cv2, "aruco", None)
    if not hasattr(found, "ArucoDetector"):
        raise InputError(
            f"aruco: expected OpenCV 4.7 or newer, got {cv2.__version__}: give --distance, "
            "--camera-positions or --scale instead"
        )
    return found
