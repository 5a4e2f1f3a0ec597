"""The objects of a scene, given or proposed, and the picture to read their places from."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np

from fast_inerf_ros.datasets.bounds import focus_point
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.io.scene import Scene, SceneObject
from fast_inerf_ros.scene_building.box_proposals import ProposalOptions, propose
from fast_inerf_ros.scene_building.given_boxes import given_box, numbered
from fast_inerf_ros.scene_building.placed_field import PlacedField, in_world_of
from fast_inerf_ros.scene_building.point_cloud import surface_points
from fast_inerf_ros.scene_building.propose_boxes import (
    ProposeConfig,
    surroundings,
    write_scene_picture,
)

BOXES_PICTURE = "boxes.png"
UP = (0.0, 0.0, 1.0)

logger = logging.getLogger(__name__)


def make_boxes(
    scene: Scene,
    posed: PosedImages,
    given: Sequence[str],
    proposed: bool,
    options: ProposalOptions,
    seed: int,
) -> tuple[SceneObject, ...]:
    """Objects in the world of a scene, z up; boxes.png beside its file shows them on a grid.

    given: boxes as text. proposed: whether what stands on the support plane becomes objects.

    Raises:
        InputError: boxes that are none, a field without surfaces, or cameras that look nowhere
            in common where boxes are to be proposed.
    """
    objects = numbered([given_box(text) for text in given])
    placed, posed = PlacedField.of_scene(scene), in_world_of(scene, posed)
    plan = ProposeConfig("", "", "", up=UP, proposals=options, seed=seed)
    if proposed or focus_point(posed.T_world_camera) is not None:
        around = surroundings(placed, posed, plan)
        back = around.T_level_world.inverse()
        cloud = around.cloud.moved(back)
        if proposed:
            found = propose(around.cloud, around.plane, np.array(UP), around.distance, options)
            objects = tuple(
                dataclasses.replace(item, T_world_object=back @ item.T_world_object)
                for item in found
            )
    else:  # cameras that face forward have no middle to look around in
        cloud = surface_points(placed, posed, plan.n_views, plan.width)
    for item in objects:
        logger.info("box: %s", flag_of(item))
    write_scene_picture(scene.resolve(BOXES_PICTURE), cloud, objects)
    return objects


def flag_of(item: SceneObject) -> str:
    """The option of ``build_scene`` that gives an upright box."""
    x, y, z = (float(value) for value in np.asarray(item.T_world_object.translation))
    ahead = np.asarray(item.T_world_object.rotation.matrix)[:, 0]
    yaw_deg = float(np.degrees(np.arctan2(ahead[1], ahead[0])))
    numbers = " ".join(f"{value:.4g}" for value in (x, y, z, *item.extent, yaw_deg))
    return f"--box {item.label} {numbers}"
