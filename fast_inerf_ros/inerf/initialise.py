"""Where the camera is, from the objects that it sees: hypotheses and their consensus.

Every sighting with a rotation proposes poses, one for each symmetry of its object; every three
sightings propose one from their places alone. All are scored against all sightings, the best
are refined jointly, and what is left of them is ranked. One object is enough; then several
poses may remain, which only the image itself can tell apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.config import option
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.geometry.symmetry import Symmetry
from fast_inerf_ros.geometry.umeyama import umeyama
from fast_inerf_ros.inerf.object_fit import (
    Fit,
    Floats,
    KnownObjects,
    Sightings,
    evaluate,
    fit_poses,
    match,
)
from fast_inerf_ros.io.scene import SceneObject

MAX_TRIPLES = 120
MAX_PROPOSALS = 1024
SYMMETRY_STEP_DEG = 15.0


class Sighting(Protocol):
    """An object in an image: `posecnn.detection.Detection` is one."""

    @property
    def label(self) -> str:
        """Name of its class."""

    @property
    def score(self) -> float:
        """Trust in it, 0 to 1."""

    @property
    def centre_px(self) -> Floats:
        """Where its origin is seen (2,), maybe outside of the image."""

    @property
    def centre_covariance_px(self) -> Floats:
        """Covariance (2, 2) of that."""

    @property
    def depth(self) -> float:
        """Depth of its origin along the optical axis, metres."""

    @property
    def log_depth_deviation(self) -> float:
        """Standard deviation of the logarithm of depth."""

    @property
    def T_camera_object(self) -> SE3:
        """Its pose, of which only the rotation is used."""

    @property
    def rotation_deviation(self) -> float:
        """Standard deviation of the rotation in radians, infinite where it is not known."""


@dataclass(frozen=True)
class InitialPoseConfig:
    """How camera poses are made of objects."""

    centre_deviation_px: float = option(
        3.0, doc="Least standard deviation of a centre.", unit="px", minimum=0.01
    )
    log_depth_deviation: float = option(
        0.04, doc="Least standard deviation of the logarithm of depth.", minimum=1e-4
    )
    rotation_deviation_deg: float = option(
        10.0, doc="Least standard deviation of a rotation.", unit="deg", minimum=0.1
    )
    cut_off: float = option(
        3.0, doc="Standard deviations beyond which a sighting is an outlier.", minimum=0.5
    )
    n_refined: int = option(16, doc="Proposals that are refined.", minimum=1, maximum=256)
    max_hypotheses: int = option(8, doc="Poses that are returned.", minimum=1)
    distinct_angle_deg: float = option(
        5.0,
        doc="Poses that differ by less, and by less than distinct_distance, are one.",
        unit="deg",
        minimum=0.0,
    )
    distinct_distance: float = option(0.05, doc="See distinct_angle_deg.", unit="m", minimum=0.0)


@dataclass(frozen=True, eq=False)
class PoseHypothesis:
    """A camera pose that sightings of objects speak for.

    covariance: (6, 6) of body twists, `T_world_camera @ exp(x)`, translation first.
    weight: share of all hypotheses' likelihood, so that ambiguous ones have similar weights.
    cost: robust sum of squared residuals in standard deviations. error_px: root mean square
        reprojection error of the inliers.
    matches: pairs of sighting and scene object, by their indices, of the inliers.
    """

    T_world_camera: SE3
    covariance: Floats
    weight: float
    cost: float
    error_px: float
    matches: tuple[tuple[int, int], ...]


def poses_from_objects(
    sightings: Sequence[Sighting],
    objects: Sequence[SceneObject],
    camera: Camera,
    config: InitialPoseConfig | None = None,
) -> tuple[PoseHypothesis, ...]:
    """Camera poses, the best first; empty where no known object is seen, or too little of them.

    Sightings of labels that the scene does not have are ignored.

    Raises:
        InputError: a sighting with numbers that are not finite, or a depth that is not positive.
    """
    config = InitialPoseConfig() if config is None else config
    labels = {item.label: number for number, item in enumerate(objects)}
    usable = [index for index, item in enumerate(sightings) if item.label in labels]
    if not usable:
        return ()
    chosen = [sightings[index] for index in usable]
    seen = _measured(chosen, labels, config)
    known = _known(objects, labels)
    proposals = _proposals(chosen, seen, objects, known, camera)
    if proposals is None:
        return ()
    start = _best(proposals, seen, known, camera, config)
    fit = fit_poses(start, seen, known, camera, cut_off=config.cut_off)
    return _hypotheses(fit, seen, known, camera, config, usable)


def _measured(
    sightings: Sequence[Sighting], labels: dict[str, int], config: InitialPoseConfig
) -> Sightings:
    centre = np.array([item.centre_px for item in sightings], dtype=np.float64)
    covariance = np.array([item.centre_covariance_px for item in sightings], dtype=np.float64)
    depth = np.array([item.depth for item in sightings], dtype=np.float64)
    rotation = np.stack([np.asarray(item.T_camera_object.rotation.matrix) for item in sightings])
    spread = np.array([item.log_depth_deviation for item in sightings], dtype=np.float64)
    finite = all(np.isfinite(values).all() for values in (centre, covariance, depth, rotation))
    if not finite or not (depth > 0).all():
        raise InputError("expected sightings with finite numbers and depth > 0: drop the others")
    floor = config.centre_deviation_px**2 * np.eye(2)
    turn = np.array([item.rotation_deviation for item in sightings], dtype=np.float64)
    return Sightings(
        label=np.array([labels[item.label] for item in sightings], dtype=np.int64),
        trust=np.clip([item.score for item in sightings], 0.05, 1.0),
        centre=centre,
        whitening=np.linalg.inv(np.linalg.cholesky(covariance + floor)),
        log_depth=np.log(depth),
        log_depth_deviation=np.hypot(spread, config.log_depth_deviation),
        rotation=rotation,
        rotation_deviation=np.hypot(turn, np.radians(config.rotation_deviation_deg)),
    )


def _known(objects: Sequence[SceneObject], labels: dict[str, int]) -> KnownObjects:
    turns = [_equivalents(item) for item in objects]
    most = max(len(item) for item in turns)
    padded = [np.concatenate([t, np.repeat(t[:1], most - len(t), axis=0)]) for t in turns]
    return KnownObjects(
        label=np.array([labels[item.label] for item in objects], dtype=np.int64),
        origin=np.array([item.T_world_object.translation for item in objects]),
        rotation=np.stack(padded),
        seen_turn=np.stack([_seen_turn(item.symmetry) for item in objects]),
    )


def _equivalents(item: SceneObject) -> Floats:
    """Rotations (S, 3, 3) in the world after which the object looks the same."""
    symmetries = item.symmetry.transforms(np.radians(SYMMETRY_STEP_DEG))
    turned = np.asarray(item.T_world_object.rotation.matrix) @ symmetries.rotation.matrix
    return np.asarray(turned, dtype=np.float64)


def _seen_turn(symmetry: Symmetry) -> Floats:
    """What remains of a rotation vector when turns about axes of symmetry are not seen."""
    visible = np.eye(3)
    for axis in symmetry.axes:
        direction = np.array(axis.axis) / np.linalg.norm(axis.axis)
        visible = visible @ (np.eye(3) - np.outer(direction, direction))
    return visible


def _proposals(
    sightings: Sequence[Sighting],
    seen: Sightings,
    objects: Sequence[SceneObject],
    known: KnownObjects,
    camera: Camera,
) -> SE3 | None:
    """Poses T_camera_world (K,) to try, or None where nothing proposes any."""
    bearing = np.asarray(camera.normalise(seen.centre))
    depth = np.exp(seen.log_depth)
    points = np.concatenate([bearing * depth[:, None], depth[:, None]], axis=-1)
    rotations: list[Floats] = []
    shifts: list[Floats] = []
    for index, item in enumerate(sightings):
        if not np.isfinite(item.rotation_deviation) or not np.isfinite(points[index]).all():
            continue
        for number in np.flatnonzero(known.label == seen.label[index]):
            # R_camera_object = R_camera_world R_world_object for each equivalent rotation.
            turn = seen.rotation[index] @ np.swapaxes(known.rotation[number], -1, -2)
            turn = np.unique(np.round(turn, 12), axis=0)
            rotations.append(turn)
            shifts.append(points[index] - turn @ known.origin[number])
    for pose in _from_triples(points, seen, known):
        rotations.append(np.asarray(pose.rotation.matrix)[None])
        shifts.append(np.asarray(pose.translation)[None])
    if not rotations:
        return None
    rotation, shift = np.concatenate(rotations), np.concatenate(shifts)
    stride = -(-len(rotation) // MAX_PROPOSALS)
    return SE3(SO3.nearest(rotation[::stride]), shift[::stride])


def _from_triples(points: Floats, seen: Sightings, known: KnownObjects) -> list[SE3]:
    """Poses T_camera_world from the places of three sightings at a time, the surest first."""
    pairs = [
        (index, int(number))
        for index in np.argsort(-seen.trust)
        if np.isfinite(points[index]).all()
        for number in np.flatnonzero(known.label == seen.label[index])
    ]
    poses: list[SE3] = []
    for triple in itertools.islice(itertools.combinations(pairs, 3), 20 * MAX_TRIPLES):
        sighting, number = (list(column) for column in zip(*triple, strict=True))
        if len(set(sighting)) < 3 or len(set(number)) < 3 or len(poses) >= MAX_TRIPLES:
            continue
        try:
            poses.append(
                umeyama(known.origin[number], points[sighting], with_scale=False).transform
            )
        except InputError:  # on one line: no unique pose
            continue
    return poses


def _best(
    proposals: SE3,
    seen: Sightings,
    known: KnownObjects,
    camera: Camera,
    config: InitialPoseConfig,
) -> SE3:
    """The proposals of least cost, no two of them alike."""
    # Wider than in the fit: proposals have the errors of single sightings in them.
    wide = 2 * config.cut_off
    matched = match(proposals, seen, known, camera, wide)
    cost = evaluate(proposals, matched, seen, known, camera, wide).cost
    order = np.argsort(cost, kind="stable")
    kept = _distinct(proposals, order, config, config.n_refined)
    return proposals[np.array(kept)]


def _distinct(
    poses: SE3, order: npt.NDArray[np.int64], config: InitialPoseConfig, most: int
) -> list[int]:
    """Indices in `order` of poses that differ from all before them."""
    rotation = np.asarray(poses.rotation.matrix)
    centre = np.asarray(poses.inverse().translation)
    least = np.cos(np.radians(config.distinct_angle_deg))
    kept: list[int] = []
    for index in order:
        trace = np.einsum("kab,ab->k", rotation[kept], rotation[index]) if kept else np.zeros(0)
        near = np.linalg.norm(centre[kept] - centre[index], axis=-1) if kept else np.zeros(0)
        if not (((trace - 1) / 2 >= least) & (near <= config.distinct_distance)).any():
            kept.append(int(index))
        if len(kept) == most:
            break
    return kept


def _hypotheses(
    fit: Fit,
    seen: Sightings,
    known: KnownObjects,
    camera: Camera,
    config: InitialPoseConfig,
    usable: Sequence[int],
) -> tuple[PoseHypothesis, ...]:
    order = np.argsort(fit.cost, kind="stable")
    order = order[(fit.place_squared[order] < config.cut_off**2).any(axis=-1)]
    kept = _distinct(fit.pose, order, config, config.max_hypotheses)
    if not kept:
        return ()
    likelihood = np.exp(-0.5 * (fit.cost[kept] - fit.cost[kept[0]]))
    T_world_camera = fit.pose.inverse()
    return tuple(
        PoseHypothesis(
            T_world_camera=T_world_camera[index],
            covariance=np.linalg.inv(fit.information[index]),
            weight=float(share / likelihood.sum()),
            cost=float(fit.cost[index]),
            error_px=_error_px(fit, index, seen, known, camera, config),
            matches=tuple(
                (usable[int(sighting)], int(fit.match[index, sighting]))
                for sighting in np.flatnonzero(fit.place_squared[index] < config.cut_off**2)
            ),
        )
        for index, share in zip(kept, likelihood, strict=True)
    )


def _error_px(
    fit: Fit,
    index: int,
    seen: Sightings,
    known: KnownObjects,
    camera: Camera,
    config: InitialPoseConfig,
) -> float:
    inliers = fit.place_squared[index] < config.cut_off**2
    points = fit.pose[index] @ known.origin[fit.match[index, inliers]]
    error = np.asarray(camera.project(points)) - seen.centre[inliers]
    return float(np.sqrt((error * error).sum(axis=-1).mean()))
