"""How well objects are found in images: per object, per class, and the camera from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fast_inerf_ros.evaluation.recall import area_under_recall

NAN = float("nan")
AUC_MAXIMUM = 0.10  # metres, as in PoseCNN
NEAR_DEG, NEAR_M = 5.0, 0.05
WIDE_DEG, WIDE_M = 10.0, 0.10

Figures = dict[str, float | int | None]


@dataclass(frozen=True)
class ObjectResult:
    """One object that is to be found; errors are NaN where it was not, or where nobody knows.

    image, label: where and what. visible_fraction: of its silhouette. score: of the detection.
    centre_error_px: of its origin in the image. depth_error: relative. rotation_error_deg,
    translation_error: to the symmetric equivalent of the nearest rotation; metres.
    add: mean distance of model points to the nearest symmetric equivalent, metres. add_s: to
    the closest points (ADD-S).
    """

    image: str
    label: str
    visible_fraction: float
    found: bool
    score: float = NAN
    centre_error_px: float = NAN
    depth_error: float = NAN
    rotation_error_deg: float = NAN
    translation_error: float = NAN
    add: float = NAN
    add_s: float = NAN
    has_model: bool = True


@dataclass(frozen=True)
class CameraResult:
    """The camera's pose from the objects of an image; NaN where there was none.

    n_seen: objects that were detected. translation_error: metres.
    """

    image: str
    n_seen: int
    rotation_error_deg: float = NAN
    translation_error: float = NAN


@dataclass
class PixelCounts:
    """Pixels by class (C + 1,), background first: in both, and in either of truth and answer."""

    both: NDArray[np.int64]
    either: NDArray[np.int64]

    @staticmethod
    def none(n_classes: int) -> PixelCounts:
        """Before any image."""
        return PixelCounts(
            np.zeros(n_classes + 1, dtype=np.int64), np.zeros(n_classes + 1, dtype=np.int64)
        )

    def add(self, found: NDArray[Any], truth: NDArray[Any]) -> None:
        """Count an image's classes (H, W) as found and as they are."""
        size = len(self.both)
        both = np.bincount(truth[found == truth].ravel(), minlength=size)
        self.both += both
        self.either += (
            np.bincount(truth.ravel(), minlength=size)
            + np.bincount(found.ravel(), minlength=size)
            - both
        )

    def iou(self) -> NDArray[np.float64]:
        """Intersection over union (C,) of the classes of objects, NaN for those never there."""
        both, either = self.both[1:].astype(np.float64), self.either[1:].astype(np.float64)
        return np.asarray(np.where(either > 0, both / np.maximum(either, 1), NAN))


@dataclass
class DetectionReport:
    """All results of an evaluation.

    n_detections, n_false: by label, all detections and those that are no object.
    """

    labels: tuple[str, ...]
    pixels: PixelCounts
    objects: list[ObjectResult] = field(default_factory=list)
    cameras: list[CameraResult] = field(default_factory=list)
    n_detections: dict[str, int] = field(default_factory=dict)
    n_false: dict[str, int] = field(default_factory=dict)
    n_images: int = 0

    @staticmethod
    def empty(labels: Sequence[str]) -> DetectionReport:
        """Before any image."""
        return DetectionReport(tuple(labels), PixelCounts.none(len(labels)))

    def count(self, label: str, *, false: bool) -> None:
        """Note a detection."""
        self.n_detections[label] = self.n_detections.get(label, 0) + 1
        self.n_false[label] = self.n_false.get(label, 0) + int(false)

    @property
    def mean_iou(self) -> float:
        """Over the classes of objects that are there, or were said to be; NaN without any."""
        return _mean(self.pixels.iou())

    def summary(self) -> dict[str, Any]:
        """Figures as JSON has them: None where there is nothing to tell."""
        iou = dict(zip(self.labels, self.pixels.iou(), strict=True))
        classes = {
            label: {"iou": _finite(iou[label]), **self._figures((label,))} for label in self.labels
        }
        whole = {"iou": _finite(self.mean_iou), **self._figures(self.labels)}
        return {
            "n_images": self.n_images,
            "all": whole,
            "classes": classes,
            "camera": camera_summary(self.cameras),
        }

    def figures(self) -> dict[str, float]:
        """The most important figures by name, those that there are."""
        whole = self.summary()["all"]
        return {name: float(value) for name, value in whole.items() if value is not None}

    def _figures(self, labels: Sequence[str]) -> Figures:
        chosen = [item for item in self.objects if item.label in labels]
        n_detections = sum(self.n_detections.get(label, 0) for label in labels)
        n_false = sum(self.n_false.get(label, 0) for label in labels)
        return {**object_figures(chosen), **_precision(n_detections, n_false)}


def object_figures(results: Sequence[ObjectResult]) -> Figures:
    """Figures of some objects. Those not found count as failures in recall, 5 deg 5 cm and areas;
    medians are of those that were found.
    """
    found = [item for item in results if item.found]
    modelled = [item for item in results if item.has_model]
    centre = [item.centre_error_px for item in found]
    depth = [item.depth_error for item in found]
    return {
        "n_objects": len(results),
        "recall": _ratio(len(found), len(results)),
        "centre_error_px_median": _percentile(centre, 50),
        "centre_error_px_p90": _percentile(centre, 90),
        "depth_error_median": _percentile(depth, 50),
        "rotation_error_deg_median": _percentile([i.rotation_error_deg for i in found], 50),
        "within_5deg_5cm": _within(results, NEAR_DEG, NEAR_M),
        "add_auc": _area([item.add for item in modelled]),
        "add_s_auc": _area([item.add_s for item in modelled]),
    }


def camera_summary(results: Sequence[CameraResult]) -> dict[str, Any]:
    """Camera poses by the number of objects seen, and for 1 to 3 and for 4 or more."""
    groups = {
        "1_to_3": [item for item in results if 1 <= item.n_seen <= 3],
        "4_or_more": [item for item in results if item.n_seen >= 4],
    }
    for number in sorted({item.n_seen for item in results}):
        groups[str(number)] = [item for item in results if item.n_seen == number]
    return {name: _camera_figures(chosen) for name, chosen in groups.items()}


def _camera_figures(results: Sequence[CameraResult]) -> Figures:
    return {
        "n_images": len(results),
        "within_10deg_10cm": _within(results, WIDE_DEG, WIDE_M),
        "within_5deg_5cm": _within(results, NEAR_DEG, NEAR_M),
        "rotation_error_deg_median": _percentile([i.rotation_error_deg for i in results], 50),
        "translation_error_median": _percentile([i.translation_error for i in results], 50),
    }


def _within(
    results: Sequence[ObjectResult] | Sequence[CameraResult], angle_deg: float, distance: float
) -> float | None:
    """Share below both limits; NaN is not."""
    good = [r.rotation_error_deg < angle_deg and r.translation_error < distance for r in results]
    return _ratio(sum(good), len(good))


def _precision(n_detections: int, n_false: int) -> Figures:
    return {
        "n_detections": n_detections,
        "precision": _ratio(n_detections - n_false, n_detections),
    }


def _area(errors: Sequence[float]) -> float | None:
    return area_under_recall(errors, AUC_MAXIMUM) if errors else None


def _percentile(values: Iterable[float], rank: float) -> float | None:
    kept = [value for value in values if math.isfinite(value)]
    return float(np.percentile(kept, rank)) if kept else None


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else NAN


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
