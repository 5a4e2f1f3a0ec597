"""`propose_boxes`: object boxes and the upright world of a scene, from a field and photographs.

propose_boxes --data kitchen --field field/field.npz --output kitchen/scene.yaml
propose_boxes --data kitchen --field field/field.npz --output kitchen/scene.yaml \\
    --boxes mug:0.3:-0.1:0.05:0.08:0.08:0.1:0

Without `boxes` it proposes what stands on the dominant plane. Either way boxes.png beside the
scene file shows the scene with a grid of its coordinates, to check and to read boxes from.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.command_line import run
from fast_inerf_ros.config import option, section
from fast_inerf_ros.datasets.bounds import focus_point
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.checkpoint import load_field
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.similarity import Similarity
from fast_inerf_ros.io.atomic import atomic_path
from fast_inerf_ros.io.scene import FieldReference, Scene, SceneObject, load_scene, save_scene
from fast_inerf_ros.scene_building.box_picture import scene_picture
from fast_inerf_ros.scene_building.box_proposals import ProposalOptions, propose
from fast_inerf_ros.scene_building.given_boxes import given_box, numbered
from fast_inerf_ros.scene_building.paths import written_path
from fast_inerf_ros.scene_building.placed_field import PlacedField, in_world_of
from fast_inerf_ros.scene_building.point_cloud import PointCloud, confirmed, surface_points
from fast_inerf_ros.scene_building.support_plane import (
    Plane,
    dominant_plane,
    levelled,
    up_direction,
)

Floats = npt.NDArray[np.float64]

PICTURE = "boxes.png"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProposeConfig:
    """Options of the command."""

    data: str = option(doc="Folder of the posed photographs that the field was trained on.")
    field: str = option(doc="Checkpoint of the field.")
    output: str = option(doc="Scene file to write, with boxes.png beside it.")
    scene: str | None = option(
        None, doc="Scene file to start from: its scale, frame and detector are kept."
    )
    boxes: tuple[str, ...] = option(
        (),
        doc="Boxes instead of proposals, each label:x:y:z:sx:sy:sz:yaw_deg: centre, edge lengths "
        "and turn about z, in the coordinates of the picture.",
    )
    up: tuple[float, ...] = option(
        (), doc="Which way is up, x,y,z in the world of the photographs, instead of guessing."
    )
    reach: float = option(
        0.9,
        doc="How far around the point that the cameras look at, in their distance from it.",
        minimum=0.05,
    )
    n_views: int = option(32, doc="Views of the field that are looked at.", minimum=2)
    width: int = option(160, doc="Width of these views.", unit="px", minimum=16)
    frame_id: str = option("map", doc="ROS name of the world frame, for new scene files.")
    seed: int = option(0, doc="Seed of everything random.", minimum=0)
    overwrite: bool = option(False, doc="Replace a scene file.")
    dataset: DatasetOptions = section(DatasetOptions)
    proposals: ProposalOptions = section(ProposalOptions)


@dataclass(frozen=True, eq=False)
class Surroundings:
    """A scene with z up. cloud: its points. plane: the dominant one. distance: of the cameras."""

    cloud: PointCloud
    plane: Plane
    distance: float
    T_level_world: SE3 = field(default_factory=SE3.identity)


def propose_boxes(config: ProposeConfig) -> Scene:
    """Write the scene file and the picture that a configuration asks for.

    Raises:
        InputError: photographs or a field that cannot be read, a scene file that exists, boxes
            that are none, or cameras that look nowhere in common.
    """
    output = Path(config.output)
    if output.exists() and not config.overwrite:
        raise InputError(f"{output}: exists: choose another --output or use --overwrite")
    given = [given_box(text) for text in config.boxes]
    start = _start(config, output.resolve().parent)
    assert start.field is not None
    posed = in_world_of(start, load_dataset(config.data, config.dataset))
    place = Similarity(start.field.T_world_field, start.field.metres_per_unit)
    around = surroundings(PlacedField(load_field(config.field), place), posed, config)
    up = np.array([0.0, 0.0, 1.0])
    found = propose(around.cloud, around.plane, up, around.distance, config.proposals)
    objects = numbered(given) if given else found
    level = Similarity(around.T_level_world) @ place
    scene = Scene(
        start.frame_id,
        start.metric,
        FieldReference(start.field.checkpoint, level.scale, level.transform),
        objects,
        start.detector,
        description=start.description,
    )
    save_scene(scene, output)
    write_scene_picture(output.with_name(PICTURE), around.cloud, objects)
    _tell(objects, output)
    return scene


def surroundings(placed: PlacedField, posed: PosedImages, config: ProposeConfig) -> Surroundings:
    """The part of a scene that its cameras look at, in a world whose z axis points up.

    The origin is where they look; on the plane, if that is one to stand on.
    """
    focus = focus_point(posed.T_world_camera)
    if focus is None:
        raise InputError(
            f"{posed.name}: expected cameras that look at one place, got parallel ones: "
            "give boxes by hand in an editor"
        )
    cameras = np.asarray(posed.T_world_camera.translation, dtype=np.float64)
    distance = float(np.median(np.linalg.norm(cameras - focus, axis=-1)))
    cloud = surface_points(placed, posed, config.n_views, config.width)
    near = np.linalg.norm(cloud.points - focus, axis=-1) < config.reach * distance
    cell = max(config.proposals.cell * distance, 2 * placed.softness)
    cloud = confirmed(cloud[near], cell, config.proposals.least_views)
    generator = np.random.default_rng(config.seed)
    tolerance = max(config.proposals.tolerance * distance, placed.softness)
    plane = dominant_plane(cloud.points, cameras.mean(axis=0), tolerance, generator)
    up = up_direction(plane, posed.T_world_camera, config.up)
    origin = focus - plane.heights(focus[None])[0] * plane.normal if up is plane.normal else focus
    T_level_world = levelled(up, origin)
    normal = np.asarray(T_level_world.rotation @ plane.normal)
    offset = plane.offset + float(normal @ np.asarray(T_level_world.translation))
    return Surroundings(cloud.moved(T_level_world), Plane(normal, offset), distance, T_level_world)


def _start(config: ProposeConfig, folder: Path) -> Scene:
    """The scene to start from, with the field of the configuration."""
    frame = load_field(config.field).frame
    scene = Scene(config.frame_id, metric=frame.metric)
    reference = FieldReference(
        written_path(config.field, folder), frame.metres_per_unit, frame.T_world_field
    )
    if config.scene is not None:
        scene = load_scene(config.scene)
        if scene.field is not None:
            reference = FieldReference(
                reference.checkpoint, scene.field.metres_per_unit, scene.field.T_world_field
            )
    return Scene(
        scene.frame_id, scene.metric, reference, (), scene.detector, description=scene.description
    )


def write_scene_picture(path: Path, cloud: PointCloud, objects: Sequence[SceneObject]) -> None:
    """Write the picture of a scene with its boxes as PNG; InputError where that fails."""
    picture = scene_picture(cloud, objects)
    with atomic_path(path) as temporary:
        if not cv2.imwrite(str(temporary), picture[..., ::-1]):
            raise InputError(f"{path}: cannot be written: is the disk full?")


def _tell(objects: Sequence[SceneObject], output: Path) -> None:
    for item in objects:
        x, y, z = np.asarray(item.T_world_object.translation)
        size = " x ".join(f"{length:.3g}" for length in item.extent)
        logger.info("%s at %.3g, %.3g, %.3g: %s", item.label, x, y, z, size)
    logger.info("wrote %d objects to %s; look at %s", len(objects), output, PICTURE)


def write_proposals(config: ProposeConfig) -> None:
    """Run the command's work; raises as `propose_boxes`."""
    propose_boxes(config)


def main() -> int:
    """Run the command."""
    return run(
        ProposeConfig,
        write_proposals,
        prog="propose_boxes",
        description="Propose object boxes of a scene, and find out which way is up.",
    )


if __name__ == "__main__":
    sys.exit(main())
