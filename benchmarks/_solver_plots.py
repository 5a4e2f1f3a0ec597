"""Pictures of `benchmarks.solvers`: success against time and against the error at the start."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks._solver_trials import Case, Trial, succeeded

N_BINS = 5


def plot_success(trials: list[Trial], folder: Path) -> None:
    """Write ``solvers_time.png`` and ``solvers_start.png``."""
    groups: dict[tuple[str, float, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        case = trial["case"]
        groups[case["scene"], case["angle_deg"], trial["solver"]].append(trial)
    scenes = sorted({scene for scene, _, _ in groups})
    for name, draw, label in (
        ("solvers_time", _against_time, "time / s"),
        ("solvers_start", _against_start, "angle at the start / deg"),
    ):
        figure = Figure(figsize=(4.0 * len(scenes), 3.4), layout="constrained")
        axes = figure.subplots(1, len(scenes), squeeze=False)[0]
        for scene, axis in zip(scenes, axes, strict=True):
            for (found, angle, solver), group in sorted(groups.items()):
                if found == scene:
                    draw(axis, group, f"{solver}, <= {angle:g} deg")
            axis.set_title(scene)
            axis.set_xlabel(label)
            axis.set_ylim(-0.03, 1.03)
            axis.grid(visible=True, alpha=0.3)
            axis.legend(fontsize="x-small")
        axes[0].set_ylabel("share of starts that succeed")
        figure.savefig(folder / f"{name}.png", dpi=100)


def _against_time(axis: Axes, trials: list[Trial], label: str) -> None:
    """Share of trials that are, and stay, within the limits after a time."""
    times = np.sort([time_of_success(trial) for trial in trials])
    known = times[np.isfinite(times)]
    share = np.arange(len(known) + 1) / len(trials)
    last = max(float(t["seconds"]) for t in trials)
    x = np.concatenate([[known[0] if len(known) else last], known, [last]])
    axis.step(x, np.concatenate([share, share[-1:]]), where="post", label=label)
    axis.set_xscale("log")


def time_of_success(trial: Trial) -> float:
    """Seconds after which a trial is within the limits and stays there; infinite where never."""
    case = Case(**trial["case"])
    if not succeeded(trial, case):
        return float("inf")
    found = float(trial["seconds"])
    for step in reversed(trial["path"]):
        if not succeeded(step, case):
            break
        found = min(found, float(step["seconds"]))
    return found


def _against_start(axis: Axes, trials: list[Trial], label: str) -> None:
    """Share of successes in bins of the angle at the start."""
    angles = np.array([t["start_angle_deg"] for t in trials])
    good = np.array([succeeded(t, Case(**t["case"])) for t in trials])
    edges = np.linspace(0.0, trials[0]["case"]["angle_deg"], N_BINS + 1)
    bins = np.clip(np.digitize(angles, edges) - 1, 0, N_BINS - 1)
    shares = [good[bins == n].mean() if (bins == n).any() else np.nan for n in range(N_BINS)]
    axis.plot((edges[:-1] + edges[1:]) / 2, shares, marker="o", label=label)
