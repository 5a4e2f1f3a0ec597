"""Reads pose data sets: BOP scenes, and PROPS-Pose, which has BOP's files in other places.

BOP: `<split>/<scene>/scene_gt.json`, `scene_camera.json`, `rgb/`, `mask_visib/`, `depth/`, and
`models/`; poses are model -> camera in millimetres. PROPS: `<split>/<split>_gt.json`, one
camera for all, `model/<id>_<name>/`; its poses are camera -> model in metres under the same
names. Which of the two a file holds is told by the size of its numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.images import image_size, read_image
from fast_inerf_ros.datasets.pose_set import (
    Annotation,
    ObjectClass,
    ObjectTruth,
    PoseSample,
    PoseSet,
)
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.conventions import bop_to_pose, props_to_pose
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.symmetry import Symmetry

PoseStyle = Literal["auto", "bop", "props"]

PROPS_INTRINSICS = (902.19, 902.39, 342.35, 252.23)
"""fx, fy, cx, cy of PROPS-Pose, whose files do not say them."""

LARGEST_METRES = 20.0
"""Objects are nearer than that in metres, and farther in millimetres."""

METRES_PER_MILLIMETRE = 1e-3


def load_pose_set(
    folder: str | PathLike[str], split: str = "train", poses: PoseStyle = "auto"
) -> PoseSet:
    """Read the annotations of a split in either layout.

    poses: what the files hold: "bop" (model -> camera, millimetres), "props" (camera -> model,
        metres), or "auto".

    Raises:
        InputError: no such data set, files that are damaged, or annotations without images.
    """
    root = Path(folder)
    if poses not in get_args(PoseStyle):
        raise InputError(f"poses: expected one of {', '.join(get_args(PoseStyle))}, got {poses!r}")
    scenes = list(_scenes(root, split))
    if not scenes:
        raise InputError(
            f"{root}: expected {split}/{split}_gt.json (PROPS) or {split}/*/scene_gt.json (BOP), "
            "got neither: give the folder of a data set, and one of its splits"
        )
    annotations = [item for scene in scenes for item in _annotations(*scene, root, poses)]
    if not annotations:
        raise InputError(f"{root}/{split}: expected annotated images, got none")
    used = {number for item in annotations for number, *_ in item.objects}
    return PoseSet(annotations, _classes(root, used), read_sample)


def has_split(folder: str | PathLike[str], split: str) -> bool:
    """Whether a data set has annotations of a split."""
    return any(_scenes(Path(folder), split))


def read_sample(annotation: Annotation) -> PoseSample:
    """Read the pixels of an annotated image.

    Raises:
        InputError: a file is missing, damaged, or of another size than its image.
    """
    image = read_image(annotation.image_path)[..., :3]
    shape = image.shape[:2]
    if shape != (annotation.camera.height, annotation.camera.width):
        raise InputError(
            f"{annotation.image_path}: expected {annotation.camera.width} x "
            f"{annotation.camera.height} pixels, got {shape[1]} x {shape[0]}"
        )
    objects = tuple(
        ObjectTruth(number, pose, _read_mask(path, shape), fraction)
        for number, pose, path, fraction in annotation.objects
    )
    depth = None
    if annotation.depth_path is not None:
        depth = _read_depth(annotation.depth_path, shape, annotation.depth_scale)
    return PoseSample(image, annotation.camera, objects, depth, annotation.image_path.stem)


def load_classes(folder: str | PathLike[str]) -> dict[int, ObjectClass]:
    """The classes that a data set's models describe, by their number.

    Raises:
        InputError: there are none, or their description is damaged.
    """
    found = _classes(Path(folder), set())
    if not found:
        raise InputError(
            f"{folder}: expected models/models_info.json or model/<id>_<name>/, got neither: "
            "give the folder of a data set"
        )
    return found


def _scenes(root: Path, split: str) -> Iterator[tuple[Path, str]]:
    """Folders of images with the first word of their annotation files."""
    if (root / split / f"{split}_gt.json").is_file():
        yield root / split, split
    for path in sorted((root / split).glob("*/scene_gt.json")):
        yield path.parent, "scene"


def _annotations(folder: Path, prefix: str, root: Path, poses: PoseStyle) -> Iterator[Annotation]:
    truths = _json(folder / f"{prefix}_gt.json")
    infos = _json(folder / f"{prefix}_gt_info.json", missing={})
    cameras = _json(folder / f"{prefix}_camera.json", missing={})
    read_pose = _pose_reader(truths, folder / f"{prefix}_gt.json", poses)
    common = _json(root / "camera.json", missing={})
    for key in sorted(truths, key=_image_number):
        number = _image_number(key)
        image = _image_path(folder / "rgb", number)
        entry = cameras.get(key, {})
        camera = _camera(entry, common, image)
        depth = folder / "depth" / f"{number:06d}.png"
        yield Annotation(
            image,
            camera,
            tuple(_objects(folder, number, truths[key], infos.get(key, []), read_pose)),
            depth if depth.is_file() else None,
            float(entry.get("depth_scale", common.get("depth_scale", 1.0))),
        )


def _objects(
    folder: Path, number: int, truths: Any, infos: Any, read_pose: Any
) -> Iterator[tuple[int, SE3, Path, float]]:
    """Number of the class, pose, path of the mask and visible fraction of each object."""
    if infos and len(infos) != len(truths):
        raise InputError(
            f"{folder}: image {number} has {len(truths)} objects in gt.json, but {len(infos)} in "
            "gt_info.json: they must list the same"
        )
    for index, truth in enumerate(truths):
        mask = folder / "mask_visib" / f"{number:06d}_{index:06d}.png"
        if not mask.is_file():
            raise InputError(
                f"{mask}: expected the mask of object {index} of image {number}, got no file: "
                "the data set is incomplete"
            )
        fraction = float(infos[index].get("visib_fract", np.nan)) if infos else float("nan")
        try:
            yield int(truth["obj_id"]), read_pose(truth), mask, fraction
        except (KeyError, TypeError, ValueError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise InputError(f"{folder}: object {index} of image {number}: {reason}") from None


def _pose_reader(truths: Mapping[str, Any], path: Path, poses: PoseStyle) -> Any:
    """The function that reads a pose out of an entry."""

    def metres(entry: Mapping[str, Any]) -> SE3:
        return props_to_pose(entry["cam_R_m2c"], entry["cam_t_m2c"])

    def millimetres(entry: Mapping[str, Any]) -> SE3:
        return bop_to_pose(entry["cam_R_m2c"], entry["cam_t_m2c"])

    if poses != "auto":
        return metres if poses == "props" else millimetres
    try:
        shifts = [entry["cam_t_m2c"] for entries in truths.values() for entry in entries]
        lengths = np.linalg.norm(np.array(shifts, dtype=np.float64).reshape(-1, 3), axis=1)
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: expected cam_t_m2c of three numbers for every object") from None
    return metres if len(lengths) and np.median(lengths) < LARGEST_METRES else millimetres


def _camera(entry: Mapping[str, Any], common: Mapping[str, Any], image: Path) -> Camera:
    """From the image's own entry, the data set's, or those of PROPS."""
    width, height = image_size(image)
    if "cam_K" in entry:
        matrix = np.array(entry["cam_K"], dtype=np.float64).reshape(3, 3)
        numbers = [float(matrix[place]) for place in ((0, 0), (1, 1), (0, 2), (1, 2))]
    elif {"fx", "fy", "cx", "cy"} <= set(common):
        numbers = [float(common[name]) for name in ("fx", "fy", "cx", "cy")]
    else:
        numbers = list(PROPS_INTRINSICS)
    fx, fy, cx, cy = numbers
    return Camera(width, height, fx, fy, cx, cy)


def _image_path(folder: Path, number: int) -> Path:
    for suffix in (".png", ".jpg"):
        path = folder / f"{number:06d}{suffix}"
        if path.is_file():
            return path
    raise InputError(
        f"{folder}: expected {number:06d}.png or .jpg, which the annotations name, got neither: "
        "the data set is incomplete"
    )


def _image_number(key: str) -> int:
    if not key.isdigit():
        raise InputError(f"expected numbers of images in the annotations, got {key!r:.40}")
    return int(key)


def _classes(root: Path, used: set[int]) -> dict[int, ObjectClass]:
    """All classes that the models or the annotations know, by their number."""
    infos = _json(root / "models" / "models_info.json", missing={})
    names = _json(root / "models" / "labels.json", missing={})
    found = {int(key): _bop_class(root, int(key), infos[key], names) for key in infos}
    for folder in sorted((root / "model").glob("*_*")):
        number, _, label = folder.name.partition("_")
        mesh = folder / "textured_simple.obj"
        if number.isdigit():
            path = mesh if mesh.is_file() else None
            found[int(number)] = ObjectClass(int(number), label, mesh=path)
    for unnamed in used - set(found):
        found[unnamed] = ObjectClass(unnamed, f"object_{unnamed}")
    return dict(sorted(found.items()))


def _bop_class(
    root: Path, number: int, info: Mapping[str, Any], names: Mapping[str, Any]
) -> ObjectClass:
    try:
        low, size = (
            np.array([info[f"{word}_{axis}"] for axis in "xyz"], dtype=np.float64) * 1e-3
            for word in ("min", "size")
        )
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{root}/models/models_info.json: {number}: expected min_ and size_"
        ) from None
    mesh = root / "models" / f"obj_{number:06d}.ply"
    return ObjectClass(
        number,
        str(names.get(str(number), f"object_{number}")),
        tuple(size.tolist()),
        tuple((low + size / 2).tolist()),
        Symmetry.from_bop(info),
        mesh if mesh.is_file() else None,
        METRES_PER_MILLIMETRE,
    )


def _json(path: Path, missing: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if missing is not None:
            return missing
        raise InputError(f"{path}: expected annotations, got no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"{path}: expected JSON, got a damaged file ({reason})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping, got a {type(content).__name__}")
    return content


def _read_mask(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    return np.asarray(_decoded(path, shape) > 0)


def _read_depth(path: Path, shape: tuple[int, ...], scale: float) -> npt.NDArray[np.float32]:
    """Depth in metres; `scale` is millimetres a unit."""
    values = _decoded(path, shape).astype(np.float32)
    return np.asarray(values * np.float32(scale * METRES_PER_MILLIMETRE), dtype=np.float32)


def _decoded(path: Path, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    decoded = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise InputError(f"{path}: expected an image, got a file that cannot be decoded")
    values = np.asarray(decoded)
    if values.ndim == 3:
        values = values[..., 0]
    if values.shape != tuple(shape):
        raise InputError(
            f"{path}: expected the size of its image, {shape[1]} x {shape[0]}, got "
            f"{values.shape[1]} x {values.shape[0]}"
        )
    return values
