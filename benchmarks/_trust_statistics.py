"""How well a score tells right poses from wrong ones, and whether covariances hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.localisation_records import counted
from fast_inerf_ros.estimator.config import TrustOptions
from fast_inerf_ros.estimator.trust import covariance_factor, score_of
from fast_inerf_ros.estimator.verification import Evidence

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Score = Callable[[Evidence], float]
Trial = dict[str, Any]

BOUNDS = {50: 5.348, 90: 10.645, 95: 12.592}
"""Quantiles of chi-squared with six degrees of freedom, percent."""


@dataclass(frozen=True)
class Answers:
    """One answer for each trial; the score is 0 where the solver refuses by itself.

    right: a pose was found, and it is right. wrong: the pose is wrong, or there was none to find.
    Neither: nothing was found, though the start was right already. kind: of the image. nees: with
    the shipped factors, NaN where there is no truth. by_landmarks: whether they had a say in the
    pose.
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
    best: list[dict[str, Any]] = [
        max(t["poses"], key=lambda p: score(evidence_of(p)), default={}) for t in trials
    ]
    given = np.array([bool(pose.get("answer")) for pose in best])
    right = np.array([bool(pose.get("right")) for pose in best])
    pairs = zip(best, trials, strict=True)
    nothing = np.array([not pose and trial["known"] for pose, trial in pairs])
    return Answers(
        score=np.array([score(evidence_of(p)) if p.get("answer") else 0.0 for p in best]),
        right=given & right,
        wrong=~right & ~nothing,
        kind=np.array([trial["kind"] for trial in trials]),
        angle_deg=_numbers(best, "angle_deg"),
        nees=_numbers(best, "nees") * np.array([_change(pose) for pose in best]),
        by_landmarks=np.array([bool(pose.get("by_landmarks")) for pose in best]),
    )


def _numbers(poses: Sequence[Trial], key: str) -> Floats:
    return np.array([pose.get(key) for pose in poses], dtype=np.float64)


def _change(pose: Trial) -> float:
    """Factor of the covariance when it was recorded over the one that is shipped."""
    if not pose:
        return 1.0
    agreeing = pose["evidence"]["agreeing"]
    return float(
        pose["factor"] / covariance_factor(TrustOptions(), pose["by_landmarks"], agreeing)
    )


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
    close = found.wrong & (found.score > 0) & (found.angle_deg >= 5) & (found.angle_deg <= 15)
    return "\n".join(
        [
            f"{int(found.right.sum())} right poses, {int(found.wrong.sum())} wrong ones "
            f"({int(close.sum())} of them 5 to 15 degrees off), "
            f"{int((~found.right & ~found.wrong).sum())} not found; AUROC {area(found):.4f}",
            f"  wrong ones accepted {counted(taken[found.wrong])}; right ones accepted "
            f"{counted(kept[found.right])}, of good images {counted(kept[good])}",
            f"  NEES with landmarks: {nees_line(found.nees[kept & found.by_landmarks])}",
            f"  NEES of colours alone: {nees_line(found.nees[kept & ~found.by_landmarks])}",
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
