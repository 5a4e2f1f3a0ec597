"""Where a data set lies in the world of its scene: in metres if they are known, with z up."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.bounds import focus_point
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.similarity import Similarity
from fast_inerf_ros.scene_building.metric_scale import (
    fit_cameras,
    matched_positions,
    read_positions,
    scale_of_distance,
)
from fast_inerf_ros.scene_building.support_plane import dominant_plane, levelled, up_direction

Floats = npt.NDArray[np.float64]

TOLERANCE = 0.012
"""Roughness of a plane, in the distance of the cameras from the scene."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Placement:
    """p_scene = scene_from_world @ p_world, where the world is that of the data set.

    metric: whether the unit of the scene is the metre. notes: what was found, for people.
    """

    scene_from_world: Similarity
    metric: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlacementOptions:
    """What is known of scale and gravity; see the options of ``build_scene``.

    aruco: edge of printed markers in metres; ``scale`` takes its place when they are found.
    """

    distance: tuple[float, ...] = ()
    camera_positions: str = ""
    scale: float = 0.0
    aruco: float = 0.0
    up: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        sources = ("distance", "camera_positions", "scale", "aruco")
        given = [name for name in sources if getattr(self, name)]
        if len(given) > 1:
            raise InputError(f"expected one source of the scale, got {' and '.join(given)}")
        if self.camera_positions and self.up not in ((), ("keep",)):
            raise InputError(
                "up: expected nothing beside camera_positions, whose z axis is up, got "
                f"{' '.join(self.up)}; turn the positions instead"
            )
        if self.distance:
            scale_of_distance(self.distance)
        if self.up not in ((), ("auto",), ("keep",)):
            self.direction()

    def direction(self) -> tuple[float, ...]:
        """The three numbers of ``up``; InputError for anything else."""
        try:
            values = tuple(float(text) for text in self.up)
        except ValueError:
            values = ()
        if len(values) != 3 or not np.isfinite(values).all() or not np.any(values):
            raise InputError(f"up: expected auto, keep or X Y Z, got {' '.join(self.up)}")
        return values


def place(posed: PosedImages, points: Floats, options: PlacementOptions) -> Placement:
    """Where the scene of some photographs lies.

    points: (n, 3) on its surfaces, in the world of the data set, for ``up``; may be none.

    Without ``up`` the z axis of metric data sets and of camera positions counts as up, and
    elsewhere the support plane says it, where there is one.

    Raises:
        InputError: camera positions that do not fit, or no plane where one was asked for.
    """
    if options.camera_positions:
        return placed_by_cameras(posed, options)
    factor, metric, notes = 1.0, posed.frame.metric, []
    if options.scale or options.distance:
        factor = options.scale or scale_of_distance(options.distance)
        metric = True
        notes.append(f"scale: {factor:.6g} m for a unit of the data set")
    level, note = _level(posed, points, options)
    notes.append(note)
    # p = factor * (R p + t): the shift, too, is in units of the data set.
    shifted = SE3(level.rotation, factor * np.asarray(level.translation))
    return Placement(Similarity(shifted, factor), metric, tuple(notes))


def placed_by_cameras(posed: PosedImages, options: PlacementOptions) -> Placement:
    """Where known camera positions put a scene; InputError where they do not fit."""
    path = options.camera_positions
    indices, known = matched_positions(read_positions(path), posed.names)
    if len(indices) < 3:
        raise InputError(
            f"{path}: expected positions of three or more photographs of the data set, got "
            f"{len(indices)}: name files as {posed.names[0]}"
        )
    world = np.asarray(posed.T_world_camera.translation, dtype=np.float64)[indices]
    try:
        fit = fit_cameras(world, known, np.random.default_rng(options.seed))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    note = (
        f"camera positions: {fit.metric_from_world.scale:.6g} m for a unit of the data set, "
        f"{int(fit.agreeing.sum())} of {len(known)} agree, residual {fit.residual:.3g} m (rms)"
    )
    return Placement(fit.metric_from_world, True, (note,))


def _level(posed: PosedImages, points: Floats, options: PlacementOptions) -> tuple[SE3, str]:
    """T_level_world, without a scale, and what it was made from."""
    if options.up == ("keep",) or (not options.up and posed.frame.metric):
        return SE3.identity(), "up: the z axis of the data set"
    if options.up not in ((), ("auto",)):
        up = np.asarray(options.direction())
        return levelled(up / np.linalg.norm(up), np.zeros(3)), "up: as given"
    try:
        return level_of_points(points, posed.T_world_camera, options.seed)
    except InputError as error:
        if options.up:
            raise
        logger.warning("up is not known (%s): the z axis of the data set stays", error)
        return SE3.identity(), "up: not known, the z axis of the data set"


def level_of_points(points: Floats, T_world_camera: SE3, seed: int) -> tuple[SE3, str]:
    """T_level_world whose z axis is the normal of the plane that points (n, 3) stand on.

    The origin lies on that plane. Where it is a wall, z stays or becomes the cameras' upright.

    Raises:
        InputError: fewer than three points, or points on one line.
    """
    if len(points) < 3:
        raise InputError(f"plane: expected three or more points, got {len(points)}")
    cameras = np.asarray(T_world_camera.translation, dtype=np.float64)
    middle = np.median(points, axis=0)
    distance = float(np.median(np.linalg.norm(cameras - middle, axis=-1)))
    generator = np.random.default_rng(seed)
    plane = dominant_plane(points, cameras.mean(axis=0), TOLERANCE * distance, generator)
    up = up_direction(plane, T_world_camera, ())
    share = float(np.mean(np.abs(plane.heights(points)) < TOLERANCE * distance))
    if up @ np.array([0.0, 0.0, 1.0]) == 1.0 and up is not plane.normal:
        return SE3.identity(), "up: the z axis of the data set, as the cameras are held"
    if up is not plane.normal:
        focus = focus_point(T_world_camera)
        return levelled(up, middle if focus is None else focus), "up: as the cameras are held"
    origin = middle - plane.heights(middle[None])[0] * plane.normal
    return levelled(up, origin), f"up: normal of the plane that {share:.0%} of the points lie in"
