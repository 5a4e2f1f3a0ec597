"""How long the unit of a data set is in metres: from a distance, camera positions, or as given."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.similarity import Similarity
from fast_inerf_ros.geometry.umeyama import umeyama

Floats = npt.NDArray[np.float64]

N_TRIALS = 500
DEVIATIONS = 2.5
MAD_TO_DEVIATION = 1.4826
EXACT = 1e-9
"""Residuals below this share of the cameras' spread are rounding, not noise."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class CameraFit:
    """Where known camera positions put a data set.

    metric_from_world: p_metric = metric_from_world @ p_world. residuals: (n,) in metres, of all
    positions. agreeing: (n,) which of them were used.
    """

    metric_from_world: Similarity
    residuals: Floats
    agreeing: npt.NDArray[np.bool_]

    @property
    def residual(self) -> float:
        """Root mean square in metres of those that agree."""
        return float(np.sqrt(np.mean(self.residuals[self.agreeing] ** 2)))


def scale_of_distance(values: Sequence[float]) -> float:
    """Metres per unit, of two points (3 + 3) in the data set and their true distance in metres.

    Raises:
        InputError: not seven numbers, points in one place, or a distance that is not positive.
    """
    if len(values) != 7:
        raise InputError(
            f"distance: expected AX AY AZ BX BY BZ METRES, got {len(values)} numbers: give two "
            "points in the coordinates of the data set and their distance in metres"
        )
    between = float(np.linalg.norm(np.subtract(values[3:6], values[:3])))
    if not (np.isfinite(values).all() and between > 0 and values[6] > 0):
        raise InputError(
            f"distance: expected two points apart and a distance above 0, got {between:.6g} "
            f"units and {values[6]:.6g} m: measure something longer"
        )
    return values[6] / between


def fit_cameras(world: Floats, metric: Floats, generator: np.random.Generator) -> CameraFit:
    """The similarity that brings camera positions (n, 3) onto known ones (n, 3), in metres.

    Least median of squares over triples (Rousseeuw and Leroy, "Robust regression and outlier
    detection", 1987), then least squares over the positions within 2.5 deviations: up to half of
    the positions may be wrong.

    Raises:
        InputError: fewer than three positions, or positions on one line.
    """
    fit = umeyama(world, metric)
    best = _residuals(fit, world, metric)
    for triple in _triples(len(world), generator):
        try:
            found = umeyama(world[triple], metric[triple])
        except InputError:  # three on one line
            continue
        residuals = _residuals(found, world, metric)
        if np.median(residuals) < np.median(best):
            fit, best = found, residuals
    limit = _limit(best, metric)
    for _ in range(5):
        agreeing = best <= limit
        try:
            fit = umeyama(world[agreeing], metric[agreeing])
        except InputError:
            raise InputError(
                "camera positions: expected three or more that agree and span a plane, got "
                f"{int(agreeing.sum())} of {len(world)} that agree: check names and units"
            ) from None
        best = _residuals(fit, world, metric)
    return CameraFit(fit, best, best <= limit)


def read_positions(path: str | Path) -> dict[str, Floats]:
    """Positions (3,) in metres by file name, of a CSV with the columns file name, x, y, z.

    A first line that holds no numbers is a heading.

    Raises:
        InputError: no such file, a line of another form, a name that comes twice.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file) if row and not row[0].startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a CSV of camera positions, got {error}") from None
    found: dict[str, Floats] = {}
    for number, row in enumerate(rows, start=1):
        try:
            position = np.array([float(value) for value in row[1:]])
        except ValueError:
            position = np.zeros(0)
        if number == 1 and not len(position):
            continue
        if position.shape != (3,) or not np.isfinite(position).all():
            raise InputError(
                f"{path}: row {number}: expected file name,x,y,z with metres, got {','.join(row)}"
            )
        if row[0].strip() in found:
            raise InputError(f"{path}: row {number}: {row[0].strip()} comes twice: drop one")
        found[row[0].strip()] = position
    return found


def matched_positions(
    positions: Mapping[str, Floats], names: Sequence[str]
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Indices (m,) of photographs and their known positions (m, 3).

    Names match as a whole, without their folders, or without folders and suffix, as long as that
    says which photograph is meant. Positions of no photograph are left out.
    """
    forms = [_forms(name) for name in names]
    counts = Counter(form for own in forms for form in own)
    index_of = {form: i for i, own in enumerate(forms) for form in own if counts[form] == 1}
    found: dict[int, Floats] = {}
    for name, position in positions.items():
        index = next((index_of[form] for form in _forms(name) if form in index_of), None)
        if index is not None:
            found[index] = position
    if len(found) < len(positions):
        logger.warning(
            "%d of %d camera positions are of photographs of the data set",
            len(found), len(positions),
        )  # fmt: skip
    return np.array(list(found), dtype=np.int64), np.array(list(found.values())).reshape(-1, 3)


def _forms(name: str) -> tuple[str, ...]:
    path = PurePosixPath(name)
    return tuple(dict.fromkeys((str(path), path.name, path.stem)))


def _triples(n: int, generator: np.random.Generator) -> Floats:
    """Indices (k, 3) of three different points."""
    order = generator.random((N_TRIALS, n)).argsort(axis=1)
    return np.asarray(order[:, :3])


def _residuals(fit: Similarity, world: Floats, metric: Floats) -> Floats:
    return np.asarray(np.linalg.norm(np.asarray(fit @ world) - metric, axis=-1))


def _limit(residuals: Floats, metric: Floats) -> float:
    """Largest residual of a position that agrees, in metres."""
    n = len(residuals)
    spread = float(np.linalg.norm(metric - metric.mean(axis=0), axis=-1).max())
    deviation = MAD_TO_DEVIATION * (1.0 + 5.0 / max(1, n - 3)) * float(np.median(residuals))
    return max(DEVIATIONS * deviation, EXACT * spread)
