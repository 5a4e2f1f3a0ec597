"""Fit the score's weights and the factors of covariances: python -m benchmarks.fit_trust.

``--fit`` and ``--test`` name JSON files of ``benchmarks.localisation trust``, of different scenes.
The weights are those of a logistic regression of right against wrong poses, none below zero, so
that the score is monotone; right and wrong ones count for as much in total, and so does each
scene. The offset is then moved to where ``--share`` of the wrong answers of the fitted scenes
score 0.5. What is printed goes into ``estimator/trust.py`` and ``TrustOptions``. Then the test
scenes are judged with the shipped weights; and all scenes, each with weights of the others.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from benchmarks._trust_plots import plot_trust
from benchmarks._trust_statistics import (
    Answers,
    Trial,
    accepted,
    answers,
    evidence_of,
    joined,
    summary,
)
from fast_inerf_ros.estimator.trust import NAMES, Weights, features, score_of

Floats = npt.NDArray[np.float64]

REGULARISATION = 1e-3
"""Of squared weights, against the mean cost."""


def main() -> int:
    """Fit, and judge the shipped weights on other scenes."""
    arguments = parsed()
    fitted, tested = (read(paths) for paths in (arguments.fit, arguments.test))
    found = fit(fitted, arguments.share)
    print(f"fitted on {', '.join(places(fitted))}: {found}")
    for by_landmarks in (True, False):
        print(f"  {factor_line(scored(fitted, found), by_landmarks)}")
    print(f"shipped, on the fitted scenes: {summary(answers(fitted))}")
    if tested:
        shipped = answers(tested)
        print(f"shipped, on {', '.join(places(tested))}: {summary(shipped)}")
        everything = [*fitted, *tested]
        print(f"each scene by the others: {summary(crossed(everything, arguments.share))}")
        plot_trust(shipped, arguments.plot)
    return 0


def parsed() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    results = Path("benchmarks/results")
    parser.add_argument("--fit", type=Path, nargs="+", default=[results / "trust_fit.json"])
    parser.add_argument("--test", type=Path, nargs="*", default=[])
    parser.add_argument("--share", type=float, default=0.005)
    parser.add_argument("--plot", type=Path, default=results / "trust.png")
    return parser.parse_args()


def read(paths: Sequence[Path]) -> list[Trial]:
    """All trials of some files."""
    return [trial for path in paths for trial in json.loads(path.read_text())]


def places(trials: Sequence[Trial]) -> list[str]:
    """Names of the scenes, in order."""
    return list(dict.fromkeys(trial["place"] for trial in trials))


def fit(trials: Sequence[Trial], share: float) -> Weights:
    """Weights of the score by logistic regression on all poses."""
    poses = [(trial["place"], pose) for trial in trials for pose in trial["poses"]]
    inputs = np.array([features(evidence_of(pose)) for _, pose in poses])
    right = np.array([pose["right"] for _, pose in poses])
    counts = balanced(np.array([place for place, _ in poses]), right)
    sign = np.where(right, 1.0, -1.0)

    def cost(values: Floats) -> tuple[float, Floats]:
        margin = sign * (values[0] + inputs @ values[1:])
        wrong = counts * sign / (1.0 + np.exp(margin))
        slope = np.concatenate([[-wrong.sum()], -wrong @ inputs])
        slope[1:] += 2.0 * REGULARISATION * values[1:]
        total = counts @ np.logaddexp(0.0, -margin) + REGULARISATION * (values[1:] ** 2).sum()
        return float(total), slope

    bounds = [(None, None)] + [(0.0, None)] * len(NAMES)
    found = minimize(cost, np.zeros(1 + len(NAMES)), jac=True, method="L-BFGS-B", bounds=bounds)
    first = Weights(float(found.x[0]), tuple(map(float, found.x[1:])))
    return first.moved(-level(trials, first, share))


def balanced(place: npt.NDArray[np.str_], right: npt.NDArray[np.bool_]) -> Floats:
    """What each pose counts: equal sums for scenes, and for right and wrong poses in each."""
    counts = np.zeros(len(place))
    for name in set(place.tolist()):
        for which in (right, ~right):
            own = (place == name) & which
            counts[own] = 1.0 / max(int(own.sum()), 1)
    return np.asarray(counts / counts.sum())


def level(trials: Sequence[Trial], weights: Weights, share: float) -> float:
    """Log-odds that a share of the wrong answers exceeds."""
    found = scored(trials, weights)
    limit = float(np.quantile(found.score[found.wrong], 1.0 - share))
    limit = min(max(limit, 1e-9), 1.0 - 1e-9)
    return float(np.log(limit / (1.0 - limit)))


def scored(trials: Sequence[Trial], weights: Weights) -> Answers:
    """Answers with weights other than the shipped ones."""
    return answers(trials, lambda evidence: score_of(evidence, weights))


def factor_line(found: Answers, by_landmarks: bool) -> str:
    """How much larger covariances should be than those that were recorded."""
    taken = found.right & accepted(found) & (found.by_landmarks == by_landmarks)
    what = "with landmarks" if by_landmarks else "of colours alone"
    if not taken.any():
        return f"no covariances {what}"
    factor = found.nees[taken].mean() / 6.0
    return f"covariances {what} should be {factor:.2f} times what they were"


def crossed(trials: Sequence[Trial], share: float) -> Answers:
    """Each scene judged with the weights that the others give."""
    parts = []
    for name in places(trials):
        others = fit([trial for trial in trials if trial["place"] != name], share)
        parts.append(scored([trial for trial in trials if trial["place"] == name], others))
    return joined(parts)


if __name__ == "__main__":
    sys.exit(main())
