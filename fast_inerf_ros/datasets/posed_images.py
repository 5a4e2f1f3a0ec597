"""The one result of every data set loader: photographs with cameras and poses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fast_inerf_ros.datasets.images import LazyImages, Pixels, composite
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.similarity import Similarity

Indices = NDArray[np.int64]
SplitName = Literal["train", "val", "test"]


@dataclass(frozen=True, eq=False)
class Splits:
    """Which images are for training, for choosing options and for reporting."""

    train: Indices
    val: Indices
    test: Indices

    @staticmethod
    def hold_out(n_images: int, every: int) -> Splits:
        """Test on every n-th image starting with the first, as LLFF does; 0 holds out none."""
        everything = np.arange(n_images)
        test = everything[::every] if every > 0 else everything[:0]
        return Splits(np.setdiff1d(everything, test), everything[:0], test)

    def with_validation(self, every: int) -> Splits:
        """Move every n-th training image to the validation images; the test images stay."""
        moved = self.train[every // 2 :: every]
        return Splits(np.setdiff1d(self.train, moved), np.union1d(self.val, moved), self.test)


@dataclass(frozen=True, eq=False)
class PosedImages:
    """Photographs of one scene, with where and by what they were taken.

    Poses and distances are in the world of the data set: metres where ``frame.metric``, the
    length unit of its files elsewhere. Loaders that normalise a scene (LLFF) leave the world as
    the files have it and put the normalisation in ``frame``; fields are trained on
    ``T_field_camera``.
    """

    name: str
    images: LazyImages
    cameras: tuple[Camera, ...]
    T_world_camera: SE3  # batch shape (n,), OpenCV axes
    bounds: NDArray[np.float64]  # (n, 2): depths, in world units, between which the scene lies
    splits: Splits
    names: tuple[str, ...]  # of the images, as their files say
    frame: FieldFrame = field(default_factory=FieldFrame)  # where a field trained here lies
    ndc: bool = False  # forward-facing: the vanilla field takes normalised device coordinates
    aabb_scale: float | None = None  # side of the scene's box in instant-ngp's unit cubes
    n_missing: int = 0  # images that the files list and that do not exist

    def __post_init__(self) -> None:
        n = len(self.images)
        if n < 2:
            raise InputError(
                f"{self.name}: expected at least 2 images, got {n}; a scene needs several views"
            )
        lengths = {len(self.cameras), len(self.names), *self.T_world_camera.batch_shape}
        if lengths != {n} or self.bounds.shape != (n, 2):
            raise InputError(
                f"{self.name}: expected a camera, a pose, a name and bounds for each of {n} "
                f"images, got {len(self.cameras)}, {self.T_world_camera.batch_shape}, "
                f"{len(self.names)} and {self.bounds.shape}"
            )
        if self.splits.train.size == 0:
            raise InputError(
                f"{self.name}: expected images to train on, got none outside the test split; "
                "hold out fewer or add a training split"
            )
        self._check_bounds()

    def _check_bounds(self) -> None:
        near, far = self.bounds.T
        bad = np.flatnonzero(~(np.isfinite(near) & np.isfinite(far) & (near > 0) & (far > near)))
        if bad.size:
            first = int(bad[0])
            raise InputError(
                f"{self.name}: {self.names[first]}: expected bounds 0 < near < far, got "
                f"{near[first]:.6g} and {far[first]:.6g}; give near and far"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def T_field_camera(self) -> SE3:
        """Poses (n,) in the coordinates of the field."""
        return self._world_from_field().pose_to_source(self.T_world_camera)

    @property
    def field_bounds(self) -> NDArray[np.float64]:
        """Near and far depths (n, 2) in field units."""
        return self.bounds / self.frame.metres_per_unit

    def image(self, index: int) -> Pixels:
        """Pixels as stored, uint8 (h, w, 3) or straight RGBA (h, w, 4), read-only."""
        return self.images[index]

    def colors(self, index: int, background: ArrayLike = (1.0, 1.0, 1.0)) -> NDArray[np.float32]:
        """Colours (h, w, 3) in [0, 1], transparency over a background; see ``composite``."""
        return composite(self.images[index], background)

    def subset(self, indices: Sequence[int] | Indices) -> PosedImages:
        """The data set of these images, in this order, all of them for training.

        Raises:
            InputError: fewer than two images.
        """
        kept = [int(i) for i in indices]
        return dataclasses.replace(
            self,
            images=self.images.subset(kept),
            cameras=tuple(self.cameras[i] for i in kept),
            T_world_camera=self.T_world_camera[np.array(kept, dtype=np.int64)],
            bounds=self.bounds[kept],
            splits=Splits.hold_out(len(kept), 0),
            names=tuple(self.names[i] for i in kept),
        )

    def split(self, name: SplitName) -> PosedImages:
        """The data set of one split alone."""
        return self.subset(getattr(self.splits, name))

    def with_splits(self, splits: Splits) -> PosedImages:
        """The same images in other splits."""
        return dataclasses.replace(self, splits=splits)

    def downscaled(self, factor: float) -> PosedImages:
        """Images and cameras smaller by a factor, each side rounded to whole pixels."""
        sizes = [
            (max(1, round(camera.width / factor)), max(1, round(camera.height / factor)))
            for camera in self.cameras
        ]
        return self._resized(sizes)

    def resized(self, width: int, height: int) -> PosedImages:
        """Every image and camera at one size in pixels, by area averaging."""
        return self._resized([(width, height)] * len(self))

    def in_world(self, new_from_world: Similarity, *, metric: bool) -> PosedImages:
        """The same scene in another world: ``p_new = new_from_world @ p_world``.

        This is how registration makes a scene metric and its z axis point up.
        """
        new_from_field = new_from_world @ self._world_from_field()
        return dataclasses.replace(
            self,
            T_world_camera=new_from_world.pose_to_target(self.T_world_camera),
            bounds=new_from_world.scale * self.bounds,
            frame=FieldFrame(new_from_field.transform, new_from_field.scale, metric),
        )

    def _world_from_field(self) -> Similarity:
        return Similarity(self.frame.T_world_field, self.frame.metres_per_unit)

    def _resized(self, sizes: Sequence[tuple[int, int]]) -> PosedImages:
        made: dict[tuple[Camera, tuple[int, int]], Camera] = {}
        cameras = []
        for camera, size in zip(self.cameras, sizes, strict=True):
            if (camera, size) not in made:
                made[camera, size] = camera.resize(*size)
            cameras.append(made[camera, size])
        return dataclasses.replace(self, images=self.images.resized(sizes), cameras=tuple(cameras))


def rigid_poses(matrices: Sequence[ArrayLike], names: Sequence[str], source: object) -> SE3:
    """Poses (n,) of 4x4 or 3x4 matrices from a file, each checked to be rigid.

    Raises:
        InputError: not 4x4 numbers, NaN, or not rigid within 1e-3; it names the image.
    """
    poses = []
    for matrix, name in zip(matrices, names, strict=True):
        try:
            values = np.asarray(matrix, dtype=np.float64)
            poses.append(SE3.from_matrix(values, tolerance=1e-3))
        except (InputError, TypeError, ValueError) as error:
            raise InputError(f"{source}: pose of {name}: {error}") from None
    return SE3.stack(poses)
