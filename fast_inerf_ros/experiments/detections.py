"""What is known of a photograph beforehand: a rough pose and a mask, from files or a network.

Beside a photograph ``NAME.png`` any detector may leave ``NAME_mask.png``, not black where to
look, and ``NAME_pose.yaml`` (or ``.json``) with ``T_world_camera`` (4 x 4, OpenCV axes, metres),
or with ``objects``: their ``label``, ``T_camera_object`` and, if known, ``score``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.config.yaml_text import read_yaml
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.initialise import Sighting, poses_from_objects
from fast_inerf_ros.io.scene_description import Scene
from fast_inerf_ros.posecnn.detector import Detector

Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]

CENTRE_DEVIATION_PX = 3.0
LOG_DEPTH_DEVIATION = 0.05
ROTATION_DEVIATION = float(np.radians(10.0))
"""How far poses of objects from files are trusted, which do not say it."""


@dataclass(frozen=True, eq=False)
class Found:
    """What is known of a photograph; None where nothing is. region: (H, W)."""

    T_world_camera: SE3 | None
    region: Mask | None


class DetectionSource(Protocol):
    """Finds out about photographs."""

    def find(self, path: Path, image: Pixels, camera: Camera) -> Found:
        """What is known of the photograph at a path, of its pixels (H, W, 3) and its camera."""


@dataclass(frozen=True)
class DetectionFiles:
    """Files beside the photographs, or in a folder. scene: where its objects are, if they are."""

    folder: Path | None = None
    scene: Scene | None = None

    def find(self, path: Path, image: Pixels, camera: Camera) -> Found:
        """Read the files of a photograph; those that do not exist are no error.

        Raises InputError for files that are wrong.
        """
        folder = path.parent if self.folder is None else self.folder
        mask = folder / f"{path.stem}_mask.png"
        region = read_mask(mask, camera) if mask.exists() else None
        for suffix in ("yaml", "yml", "json"):
            file = folder / f"{path.stem}_pose.{suffix}"
            if file.exists():
                return Found(read_pose(file, camera, self.scene), region)
        return Found(None, region)


@dataclass(frozen=True)
class NetworkDetections:
    """A pose network. scene: where the objects are; without it there are masks only."""

    detector: Detector
    scene: Scene | None = None

    def find(self, path: Path, image: Pixels, camera: Camera) -> Found:
        """Run the network on a photograph."""
        seen = self.detector.detect(image, camera)
        if self.scene is not None:
            known = {item.label for item in self.scene.objects}
            seen = tuple(item for item in seen if item.label in known)
        region = np.zeros((camera.height, camera.width), dtype=bool)
        for item in seen:
            region |= item.full_mask(camera.width, camera.height)
        pose = _from_objects(seen, self.scene, camera)
        return Found(pose, region if region.any() else None)


@dataclass(frozen=True, eq=False)
class FileSighting:
    """An object whose pose stands in a file; see `inerf.initialise.Sighting`."""

    label: str
    score: float
    T_camera_object: SE3
    centre_px: npt.NDArray[np.float64]
    depth: float
    log_depth_deviation: float = LOG_DEPTH_DEVIATION
    rotation_deviation: float = ROTATION_DEVIATION

    @property
    def centre_covariance_px(self) -> npt.NDArray[np.float64]:
        """Covariance (2, 2) of the centre."""
        return CENTRE_DEVIATION_PX**2 * np.eye(2)


def read_mask(path: Path, camera: Camera) -> Mask:
    """Mask (H, W) of an image file, brought to the camera's size; True where it is not black."""
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if stored is None:
        raise InputError(f"{path}: expected the picture of a mask, got a file that is none")
    grey = stored if stored.ndim == 2 else stored[..., :3].max(axis=-1)
    size = (camera.width, camera.height)
    if abs(grey.shape[1] * camera.height - grey.shape[0] * camera.width) > max(grey.shape):
        raise InputError(
            f"{path}: expected a mask of {size[0]}x{size[1]} pixels or of that shape, got "
            f"{grey.shape[1]}x{grey.shape[0]}; give one of the size of the photograph"
        )
    marked = (grey > 0).astype(np.uint8)
    return np.asarray(cv2.resize(marked, size, interpolation=cv2.INTER_NEAREST) > 0)


def read_pose(path: Path, camera: Camera, scene: Scene | None) -> SE3 | None:
    """T_world_camera that a file gives, None where its objects do not fix it.

    Raises InputError for what is wrong in it, and for objects without a scene file.
    """
    content = read_yaml(path).plain()
    if not isinstance(content, dict) or not {"T_world_camera", "objects"} & content.keys():
        raise InputError(f"{path}: expected T_world_camera or objects, got {content!r:.60}")
    if "T_world_camera" in content:
        return _pose(content["T_world_camera"], f"{path}: T_world_camera")
    objects = content["objects"]
    if not isinstance(objects, list):
        raise InputError(f"{path}: objects: expected a list, got {objects!r:.60}")
    if scene is None:
        raise InputError(f"{path}: objects: expected a scene file that says where they are")
    sightings = [
        _sighting(item, f"{path}: objects[{number}]", camera)
        for number, item in enumerate(objects)
    ]
    return _from_objects(sightings, scene, camera)


def _from_objects(
    sightings: Sequence[Sighting], scene: Scene | None, camera: Camera
) -> SE3 | None:
    if scene is None or not sightings:
        return None
    hypotheses = poses_from_objects(sightings, scene.objects, camera)
    return hypotheses[0].T_world_camera if hypotheses else None


def _sighting(item: Any, what: str, camera: Camera) -> FileSighting:
    if not isinstance(item, dict) or not {"label", "T_camera_object"} <= item.keys():
        raise InputError(f"{what}: expected label and T_camera_object, got {item!r:.60}")
    pose = _pose(item["T_camera_object"], f"{what}: T_camera_object")
    centre = np.asarray(pose.translation, dtype=np.float64)
    if not centre[2] > 0:
        raise InputError(f"{what}: expected an object before the camera, got depth {centre[2]:g}")
    score = item.get("score", 1.0)
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 1:
        raise InputError(f"{what}: score: expected a number from 0 to 1, got {score!r:.60}")
    pixel = np.asarray(camera.project(centre), dtype=np.float64)
    return FileSighting(str(item["label"]), float(score), pose, pixel, float(centre[2]))


def _pose(values: Any, what: str) -> SE3:
    try:
        matrix = np.asarray(values, dtype=np.float64)
        return SE3.from_matrix(matrix, tolerance=1e-3)
    except (InputError, TypeError, ValueError) as error:
        raise InputError(f"{what}: expected a rigid transform of 4x4 numbers: {error}") from None
