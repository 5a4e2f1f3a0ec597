"""Writes pose data sets in BOP's layout, or in that of the PROPS data set.

Whoever makes the images, `datasets.bop.load_pose_set` reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.synthetic.output import PictureWriter, write_json
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.conventions import pose_to_bop, pose_to_props
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.symmetry import Symmetry

DEPTH_SCALE = 0.1
"""Millimetres a unit of the depth pictures: 16 bits reach 6.5 m."""

Style = Literal["bop", "props"]
Mask = npt.NDArray[np.bool_]
Box = tuple[int, int, int, int]
EMPTY: Box = (-1, -1, -1, -1)


@dataclass(frozen=True, eq=False)
class InstanceTruth:
    """What is known of one object in one photograph.

    T_camera_object: its pose. mask: (H, W) its silhouette, hidden parts included; visible: what
    is seen of it. n_all: pixels of the silhouette, those outside of the image included.
    box_all, box_visible: (x, y, width, height) of either, -1 where empty.
    """

    T_camera_object: SE3
    mask: Mask
    visible: Mask
    n_all: int
    box_all: Box
    box_visible: Box

    @property
    def visible_fraction(self) -> float:
        """Visible pixels over all pixels of the silhouette."""
        return float(self.visible.sum()) / self.n_all if self.n_all else 0.0


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """An image with its truth, ready to be written.

    image: (H, W, 3) uint8 RGB. depth: (H, W) metres along the optical axis, 0 where unknown.
    objects: class ids and what is known of each. notes: more numbers for the camera's entry.
    """

    image: npt.NDArray[np.uint8]
    camera: Camera
    T_world_camera: SE3
    depth: npt.NDArray[np.float32]
    objects: tuple[tuple[int, InstanceTruth], ...]
    notes: Mapping[str, float] = field(default_factory=dict)


def write_images(
    folder: Path,
    split: str,
    style: Style,
    images: Iterable[LabelledImage],
    depth_scale: float = DEPTH_SCALE,
) -> None:
    """Write images and truth as one split of a data set.

    depth_scale: millimetres a unit of the depth pictures.
    """
    root = folder / split / "000000" if style == "bop" else folder / split
    prefix = "scene" if style == "bop" else split
    for name in ("rgb", "depth", "mask", "mask_visib"):
        (root / name).mkdir(parents=True)
    cameras: dict[str, Any] = {}
    truths: dict[str, Any] = {}
    infos: dict[str, Any] = {}
    with PictureWriter() as writer:
        for number, item in enumerate(images):
            _write_pictures(writer, root, number, item, depth_scale)
            cameras[str(number)] = _scene_camera(item, depth_scale)
            truths[str(number)] = [
                _truth(class_id, seen, style) for class_id, seen in item.objects
            ]
            infos[str(number)] = [_truth_info(seen, item.depth) for _, seen in item.objects]
    write_json(root / f"{prefix}_camera.json", cameras)
    write_json(root / f"{prefix}_gt.json", truths)
    write_json(root / f"{prefix}_gt_info.json", infos)


def write_camera(folder: Path, camera: Camera, depth_scale: float = DEPTH_SCALE) -> None:
    """Write the camera.json of a data set whose images have one camera."""
    entry = {name: getattr(camera, name) for name in ("cx", "cy", "fx", "fy", "height", "width")}
    write_json(folder / "camera.json", {**entry, "depth_scale": depth_scale})


def depth_picture(
    depth: npt.NDArray[Any], depth_scale: float = DEPTH_SCALE
) -> npt.NDArray[np.uint16]:
    """16-bit depth (H, W) in units of `depth_scale` millimetres; 0 where it is out of reach."""
    units = np.round(depth * (1000 / depth_scale))
    return np.where(units <= 65535, units, 0).astype(np.uint16)


def box_entry(
    low: npt.ArrayLike, high: npt.ArrayLike, diameter: float, symmetry: Symmetry
) -> dict[str, Any]:
    """BOP's models_info.json entry, in millimetres, of a model's box (3,), (3,) in metres."""
    first, last = (np.asarray(corner, dtype=np.float64) * 1000 for corner in (low, high))
    info: dict[str, Any] = {"diameter": diameter * 1000}
    for axis, name in enumerate("xyz"):
        info[f"min_{name}"] = float(first[axis])
        info[f"size_{name}"] = float(last[axis] - first[axis])
    if symmetry.axes:
        info["symmetries_continuous"] = [
            {"axis": list(axis.axis), "offset": [1000 * value for value in axis.offset]}
            for axis in symmetry.axes
        ]
    if symmetry.discrete:
        info["symmetries_discrete"] = [
            _bop_matrix(np.asarray(pose.matrix())) for pose in symmetry.discrete
        ]
    return info


def bounding_box(mask: Mask) -> Box:
    """(x, y, width, height) of the set pixels, all -1 where there are none."""
    if not mask.any():
        return EMPTY
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return int(x), int(y), int(width), int(height)


def placed_mask(inside: Mask, left: int, top: int, shape: tuple[int, ...]) -> Mask:
    """The part of a small mask that lies on an image of `shape`, at its place there."""
    mask = np.zeros(shape, dtype=bool)
    bottom, right = min(top + inside.shape[0], shape[0]), min(left + inside.shape[1], shape[1])
    first_row, first_column = max(top, 0), max(left, 0)
    if bottom > first_row and right > first_column:
        mask[first_row:bottom, first_column:right] = inside[
            first_row - top : bottom - top, first_column - left : right - left
        ]
    return mask


def _write_pictures(
    writer: PictureWriter, root: Path, number: int, item: LabelledImage, depth_scale: float
) -> None:
    writer.write(root / "rgb" / f"{number:06d}.png", item.image)
    writer.write(root / "depth" / f"{number:06d}.png", depth_picture(item.depth, depth_scale))
    for index, (_, seen) in enumerate(item.objects):
        name = f"{number:06d}_{index:06d}.png"
        writer.write(root / "mask" / name, seen.mask)
        writer.write(root / "mask_visib" / name, seen.visible)


def _scene_camera(item: LabelledImage, depth_scale: float) -> dict[str, Any]:
    rotation, translation = pose_to_bop(item.T_world_camera.inverse())
    return {
        "cam_K": [float(value) for value in np.asarray(item.camera.matrix()).ravel()],
        "depth_scale": depth_scale,
        "cam_R_w2c": rotation,
        "cam_t_w2c": translation,
        **item.notes,
    }


def _truth(class_id: int, seen: InstanceTruth, style: Style) -> dict[str, Any]:
    write_pose = pose_to_bop if style == "bop" else pose_to_props
    rotation, translation = write_pose(seen.T_camera_object)
    return {"cam_R_m2c": rotation, "cam_t_m2c": translation, "obj_id": class_id}


def _truth_info(seen: InstanceTruth, depth: npt.NDArray[Any]) -> dict[str, Any]:
    return {
        "bbox_obj": list(seen.box_all),
        "bbox_visib": list(seen.box_visible),
        "px_count_all": seen.n_all,
        "px_count_valid": int((seen.mask & (depth > 0)).sum()),
        "px_count_visib": int(seen.visible.sum()),
        "visib_fract": seen.visible_fraction,
    }


def _bop_matrix(matrix: npt.NDArray[np.float64]) -> list[float]:
    scaled = matrix.copy()
    scaled[:3, 3] *= 1000
    return [float(value) for value in scaled.ravel()]
