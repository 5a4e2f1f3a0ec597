"""The known objects: boxes and cans with printed packaging, and free meshes, fixed by a seed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.synthetic import packaging
from fast_inerf_ros.datasets.synthetic.meshes import Mesh, Rectangle, box, can
from fast_inerf_ros.geometry.symmetry import Symmetry, SymmetryAxis

Pixels = npt.NDArray[np.uint8]
Rotation = npt.NDArray[np.float64]

UPRIGHT: Rotation = np.eye(3)
BOX_SIZES = (
    (0.135, 0.050, 0.195),
    (0.090, 0.042, 0.150),
    (0.112, 0.075, 0.040),
    (0.070, 0.070, 0.110),
    (0.160, 0.058, 0.120),
    (0.080, 0.035, 0.095),
)
CAN_SIZES = ((0.033, 0.102), (0.050, 0.135), (0.042, 0.045), (0.037, 0.115))
ATLAS_PIXELS = 1024
GAP_PIXELS = 6
CARDBOARD_GLOSS, LABEL_GLOSS, METAL_GLOSS = 70, 120, 240


@dataclass(frozen=True, eq=False)
class ObjectModel:
    """A thing that can stand on the table.

    key: unique name, by which renderers keep what they prepared. class_id: 1.. for known
    objects, 0 for clutter. texture: (height, width, 4) uint8, sRGB and gloss. rests: rotations
    R_world_object in which it stands stably, the upright one first. rolls: whether it may be
    turned about its own z axis before it is laid down.
    """

    key: str
    label: str
    class_id: int
    mesh: Mesh
    texture: Pixels
    symmetry: Symmetry = field(default_factory=Symmetry)
    rests: tuple[Rotation, ...] = (UPRIGHT,)
    rolls: bool = False

    @property
    def extent(self) -> npt.NDArray[np.float64]:
        """(3,): edge lengths of the bounding box in metres."""
        low, high = self.mesh.bounds.astype(np.float64)
        return np.asarray(high - low)

    @property
    def box_centre(self) -> npt.NDArray[np.float64]:
        """(3,): centre of the bounding box in the object's frame."""
        return np.asarray(self.mesh.bounds.astype(np.float64).mean(axis=0))


def object_set(seed: int, n_boxes: int = 4, n_cans: int = 3) -> tuple[ObjectModel, ...]:
    """The procedural known objects of a seed: `box_1`.. then `can_1`.., class ids from 1."""
    models = []
    for index in range(n_boxes + n_cans):
        generator = np.random.default_rng([seed, 0x0B7EC7, index])
        number = index if index < n_boxes else index - n_boxes
        kind = "box" if index < n_boxes else "can"
        make = make_box if kind == "box" else make_can
        sizes = BOX_SIZES if kind == "box" else CAN_SIZES
        size = np.array(sizes[number % len(sizes)]) * generator.uniform(0.9, 1.12)
        label = f"{kind}_{number + 1}"
        models.append(make(f"set{seed}/{label}", label, index + 1, size, generator))
    return tuple(models)


def make_box(
    key: str,
    label: str,
    class_id: int,
    size: npt.NDArray[np.float64],
    generator: np.random.Generator,
) -> ObjectModel:
    """A folding box; size: edge lengths along x, y, z, the printed front towards -y."""
    brand = packaging.make_brand(generator)
    texture, rectangles = _box_atlas(brand, size)
    return ObjectModel(
        key, label, class_id, box(size, 0.0012, rectangles), texture, rests=box_rests()
    )


def make_can(
    key: str,
    label: str,
    class_id: int,
    size: npt.NDArray[np.float64],
    generator: np.random.Generator,
) -> ObjectModel:
    """A tin; size: radius and height. Symmetric about its axis, as BOP takes cans to be."""
    radius, height = float(size[0]), float(size[1])
    brand = packaging.make_brand(generator)
    texture, wrap, metal = _can_atlas(brand, radius, height, generator)
    mesh = can(radius, height, wrap, metal)
    symmetry = Symmetry((SymmetryAxis((0.0, 0.0, 1.0)),))
    lying = _rotation_x(np.pi / 2)
    return ObjectModel(key, label, class_id, mesh, texture, symmetry, (UPRIGHT, lying), rolls=True)


def box_rests() -> tuple[Rotation, ...]:
    """Upright, on the back and on a narrow side."""
    return UPRIGHT, _rotation_x(np.pi / 2), _rotation_y(np.pi / 2)


def _rotation_x(angle: float) -> Rotation:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def _rotation_y(angle: float) -> Rotation:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def _box_atlas(
    brand: packaging.Brand, size: npt.NDArray[np.float64]
) -> tuple[Pixels, list[Rectangle]]:
    """All six sides in one picture: a row of four walls above the lid and the bottom."""
    x, y, z = (float(value) for value in size)
    scale = min(
        (ATLAS_PIXELS - 8 * GAP_PIXELS) / (2 * x + 2 * y),
        (ATLAS_PIXELS - 4 * GAP_PIXELS) / (z + y),
        5000.0,
    )
    w, d, h = (max(8, round(value * scale)) for value in (x, y, z))
    gap = GAP_PIXELS
    columns = np.cumsum([gap, w + 2 * gap, d + 2 * gap, w + 2 * gap])
    lid_row = h + 3 * gap
    faces = {  # side number: (picture, left, top); sides are +x, -x, +y, -y, +z, -z
        3: (packaging.front_face(brand, (w, h)), columns[0], gap),
        0: (packaging.side_face(brand, (d, h), 0), columns[1], gap),
        2: (packaging.front_face(brand, (w, h), 1), columns[2], gap),
        1: (packaging.side_face(brand, (d, h), 1), columns[3], gap),
        4: (packaging.end_face(brand, (w, d), 0), columns[0], lid_row),
        5: (packaging.end_face(brand, (w, d), 1), columns[2], lid_row),
    }
    height, width = lid_row + d + gap, int(columns[3]) + d + gap
    atlas = np.empty((height, width, 4), np.uint8)
    atlas[..., :3] = brand.background
    atlas[..., 3] = CARDBOARD_GLOSS
    rectangles: list[Rectangle] = [(0.0, 0.0, 0.0, 0.0)] * 6
    for side, (picture, left, top) in faces.items():
        _paste_with_border(atlas, picture, int(left), int(top))
        rows, cols = picture.shape[:2]
        inset = 0.5
        rectangles[side] = (
            (left + inset) / width,
            (top + inset) / height,
            (left + cols - inset) / width,
            (top + rows - inset) / height,
        )
    return atlas, rectangles


def _paste_with_border(atlas: Pixels, picture: Pixels, left: int, top: int) -> None:
    """Paste a face and repeat its border around it, so that coarse mips do not mix faces."""
    gap = GAP_PIXELS
    padded = np.pad(picture, ((gap, gap), (gap, gap), (0, 0)), mode="edge")
    target = atlas[
        top - gap : top + picture.shape[0] + gap, left - gap : left + picture.shape[1] + gap
    ]
    target[..., :3] = padded[: target.shape[0], : target.shape[1]]


def _can_atlas(
    brand: packaging.Brand, radius: float, height: float, generator: np.random.Generator
) -> tuple[Pixels, Rectangle, Rectangle]:
    """The label as wide as the picture, and below it a square of metal for lid and rims."""
    width = ATLAS_PIXELS
    rows = round(width * height / (2 * np.pi * radius))
    lid = 256
    atlas = np.empty((rows + lid, width, 4), np.uint8)
    atlas[:rows, :, :3] = packaging.can_label(brand, (width, rows))
    atlas[:rows, :, 3] = LABEL_GLOSS
    atlas[rows:, :, :3] = _metal(generator, (lid, width))
    atlas[rows:, :, 3] = METAL_GLOSS
    total = rows + lid
    wrap = (0.0, 1.0 / total, 1.0, (rows - 1.0) / total)
    metal = (4 / width, (rows + 4) / total, (lid - 4) / width, (total - 4) / total)
    return atlas, wrap, metal


def _metal(generator: np.random.Generator, shape: tuple[int, int]) -> Pixels:
    """Tinplate with the concentric beads of a lid, repeated along the width."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    middle = shape[0] / 2
    distance = np.hypot(rows - middle, np.mod(columns, shape[0]) - middle) / middle
    bead = 0.09 * np.sin(distance * 70) * ((distance > 0.55) & (distance < 0.9))
    brushed = 0.02 * generator.standard_normal(shape).astype(np.float32)
    value = 0.74 + bead + brushed
    tint = np.array([1.0, 0.985, 0.955], np.float32)
    return np.asarray(np.clip(value[..., None] * tint, 0, 1) * 255).astype(np.uint8)
