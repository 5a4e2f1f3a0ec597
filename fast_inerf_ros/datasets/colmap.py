"""COLMAP models (text or binary) beside ``images`` or ``images_<factor>``, read by pycolmap."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fast_inerf_ros.datasets.bounds import estimated_bounds, replaced_bounds
from fast_inerf_ros.datasets.colmap_files import check_binary_model
from fast_inerf_ros.datasets.image_folders import choose_image_folder, fitted_camera
from fast_inerf_ros.datasets.images import LazyImages, image_size
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.datasets.posed_images import PosedImages, Splits, rigid_poses
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.conventions import corner_to_centre
from fast_inerf_ros.geometry.se3 import SE3

logger = logging.getLogger(__name__)

MODEL_FOLDERS = ("sparse/0", "sparse", "colmap/sparse/0", ".")
DEPTH_PERCENTILES = (0.1, 99.9)  # those of LLFF
MIN_POINTS = 10

# Model: number of focal lengths, and the place of each coefficient in ROS's order (-1: zero).
LENSES: dict[str, tuple[int, str, tuple[int, ...]]] = {
    "SIMPLE_PINHOLE": (1, "none", ()),
    "PINHOLE": (2, "none", ()),
    "SIMPLE_RADIAL": (1, "plumb_bob", (0, -1, -1, -1, -1)),
    "RADIAL": (1, "plumb_bob", (0, 1, -1, -1, -1)),
    "OPENCV": (2, "plumb_bob", (0, 1, 2, 3, -1)),
    "FULL_OPENCV": (2, "rational_polynomial", (0, 1, 2, 3, 4, 5, 6, 7)),
    "SIMPLE_FISHEYE": (1, "equidistant", (-1, -1, -1, -1)),
    "FISHEYE": (2, "equidistant", (-1, -1, -1, -1)),
    "SIMPLE_RADIAL_FISHEYE": (1, "equidistant", (0, -1, -1, -1)),
    "RADIAL_FISHEYE": (1, "equidistant", (0, 1, -1, -1)),
    "OPENCV_FISHEYE": (2, "equidistant", (0, 1, 2, 3)),
}


def has_colmap(folder: Path) -> bool:
    """Whether a folder holds a COLMAP model."""
    return _model_folder(folder) is not None


def load_colmap(folder: Path, options: DatasetOptions) -> PosedImages:
    """Read a COLMAP model and its images. Registered images that do not exist are skipped.

    Raises:
        InputError: pycolmap is not installed, a broken model, an unknown lens, or images that
            do not match.
    """
    model = _read_model(folder)
    images = choose_image_folder(folder, options.factor)
    registered = sorted(
        (image for image in model.images.values() if image.has_pose), key=lambda image: image.name
    )
    present = [image for image in registered if (images.path / image.name).is_file()]
    _report_missing(folder, images.path, registered, present)
    paths = [images.path / image.name for image in present]
    names = tuple(image.name for image in present)
    sizes = [image_size(path) for path in paths]
    cameras = tuple(
        fitted_camera(_camera(model.cameras[image.camera_id], folder), size, f"{folder}: {name}")
        for image, size, name in zip(present, sizes, names, strict=True)
    )
    T_camera_world = rigid_poses(
        [image.cam_from_world().matrix() for image in present], names, folder
    )
    T_world_camera = T_camera_world.inverse()
    bounds = _bounds(model, present, T_world_camera)
    posed = PosedImages(
        name=folder.resolve().name,
        images=LazyImages(paths, sizes),
        cameras=cameras,
        T_world_camera=T_world_camera,
        bounds=replaced_bounds(bounds, options.near, options.far),
        splits=Splits.hold_out(len(names), options.hold_out),
        names=names,
        n_missing=len(registered) - len(present),
    )
    return posed if images.remaining_factor == 1 else posed.downscaled(images.remaining_factor)


def _model_folder(folder: Path) -> Path | None:
    candidates = (folder / name for name in MODEL_FOLDERS)
    return next(
        (
            path
            for path in candidates
            if any((path / f"cameras.{kind}").is_file() for kind in ("bin", "txt"))
        ),
        None,
    )


def _read_model(folder: Path) -> Any:
    model_folder = _model_folder(folder)
    if model_folder is None:
        raise InputError(
            f"{folder}: expected a COLMAP model (cameras.bin or cameras.txt) in sparse/0, got "
            "none; check the path"
        )
    check_binary_model(model_folder)
    try:
        pycolmap = importlib.import_module("pycolmap")  # optional: 40 MB
    except ImportError:
        raise InputError(
            "expected pycolmap to read COLMAP models, got none; pip install 'pycolmap>=3.12'"
        ) from None
    try:
        return pycolmap.Reconstruction(str(model_folder))
    except Exception as error:  # pycolmap raises many kinds for files it cannot parse
        reason = " ".join(str(error).split())
        raise InputError(
            f"{model_folder}: expected a COLMAP model, got an error: {reason}; export it again"
        ) from None


def _report_missing(
    folder: Path, image_folder: Path, registered: Sequence[Any], present: Sequence[Any]
) -> None:
    if not present:
        raise InputError(
            f"{folder}: expected images in {image_folder.name}, got none of the "
            f"{len(registered)} that the model registers; copy them there"
        )
    n_missing = len(registered) - len(present)
    if n_missing:
        logger.warning(
            "%s: %d of %d images do not exist in %s and are skipped",
            folder,
            n_missing,
            len(registered),
            image_folder.name,
        )


def _camera(colmap_camera: Any, folder: Path) -> Camera:
    name = colmap_camera.model_name
    if name not in LENSES:
        raise InputError(
            f"{folder}: expected a camera model of {sorted(LENSES)}, got {name}; undistort the "
            "images with COLMAP first"
        )
    n_focal, model, places = LENSES[name]
    numbers = [float(number) for number in colmap_camera.params]
    fx, fy = numbers[0], numbers[n_focal - 1]
    cx, cy = (corner_to_centre(number) for number in numbers[n_focal : n_focal + 2])
    coefficients = [*numbers[n_focal + 2 :], 0.0]  # the last one for places of -1
    size = int(colmap_camera.width), int(colmap_camera.height)
    try:
        return Camera(*size, fx, fy, cx, cy, model, tuple(coefficients[place] for place in places))
    except InputError as error:
        raise InputError(f"{folder}: camera {colmap_camera.camera_id}: {error}") from None


def _bounds(model: Any, images: Sequence[Any], T_world_camera: SE3) -> NDArray[np.float64]:
    """Depths (n, 2) of the sparse points that each image sees, estimated where these are few."""
    positions = {identifier: point.xyz for identifier, point in model.points3D.items()}
    bounds = estimated_bounds(T_world_camera)
    for index, image in enumerate(images):
        seen = [positions[p.point3D_id] for p in image.points2D if p.has_point3D()]
        if len(seen) < MIN_POINTS:
            continue
        depths = (T_world_camera[index].inverse() @ np.array(seen))[:, 2]
        near, far = np.percentile(depths[depths > 0.0], DEPTH_PERCENTILES)
        bounds[index] = near, far
    return bounds
