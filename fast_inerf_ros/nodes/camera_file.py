"""Reads the intrinsics of an image folder: a ROS calibration file or a NeRF transforms.json."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from fast_inerf_ros.config.yaml_text import read_yaml
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera

CAMERA_FILE_NAMES = (
    "camera.yaml",
    "camera_info.yaml",
    "ost.yaml",
    "transforms.json",
    "transforms_train.json",
    "transforms_test.json",
)


def find_camera_file(folder: Path) -> Path | None:
    """Return the camera file in an image folder or its parent, or None."""
    for place in (folder, folder.parent):
        for name in CAMERA_FILE_NAMES:
            if (place / name).is_file():
                return place / name
    return None


def load_camera(path: Path, width: int, height: int) -> Camera:
    """Read the camera of raw images.

    Args:
        path: A YAML file as the ROS package camera_calibration writes it, or a transforms.json
            of NeRF, Blender or instant-ngp.
        width, height: Size of the images in pixels.

    Raises:
        InputError: The file cannot be read, lacks a value, or belongs to images of another size.
    """
    if not path.is_file():
        raise InputError(
            f"camera file {path}: expected a calibration YAML or transforms.json, found no "
            "file: check the path"
        )
    reader = _from_transforms if path.suffix == ".json" else _from_calibration
    try:
        camera = reader(path, width, height)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        reason = f"{type(error).__name__}: {error}"
        raise InputError(
            f"camera file {path}: expected the values of a calibration YAML or transforms.json, "
            f"got something else ({reason}): write it with camera_calibration"
        ) from None
    if (camera.width, camera.height) != (width, height):
        raise InputError(
            f"camera file {path}: expected the intrinsics of {width}x{height} images, got "
            f"{camera.width}x{camera.height}: calibrate at this size or resize the images"
        )
    return camera


def _from_calibration(path: Path, width: int, height: int) -> Camera:
    values: Any = read_yaml(path).plain()
    return Camera.from_camera_info(
        width=int(values["image_width"]),
        height=int(values["image_height"]),
        distortion_model=str(values.get("distortion_model", "plumb_bob")),
        d=_numbers(values.get("distortion_coefficients", {"data": []})),
        k=_numbers(values["camera_matrix"]),
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[0.0] * 12,
        binning_x=0,
        binning_y=0,
        roi=(0, 0, 0, 0, False),
        rectified=False,
    )


def _numbers(matrix: dict[str, Any]) -> list[float]:
    return [float(value) for value in matrix["data"]]


def _from_transforms(path: Path, width: int, height: int) -> Camera:
    values = json.loads(path.read_text(encoding="utf-8"))
    focal_x = values.get("fl_x") or _focal_length(values["camera_angle_x"], width)
    focal_y = values.get("fl_y") or focal_x
    model, names = _lens(values)
    distortion = [float(values.get(name, 0.0)) for name in names]
    distorts = any(distortion) or model == "equidistant"
    # Principal points are measured from the corner of the top-left pixel there.
    return Camera(
        width=int(values.get("w", width)),
        height=int(values.get("h", height)),
        fx=float(focal_x),
        fy=float(focal_y),
        cx=float(values.get("cx", width / 2)) - 0.5,
        cy=float(values.get("cy", height / 2)) - 0.5,
        distortion_model=model if distorts else "none",
        distortion=tuple(distortion) if distorts else (),
    )


def _lens(values: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    if values.get("camera_model") == "OPENCV_FISHEYE" or values.get("is_fisheye"):
        return "equidistant", ("k1", "k2", "k3", "k4")
    return "plumb_bob", ("k1", "k2", "p1", "p2", "k3")


def _focal_length(angle: float, width: int) -> float:
    return 0.5 * width / math.tan(0.5 * float(angle))
