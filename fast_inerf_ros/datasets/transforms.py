"""``transforms*.json``: nerf_synthetic (Blender), instant-ngp, Nerfstudio, PROPS-NeRF, ours.

Axes are OpenGL's (y up, z backwards), principal points count from the image corner. Two layouts:
``transforms_train.json`` with ``_val`` and ``_test`` beside it, or one ``transforms.json``, whose
frames are sorted by name as instant-ngp does. Beyond the common entries, ``near``, ``far`` (file
units), ``metres_per_unit`` of the file (1) and ``metric`` (whether that is known) are understood.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fast_inerf_ros.datasets.bounds import (
    blender_bounds,
    box_bounds,
    estimated_bounds,
    replaced_bounds,
)
from fast_inerf_ros.datasets.images import EXTENSIONS, LazyImages, Size, image_size
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.datasets.posed_images import PosedImages, Splits, rigid_poses
from fast_inerf_ros.datasets.transforms_camera import (
    FOCAL_KEYS,
    camera_from_entries,
    has_own_intrinsics,
)
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.conventions import opengl_to_opencv
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.similarity import Similarity

logger = logging.getLogger(__name__)

SPLIT_NAMES = ("train", "val", "test")
INSTANT_NGP_SCALE = 0.33  # of its unit cube to the file's unit
SPLIT_LISTS = tuple(f"{name}_filenames" for name in SPLIT_NAMES)


@dataclass(frozen=True)
class Frame:
    """One entry of ``frames`` whose image exists."""

    source: Path
    header: Mapping[str, Any]
    entries: Mapping[str, Any]
    image: Path
    name: str

    @property
    def where(self) -> str:
        """File and image, for messages."""
        return f"{self.source}: {self.name}"


def has_transforms(folder: Path) -> bool:
    """Whether a folder holds a file of this format."""
    return bool(transforms_files(folder))


def transforms_files(folder: Path) -> dict[str, Path]:
    """The file of each split there is, or the one file under the name ``all``."""
    files = {name: folder / f"transforms_{name}.json" for name in SPLIT_NAMES}
    found = {name: path for name, path in files.items() if path.is_file()}
    single = folder / "transforms.json"
    if "train" not in found and single.is_file():
        return {"all": single}
    return found


def load_transforms(path: Path, options: DatasetOptions) -> PosedImages:
    """Read a ``transforms*.json`` data set; ``path`` is its folder or one of its files.

    Raises:
        InputError: malformed JSON, no image left, wrong intrinsics or poses; see the module.
    """
    files = {"all": path} if path.is_file() else transforms_files(path)
    by_split = {name: _read_frames(file) for name, file in files.items()}
    n_missing = sum(missing for _, missing in by_split.values())
    chosen = {name: _skipped(name, frames, options) for name, (frames, _) in by_split.items()}
    frames = [frame for group in chosen.values() for frame in group]
    if not frames:
        raise InputError(
            f"{path}: expected transforms.json or transforms_train.json, got neither; check the "
            "path"
        )
    sizes = [image_size(frame.image) for frame in frames]
    header, source = frames[0].header, frames[0].source
    T_file_camera = _poses(frames)
    world_from_file = Similarity(
        SE3.identity(), _optional_number(header, "metres_per_unit", source) or 1.0
    )
    bounds = world_from_file.scale * _bounds(header, T_file_camera, source)
    return PosedImages(
        name=path.stem if path.is_file() else path.resolve().name,
        images=LazyImages([frame.image for frame in frames], sizes),
        cameras=_cameras(frames, sizes),
        T_world_camera=world_from_file.pose_to_target(T_file_camera),
        bounds=replaced_bounds(bounds, options.near, options.far),
        splits=_splits(chosen, options),
        frame=FieldFrame(
            metres_per_unit=world_from_file.scale, metric=bool(header.get("metric", False))
        ),
        names=tuple(frame.name for frame in frames),
        aabb_scale=_optional_number(header, "aabb_scale", source),
        n_missing=n_missing,
    )


def frame_names(file: Path) -> list[str]:
    """Names of the frames of a file in the order that it lists them, missing images included.

    Raises:
        InputError: malformed JSON, or frames without an image or a pose.
    """
    entries = _read_json(file).get("frames")
    if not isinstance(entries, list):
        raise InputError(f"{file}: expected a list 'frames' with images, got none; check the file")
    return [_file_path(entry, index, file) for index, entry in enumerate(entries)]


def _read_frames(file: Path) -> tuple[list[Frame], int]:
    """Frames whose image exists, and the number of those whose image does not."""
    header = _read_json(file)
    entries = header.get("frames")
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{file}: expected a list 'frames' with images, got none; check the file")
    frames, missing = [], []
    for index, entry in enumerate(entries):
        name = _file_path(entry, index, file)
        image = _find_image(file.parent, name)
        if image is None:
            missing.append(name)
        else:
            frames.append(Frame(file, header, entry, image, name))
    if not frames:
        raise InputError(
            f"{file}: expected images, got none of the {len(missing)} it lists (first: "
            f"{missing[0]}); check that they lie beside the file"
        )
    if missing:
        logger.warning(
            "%s: %d of %d images do not exist and are skipped (first: %s)",
            file,
            len(missing),
            len(entries),
            missing[0],
        )
    return frames, len(missing)


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: expected a JSON file, got {error}; check the path") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(
            f"{file}: expected JSON, got an error: {error}; repair the file"
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a JSON object, got {type(content).__name__}")
    return content


def _file_path(entry: object, index: int, file: Path) -> str:
    if not isinstance(entry, dict) or not isinstance(entry.get("file_path"), str):
        raise InputError(f"{file}: frame {index}: expected an object with a text 'file_path'")
    if "transform_matrix" not in entry:
        raise InputError(f"{file}: frame {index}: expected a 'transform_matrix', got none")
    return str(entry["file_path"]).replace("\\", "/").removeprefix("./")


def _find_image(folder: Path, name: str) -> Path | None:
    candidates = (folder / f"{name}{extension}" for extension in ("", *EXTENSIONS))
    return next((path for path in candidates if path.is_file()), None)


def _skipped(split: str, frames: list[Frame], options: DatasetOptions) -> list[Frame]:
    if split == "all":
        return sorted(frames, key=lambda frame: frame.name)
    return frames if split == "train" else frames[:: options.test_skip]


def _splits(chosen: Mapping[str, Sequence[Frame]], options: DatasetOptions) -> Splits:
    if "all" in chosen:
        named = _named_splits(chosen["all"])
        return named or Splits.hold_out(len(chosen["all"]), options.hold_out)
    counts = [len(chosen.get(name, ())) for name in SPLIT_NAMES]
    parts = np.split(np.arange(sum(counts)), np.cumsum(counts)[:-1])
    return Splits(*parts)


def _named_splits(frames: Sequence[Frame]) -> Splits | None:
    """Splits that Nerfstudio lists in the file itself."""
    header = frames[0].header
    if not any(key in header for key in SPLIT_LISTS):
        return None
    listed = [
        {str(name).removeprefix("./") for name in header.get(key, ())} for key in SPLIT_LISTS
    ]
    names = [frame.name for frame in frames]
    return Splits(*(np.flatnonzero([name in members for name in names]) for members in listed))


def _poses(frames: Sequence[Frame]) -> SE3:
    matrices = []
    for frame in frames:
        try:
            matrix = np.asarray(frame.entries["transform_matrix"], dtype=np.float64)
        except (TypeError, ValueError):
            matrix = np.zeros(0)
        if matrix.shape not in ((4, 4), (3, 4)):
            raise InputError(f"{frame.where}: expected a transform_matrix of 4x4 numbers")
        matrices.append(opengl_to_opencv(matrix))
    return rigid_poses(matrices, [frame.name for frame in frames], frames[0].source)


def _cameras(frames: Sequence[Frame], sizes: Sequence[Size]) -> tuple[Camera, ...]:
    _check_shared_size(frames, sizes)
    return tuple(
        camera_from_entries(frame.header, frame.entries, size, frame.where)
        for frame, size in zip(frames, sizes, strict=True)
    )


def _check_shared_size(frames: Sequence[Frame], sizes: Sequence[Size]) -> None:
    """Images that share a focal length must share a size; ``w`` and ``h`` are checked later."""
    shared = [
        (frame, size)
        for frame, size in zip(frames, sizes, strict=True)
        if not has_own_intrinsics(frame.entries)
    ]
    counts = Counter(size for _, size in shared)
    if len(counts) < 2:
        return
    usual = counts.most_common(1)[0][0]
    odd, size = next((frame, size) for frame, size in shared if size != usual)
    raise InputError(
        f"{odd.where}: expected an image of {usual[0]}x{usual[1]} pixels like the others that "
        f"share its intrinsics, got {size[0]}x{size[1]}; give each frame its own intrinsics"
    )


def _bounds(header: Mapping[str, Any], T_world_camera: SE3, file: Path) -> NDArray[np.float64]:
    near, far = (_optional_number(header, key, file) for key in ("near", "far"))
    if near is not None and far is not None:
        return np.tile([near, far], (len(T_world_camera.translation), 1))
    aabb_scale = _optional_number(header, "aabb_scale", file)
    if aabb_scale is not None:
        return box_bounds(T_world_camera, 0.5 * aabb_scale / INSTANT_NGP_SCALE)
    only_angle = "camera_angle_x" in header and len(FOCAL_KEYS & header.keys()) == 1
    return blender_bounds(T_world_camera) if only_angle else estimated_bounds(T_world_camera)


def _optional_number(header: Mapping[str, Any], key: str, file: Path) -> float | None:
    value = header.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise InputError(
            f"{file}: expected a positive number for {key}, got {value!r}; correct it"
        )
    return float(value)
