"""Whether the demo shows what it is to show."""

from __future__ import annotations

import numpy as np

from scripts.demo.figures import Figures
from scripts.demo.scene import Place

LEAST_SHARE = 0.9
"""Of the images that were looked at, that must be localised."""
LEAST_LOOKED_AT = 0.1
"""Of the recording: where less was looked at, the camera was not followed."""
MEDIAN_DEG, MEDIAN_M = 1.0, 0.01
WRONG_DEG, WRONG_M = 5.0, 0.05
WRONG_SHARE = 0.01


def verdict(figures: Figures, place: Place, changed: bool) -> str:
    """Return in one line what is wrong, or "".

    Args:
        figures: Of the run.
        place: Where it was.
        changed: Whether an object was moved: then being lost is no failure, a wrong pose is.
    """
    if place.truth_topic and figures.n_poses:
        complaint = _of_errors(figures, strict=not changed)
        if complaint:
            return complaint
    if changed:
        return "" if figures.n_estimated else "no image was looked at"
    if figures.n_poses == 0:
        return f"no pose arrived; {_reason(figures)}"
    if figures.n_estimated < LEAST_LOOKED_AT * figures.n_images:
        return (
            f"only {figures.n_estimated} of {figures.n_images} images were looked at, in "
            f"{np.median(figures.latencies_ms):.0f} ms each: the machine is too slow, or busy"
        )
    share = figures.counts["localised"] / max(figures.n_estimated, 1)
    if share < LEAST_SHARE:
        return f"only {share:.0%} of the images were localised; {_reason(figures)}"
    return ""


def _of_errors(figures: Figures, strict: bool) -> str:
    if not len(figures.rotation_deg):
        return "no pose has the stamp of a true one"
    wrong = (figures.rotation_deg > WRONG_DEG) | (figures.translation_m > WRONG_M)
    if wrong.mean() > WRONG_SHARE:
        return f"{wrong.mean():.0%} of the poses are wrong by over {WRONG_DEG:g} deg or 5 cm"
    rotation, translation = np.median(figures.rotation_deg), np.median(figures.translation_m)
    if strict and (rotation > MEDIAN_DEG or translation > MEDIAN_M):
        return f"the median error is {rotation:.2f} deg, {translation * 1e3:.1f} mm"
    return ""


def _reason(figures: Figures) -> str:
    said = [values["message"] for values in figures.diagnostics.values()]
    return "the node said: " + "; ".join(said) if said else "the node said nothing"
