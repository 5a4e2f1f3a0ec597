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
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from benchmarks._trust_plots import plot_trust
from benchmarks._trust_statistics import (
    Answers,
    Trial,
    answers,
    evidence_of,
    joined,
    summary,
)
from fast_inerf_ros.estimator.config import TrustOptions
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
    for line in factor_lines(fitted):
        print(f"  {line}")
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
    parser.add_argument("--share", type=float, default=0.0025)
    parser.add_argument("--plot", type=Path, default=results / "trust.png")
    return parser.parse_args()


def read(paths: Sequence[Path]) -> list[Trial]:
    """All trials of some files."""
    return [trial for path in paths for trial in json.loads(path.read_text())]


def places(trials: Sequence[Trial]) -> list[str]:
    """Names of the scenes, in order."""
    return list(dict.fromkeys(trial["place"] for trial in trials))


def fit(trials: Sequence[Trial], share: float) -> Weights:
    """Weights of the score by logistic regression on all poses that the solver lets pass."""
    poses = [(t["place"], pose) for t in trials for pose in t["poses"] if pose["answer"]]
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


def factor_lines(trials: Sequence[Trial]) -> Iterator[str]:
    """The factors of covariances that make errors most likely; each image counts as much."""
    for by_landmarks, what in ((True, "with landmarks"), (False, "of colours alone")):
        chosen = [
            (trial["place"] + trial["image"], pose)
            for trial in trials
            for pose in trial["poses"]
            if pose["right"] and pose["nees"] is not None
            and pose["by_landmarks"] == by_landmarks
            and score_of(evidence_of(pose)) >= TrustOptions().min_score
        ]  # fmt: skip
        if not chosen:
            continue
        image = np.array([name for name, _ in chosen])
        counts = np.array([1.0 / np.sum(image == name) for name in image])
        squared = np.array([pose["nees"] * pose["factor"] for _, pose in chosen])
        doubt = np.array([1.0 - pose["evidence"]["agreeing"] for _, pose in chosen])
        factor, growth = most_likely(squared, 0.0 * doubt if by_landmarks else doubt, counts)
        yield f"covariances {what} should have a factor of {factor:.1f}, doubt {growth:.1f}"


def most_likely(squared: Floats, doubt: Floats, counts: Floats) -> tuple[float, float]:
    """Maximum likelihood of f and k, where errors have covariances f exp(k doubt).

    squared: (n,) squared errors in units of covariances without any factor.
    """

    def cost(values: Floats) -> float:
        logarithm = values[0] + values[1] * doubt
        return float(counts @ (6.0 * logarithm + squared * np.exp(-logarithm)))

    start = np.array([np.log(squared.mean() / 6.0), 0.0])
    found = minimize(cost, start, method="L-BFGS-B", bounds=[(None, None), (0.0, None)])
    return float(np.exp(found.x[0])), float(found.x[1])


def crossed(trials: Sequence[Trial], share: float) -> Answers:
    """Each scene judged with the weights that the others give."""
    parts = []
    for name in places(trials):
        others = fit([trial for trial in trials if trial["place"] != name], share)
        parts.append(scored([trial for trial in trials if trial["place"] == name], others))
    return joined(parts)


if __name__ == "__main__":
    sys.exit(main())
