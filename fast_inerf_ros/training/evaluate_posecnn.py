"""``evaluate_posecnn``: how well a pose network does on images whose objects are known.

evaluate_posecnn --checkpoint out/posecnn/best.pt --data data/tabletop --split val --output report
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from fast_inerf_ros.command_line import run
from fast_inerf_ros.config import option, section
from fast_inerf_ros.datasets.bop import load_pose_set
from fast_inerf_ros.datasets.contact_sheet import contact_sheet
from fast_inerf_ros.datasets.pose_set import PoseSample, PoseSet
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.evaluation.detections import DetectionReport
from fast_inerf_ros.io.atomic import atomic_path, write_text
from fast_inerf_ros.posecnn.detection import Detection
from fast_inerf_ros.posecnn.detector import Detector, DetectorConfig
from fast_inerf_ros.training.pose_evaluation import evaluate_detector
from fast_inerf_ros.training.pose_pictures import Pixels, drawn, recall_plot
from fast_inerf_ros.training.session import make_folder
from fast_inerf_ros.training.validation import evenly

NAME = "evaluate_posecnn"
DESCRIPTION = "Measure a pose network on images with known objects."
METRICS, PLOT, SHEET = "metrics.json", "add_s.png", "predictions.jpg"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SheetOptions:
    """The contact sheet of predictions."""

    n_images: int = option(12, doc="Images on it, evenly taken; 0 for no sheet.", minimum=0)
    columns: int = option(4, doc="Images in a row.", minimum=1)
    tile_width: int = option(320, doc="Width of an image.", unit="px", minimum=16)
    quality: int = option(80, doc="JPEG quality.", minimum=1, maximum=100)


@dataclass(frozen=True)
class EvaluatePoseCnnConfig:
    """Options of `evaluate_posecnn`."""

    checkpoint: str = option(doc="Network: a checkpoint, the seed's weights or an .onnx file.")
    data: str = option(doc="Folder of a data set in BOP's or PROPS' layout.")
    output: str = option("posecnn_report", doc="Folder for figures, plot and contact sheet.")
    split: str = option("val", doc="Split to try it on.")
    poses: Literal["auto", "bop", "props"] = option("auto", doc="What the files hold.")
    n_images: int = option(0, doc="Images, evenly taken; 0 for all.", minimum=0)
    detector: DetectorConfig = section(DetectorConfig)
    sheet: SheetOptions = section(SheetOptions)


def evaluate_posecnn(config: EvaluatePoseCnnConfig) -> DetectionReport:
    """Measure, write everything, and log the most important figures.

    Raises InputError for bad input, OSError where results cannot be written.
    """
    pose_set = load_pose_set(config.data, config.split, config.poses)
    detector = Detector.load(config.checkpoint, config.detector)
    check_labels(detector.class_labels, pose_set)
    indices = np.arange(len(pose_set))
    chosen = evenly(indices, config.n_images) if config.n_images else indices
    folder = make_folder(config.output)
    artist = _Artist(pose_set, chosen, config.sheet.n_images)
    report = evaluate_detector(detector, pose_set, chosen, artist.seen)
    write_report(report, folder, asdict(config))
    if artist.pictures:
        sheet = contact_sheet(
            artist.pictures, config.sheet.columns, tile_width=config.sheet.tile_width
        )
        write_picture(folder / SHEET, sheet, config.sheet.quality)
    log_figures(report, folder)
    return report


def check_labels(labels: Sequence[str], pose_set: PoseSet) -> None:
    """Say which classes only one of both knows; InputError where they share none."""
    common = set(labels) & set(pose_set.labels)
    if not common:
        raise InputError(
            f"expected a data set with some of {', '.join(labels)}, got "
            f"{', '.join(pose_set.labels)}: give one of these objects"
        )
    unknown = sorted(set(pose_set.labels) - common)
    if unknown:
        logger.info("not known to the network, left out: %s", ", ".join(unknown))


def write_report(report: DetectionReport, folder: Path, config: dict[str, Any]) -> None:
    """Write the figures, every object's and camera's result, and the plot."""
    content = {
        "config": config,
        **report.summary(),
        "objects": [_plain(asdict(item)) for item in report.objects],
        "cameras": [_plain(asdict(item)) for item in report.cameras],
    }
    write_text(folder / METRICS, json.dumps(content, indent=1, allow_nan=False) + "\n")
    write_picture(folder / PLOT, recall_plot(report), 100)


def write_picture(path: Path, picture: Pixels, quality: int) -> None:
    """Write an RGB picture as .png or .jpg."""
    with atomic_path(path) as temporary:
        flags = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == ".jpg" else []
        if not cv2.imwrite(str(temporary), picture[..., ::-1], flags):
            raise OSError(f"{path}: cannot be written")


def log_figures(report: DetectionReport, folder: Path) -> None:
    """Log what matters most."""
    summary = report.summary()
    for name, value in summary["all"].items():
        logger.info("%s: %s", name, "none" if value is None else f"{value:.4g}")
    for name in ("4_or_more", "1_to_3"):
        figures = summary["camera"][name]
        texts = [f"{key} {'none' if v is None else f'{v:.4g}'}" for key, v in figures.items()]
        logger.info("camera from %s objects: %s", name, ", ".join(texts))
    logger.info("%d images -> %s", report.n_images, folder)


class _Artist:
    """Keeps some of the images, with what was found drawn on them."""

    def __init__(self, pose_set: PoseSet, indices: Any, count: int) -> None:
        self.pictures: list[Pixels] = []
        self._classes = {item.label: item for item in pose_set.classes.values()}
        places = np.arange(len(indices))
        self._wanted = set(evenly(places, count).tolist()) if count else set()
        self._place = 0

    def seen(self, sample: PoseSample, detections: tuple[Detection, ...]) -> None:
        """Draw it, if it is one of those wanted."""
        if self._place in self._wanted:
            picture = drawn(sample.image, sample.camera, detections, self._classes)
            self.pictures.append(picture)
        self._place += 1


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN."""
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in values.items()
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""

    def work(config: EvaluatePoseCnnConfig) -> None:
        evaluate_posecnn(config)

    return run(EvaluatePoseCnnConfig, work, argv, NAME, DESCRIPTION)


if __name__ == "__main__":
    sys.exit(main())
