"""`self_label`: a trained field and object boxes become labelled images for pose networks.

self_label --scene kitchen/scene.yaml --data kitchen/photographs --output kitchen/labels

Every posed photograph gets the masks, centres, depths and poses of the scene's objects, and so
does any number of views rendered from the field. No mesh and no annotation is needed.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fast_inerf_ros.command_line import run
from fast_inerf_ros.config import dump, option, section
from fast_inerf_ros.datasets.bop import LARGEST_METRES
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.datasets.pose_set_writer import (
    DEPTH_SCALE,
    LabelledImage,
    write_camera,
    write_images,
)
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.datasets.synthetic.output import finished_folder, progress
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.io.scene import Scene, load_scene
from fast_inerf_ros.scene_building.label_models import write_models
from fast_inerf_ros.scene_building.labelled_images import (
    SensorOptions,
    labelled_photographs,
    labelled_views,
    without_distortion,
)
from fast_inerf_ros.scene_building.novel_views import NovelViewOptions, ViewSampler
from fast_inerf_ros.scene_building.object_masks import ObjectLabeller
from fast_inerf_ros.scene_building.placed_field import PlacedField, in_world_of, with_field

DEEPEST_UNITS = 65535

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SelfLabelConfig:
    """Options of the command."""

    scene: str = option(doc="Scene file with objects, and a trained field unless given.")
    data: str = option(doc="Folder of the posed photographs that the field was trained on.")
    output: str = option(doc="Folder to write; it appears when it is complete.")
    field: str | None = option(
        None, doc="Checkpoint of the field, for scene files that name none or another."
    )
    format: Literal["bop", "props"] = option("bop", doc="Layout of the data set.")
    n_novel: int = option(500, doc="Views rendered from the field for training.", minimum=0)
    width: int = option(
        640, doc="Images are made smaller to this width.", unit="px", minimum=16, maximum=8192
    )
    validate_every: int = option(
        10, doc="Every n-th training photograph goes to the split val instead; 0: none.", minimum=0
    )
    seed: int = option(0, doc="Seed of everything random.", minimum=0)
    device: Literal["cpu", "cuda"] = option("cpu", doc="Where the field is rendered.")
    overwrite: bool = option(False, doc="Replace a folder that holds something.")
    dataset: DatasetOptions = section(DatasetOptions)
    views: NovelViewOptions = section(NovelViewOptions)
    sensor: SensorOptions = section(SensorOptions)


def self_label(config: SelfLabelConfig) -> None:
    """Write what a configuration asks for.

    Photographs held out for testing get a split `test` of their own.

    Raises:
        InputError: a scene without a field or objects, photographs that cannot be read, a scale
            that the layout cannot hold, or an output that cannot be written.
    """
    scene = load_scene(config.scene)
    if config.field is not None:
        scene = with_field(scene, config.field)
    posed = in_world_of(scene, load_dataset(config.data, config.dataset))
    if config.validate_every:
        posed = posed.with_splits(posed.splits.with_validation(config.validate_every))
    placed = PlacedField.of_scene(scene, config.device)
    labeller = ObjectLabeller(placed, scene.objects)
    depth_scale = _depth_scale(scene, posed, config.format)
    with finished_folder(config.output, config.overwrite) as folder:
        write_models(folder / "models", scene)
        camera = without_distortion(posed.cameras[0], config.width)
        write_camera(folder, camera, depth_scale)
        for split in ("train", "val", "test"):
            _write_split(folder, split, config, scene, posed, labeller, depth_scale)
        (folder / "self_label.yaml").write_text(dump(config), encoding="utf-8")
    logger.info("wrote %s", config.output)


def _write_split(
    folder: Path,
    split: Literal["train", "val", "test"],
    config: SelfLabelConfig,
    scene: Scene,
    posed: PosedImages,
    labeller: ObjectLabeller,
    depth_scale: float,
) -> None:
    indices = getattr(posed.splits, split)
    n_novel = config.n_novel if split == "train" else 0
    if not len(indices) + n_novel:
        return

    def images() -> Iterator[LabelledImage]:
        yield from labelled_photographs(labeller, posed, indices, config.width)
        if n_novel:
            poses = posed.T_world_camera[posed.splits.train]
            camera = without_distortion(posed.cameras[int(indices[0])], config.width)
            sampler = ViewSampler(labeller.placed, poses, camera, scene.objects, config.views)
            yield from labelled_views(labeller, sampler, config.sensor, n_novel, config.seed)

    bar = progress(images(), len(indices) + n_novel, split)
    write_images(folder, split, config.format, bar, depth_scale)


def _depth_scale(scene: Scene, posed: PosedImages, style: str) -> float:
    """Millimetres a unit, so that twice the distance of every object fits into 16 bits.

    Raises:
        InputError: distances that readers would take for the other layout's.
    """
    objects = np.array([item.T_world_object.translation for item in scene.objects])
    cameras = np.asarray(posed.T_world_camera.translation)
    distance = np.linalg.norm(objects[:, None] - cameras[None], axis=-1)
    least, greatest = float(distance.min()), float(distance.max())
    if style == "bop" and least * 1000 < LARGEST_METRES:
        raise InputError(
            f"expected objects at {LARGEST_METRES / 1000} m or more from the cameras, got "
            f"{least:.3g} m: give the scene its scale (metres_per_unit)"
        )
    if style == "props" and greatest > LARGEST_METRES:
        raise InputError(
            f"expected objects at {LARGEST_METRES} m or less for the layout props, got "
            f"{greatest:.3g} m: use bop, or give the scene its scale (metres_per_unit)"
        )
    needed = 2 * greatest * 1000 / DEEPEST_UNITS
    return max(DEPTH_SCALE, float(10.0 ** np.ceil(np.log10(needed))))


def main() -> int:
    """Run the command."""
    return run(
        SelfLabelConfig,
        self_label,
        prog="self_label",
        description="Label photographs and rendered views of a scene from its field and boxes.",
    )


if __name__ == "__main__":
    sys.exit(main())
