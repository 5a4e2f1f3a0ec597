"""Pictures of `benchmarks.fit_trust`: the ROC curve, and whether score and covariance hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import chi2

from benchmarks._trust_statistics import Answers, accepted, area

N_BINS = 10


def plot_trust(found: Answers, path: Path) -> None:
    """Write the three panels as one PNG."""
    figure = Figure(figsize=(10.5, 3.4), layout="constrained")
    for axis, draw in zip(figure.subplots(1, 3), (_roc, _reliability, _coverage), strict=True):
        draw(axis, found)
        axis.grid(visible=True, alpha=0.3)
        axis.legend(fontsize="x-small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)


def _roc(axis: Axes, found: Answers) -> None:
    """Right ones accepted against wrong ones accepted, over all thresholds."""
    limits = np.concatenate([[1.01], np.unique(found.score)[::-1]])
    wrong, right = (
        np.array([np.mean(found.score[which] >= limit) for limit in limits])
        for which in (found.wrong, found.right)
    )
    least = 0.5 / max(int(found.wrong.sum()), 1)
    axis.semilogx(np.maximum(wrong, least), right, label=f"area {area(found):.4f}")
    taken = accepted(found)
    at = max(float(taken[found.wrong].mean()), least), float(taken[found.right].mean())
    axis.plot(*at, "o", label="shipped threshold")
    axis.set_xlabel("wrong poses accepted")
    axis.set_ylabel("right poses accepted")


def _reliability(axis: Axes, found: Answers) -> None:
    """Share of right poses among those of about a score."""
    answered = found.right | found.wrong
    bins = np.clip((found.score * N_BINS).astype(int), 0, N_BINS - 1)
    for which, label in ((found.right, "right"), (found.wrong, "wrong")):
        count = np.bincount(bins[which], minlength=N_BINS)
        axis.bar((np.arange(N_BINS) + 0.5) / N_BINS, count, 0.09, alpha=0.5, label=label)
    axis.set_yscale("log")
    axis.set_ylabel("poses")
    axis.set_xlabel("score")
    share = axis.twinx()
    filled = [n for n in range(N_BINS) if (answered & (bins == n)).any()]
    rights = [found.right[answered & (bins == n)].mean() for n in filled]
    share.plot((np.array(filled) + 0.5) / N_BINS, rights, "k.-")
    share.set_ylabel("share of right ones (line)")
    share.set_ylim(-0.03, 1.03)


def _coverage(axis: Axes, found: Answers) -> None:
    """How often the truth lies within the region that should have a probability."""
    levels = np.linspace(0.01, 0.99, 99)
    axis.plot([0, 1], [0, 1], "k:", linewidth=1)
    taken = accepted(found) & found.right
    for which, label in ((taken & found.by_landmarks, "with landmarks"),
                         (taken & ~found.by_landmarks, "colours alone")):  # fmt: skip
        values = found.nees[which & np.isfinite(found.nees)]
        if len(values):
            shares = [np.mean(values <= bound) for bound in chi2.ppf(levels, 6)]
            axis.plot(levels, shares, label=f"{label} ({len(values)})")
    axis.set_xlabel("probability of the region")
    axis.set_ylabel("share of truths within")
