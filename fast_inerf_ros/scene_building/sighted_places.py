"""Places of objects, and the scale of the photographs, from where cameras saw the objects.

A sighting says where an object's origin is from the camera, in metres: v, in world axes. The
camera's centre c is known in units of the photographs. With s metres a unit,

    X = s c + v

for every sighting of the object at X (metres): linear in X and s. Directions are far surer than
distances, which a covariance for each sighting says. Outliers lose their influence
(Geman-McClure, iteratively reweighted).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.errors import InputError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

N_PAIRS = 3000
N_CANDIDATES = 256
N_ITERATIONS = 30
LEAST_BASELINE = 1e-9


@dataclass(frozen=True, eq=False)
class Sighted:
    """Sightings of objects, n of them.

    centre: (n, 3) of the cameras in units of the photographs. offset: (n, 3) from camera to
    object in metres, axes of the world. covariance: (n, 3, 3) of that. label: (n,) class.
    """

    centre: Floats
    offset: Floats
    covariance: Floats
    label: Integers

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, rows: npt.NDArray[np.generic]) -> Sighted:
        return Sighted(
            self.centre[rows], self.offset[rows], self.covariance[rows], self.label[rows]
        )

    def places(self, scale: float) -> Floats:
        """Where each sighting puts its object (n, 3), metres."""
        return np.asarray(scale * self.centre + self.offset)


@dataclass(frozen=True, eq=False)
class PlaceFit:
    """Places of m objects.

    place: (m, 3) metres. deviation: (m,) standard deviation of each, along its worst axis.
    scale: metres a unit. scale_deviation: its standard deviation, 0 where it was given.
    """

    place: Floats
    deviation: Floats
    scale: float
    scale_deviation: float


def fit_places(
    seen: Sighted, instance: Integers, scale: float, cut_off: float, *, with_scale: bool
) -> PlaceFit:
    """Refine places, and the scale where asked, from a first scale.

    instance: (n,) which object each sighting shows, 0 to m - 1, each at least once.
    """
    count = int(instance.max()) + 1
    information = _inverse(seen.covariance)
    place = np.stack([_middle(seen.places(scale)[instance == k]) for k in range(count)])
    found = scale
    for _ in range(N_ITERATIONS):
        squared, closeness = _judged(seen, place[instance], found, information)
        weight = closeness / (1 + squared / cut_off**2) ** 2
        full, right = _normal(seen, instance, information * weight[:, None, None], count)
        if not with_scale:
            right = right[:-1] - full[:-1, -1] * scale
        normal = full if with_scale else full[:-1, :-1]
        solution = np.linalg.lstsq(normal, right, rcond=None)[0]
        place = np.asarray(solution[: 3 * count].reshape(count, 3), dtype=np.float64)
        found = float(solution[-1]) if with_scale else scale
    covariance = np.linalg.pinv(normal)
    blocks = [covariance[3 * k : 3 * k + 3, 3 * k : 3 * k + 3] for k in range(count)]
    deviation = np.sqrt([np.linalg.eigvalsh(block)[-1] for block in blocks])
    spread = float(np.sqrt(covariance[-1, -1])) if with_scale else 0.0
    return PlaceFit(place, deviation, found, spread)


def _judged(
    seen: Sighted, place: Floats, scale: float, information: Floats
) -> tuple[Floats, Floats]:
    """Squared errors (n,) in deviations, and a factor (n,) of their information.

    Errors grow with distance. The distance that was measured would favour sightings that are
    too short, so that of the fit counts.
    """
    measured = np.linalg.norm(seen.offset, axis=-1)
    fitted = np.linalg.norm(place - scale * seen.centre, axis=-1)
    closeness = (measured / np.maximum(fitted, 1e-12)) ** 2
    return closeness * _squared(seen.places(scale) - place, information), closeness


def _normal(
    seen: Sighted, instance: Integers, information: Floats, count: int
) -> tuple[Floats, Floats]:
    """Normal equations of X - s c = v in (X_0, ..., X_m-1, s)."""
    size = 3 * count + 1
    normal, right = np.zeros((size, size)), np.zeros(size)
    for number in range(count):
        rows = instance == number
        block = slice(3 * number, 3 * number + 3)
        weight, centre = information[rows], seen.centre[rows]
        normal[block, block] = weight.sum(axis=0)
        normal[block, -1] = -np.einsum("nab,nb->a", weight, centre)
        right[block] = np.einsum("nab,nb->a", weight, seen.offset[rows])
    normal[-1, :-1] = normal[:-1, -1]
    normal[-1, -1] = np.einsum("na,nab,nb->", seen.centre, information, seen.centre)
    right[-1] = -np.einsum("na,nab,nb->", seen.centre, information, seen.offset)
    return normal, right


def first_scale(seen: Sighted, cut_off: float, generator: np.random.Generator) -> float:
    """Metres a unit that most pairs of sightings of one class agree on.

    Each pair that shows one object gives s = -<c_i - c_j, v_i - v_j> / |c_i - c_j|²; others are
    outliers. Of candidates from pairs the one with most agreeing pairs wins.

    Raises:
        InputError: no pair of sightings of one class from different places.
    """
    first, second = _pairs(seen, generator)
    across = seen.centre[first] - seen.centre[second]
    apart = seen.offset[first] - seen.offset[second]
    length = np.einsum("pa,pa->p", across, across)
    useful = length > max(LEAST_BASELINE, 0.05 * float(np.median(length)) if len(length) else 0.0)
    first, second, across, apart, length = (
        values[useful] for values in (first, second, across, apart, length)
    )
    ratio = -np.einsum("pa,pa->p", across, apart) / length if len(length) else np.zeros(0)
    candidates = ratio[np.isfinite(ratio) & (ratio > 0)][:N_CANDIDATES]
    if not len(candidates):
        raise InputError(
            "scale: expected one object seen from several places, got none: give photographs "
            "from all around, or photographs in metres"
        )
    information = _inverse(seen.covariance[first] + seen.covariance[second])
    agreeing = [
        float((1 / (1 + _squared(s * across + apart, information) / cut_off**2)).sum())
        for s in candidates
    ]
    return float(candidates[int(np.argmax(agreeing))])


def _pairs(seen: Sighted, generator: np.random.Generator) -> tuple[Integers, Integers]:
    """Pairs of sightings of one class, in a random order."""
    first, second = np.triu_indices(len(seen), 1)
    same = seen.label[first] == seen.label[second]
    first, second = first[same], second[same]
    order = generator.permutation(len(first))[:N_PAIRS]
    return first[order], second[order]


def instances(
    seen: Sighted, scale: float, cut_off: float, least: int, n_photographs: Integers
) -> Integers:
    """Which object each sighting shows (n,), counted over all classes; -1 for none.

    The place that most sightings of a class agree on is an object; its sightings leave, and the
    next is looked for, until fewer than `least` agree. n_photographs: (n,) number of the
    photograph of each sighting: one object is seen once in each.
    """
    found = np.full(len(seen), -1, dtype=np.int64)
    count = 0
    for label in np.unique(seen.label):
        rest = np.flatnonzero(seen.label == label)
        while len(rest) >= least:
            members = _cluster(seen[rest], scale, cut_off, n_photographs[rest])
            if len(members) < least:
                break
            found[rest[members]] = count
            count += 1
            rest = np.delete(rest, members)
    return found


def _cluster(seen: Sighted, scale: float, cut_off: float, photograph: Integers) -> Integers:
    """The sightings (k,) around the place where most agree, at most one of each photograph."""
    places = seen.places(scale)
    shift = places[:, None] - places[None]
    both = _inverse(seen.covariance[:, None] + seen.covariance[None])
    close = np.einsum("ija,ijab,ijb->ij", shift, both, shift) < cut_off**2
    start = int(np.argmax(close.sum(axis=1)))
    members = np.flatnonzero(close[start])
    fit = fit_places(seen[members], np.zeros(len(members), int), scale, cut_off, with_scale=False)
    squared, _ = _judged(seen, fit.place[0], scale, _inverse(seen.covariance))
    order = np.argsort(squared, kind="stable")
    order = order[squared[order] < cut_off**2]
    _, nearest = np.unique(photograph[order], return_index=True)
    return np.sort(order[nearest])


def _squared(residual: Floats, information: Floats) -> Floats:
    return np.asarray(np.einsum("na,nab,nb->n", residual, information, residual))


def _inverse(matrices: Floats) -> Floats:
    return np.asarray(np.linalg.inv(matrices), dtype=np.float64)


def _middle(points: Floats) -> Floats:
    return np.asarray(np.median(points, axis=0))
