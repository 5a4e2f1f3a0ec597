"""Images whose objects' poses and masks are known: what pose networks are trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.symmetry import Symmetry

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ObjectClass:
    """A class of objects in a data set.

    object_id: its number in the files. extent: edge lengths (3) of its box in metres, and
    box_centre, or None where nobody says. mesh: path, or None. mesh_scale: metres a unit.
    """

    object_id: int
    label: str
    extent: tuple[float, ...] | None = None
    box_centre: tuple[float, ...] = (0.0, 0.0, 0.0)
    symmetry: Symmetry = field(default_factory=Symmetry)
    mesh: Path | None = None
    mesh_scale: float = 1.0


@dataclass(frozen=True, eq=False)
class ObjectTruth:
    """One object in an image.

    object_id: number of its class in the files. T_camera_object: its pose, metres.
    mask: (H, W) where it is seen. visible_fraction: of its silhouette, NaN where unknown.
    """

    object_id: int
    T_camera_object: SE3
    mask: Mask
    visible_fraction: float


@dataclass(frozen=True, eq=False)
class PoseSample:
    """One image with its truth.

    image: (H, W, 3) uint8 RGB. depth: (H, W) in metres, 0 where unknown, or None.
    """

    image: Pixels
    camera: Camera
    objects: tuple[ObjectTruth, ...]
    depth: npt.NDArray[np.float32] | None
    name: str

    def instances(self) -> npt.NDArray[np.int64]:
        """Index (H, W) of the object that each pixel shows, -1 for none.

        Where masks overlap the nearer object is shown.
        """
        shown = np.full(self.image.shape[:2], -1, dtype=np.int64)
        depths = [float(item.T_camera_object.translation[2]) for item in self.objects]
        for index in np.argsort([-depth for depth in depths], kind="stable"):
            shown[self.objects[index].mask] = index
        return shown

    def centres_px(self) -> npt.NDArray[np.float64]:
        """Where the objects' origins are seen (n, 2); NaN behind the camera."""
        points = [np.asarray(item.T_camera_object.translation) for item in self.objects]
        return np.asarray(self.camera.project(np.reshape(points, (-1, 3)).astype(np.float64)))


@dataclass(frozen=True, eq=False)
class Annotation:
    """What the files say of one image, before pixels are read."""

    image_path: Path
    camera: Camera
    objects: tuple[tuple[int, SE3, Path, float], ...]
    depth_path: Path | None
    depth_scale: float


@dataclass(frozen=True, eq=False)
class PoseSet:
    """A split of a data set; pixels are read when a sample is asked for.

    classes: by their number in the files, in rising order.
    """

    annotations: Sequence[Annotation]
    classes: Mapping[int, ObjectClass]
    read_sample: Callable[[Annotation], PoseSample]

    def __len__(self) -> int:
        return len(self.annotations)

    def sample(self, index: int) -> PoseSample:
        """Read one image with its masks. Raises InputError for files that disagree."""
        return self.read_sample(self.annotations[index])

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in rising order of their numbers."""
        return tuple(item.label for item in self.classes.values())

    def class_ids(self, sample: PoseSample) -> npt.NDArray[np.int64]:
        """Position (n,) from 1 of each object's class in `labels`."""
        position = {number: index + 1 for index, number in enumerate(self.classes)}
        return np.array([position[item.object_id] for item in sample.objects], dtype=np.int64)
