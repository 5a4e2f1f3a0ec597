"""Variations of training images whose truth stays exact: poses and intrinsics move along."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.config import option
from fast_inerf_ros.datasets.pose_set import PoseSample
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3

Pixels = npt.NDArray[np.uint8]
Range = tuple[float, float]


@dataclass(frozen=True)
class AugmentationConfig:
    """Ranges that each image draws from. All zero, and zoom 1 to 1: nothing changes."""

    roll_deg: float = option(
        20.0, doc="Largest turn about the optical axis.", unit="deg", minimum=0.0, maximum=180.0
    )
    zoom: Range = option((0.8, 1.4), doc="Least and greatest change of size.", minimum=0.05)
    shift: float = option(
        0.15, doc="Largest shift, as a share of the image.", minimum=0.0, maximum=1.0
    )
    exposure: float = option(0.5, doc="Largest change of exposure.", unit="stops", minimum=0.0)
    contrast: float = option(0.2, doc="Largest relative change of contrast.", minimum=0.0)
    colour: float = option(
        0.1, doc="Largest relative change of each colour channel.", minimum=0.0, maximum=1.0
    )
    noise: float = option(0.03, doc="Largest deviation of noise, in [0, 1].", minimum=0.0)
    blur_px: float = option(1.5, doc="Largest deviation of blur.", unit="px", minimum=0.0)
    occlusion: float = option(
        0.3, doc="How often patches hide something.", minimum=0.0, maximum=1.0
    )
    background: float = option(
        0.0, doc="How often the background is replaced.", minimum=0.0, maximum=1.0
    )


@dataclass(frozen=True, eq=False)
class TrainingImage:
    """What training needs of an image.

    image: (H, W, 3) uint8. instances: (H, W) index of the object that a pixel shows, -1 for
    none. poses: T_camera_object (n,), or None without objects.
    """

    image: Pixels
    instances: npt.NDArray[np.int64]
    camera: Camera
    poses: SE3 | None

    @staticmethod
    def of(sample: PoseSample) -> TrainingImage:
        """From a sample of a data set."""
        found = [item.T_camera_object for item in sample.objects]
        poses = SE3.stack(found) if found else None
        return TrainingImage(sample.image, sample.instances(), sample.camera, poses)

    def centres_px(self) -> npt.NDArray[np.float64]:
        """Where the objects' origins are seen (n, 2); NaN behind the camera."""
        if self.poses is None:
            return np.zeros((0, 2))
        return np.asarray(self.camera.project(np.asarray(self.poses.translation)))


def augmented(
    item: TrainingImage,
    width: int,
    height: int,
    config: AugmentationConfig,
    generator: np.random.Generator,
    backgrounds: Sequence[Pixels] = (),
    part: float = 1.0,
) -> TrainingImage:
    """A variation of an image, `width` x `height` pixels.

    backgrounds: pictures that may take the place of what is behind the objects. part: share of
    the image's width that is shown where `config` changes nothing; its place is drawn.

    Raises:
        InputError: a lens that distorts (undistort the images first), or `config.background`
            without pictures.
    """
    if config.background > 0 and not backgrounds:
        raise InputError("background: expected pictures to put behind the objects, got none")
    view = _drawn_view(item.camera, width, part, config, generator)
    moved = moved_camera(item, width, height, *view)
    image = moved.image
    if generator.random() < config.background:
        image = _with_background(image, moved.instances, backgrounds, generator)
    instances = moved.instances
    if generator.random() < config.occlusion:
        image, instances = _occluded(image, instances, generator)
    return replace(moved, image=recoloured(image, config, generator), instances=instances)


def moved_camera(
    item: TrainingImage,
    width: int,
    height: int,
    roll: float,
    focal: float,
    centre_px: Sequence[float],
) -> TrainingImage:
    """The same scene seen by a camera turned about its optical axis, with other intrinsics.

    Exact: both cameras have one centre, so that images are related by K' R K^-1 and poses by R.

    roll: angle in radians by which the image turns clockwise. focal: of the new camera, pixels.
    centre_px: place (2) of the old image that comes to the middle of the new one.

    Raises:
        InputError: a lens that distorts.
    """
    if item.camera.distortion_model != "none":
        raise InputError("expected images without lens distortion: undistort them first")
    turn = SO3.exp(np.array([0.0, 0.0, roll]))
    middle = np.asarray(item.camera.normalise(np.asarray(centre_px, dtype=np.float64)))
    x, y, _ = np.asarray(turn @ np.array([*middle, 1.0]))
    # Pixels stay as high as they are wide if they were.
    focal_y = focal * item.camera.fy / item.camera.fx
    camera = Camera(
        width, height, focal, focal_y, (width - 1) / 2 - focal * x, (height - 1) / 2 - focal_y * y
    )
    homography = camera.matrix() @ np.asarray(turn.matrix) @ np.linalg.inv(item.camera.matrix())
    shrinks = focal < 0.7 * item.camera.fx
    image = item.image
    if shrinks:  # or fine texture would turn into noise
        deviation = 0.4 * item.camera.fx / focal
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), deviation), dtype=np.uint8)
    warped = cv2.warpPerspective(
        image,
        homography,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    instances = cv2.warpPerspective(
        item.instances.astype(np.int16),
        homography,
        (width, height),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(-1,),
    )
    poses = None if item.poses is None else SE3(turn, np.zeros(3)) @ item.poses
    return TrainingImage(
        np.asarray(warped, dtype=np.uint8), np.asarray(instances, dtype=np.int64), camera, poses
    )


def recoloured(
    image: Pixels, config: AugmentationConfig, generator: np.random.Generator
) -> Pixels:
    """Another exposure, white balance, contrast, blur and noise."""
    values = image.astype(np.float32) / 255
    gain = 2.0 ** generator.uniform(-config.exposure, config.exposure)
    balance = 1 + generator.uniform(-config.colour, config.colour, 3)
    values = values * (gain * balance).astype(np.float32)
    mean = float(values.mean())
    contrast = 1 + generator.uniform(-config.contrast, config.contrast)
    values = (values - mean) * np.float32(contrast) + mean
    deviation = generator.uniform(0, config.blur_px)
    if deviation > 0.3:
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), deviation), dtype=np.float32)
    sigma = np.float32(generator.uniform(0, config.noise))
    values = values + sigma * generator.standard_normal(values.shape, dtype=np.float32)
    return np.asarray(np.rint(np.clip(values, 0, 1) * 255), dtype=np.uint8)


def _drawn_view(
    camera: Camera,
    width: int,
    part: float,
    config: AugmentationConfig,
    generator: np.random.Generator,
) -> tuple[float, float, tuple[float, float]]:
    """Roll, focal length and middle of a view; without variation that part of the image."""
    roll = math.radians(generator.uniform(-config.roll_deg, config.roll_deg))
    low, high = (math.log(value) for value in config.zoom)
    focal = camera.fx * width / part / camera.width * math.exp(generator.uniform(low, high))
    largest = config.shift + (1.0 - part) / 2
    across, down = generator.uniform(-largest, largest, 2)
    middle = (
        (camera.width - 1) / 2 + across * camera.width,
        (camera.height - 1) / 2 + down * camera.height,
    )
    return roll, focal, middle


def _with_background(
    image: Pixels,
    instances: npt.NDArray[np.int64],
    backgrounds: Sequence[Pixels],
    generator: np.random.Generator,
) -> Pixels:
    picture = backgrounds[int(generator.integers(len(backgrounds)))][..., :3]
    height, width = image.shape[:2]
    scale = max(width / picture.shape[1], height / picture.shape[0])
    size = (math.ceil(picture.shape[1] * scale), math.ceil(picture.shape[0] * scale))
    large = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    x, y = (int(generator.integers(most + 1)) for most in (size[0] - width, size[1] - height))
    behind = large[y : y + height, x : x + width]
    return np.asarray(np.where((instances >= 0)[..., None], image, behind), dtype=np.uint8)


def _occluded(
    image: Pixels, instances: npt.NDArray[np.int64], generator: np.random.Generator
) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """Cover up to three ellipses by patches of one colour, or of another part of the image."""
    image, instances = image.copy(), instances.copy()
    height, width = instances.shape
    for _ in range(int(generator.integers(1, 4))):
        axes = [max(1, int(generator.uniform(0.03, 0.15) * width)) for _ in range(2)]
        centre = (int(generator.integers(width)), int(generator.integers(height)))
        patch: npt.NDArray[Any] = np.zeros((height, width), np.uint8)
        cv2.ellipse(patch, centre, axes, float(generator.uniform(0, 180)), 0, 360, (1,), -1)
        inside = patch > 0
        if generator.random() < 0.5:
            image[inside] = generator.integers(0, 256, 3, dtype=np.uint8)
        else:
            rows, columns = (int(generator.integers(size)) for size in (height, width))
            image[inside] = np.roll(image, (rows, columns), axis=(0, 1))[inside]
        instances[inside] = -1
    return image, instances
