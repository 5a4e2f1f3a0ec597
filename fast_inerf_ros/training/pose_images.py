"""Images of a pose data set in memory: decoded once, small, with all that training needs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from fast_inerf_ros.datasets.augmentation import TrainingImage
from fast_inerf_ros.datasets.pose_set import PoseSample, PoseSet
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class StoredImage:
    """One image with its truth.

    image: (H, W, 3) uint8. instances: (H, W) index of the object that a pixel shows, -1 for
    none. class_ids: (n,) from 1. poses: T_camera_object (n,), or None without objects.
    """

    image: npt.NDArray[np.uint8]
    instances: npt.NDArray[np.int8]
    camera: Camera
    class_ids: npt.NDArray[np.int64]
    poses: SE3 | None

    def training_image(self) -> TrainingImage:
        """As augmentation takes it."""
        instances = self.instances.astype(np.int64)
        return TrainingImage(self.image, instances, self.camera, self.poses)


def class_labels(pose_set: PoseSet, wanted: Sequence[str]) -> tuple[str, ...]:
    """Labels of the classes 1, 2, ... to learn.

    Raises:
        InputError: a wanted class that the data set does not have.
    """
    unknown = sorted(set(wanted) - set(pose_set.labels))
    if unknown:
        raise InputError(
            f"classes: expected some of {', '.join(pose_set.labels)}, got {', '.join(unknown)}: "
            "correct the name"
        )
    left_out = [label for label in pose_set.labels if wanted and label not in wanted]
    if left_out:
        logger.info("counted as background: %s", ", ".join(left_out))
    return tuple(wanted) or pose_set.labels


def read_images(
    pose_set: PoseSet, labels: Sequence[str], width: int, threads: int
) -> list[StoredImage]:
    """Decode all images, at most `width` pixels wide; objects of other labels are background.

    Raises:
        InputError: files that are missing, damaged or disagree, more than 127 objects in an
            image, or no object of the labels at all.
    """
    number = {label: index + 1 for index, label in enumerate(labels)}
    classes = {
        key: number[item.label] for key, item in pose_set.classes.items() if item.label in number
    }
    read = partial(_read, pose_set, classes, width)
    with ThreadPoolExecutor(threads) as pool:
        done = pool.map(read, range(len(pose_set)))
        found = list(tqdm(done, "images", len(pose_set), disable=None))
    if not any(len(item.class_ids) for item in found):
        raise InputError(
            f"expected objects of {', '.join(labels)} in {len(found)} images, got none: correct "
            "classes or the annotations"
        )
    return found


def _read(pose_set: PoseSet, classes: dict[int, int], width: int, index: int) -> StoredImage:
    return stored_image(pose_set.sample(index), classes, width)


def stored_image(sample: PoseSample, classes: dict[int, int], width: int) -> StoredImage:
    """Keep what training needs of a sample.

    classes: number from 1 of each class to learn, by its number in the files.
    """
    kept = [index for index, item in enumerate(sample.objects) if item.object_id in classes]
    if len(kept) > np.iinfo(np.int8).max:
        raise InputError(f"image {sample.name}: expected at most 127 objects, got {len(kept)}")
    position = np.full(len(sample.objects) + 1, -1, dtype=np.int8)  # the last one is for -1
    position[kept] = np.arange(len(kept))
    instances = position[sample.instances()]
    image, camera = sample.image, sample.camera
    if camera.width > width:
        camera = camera.resize(width, max(1, round(camera.height * width / camera.width)))
        size = (camera.width, camera.height)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        nearest = cv2.resize(instances.view(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT)
        instances = np.asarray(nearest, dtype=np.uint8).view(np.int8)
    poses = [sample.objects[index].T_camera_object for index in kept]
    numbers = [classes[sample.objects[index].object_id] for index in kept]
    return StoredImage(
        np.ascontiguousarray(image),
        instances,
        camera,
        np.array(numbers, dtype=np.int64),
        SE3.stack(poses) if poses else None,
    )
