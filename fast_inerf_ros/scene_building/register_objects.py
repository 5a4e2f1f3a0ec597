"""`register_objects`: a pose network and posed photographs become a scene file with objects.

register_objects --data kitchen --detector objects.pt --models labels --output kitchen/scene.yaml

The objects' poses and, where the photographs have none, the metric scale come from what the
network sees in them; registration.json beside the scene file says how well it all agrees.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.command_line import run
from fast_inerf_ros.config import option, section
from fast_inerf_ros.datasets.bop import load_classes
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.datasets.pose_set import ObjectClass
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.datasets.synthetic.output import progress
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.checkpoint import load_state
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.similarity import Similarity
from fast_inerf_ros.io.atomic import write_text
from fast_inerf_ros.io.scene import FieldReference, Scene, SceneObject, save_scene
from fast_inerf_ros.posecnn.detection import Detection
from fast_inerf_ros.posecnn.detector import Detector, DetectorConfig
from fast_inerf_ros.scene_building.paths import written_path
from fast_inerf_ros.scene_building.registration import (
    RegisteredObject,
    Registration,
    RegistrationConfig,
    SeenPhotograph,
    register,
)

REPORT = "registration.json"

logger = logging.getLogger(__name__)


class SeesObjects(Protocol):
    """What is needed of a detector."""

    @property
    def class_labels(self) -> tuple[str, ...]:
        """Names of the classes 1, 2, ..."""

    def detect(self, image: npt.NDArray[Any], camera: Camera) -> tuple[Detection, ...]:
        """Objects in an image."""


@dataclass(frozen=True)
class RegisterConfig:
    """Options of the command."""

    data: str = option(doc="Folder of posed photographs.")
    detector: str = option(doc="Weights of the pose network.")
    output: str = option(doc="Scene file to write, with registration.json beside it.")
    models: str | None = option(
        None, doc="Folder of the data set that the network was trained on: sizes, symmetries."
    )
    extents: tuple[str, ...] = option(
        (), doc="Sizes in metres of classes that no model describes, each label:x:y:z."
    )
    field: str | None = option(None, doc="Checkpoint of the field trained on the photographs.")
    frame_id: str = option("map", doc="ROS name of the world frame.")
    seed: int = option(0, doc="Seed of everything random.", minimum=0)
    overwrite: bool = option(False, doc="Replace a scene file.")
    dataset: DatasetOptions = section(DatasetOptions)
    network: DetectorConfig = section(DetectorConfig)
    registration: RegistrationConfig = section(RegistrationConfig)


def register_objects(config: RegisterConfig) -> None:
    """Write the scene file that a configuration asks for; raises as `register_with`."""
    register_with(Detector.load(config.detector, config.network), config)


def register_with(detector: SeesObjects, config: RegisterConfig) -> Registration:
    """Look at all photographs but those held out for testing, and write scene and report.

    Raises:
        InputError: photographs, models or a field that cannot be read, classes without a size,
            a scene file that exists, or no object that the photographs agree on.
    """
    output = Path(config.output)
    if output.exists() and not config.overwrite:
        raise InputError(f"{output}: exists: choose another --output or use --overwrite")
    classes = _classes(detector, config)
    posed = load_dataset(config.data, config.dataset)
    found = register(
        list(progress(_looked_at(detector, posed), len(_indices(posed)), "photographs")),
        {label: item.symmetry for label, item in classes.items()},
        metric=posed.frame.metric,
        config=config.registration,
        seed=config.seed,
    )
    if not found.objects:
        raise InputError(
            f"{config.data}: expected objects that several photographs agree on, got none in "
            f"{found.n_sightings} sightings: check the network, or lower registration.min_score"
        )
    save_scene(_scene(found, detector, classes, posed, config), output)
    write_text(output.with_name(REPORT), json.dumps(_report(found), indent=1) + "\n")
    _tell(found, output)
    return found


def _indices(posed: PosedImages) -> npt.NDArray[np.int64]:
    return np.concatenate([posed.splits.train, posed.splits.val])


def _looked_at(detector: SeesObjects, posed: PosedImages) -> Iterator[SeenPhotograph]:
    for index in _indices(posed):
        image, camera = posed.image(int(index))[..., :3], posed.cameras[index]
        yield SeenPhotograph(camera, posed.T_world_camera[index], detector.detect(image, camera))


def _classes(detector: SeesObjects, config: RegisterConfig) -> Mapping[str, ObjectClass]:
    """What is known of each class of the detector, by label."""
    models = load_classes(config.models) if config.models is not None else {}
    known = {item.label: item for item in models.values() if item.extent is not None}
    for text in config.extents:
        item = _given(text)
        known[item.label] = item
    missing = [label for label in detector.class_labels if label not in known]
    if missing:
        raise InputError(
            f"expected the size of every class, got none of {', '.join(missing)}: give --models, "
            "or --extents label:x:y:z"
        )
    return known


def _given(text: str) -> ObjectClass:
    label, *numbers = text.split(":")
    try:
        extent = tuple(float(number) for number in numbers)
    except ValueError:
        extent = ()
    if not label or len(extent) != 3 or not all(0 < length < np.inf for length in extent):
        raise InputError(f"extents: expected label:x:y:z in metres, got {text!r}")
    return ObjectClass(0, label, extent)


def _scene(
    found: Registration,
    detector: SeesObjects,
    classes: Mapping[str, ObjectClass],
    posed: PosedImages,
    config: RegisterConfig,
) -> Scene:
    folder = Path(config.output).resolve().parent
    objects = (_scene_object(item, detector, classes[item.label]) for item in found.objects)
    return Scene(
        frame_id=config.frame_id,
        metric=True,
        field=_field(found, config, folder),
        objects=tuple(objects),
        detector=written_path(config.detector, folder),
        description=f"Registered from {len(_indices(posed))} photographs of {posed.name}",
    )


def _scene_object(
    item: RegisteredObject, detector: SeesObjects, model: ObjectClass
) -> SceneObject:
    assert model.extent is not None
    number = detector.class_labels.index(item.label) + 1
    return SceneObject(
        item.label, number, item.T_world_object, model.extent, model.box_centre, model.symmetry
    )


def _field(found: Registration, config: RegisterConfig, folder: Path) -> FieldReference | None:
    if config.field is None:
        return None
    frame = load_state(config.field).frame
    to_metres = Similarity(SE3.identity(), found.metres_per_unit)
    place = to_metres @ Similarity(frame.T_world_field, frame.metres_per_unit)
    return FieldReference(written_path(config.field, folder), place.scale, place.transform)


def _report(found: Registration) -> dict[str, Any]:
    entries = []
    for item in found.objects:
        numbers = {f.name: getattr(item, f.name) for f in dataclasses.fields(item)}
        numbers["T_world_object"] = np.asarray(item.T_world_object.matrix()).tolist()
        entries.append(numbers)
    return {
        "metres_per_unit": found.metres_per_unit,
        "scale_deviation": found.scale_deviation,
        "n_sightings": found.n_sightings,
        "n_used": found.n_used,
        "objects": entries,
    }


def _tell(found: Registration, output: Path) -> None:
    logger.info(
        "%d of %d sightings agree; one unit of the photographs is %.4g m (+- %.2g)",
        found.n_used, found.n_sightings, found.metres_per_unit, found.scale_deviation,
    )  # fmt: skip
    for item in found.objects:
        logger.info(
            "%s: %d photographs, place +- %.1f mm, residuals %.1f mm, %.1f deg, %.1f px",
            item.label, item.n_photographs, 1000 * item.place_deviation,
            1000 * item.place_error, item.rotation_error_deg, item.error_px,
        )  # fmt: skip
    logger.info("wrote %s and %s", output, output.with_name(REPORT))


def main() -> int:
    """Run the command."""
    return run(
        RegisterConfig,
        register_objects,
        prog="register_objects",
        description="Find the objects of a scene, and its scale, with a pose network.",
    )


if __name__ == "__main__":
    sys.exit(main())
