"""How well a score tells right poses from wrong ones, and whether covariances hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.localisation_records import counted
from fast_inerf_ros.estimator.config import TrustOptions
from fast_inerf_ros.estimator.trust import score_of
from fast_inerf_ros.estimator.verification import Evidence

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Score = Callable[[Evidence], float]
Trial = dict[str, Any]

BOUNDS = {50: 5.348, 90: 10.645, 95: 12.592}
"""Quantiles of chi-squared with six degrees of freedom, percent."""


@dataclass(frozen=True)
class Answers:
    """One answer for each trial; of those without any pose the score is 0.

    right, wrong: of the pose; neither where there is none. kind: of the image. nees: NaN where
    there is no truth. by_landmarks: whether they had a say in the pose.
    """

    score: Floats
    right: Mask
    wrong: Mask
    kind: npt.NDArray[np.str_]
    angle_deg: Floats
    nees: Floats
    by_landmarks: Mask


def answers(trials: Sequence[Trial], score: Score = score_of) -> Answers:
    """What the estimator answers with a score: the best pose of each trial."""
    chosen = [_best(trial["poses"], score) for trial in trials]
    found = [pose is not None for _, pose in chosen]
    poses = [pose or {} for _, pose in chosen]
    right = np.array([bool(pose.get("right")) for pose in poses])
    return Answers(
        score=np.array([value for value, _ in chosen]),
        right=right,
        wrong=np.array(found) & ~right,
        kind=np.array([trial["kind"] for trial in trials]),
        angle_deg=_numbers(poses, "angle_deg"),
        nees=_numbers(poses, "nees"),
        by_landmarks=np.array([bool(pose.get("by_landmarks")) for pose in poses]),
    )


def _best(poses: Sequence[Trial], score: Score) -> tuple[float, Trial | None]:
    """The pose of the highest score, which is 0 where it is no answer."""
    if not poses:
        return 0.0, None
    value, best = max(((score(evidence_of(p)), p) for p in poses), key=lambda pair: pair[0])
    return (value if best["answer"] else 0.0), best


def _numbers(poses: Sequence[Trial], key: str) -> Floats:
    return np.array([pose.get(key) for pose in poses], dtype=np.float64)


def evidence_of(pose: Trial) -> Evidence:
    """The evidence of a pose that was stored."""
    return Evidence(**pose["evidence"])


def joined(parts: Sequence[Answers]) -> Answers:
    """Answers of several places, one after the other."""
    names = Answers.__dataclass_fields__
    return Answers(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})


def area(found: Answers) -> float:
    """Area under the ROC curve: how often a right pose scores higher than a wrong one."""
    right, wrong = found.score[found.right], found.score[found.wrong]
    if len(right) == 0 or len(wrong) == 0:
        return float("nan")
    higher = np.mean(right[:, None] > wrong)
    return float(higher + 0.5 * np.mean(right[:, None] == wrong))


def accepted(found: Answers) -> Mask:
    """Which are answered, at the shipped threshold."""
    return found.score >= TrustOptions().min_score


def summary(found: Answers) -> str:
    """Lines of the table, at the shipped threshold."""
    taken, good = accepted(found), found.kind == "good"
    kept = taken & found.right
    close = found.wrong & (found.angle_deg >= 5) & (found.angle_deg <= 15)
    return "\n".join(
        [
            f"{int(found.right.sum())} right poses, {int(found.wrong.sum())} wrong ones "
            f"({int(close.sum())} of them 5 to 15 degrees off), "
            f"{int((~found.right & ~found.wrong).sum())} without any; AUROC {area(found):.4f}",
            f"  wrong ones accepted {counted(taken[found.wrong])}; right ones accepted "
            f"{counted(kept[found.right])}, of good images {counted(kept[good])}",
            f"  NEES of accepted right poses: {nees_line(found.nees[kept])}",
            *(f"  {line}" for line in kind_lines(found, taken)),
        ]
    )


def kind_lines(found: Answers, taken: Mask) -> list[str]:
    """What became of each kind of image."""
    lines = []
    for kind in dict.fromkeys(found.kind.tolist()):
        right, wrong = ((found.kind == kind) & which for which in (found.right, found.wrong))
        lines.append(
            f"{kind}: {int((taken & right).sum())} of {int(right.sum())} right ones accepted, "
            f"{int((taken & wrong).sum())} of {int(wrong.sum())} wrong ones"
        )
    return lines


def nees_line(values: Floats) -> str:
    """Mean and median against those of chi-squared, and coverage."""
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return "none"
    shares = "/".join(f"{np.mean(values <= bound):.2f}" for bound in BOUNDS.values())
    return (
        f"mean {values.mean():.2f}, median {np.median(values):.2f} (6, 5.35), coverage at "
        f"{'/'.join(str(level) for level in BOUNDS)} % {shares} ({len(values)})"
    )
