"""Photographs that fields are measured on: which are trained on, which are scored."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import numpy as np

from fast_inerf_ros.datasets.images import LazyImages, Pixels, composite
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.training.voxel_options import VoxelTraining
from fast_inerf_ros.training.voxel_scene import scene_box, shading_of
from fast_inerf_ros.training.voxel_trainer import VoxelTrainer

WHITE = (1.0, 1.0, 1.0)

Scene = tuple[PosedImages, PosedImages, str]
"""Training photographs, those to be scored, and the type of the scene."""


class OpaqueImages(LazyImages):
    """Photographs over white, without their transparency."""

    def __getitem__(self, index: int) -> Pixels:
        image = super().__getitem__(index)
        return np.asarray(np.rint(255.0 * composite(image)), dtype=np.uint8)


def lego(root: Path, validation: bool) -> Scene:
    """The test photographs are the seed project's queries, 400x400."""
    posed = load_dataset(root / "lego_400")
    if validation:
        return *validated(posed), "object"
    queries = load_dataset(root / "lego_400" / "obs_imgs").resized(400, 400)
    return posed.split("train"), queries.subset(np.arange(len(queries))), "object"


def lego_rgb(root: Path, validation: bool) -> Scene:
    """As lego, but trained on RGB over white: nothing says what is transparent."""
    training, scored, scene_type = lego(root, validation)
    opaque = OpaqueImages(training.images.paths, training.images.sizes)
    return dataclasses.replace(training, images=opaque), scored, scene_type


def fox(root: Path, validation: bool) -> Scene:
    """Every 8th photograph is held out; 270x480, lens distortion as it is."""
    posed = load_dataset(root / "fox").resized(270, 480)
    return *held_out(posed, validation), "unbounded"


def fern(root: Path, validation: bool) -> Scene:
    """Every 8th photograph is held out; 504x378."""
    posed = load_dataset(root / "fern", DatasetOptions(factor=8))
    return *held_out(posed, validation), "forward_facing"


def data_root() -> Path | None:
    """The folder of the data sets; None, after saying what to do, where it is not given."""
    root = os.environ.get("FAST_INERF_DATA")
    if not root:
        print("set FAST_INERF_DATA to the folder of the data sets", file=sys.stderr)
        return None
    return Path(root)


def voxel_trainer(training: PosedImages, scene_type: str, options: VoxelTraining) -> VoxelTrainer:
    """A trainer on the CPU, before white, whose kernels are still to be compiled."""
    box, near = scene_box(training, scene_type)
    return VoxelTrainer(box, options, shading_of(WHITE, near), np.random.default_rng(0), "cpu")


SCENES = {"lego": lego, "lego_rgb": lego_rgb, "fox": fox, "fern": fern}


def held_out(posed: PosedImages, validation: bool) -> tuple[PosedImages, PosedImages]:
    """Training photographs and those to be scored."""
    return validated(posed) if validation else (posed.split("train"), posed.split("test"))


def validated(posed: PosedImages) -> tuple[PosedImages, PosedImages]:
    """Training photographs without every 8th, and those; the test photographs stay unseen."""
    training = posed.split("train")
    split = training.with_splits(training.splits.with_validation(8))
    return split.split("train"), split.split("val")
