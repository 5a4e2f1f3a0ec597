"""Objects of a scene from detections in its posed photographs.

Every sighting says `T_world_camera @ T_camera_object`. Sightings of one class are told apart
into objects; each object's place is fitted robustly with the uncertainty of every sighting, its
rotation is the robust mean of the sightings turned by the object's symmetries to agree. Where
the photographs have no scale, the metric sightings give it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.config import option
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.averaging import average_poses
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.geometry.symmetry import Symmetry
from fast_inerf_ros.inerf.initialise import Sighting
from fast_inerf_ros.scene_building.sighted_places import (
    PlaceFit,
    Sighted,
    first_scale,
    fit_places,
    instances,
)

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SYMMETRY_STEP_DEG = 5.0
N_REFERENCES = 24
ROUNDS = 3


@dataclass(frozen=True)
class RegistrationConfig:
    """How sightings become objects."""

    min_score: float = option(
        0.3, doc="Sightings of less trust are left out.", minimum=0.0, maximum=1.0
    )
    min_sightings: int = option(5, doc="Photographs that must agree on an object.", minimum=2)
    min_share: float = option(
        0.25,
        doc="Share of the photographs in whose view an object lies that must agree on it.",
        minimum=0.0,
        maximum=1.0,
    )
    centre_deviation_px: float = option(
        3.0, doc="Least standard deviation of a centre.", unit="px", minimum=0.01
    )
    log_depth_deviation: float = option(
        0.04, doc="Least standard deviation of the logarithm of depth.", minimum=1e-4
    )
    rotation_scale_deg: float = option(
        15.0, doc="Angle up to which rotations agree.", unit="deg", minimum=0.1
    )
    cut_off: float = option(
        3.0, doc="Standard deviations beyond which a sighting is an outlier.", minimum=0.5
    )


@dataclass(frozen=True, eq=False)
class SeenPhotograph:
    """A posed photograph and what a detector saw in it.

    T_world_camera: in units of the photographs.
    """

    camera: Camera
    T_world_camera: SE3
    sightings: tuple[Sighting, ...]


@dataclass(frozen=True)
class RegisteredObject:
    """An object that photographs agree on.

    T_world_object: metres. n_photographs: that saw it and agree on its place; n_rotations: of
    these, agree on its rotation. place_deviation: standard deviation of its place, metres.
    place_error, rotation_error_deg, error_px: medians over the sightings that agree.
    """

    label: str
    T_world_object: SE3
    n_photographs: int
    n_rotations: int
    place_deviation: float
    place_error: float
    rotation_error_deg: float
    error_px: float


@dataclass(frozen=True)
class Registration:
    """What registration found.

    metres_per_unit: of the photographs, 1 where they are in metres already. scale_deviation:
    its standard deviation. n_sightings: that were trusted; n_used: that agree with an object.
    """

    objects: tuple[RegisteredObject, ...]
    metres_per_unit: float
    scale_deviation: float
    n_sightings: int
    n_used: int


@dataclass(frozen=True, eq=False)
class _Flat:
    """Sightings of all photographs in one row, with their photograph's number (n,)."""

    items: tuple[Sighting, ...]
    photograph: Integers
    seen: Sighted
    labels: tuple[str, ...]


def register(
    photographs: Sequence[SeenPhotograph],
    symmetries: Mapping[str, Symmetry],
    *,
    metric: bool,
    config: RegistrationConfig | None = None,
    seed: int = 0,
) -> Registration:
    """Objects that stand still, from sightings of them; none where no photographs agree.

    symmetries: of the classes; those that are not listed look different from everywhere.
    metric: whether the photographs' poses are in metres; else the sightings give the scale.

    Raises:
        InputError: sightings with numbers that are not finite, or too few of them to say the
            scale.
    """
    config = config or RegistrationConfig()
    flat = _flattened(photographs, config)
    if not flat.items:
        return Registration((), 1.0, 0.0, 0, 0)
    generator = np.random.default_rng(seed)
    scale = 1.0 if metric else first_scale(flat.seen, config.cut_off, generator)
    fit = None
    for _ in range(1 if metric else ROUNDS):
        instance = _told_apart(flat, photographs, scale, config)
        used = instance >= 0
        if not used.any():
            return Registration((), scale, 0.0, len(flat.items), 0)
        seen = flat.seen[used]
        fit = fit_places(seen, instance[used], scale, config.cut_off, with_scale=not metric)
        scale = fit.scale
    assert fit is not None
    return _registered(flat, photographs, fit, instance, symmetries, config)


def _told_apart(
    flat: _Flat, photographs: Sequence[SeenPhotograph], scale: float, config: RegistrationConfig
) -> Integers:
    """Which object each sighting shows (n,), -1 for none, without chance agreements."""
    instance = instances(flat.seen, scale, config.cut_off, config.min_sightings, flat.photograph)
    kept = 0
    for number in range(int(instance.max(initial=-1)) + 1):
        rows = np.flatnonzero(instance == number)
        place = np.median(flat.seen[rows].places(scale), axis=0)
        in_view = sum(_in_view(taken, scale, place) for taken in photographs)
        enough = len(rows) >= config.min_share * in_view
        instance[rows] = kept if enough else -1
        kept += enough
    return instance


def _in_view(taken: SeenPhotograph, scale: float, place: Floats) -> bool:
    pixel = taken.camera.project(_metric_pose(taken, scale).inverse() @ place)
    return bool(np.isfinite(pixel).all() and taken.camera.contains(pixel))


def _metric_pose(taken: SeenPhotograph, scale: float) -> SE3:
    pose = taken.T_world_camera
    return SE3(pose.rotation, scale * np.asarray(pose.translation))


def _registered(
    flat: _Flat,
    photographs: Sequence[SeenPhotograph],
    fit: PlaceFit,
    instance: Integers,
    symmetries: Mapping[str, Symmetry],
    config: RegistrationConfig,
) -> Registration:
    objects = []
    for number in range(len(fit.place)):
        rows = np.flatnonzero(instance == number)
        found = _object(flat, photographs, fit, number, rows, symmetries, config)
        if found is not None:
            objects.append(found)
    return Registration(
        tuple(objects), fit.scale, fit.scale_deviation, len(flat.items), int((instance >= 0).sum())
    )


def _object(
    flat: _Flat,
    photographs: Sequence[SeenPhotograph],
    fit: PlaceFit,
    number: int,
    rows: Integers,
    symmetries: Mapping[str, Symmetry],
    config: RegistrationConfig,
) -> RegisteredObject | None:
    """The object that some sightings show; None where none of them knows its rotation."""
    label = flat.items[rows[0]].label
    place = fit.place[number]
    turned = [row for row in rows if np.isfinite(flat.items[row].rotation_deviation)]
    if not turned:
        return None
    rotations = SO3.stack(
        [
            photographs[flat.photograph[row]].T_world_camera.rotation
            @ flat.items[row].T_camera_object.rotation
            for row in turned
        ]
    )
    aligned = _aligned(rotations, symmetries.get(label, Symmetry()), config)
    places = flat.seen[rows].places(fit.scale)
    trust = np.array([flat.items[row].score for row in turned])
    known = flat.seen[np.array(turned)].places(fit.scale)
    mean = average_poses(
        SE3(aligned, known),
        rotation_scale=np.radians(config.rotation_scale_deg),
        translation_scale=max(float(np.linalg.norm(known - place, axis=-1).max()), 1e-6),
        weights=np.maximum(trust, 1e-3),
    )
    turn = np.degrees((mean.pose.rotation.inverse() @ aligned).angle())
    agree = turn <= config.rotation_scale_deg
    return RegisteredObject(
        label=label,
        T_world_object=SE3(mean.pose.rotation, place),
        n_photographs=len(rows),
        n_rotations=int(agree.sum()),
        place_deviation=float(fit.deviation[number]),
        place_error=float(np.median(np.linalg.norm(places - place, axis=-1))),
        rotation_error_deg=float(np.median(turn[agree])) if agree.any() else float("nan"),
        error_px=_error_px(flat, photographs, fit.scale, rows, place),
    )


def _aligned(rotations: SO3, symmetry: Symmetry, config: RegistrationConfig) -> SO3:
    """The rotations (n,), each turned by the symmetry that brings it nearest to the others."""
    turns = symmetry.transforms(np.radians(SYMMETRY_STEP_DEG)).rotation
    every = np.asarray((rotations[:, None] @ turns[None]).matrix)
    count = len(every)
    references = np.unique(np.linspace(0, count - 1, N_REFERENCES).round().astype(int))
    matrix = np.asarray(rotations.matrix)
    trace = np.einsum("rab,nsab->rns", matrix[references], every)
    angle = np.arccos(np.clip((trace.max(axis=-1) - 1) / 2, -1.0, 1.0))
    squared = (angle / np.radians(config.rotation_scale_deg)) ** 2
    best = int(references[int(np.argmin((squared / (1 + squared)).sum(axis=-1)))])
    nearest = np.einsum("ab,nsab->ns", matrix[best], every).argmax(axis=-1)
    return SO3(every[np.arange(count), nearest])


def _error_px(
    flat: _Flat,
    photographs: Sequence[SeenPhotograph],
    scale: float,
    rows: Integers,
    place: Floats,
) -> float:
    """Median distance in pixels of the place's image from the centres that were seen."""
    errors = []
    for row in rows:
        taken = photographs[flat.photograph[row]]
        T_camera_world = _metric_pose(taken, scale).inverse()
        pixel = np.asarray(taken.camera.project(T_camera_world @ place))
        errors.append(float(np.linalg.norm(pixel - flat.items[row].centre_px)))
    return float(np.nanmedian(errors))


def _flattened(photographs: Sequence[SeenPhotograph], config: RegistrationConfig) -> _Flat:
    items, numbers, columns = [], [], []
    for number, taken in enumerate(photographs):
        for item in taken.sightings:
            measured = _measured(taken, item, config)
            if item.score >= config.min_score and measured is not None:
                items.append(item)
                numbers.append(number)
                columns.append((np.asarray(taken.T_world_camera.translation), *measured))
    labels = tuple(dict.fromkeys(item.label for item in items))
    centre, offset, covariance = (
        [np.stack(column) for column in zip(*columns, strict=True)]
        if columns
        else [np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3, 3))]
    )
    label = np.array([labels.index(item.label) for item in items], dtype=np.int64)
    seen = Sighted(centre, offset, covariance, label)
    return _Flat(tuple(items), np.array(numbers, dtype=np.int64), seen, labels)


def _measured(
    taken: SeenPhotograph, item: Sighting, config: RegistrationConfig
) -> tuple[Floats, Floats] | None:
    """Way (3,) from camera to object in world axes, metres, with covariance (3, 3).

    None where the lens has no bearing for the centre. Raises InputError for numbers that are
    not finite and depths that are not positive.
    """
    numbers = (*item.centre_px, item.depth, item.log_depth_deviation)
    if not np.isfinite(numbers).all() or item.depth <= 0:
        raise InputError("expected sightings with finite numbers and depth > 0: drop the others")
    point = np.asarray(taken.camera.unproject(np.asarray(item.centre_px), np.array(item.depth)))
    if not np.isfinite(point).all():
        return None
    rotation = np.asarray(taken.T_world_camera.rotation.matrix)
    variance_px = np.trace(item.centre_covariance_px) / 2 + config.centre_deviation_px**2
    across = np.sqrt(variance_px) * item.depth / min(taken.camera.fx, taken.camera.fy)
    along = np.hypot(item.log_depth_deviation, config.log_depth_deviation)
    direction = rotation @ point
    line = np.outer(direction, direction) / (direction @ direction)
    covariance = along**2 * np.outer(direction, direction) + across**2 * (np.eye(3) - line)
    return direction, covariance
