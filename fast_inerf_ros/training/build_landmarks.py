"""``build_landmarks``: the landmark map of a scene, from the photographs its field is made of.

build_landmarks kitchen/scene.yaml --data photographs
build_landmarks kitchen/scene.yaml               (from views rendered around the scene)
"""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros import command_line
from fast_inerf_ros.config import option, section
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.fields.scene_field import load_scene_field
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.similarity import Similarity
from fast_inerf_ros.inerf.features.registry import DEFAULT, make_extractor
from fast_inerf_ros.inerf.held_out import correlation
from fast_inerf_ros.inerf.landmark_building import BuildOptions, build_landmarks
from fast_inerf_ros.inerf.landmark_file import field_id, save_landmarks
from fast_inerf_ros.inerf.landmarks import Landmarks
from fast_inerf_ros.inerf.views import CachedView, field_views
from fast_inerf_ros.io.scene import Scene, load_scene, save_scene
from fast_inerf_ros.training.views import render_view

NAME = "build_landmarks"
DESCRIPTION = "Make the landmark map of a scene and enter it in its scene.yaml."
LEAST_CORRELATION = 0.5
"""Of photographs with the field's rendering of them, at the same poses."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuildLandmarksConfig:
    """Options of ``build_landmarks``."""

    scene: str = option(doc="The scene.yaml, with a trained field.", positional=True)
    data: str = option(
        "", doc="Folder of the photographs that the field was trained on; views are rendered "
        "instead where there are none.",
    )  # fmt: skip
    output: str = option("landmarks.npz", doc="File to write, beside the scene.yaml.")
    extractor: str = option(DEFAULT, doc="Kind of local features.")
    longest_side: int = option(
        800, doc="Photographs are made smaller than this.", unit="px", minimum=64
    )
    n_views: int = option(60, doc="Views rendered where there are no photographs.", minimum=2)
    dataset: DatasetOptions = section(DatasetOptions)
    build: BuildOptions = section(BuildOptions)


@dataclass(frozen=True, eq=False)
class _Pictures:
    picture: Callable[[int], npt.NDArray[np.uint8]]
    cameras: Sequence[Camera]
    T_world_camera: SE3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the executable and return its exit status."""
    return command_line.run(BuildLandmarksConfig, run, argv, NAME, DESCRIPTION)


def run(config: BuildLandmarksConfig) -> int:
    """Make the map; InputError for bad input, OSError where it cannot be written."""
    scene = load_scene(config.scene, check_files=False)
    landmarks = make_landmarks(scene, config)
    target = Path(config.scene).parent / config.output
    save_landmarks(target, landmarks)
    save_scene(dataclasses.replace(scene, landmarks=config.output), config.scene)
    shared = int((landmarks.n_seen > 1).sum())
    logger.info(
        "%d landmarks, %d of them triangulated, %.1f MB -> %s",
        len(landmarks), shared, target.stat().st_size / 1e6, target,
    )  # fmt: skip
    return 0


def make_landmarks(scene: Scene, config: BuildLandmarksConfig) -> Landmarks:
    """The landmarks of a scene, from photographs or else from views of its field."""
    field = load_scene_field(scene)
    assert scene.field is not None  # load_scene_field has made sure
    if config.data:
        pictures = _photographs(config, field)
    else:
        pictures = _rendered(field_views(field, config.n_views))
    return build_landmarks(
        pictures.picture,
        pictures.cameras,
        pictures.T_world_camera,
        field,
        field_id(scene.resolve(scene.field.checkpoint)),
        make_extractor(config.extractor),
        config.build,
    )


def _photographs(config: BuildLandmarksConfig, field: Field) -> _Pictures:
    posed = load_dataset(config.data, config.dataset).split("train")
    longest = max(max(camera.width, camera.height) for camera in posed.cameras)
    posed = posed.downscaled(max(1.0, longest / config.longest_side))
    similarity = Similarity(field.frame.T_world_field, field.frame.metres_per_unit)
    poses = similarity.pose_to_target(posed.T_field_camera)
    _require_agreement(posed, field)

    def picture(index: int) -> npt.NDArray[np.uint8]:
        return np.asarray((posed.colors(index) * 255).round().astype(np.uint8))

    return _Pictures(picture, posed.cameras, poses)


def _rendered(views: Sequence[CachedView]) -> _Pictures:
    def picture(index: int) -> npt.NDArray[np.uint8]:
        return np.asarray((views[index].color * 255).round().astype(np.uint8))

    poses = SE3.stack([view.T_world_camera for view in views])
    return _Pictures(picture, [view.camera for view in views], poses)


def _require_agreement(posed: PosedImages, field: Field, n_images: int = 5) -> None:
    """Refuse photographs of another scene, or poses in other coordinates."""
    found = []
    for index in np.linspace(0, len(posed) - 1, n_images).astype(int):
        camera = posed.cameras[index].resize(48, 36)
        image = cv2.resize(posed.colors(int(index)), (48, 36), interpolation=cv2.INTER_AREA)
        view = render_view(field, camera, posed.T_field_camera[int(index)])
        found.append(correlation(np.asarray(image, dtype=np.float32), view.color))
    if float(np.median(found)) < LEAST_CORRELATION:
        raise InputError(
            "data: expected the photographs that the field was trained on, got ones that look "
            f"otherwise (correlation {np.median(found):.2f}); give the data set and the dataset "
            "options of the training"
        )


if __name__ == "__main__":
    sys.exit(main())
