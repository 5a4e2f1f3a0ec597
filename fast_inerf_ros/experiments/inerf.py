"""`inerf`: refines the poses of photographs of a data set and writes what came of it."""

from __future__ import annotations

import dataclasses
import fnmatch
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from fast_inerf_ros.config import dump
from fast_inerf_ros.datasets.load import load_dataset, recognise
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.experiments.detections import (
    DetectionFiles,
    DetectionSource,
    NetworkDetections,
)
from fast_inerf_ros.experiments.fields import load_any_field, placed
from fast_inerf_ros.experiments.options import InerfConfig, background_color
from fast_inerf_ros.experiments.setup import Growth, Setup
from fast_inerf_ros.experiments.trial import Outcome, write_outcome
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.inerf.observer import Observer
from fast_inerf_ros.inerf.result import Result
from fast_inerf_ros.io.atomic import write_text
from fast_inerf_ros.io.scene import Scene, load_scene
from fast_inerf_ros.posecnn.detector import Detector
from fast_inerf_ros.training.seed_scene import legacy_setting, llff_limits
from fast_inerf_ros.training.session import make_folder

CONFIG_FILE = "config.yaml"

logger = logging.getLogger(__name__)


class Watcher:
    """Somebody beside the refinement, such as a ROS node. This one does nothing."""

    def observer(self, name: str) -> Observer | None:
        """Is told of the steps for the image of a name; may ask to stop."""
        return None

    def finished(self, outcome: Outcome) -> None:
        """Is told of each answer."""

    def cancelled(self) -> bool:
        """Whether no further image is to be begun."""
        return False


def inerf(config: InerfConfig, watcher: Watcher | None = None) -> int:
    """Refine the images that are asked for; return the exit status.

    0 where every pose was refined, 1 where one was rejected or failed. Raises InputError for bad
    input, OSError where results cannot be written.
    """
    watcher = watcher or Watcher()
    if not config.data:
        raise InputError("data: expected a folder of posed photographs, got nothing; give --data")
    scene = load_scene(config.scene) if config.scene else None
    posed = _photographs(config)
    chosen = chosen_images(posed.names, config.images)
    setup = _setup(config, scene, posed)
    folder = make_folder(config.output)
    write_text(folder / CONFIG_FILE, dump(config))
    refined = True
    for index in chosen:
        if watcher.cancelled():
            break
        outcome = setup.ask(posed, index, watcher.observer(posed.names[index]))
        target = folder / _folder_name(posed.names[index])
        report(outcome.trial.name, outcome.result, write_outcome(target, outcome, config.overlay))
        watcher.finished(outcome)
        refined = refined and outcome.result.status.refined
    return 0 if refined else 1


def report(name: str, result: Result, written: dict[str, Any]) -> None:
    """Say in a line what came of one image."""
    errors = ""
    if written["result_rotation_error_deg"] is not None:
        before, after = (
            f"{written[f'{which}_rotation_error_deg']:.3g} deg, "
            f"{written[f'{which}_translation_error']:.3g}"
            if written[f"{which}_rotation_error_deg"] is not None
            else "unknown"
            for which in ("start", "result")
        )
        errors = f"; error {before} -> {after}"
    level = logging.INFO if result.status.refined else logging.WARNING
    said = f"{result.status.value} after {result.seconds:.2f} s: {result.reason}{errors}"
    logger.log(level, "%s: %s", name, said)


def chosen_images(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Numbers of the images that names with wildcards, stems or numbers ask for, in that order.

    Raises InputError for what no image answers to.
    """
    found: list[int] = []
    for text in wanted:
        matching = [
            number
            for number, name in enumerate(names)
            if any(fnmatch.fnmatchcase(form, text) for form in (name, Path(name).stem))
        ]
        if not matching and text.isdecimal() and int(text) < len(names):
            matching = [int(text)]
        if not matching:
            raise InputError(
                f"images: expected names or numbers below {len(names)}, got {text!r}; there are "
                f"{', '.join(names[:3])} ..."
            )
        found += [number for number in matching if number not in found]
    return found


def _photographs(config: InerfConfig) -> PosedImages:
    posed = load_dataset(config.data, config.dataset)
    if config.split != "all":
        posed = posed.split(config.split)
    longest = max(max(camera.width, camera.height) for camera in posed.cameras)
    if 0 < config.max_side < longest:
        posed = posed.downscaled(longest / config.max_side)
    return posed


def _setup(config: InerfConfig, scene: Scene | None, posed: PosedImages) -> Setup:
    pixels = config.adam.pixels
    growth = Growth(pixels.kernel_size, pixels.iterations) if config.mask_region else None
    return Setup(
        field=_field(config, scene, posed),
        solver=config.make_solver(),
        layout=_layout(config),
        start_error=config.start_error,
        noise=config.image_noise,
        background=background_color(config.background),
        detections=_detections(config, scene),
        growth=growth,
        from_detection=config.start == "detection",
        seed=config.seed,
    )


def _layout(config: InerfConfig) -> Literal["blender", "llff"]:
    given = config.dataset.format
    name = recognise(Path(config.data)) if given == "auto" else given
    return "llff" if name == "llff" else "blender"


def _field(config: InerfConfig, scene: Scene | None, posed: PosedImages) -> Field:
    path = Path(config.field).expanduser() if config.field else None
    if path is None and scene is not None and scene.field is not None:
        path = scene.resolve(scene.field.checkpoint)
    if path is None:
        raise InputError("field: expected a trained field, got none; give --field or --scene")
    limits = float(posed.field_bounds.min()), float(posed.field_bounds.max())
    if _layout(config) == "llff":
        limits = llff_limits(posed)
    white = config.vanilla.white_background or config.background == "white"
    rendering = dataclasses.replace(config.vanilla, white_background=white)
    field = load_any_field(path, legacy_setting(posed, rendering, limits), config.device)
    if scene is None or scene.field is None:
        return field
    lies = scene.field
    return placed(field, FieldFrame(lies.T_world_field, lies.metres_per_unit, scene.metric))


def _detections(config: InerfConfig, scene: Scene | None) -> DetectionSource:
    needed = config.mask_region or config.start == "detection"
    path = config.detector
    if path is None and config.detections is None and scene is not None and scene.detector:
        path = str(scene.resolve(scene.detector))
    if path is not None and needed:
        return NetworkDetections(Detector.load(path), scene)
    folder = None if config.detections is None else Path(config.detections).expanduser()
    return DetectionFiles(folder, scene)


def _folder_name(name: str) -> str:
    return Path(name).with_suffix("").as_posix().replace("/", "_")
