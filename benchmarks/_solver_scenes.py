"""Scenes that `benchmarks.solvers` asks questions of: photographs, fields trained without them.

Every field is kept in a folder and trained only where it is not there yet. Training lasts a
given time of the main thread's CPU, so that a busy machine gives the same field as an idle one.

    python -m benchmarks._solver_scenes fox 0 --fields FOLDER --seconds 300

trains one fold beforehand.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks._scenes import data_root, lego, voxel_trainer
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.datasets.posed_images import PosedImages, Splits
from fast_inerf_ros.datasets.synthetic.protocol import (
    Protocol,
    load_protocol,
    queries,
    write_reference,
)
from fast_inerf_ros.datasets.synthetic.render import Renderer
from fast_inerf_ros.fields.checkpoint import load_field, save_field
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.training.voxel_options import options_for
from fast_inerf_ros.training.voxel_scene import ray_bank
from fast_inerf_ros.training.voxel_trainer import train_voxel

N_FOLDS = 5
PROTOCOL = Path(__file__).parent / "protocol.yaml"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Question:
    """One photograph whose camera is asked for. image: (H, W, 3) uint8."""

    name: str
    image: np.ndarray[Any, np.dtype[np.uint8]]
    camera: Camera
    T_world_camera: SE3


@dataclass(frozen=True, eq=False)
class Place:
    """A field and questions about photographs that it was not trained on.

    name: of the scene, not of the fold or layout. white: whether white is known to lie behind
    the scene. training: its photographs.
    """

    name: str
    field: Field
    questions: tuple[Question, ...]
    training: PosedImages
    white: bool = False


@dataclass(frozen=True)
class Sources:
    """Where photographs and fields are, and how much of them is asked.

    fields: folders that are searched in this order; what is trained goes to the first. seconds:
    of training, where a field is not there; 0 leaves such places out. n_folds, n_layouts: from
    the first. longest_side: of the images asked about, pixels.
    """

    data: Path
    fields: tuple[Path, ...]
    seconds: float
    n_layouts: int
    longest_side: int
    n_folds: int = N_FOLDS

    def found(self, *names: str) -> Path | None:
        """The first of some files or folders that is there."""
        paths = (folder / name for name in names for folder in self.fields)
        return next((path for path in paths if path.exists()), None)


def places(scene: str, sources: Sources) -> Iterator[Place]:
    """The fields of a scene, one after the other: lego one, photographs five, layouts many.

    Those that would have to be trained are named and left out where there is no time for it.
    """
    for name, make in _places(scene, sources):
        if sources.seconds or sources.found(*_field_names(name)):
            yield make()
        else:
            print(f"{name}: no field: left out", flush=True)


def _places(scene: str, sources: Sources) -> Iterator[tuple[str, Callable[[], Place]]]:
    if scene == "lego":
        yield "lego", lambda: _lego(sources)
    elif scene == "tabletop":
        protocol = load_protocol(PROTOCOL)
        for seed in protocol.layout_seeds[: sources.n_layouts]:
            yield f"tabletop_{seed}", partial(_layout, protocol, seed, sources)
    else:
        for fold in range(sources.n_folds):
            yield f"{scene}_{fold}", partial(_fold, scene, fold, sources)


def _field_names(name: str) -> tuple[str, ...]:
    """Files that a field may be in; those of layouts also where localisation_scenes puts them."""
    return f"{name}.npz", f"{name.replace('tabletop_', 'layout_')}/field.npz"


def _lego(sources: Sources) -> Place:
    training, asked, scene_type = lego(sources.data, False)
    field = _field("lego", training, scene_type, sources)
    return Place("lego", field, _questions(asked, sources.longest_side), training, white=True)


def photographs(scene: str, root: Path) -> tuple[PosedImages, str]:
    """All photographs of a real scene, and its type."""
    if scene == "fox":
        return load_dataset(root / "fox").resized(270, 480), "unbounded"
    return load_dataset(root / "fern", DatasetOptions(factor=8)), "forward_facing"


def _fold(scene: str, fold: int, sources: Sources) -> Place:
    training, asked, scene_type = photographs_of_fold(scene, fold, sources.data)
    field = _field(f"{scene}_{fold}", training, scene_type, sources)
    return Place(scene, field, _questions(asked, sources.longest_side), training)


def photographs_of_fold(scene: str, fold: int, root: Path) -> tuple[PosedImages, PosedImages, str]:
    """Every fifth photograph is held out, another fifth in each fold: the others, these, type."""
    posed, scene_type = photographs(scene, root)
    everything = np.arange(len(posed))
    held_out = everything[fold::N_FOLDS]
    kept = np.setdiff1d(everything, held_out)
    split = posed.with_splits(Splits(kept, held_out[:0], held_out))
    return split.split("train"), split.split("test"), scene_type


def _layout(protocol: Protocol, seed: int, sources: Sources) -> Place:
    """A test layout: its field from reference photographs, its queries at half their size."""
    folder = sources.found(f"layout_{seed}")
    renderer, models = _renderer(), protocol.models()
    if folder is None:
        folder = sources.fields[0] / f"layout_{seed}"
        unfinished = folder.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        write_reference(unfinished, protocol, renderer, seed)
        unfinished.rename(folder)
    training = load_dataset(folder).split("train").downscaled(2)
    field = _field(f"tabletop_{seed}", training, "unbounded", sources)
    asked = []
    for query in queries(protocol, renderer, models, seed):
        photograph = query.item[0]
        size = (protocol.width // 2, protocol.height // 2)
        image = cv2.resize(photograph.image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
        name = f"{seed}/{query.index}"
        camera = photograph.camera.resize(*size)
        asked.append(Question(name, image, camera, photograph.T_world_camera))
    return Place("tabletop", field, tuple(asked), training)


@lru_cache(maxsize=1)
def _renderer() -> Renderer:
    return Renderer()


def _questions(posed: PosedImages, longest_side: int) -> tuple[Question, ...]:
    longest = max(posed.cameras[0].width, posed.cameras[0].height)
    posed = posed.downscaled(max(1.0, longest / longest_side))
    return tuple(
        Question(
            posed.names[index],
            (posed.colors(index) * 255.0).round().astype(np.uint8),
            posed.cameras[index],
            posed.T_world_camera[index],
        )
        for index in range(len(posed))
    )


def _field(name: str, training: PosedImages, scene_type: str, sources: Sources) -> Field:
    """The field of a name, trained where it is not there."""
    path = sources.found(*_field_names(name))
    if path is None:
        path = sources.fields[0] / f"{name}.npz"
        logger.info("training %s", path)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_field(path, trained(training, scene_type, sources.seconds))
    return load_field(path)


def trained(training: PosedImages, scene_type: str, seconds: float) -> Field:
    """A voxel field with the defaults of the type of scene."""
    trainer = voxel_trainer(training, scene_type, options_for(scene_type, seconds=seconds))
    trainer.compiled()
    bank = ray_bank(training, torch.device("cpu"))
    field = train_voxel(bank, trainer, clock=time.thread_time)
    return field.with_frame(training.frame)


def main() -> int:
    """Train the field of one fold, unless it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", choices=("fox", "fern"))
    parser.add_argument("fold", type=int, choices=range(N_FOLDS))
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=100.0)
    arguments = parser.parse_args()
    root = data_root()
    if root is None:
        return 2
    torch.set_num_threads(1)
    sources = Sources(root, (arguments.fields,), arguments.seconds, 0, 480)
    training, _, scene_type = photographs_of_fold(arguments.scene, arguments.fold, root)
    _field(f"{arguments.scene}_{arguments.fold}", training, scene_type, sources)
    return 0


if __name__ == "__main__":
    sys.exit(main())
