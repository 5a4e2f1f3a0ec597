"""Poses of photographs that have none, by COLMAP's incremental mapping through pycolmap."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import shutil
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fast_inerf_ros.datasets.image_folders import image_paths
from fast_inerf_ros.datasets.load import FORMATS
from fast_inerf_ros.errors import InputError

PACKAGE = "pycolmap"
FEWEST = 3
LEAST_SHARE = 0.5
"""Of the photographs that must find their place."""

logger = logging.getLogger(__name__)


def has_poses(folder: Path) -> bool:
    """Whether a folder or file is a data set of posed photographs."""
    if folder.is_file():
        return folder.suffix == ".json"
    return any(matches(folder) for matches, _ in FORMATS.values())


def photographs_without_poses(folder: Path) -> Path:
    """The folder that holds the pictures: itself, or its ``images``.

    Raises:
        InputError: no such folder, or too few pictures.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of photographs, got no such folder")
    for candidate in (folder, folder / "images"):
        if candidate.is_dir() and len(image_paths(candidate)) >= FEWEST:
            return candidate
    raise InputError(
        f"{folder}: expected transforms.json, poses_bounds.npy, a COLMAP model, or {FEWEST} or "
        "more photographs, got none; check the path"
    )


def require_pycolmap(folder: Path) -> None:
    """InputError unless pycolmap can be imported."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise InputError(
            f"{folder}: expected photographs with poses, got photographs alone and no {PACKAGE}: "
            f"install it ('pip install {PACKAGE}'), or give transforms.json, a COLMAP model or "
            "poses_bounds.npy"
        )


def reconstruct(pictures: Path, output: Path) -> None:
    """Write a COLMAP data set (``images``, ``sparse/0``) of pictures of one camera.

    Raises:
        InputError: pycolmap is missing, or fewer than half of the photographs find their place.
    """
    require_pycolmap(pictures)
    colmap: Any = importlib.import_module(PACKAGE)
    shutil.rmtree(output, ignore_errors=True)
    (output / "models").mkdir(parents=True)
    (output / "images").symlink_to(pictures.resolve(), target_is_directory=True)
    total = len(image_paths(pictures))
    models = _mapped(colmap, output, total)
    best = max(models, key=lambda model: model.num_reg_images(), default=None)
    placed = 0 if best is None else int(best.num_reg_images())
    if best is None or placed < max(FEWEST, LEAST_SHARE * total):
        raise InputError(
            f"{pictures}: expected photographs that overlap, got {placed} of {total} that find "
            "their place: photograph slowly around the scene, with texture in view"
        )
    (output / "sparse" / "0").mkdir(parents=True)
    best.write(output / "sparse" / "0")
    logger.info("%d of %d photographs have found their place", placed, total)


def _mapped(colmap: Any, output: Path, total: int) -> list[Any]:
    """The models that the pictures of a folder fall into."""
    colmap.logging.minloglevel = colmap.logging.WARNING.value  # of every image it tells otherwise
    images, database = output / "images", output / "database.db"
    logger.info("looking for features of %d photographs and matching them", total)
    colmap.extract_features(database, images, camera_mode=colmap.CameraMode.SINGLE)
    colmap.match_exhaustive(database)
    with tqdm(total=total, desc="placed", unit="image", disable=None) as bar:

        def count() -> None:
            bar.update()

        models = colmap.incremental_mapping(
            database, images, output / "models", next_image_callback=count
        )
    return list(models.values())
