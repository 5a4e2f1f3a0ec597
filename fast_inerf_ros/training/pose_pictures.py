"""Pictures of what was found in images: masks, boxes and centres drawn on them."""

from __future__ import annotations

import colorsys
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.pose_set import ObjectClass
from fast_inerf_ros.evaluation.detections import AUC_MAXIMUM, DetectionReport
from fast_inerf_ros.evaluation.recall import recall_curve
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.posecnn.detection import Detection

Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

TINT = 0.45
EDGE_POINTS = 12
CORNERS = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
EDGES = [(a, b) for a, b in itertools.combinations(range(8), 2) if (a ^ b) in (1, 2, 4)]
PLOT_WIDTH, PLOT_HEIGHT, PLOT_MARGIN = 640, 420, 50
FONT = cv2.FONT_HERSHEY_SIMPLEX


def class_colour(class_id: int) -> Colour:
    """A colour for each class, neighbours far apart."""
    hue = (class_id * 0.381966) % 1.0  # the golden angle
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def drawn(
    image: Pixels,
    camera: Camera,
    detections: Sequence[Detection],
    classes: Mapping[str, ObjectClass],
) -> Pixels:
    """The image (H, W, 3) with masks, boxes of the classes that have one, and names."""
    picture = image.copy()
    for item in reversed(detections):
        colour = class_colour(item.class_id)
        _tint(picture, item, colour)
    for item in reversed(detections):
        colour = class_colour(item.class_id)
        known = classes.get(item.label)
        if known is not None and known.extent is not None:
            _draw_box(picture, camera, item, known, colour)
        _write(picture, item, colour)
    return picture


def _tint(picture: Pixels, item: Detection, colour: Colour) -> None:
    x, y, width, height = item.box
    part = picture[y : y + height, x : x + width]
    mixed = (1 - TINT) * part + TINT * np.array(colour)
    part[item.mask] = mixed[item.mask].astype(np.uint8)
    contours, _ = cv2.findContours(
        item.mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(x, y)
    )
    cv2.drawContours(picture, contours, -1, colour, 1, cv2.LINE_AA)


def _draw_box(
    picture: Pixels, camera: Camera, item: Detection, known: ObjectClass, colour: Colour
) -> None:
    corners = CORNERS * np.array(known.extent) + np.array(known.box_centre)
    share = np.linspace(0.0, 1.0, EDGE_POINTS)[:, None]
    for first, second in EDGES:
        points = corners[first] * (1 - share) + corners[second] * share
        places = np.asarray(camera.project(np.asarray(item.T_camera_object @ points)))
        if np.isfinite(places).all() and (np.abs(places) < 1e4).all():
            line = np.round(places * 8).astype(np.int32)
            cv2.polylines(picture, [line], False, colour, 2, cv2.LINE_AA, shift=3)


def _write(picture: Pixels, item: Detection, colour: Colour) -> None:
    x, y = (round(value) for value in item.centre_px)
    cv2.circle(picture, (x, y), 4, (255, 255, 255), -1, cv2.LINE_AA)
    cv2.circle(picture, (x, y), 4, colour, 2, cv2.LINE_AA)
    text = f"{item.label} {item.score:.2f}"
    for shade, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(picture, text, (x + 6, y - 6), FONT, 0.45, shade, width, cv2.LINE_AA)


def recall_plot(report: DetectionReport) -> Pixels:
    """Share of the objects of each class whose ADD-S is below 0 to 10 cm."""
    canvas = np.full((PLOT_HEIGHT, PLOT_WIDTH, 3), 255, np.uint8)
    _draw_axes(canvas)
    for index, label in enumerate(report.labels):
        errors = [r.add_s for r in report.objects if r.label == label and r.has_model]
        if not errors:
            continue
        curve = recall_curve(errors, AUC_MAXIMUM)
        thresholds = np.concatenate([[0.0], curve.thresholds])
        shares = np.concatenate([[0.0], curve.fraction])
        places = np.stack([_across(thresholds / AUC_MAXIMUM), _down(shares)], axis=-1)
        colour = class_colour(index + 1)
        cv2.polylines(canvas, [places.round().astype(np.int32)], False, colour, 2, cv2.LINE_AA)
        place = (PLOT_WIDTH - 190, PLOT_HEIGHT - PLOT_MARGIN - 14 - 16 * index)
        cv2.putText(canvas, label, place, FONT, 0.45, colour, 1, cv2.LINE_AA)
    return canvas


def _draw_axes(canvas: Pixels) -> None:
    grey, ink = (225, 225, 225), (60, 60, 60)
    for share in np.linspace(0.0, 1.0, 6):
        x, y = round(float(_across(share))), round(float(_down(share)))
        cv2.line(canvas, (x, round(float(_down(0)))), (x, round(float(_down(1)))), grey, 1)
        cv2.line(canvas, (round(float(_across(0))), y), (round(float(_across(1))), y), grey, 1)
        cm = f"{100 * AUC_MAXIMUM * share:g}"
        cv2.putText(canvas, cm, (x - 6, PLOT_HEIGHT - 30), FONT, 0.42, ink, 1, cv2.LINE_AA)
        cv2.putText(canvas, f"{share:.1f}", (14, y + 4), FONT, 0.42, ink, 1, cv2.LINE_AA)
    text = "share of objects within ADD-S (cm)"
    cv2.putText(canvas, text, (PLOT_MARGIN, PLOT_HEIGHT - 8), FONT, 0.48, ink, 1, cv2.LINE_AA)


def _across(share: Any) -> Any:
    return PLOT_MARGIN + np.asarray(share) * (PLOT_WIDTH - 2 * PLOT_MARGIN)


def _down(share: Any) -> Any:
    return PLOT_HEIGHT - PLOT_MARGIN - np.asarray(share) * (PLOT_HEIGHT - 2 * PLOT_MARGIN)
