"""LLFF: ``poses_bounds.npy`` beside ``images`` or ``images_<factor>``.

The world stays that of the file. What nerf-pytorch does to the poses (recentring, ``bd_factor``,
spherify) is one similarity and becomes the field's frame, so that fields trained here and
checkpoints of nerf-pytorch share their coordinates and nothing is lost.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fast_inerf_ros.datasets.bounds import replaced_bounds
from fast_inerf_ros.datasets.image_folders import ImageFolder, choose_image_folder, fitted_camera
from fast_inerf_ros.datasets.images import LazyImages, image_size
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.datasets.posed_images import PosedImages, Splits, rigid_poses
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.conventions import corner_to_centre, llff_to_opencv, opencv_to_opengl
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.geometry.se3 import SE3, SO3
from fast_inerf_ros.geometry.similarity import Similarity

Floats = NDArray[np.float64]

POSES_FILE = "poses_bounds.npy"
SPHERIFY_HINT = np.array([0.1, 0.2, 0.3])  # any direction; nerf-pytorch's


def has_llff(folder: Path) -> bool:
    """Whether a folder holds a file of this format."""
    return (folder / POSES_FILE).is_file()


def load_llff(folder: Path, options: DatasetOptions) -> PosedImages:
    """Read an LLFF data set.

    Raises:
        InputError: a malformed file, images that do not match it, or degenerate bounds.
    """
    columns, bounds = _read_poses_bounds(folder / POSES_FILE)
    images = choose_image_folder(folder, options.factor)
    _check_count(images, len(columns), folder)
    sizes = [image_size(path) for path in images.paths]
    names = tuple(path.name for path in images.paths)
    cameras = tuple(
        _camera(numbers, size, f"{folder / POSES_FILE}: {name}")
        for numbers, size, name in zip(columns[:, :, 4], sizes, names, strict=True)
    )
    T_world_camera = rigid_poses(list(llff_to_opencv(columns)), names, folder / POSES_FILE)
    posed = PosedImages(
        name=folder.resolve().name,
        images=LazyImages(images.paths, sizes),
        cameras=cameras,
        T_world_camera=T_world_camera,
        bounds=replaced_bounds(bounds, options.near, options.far),
        splits=Splits.hold_out(len(names), options.hold_out),
        frame=_field_frame(T_world_camera, bounds, options),
        names=names,
        ndc=options.ndc and not options.spherify,
    )
    return posed if images.remaining_factor == 1 else posed.downscaled(images.remaining_factor)


def _read_poses_bounds(file: Path) -> tuple[Floats, Floats]:
    """Columns (n, 3, 5) of LLFF and depths (n, 2)."""
    try:
        table = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{file}: expected a NumPy array, got {' '.join(str(error).split())}; copy it again"
        ) from None
    if not isinstance(table, np.ndarray) or table.ndim != 2 or table.shape[1] != 17:
        raise InputError(f"{file}: expected an array of shape (images, 17); write it with LLFF")
    if table.dtype.kind not in "fiu" or not np.isfinite(table).all():
        raise InputError(f"{file}: expected finite numbers, got NaN or infinity; run LLFF again")
    values = table.astype(np.float64)
    bounds = values[:, 15:]
    if not ((bounds[:, 0] > 0.0) & (bounds[:, 1] > bounds[:, 0])).all():
        raise InputError(
            f"{file}: expected bounds 0 < near < far, got near {bounds[:, 0].min():.6g}, far "
            f"{bounds[:, 1].min():.6g} at the least; run LLFF again"
        )
    return values[:, :15].reshape(-1, 3, 5), bounds


def _check_count(images: ImageFolder, n_poses: int, folder: Path) -> None:
    if len(images.paths) != n_poses:
        raise InputError(
            f"{folder / POSES_FILE}: expected an image for each of {n_poses} poses, got "
            f"{len(images.paths)} in {images.path.name}; add or remove images"
        )


def _camera(numbers: Floats, size: tuple[int, int], where: str) -> Camera:
    """Camera of an image (w, h) that may be smaller than the height, width, focal of the file."""
    height, width, focal = round(numbers[0]), round(numbers[1]), float(numbers[2])
    middle = corner_to_centre(0.5 * width), corner_to_centre(0.5 * height)
    try:
        camera = Camera(width, height, focal, focal, *middle)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return fitted_camera(camera, size, where)


def _field_frame(T_world_camera: SE3, bounds: Floats, options: DatasetOptions) -> FieldFrame:
    """What nerf-pytorch's load_llff does to the poses, undone by this frame."""
    shrink = bounds.min() * options.bd_factor if options.bd_factor > 0.0 else 1.0
    world_from_field = Similarity(SE3.identity(), float(shrink))
    if options.recentre:
        average = _average_pose(world_from_field.pose_to_source(T_world_camera))
        world_from_field = world_from_field @ Similarity(average)
    if options.spherify:
        posed = world_from_field.pose_to_source(T_world_camera)
        world_from_field = world_from_field @ _sphere(posed)
    return FieldFrame(world_from_field.transform, world_from_field.scale)


def _average_pose(T_field_camera: SE3) -> SE3:
    """nerf-pytorch's ``poses_avg``: mean centre, summed viewing axes; OpenGL axes."""
    axes = _opengl_axes(T_field_camera)
    back, up = _unit(axes[:, :, 2].sum(axis=0)), axes[:, :, 1].sum(axis=0)
    right = _unit(np.cross(up, back))
    rotation = np.stack([right, _unit(np.cross(back, right)), back], axis=1)
    return SE3(SO3(rotation), np.asarray(T_field_camera.translation).mean(axis=0))


def _sphere(T_field_camera: SE3) -> Similarity:
    """nerf-pytorch's ``spherify_poses``: origin where the axes meet, z up, mean radius 1."""
    directions = _opengl_axes(T_field_camera)[:, :, 2]
    origins = np.asarray(T_field_camera.translation)
    across = np.eye(3) - directions[:, :, None] * directions[:, None, :]
    centre = np.linalg.solve(
        (across @ across).mean(axis=0), np.einsum("nij,nj->ni", across, origins).mean(axis=0)
    )
    up = _unit((origins - centre).mean(axis=0))
    first = _unit(np.cross(SPHERIFY_HINT, up))
    rotation = np.stack([first, _unit(np.cross(up, first)), up], axis=1)
    radius = np.sqrt(np.mean(np.sum((origins - centre) ** 2, axis=-1)))
    return Similarity(SE3(SO3(rotation), centre), float(radius))


def _opengl_axes(pose: SE3) -> Floats:
    return np.asarray(opencv_to_opengl(pose.matrix()), dtype=np.float64)[:, :3, :3]


def _unit(vector: Floats) -> Floats:
    length = float(np.linalg.norm(vector))
    if not length > 1e-9:
        raise InputError(
            "expected cameras that look in similar directions, got ones whose axes cancel; "
            "set recentre and spherify to false"
        )
    return np.asarray(vector / length, dtype=np.float64)
