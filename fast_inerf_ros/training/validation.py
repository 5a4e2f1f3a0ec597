"""How like its photographs a field looks: PSNR and SSIM of each image and on average."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.evaluation.images import SSIM_WINDOW, psnr, ssim
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.io.atomic import write_text
from fast_inerf_ros.training.views import View, render_view

Background = tuple[float, float, float]
OnView = Callable[[int, View], None]


@dataclass(frozen=True)
class ImageScore:
    """Likeness of a render to its photograph; ``ssim`` is None for images below 11x11 pixels."""

    name: str
    psnr_db: float
    ssim: float | None


@dataclass(frozen=True)
class Scores:
    """Likeness of several images."""

    images: tuple[ImageScore, ...]

    @property
    def psnr_db(self) -> float:
        """Mean of the images' PSNR, as published figures are."""
        return float(np.mean([image.psnr_db for image in self.images]))

    @property
    def ssim(self) -> float | None:
        """Mean of the images' SSIM; None where an image has none."""
        values = [image.ssim for image in self.images if image.ssim is not None]
        return float(np.mean(values)) if len(values) == len(self.images) else None

    def figures(self, prefix: str) -> dict[str, float]:
        """The means by name."""
        found = {f"{prefix}psnr_db": self.psnr_db}
        if self.ssim is not None:
            found[f"{prefix}ssim"] = self.ssim
        return found

    def write(self, path: Path) -> None:
        """Write them as JSON; infinite PSNR (equal images) becomes null."""
        content = {
            "mean": {"psnr_db": _finite(self.psnr_db), "ssim": self.ssim},
            "images": [
                {**asdict(image), "psnr_db": _finite(image.psnr_db)} for image in self.images
            ],
        }
        write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def evaluate(
    field: Field,
    posed: PosedImages,
    indices: Iterable[int],
    background: Background,
    on_view: OnView | None = None,
) -> Scores:
    """Render photographs' views and compare; ``on_view`` gets each index and its view."""
    poses = posed.T_field_camera
    scores = []
    for index in map(int, indices):
        view = render_view(field, posed.cameras[index], poses[index])
        scores.append(score_view(view, posed, index, background))
        if on_view is not None:
            on_view(index, view)
    return Scores(tuple(scores))


def score_view(view: View, posed: PosedImages, index: int, background: Background) -> ImageScore:
    """Compare a view with its photograph."""
    truth = posed.colors(index, background)
    likeness = None
    if min(truth.shape[:2]) >= SSIM_WINDOW:
        likeness = float(ssim(view.color, truth))
    return ImageScore(posed.names[index], float(psnr(view.color, truth)), likeness)


def evenly(indices: np.ndarray, count: int) -> np.ndarray:
    """At most ``count`` of the indices, evenly spread."""
    if len(indices) <= count:
        return indices
    return np.asarray(indices[np.linspace(0, len(indices) - 1, count).round().astype(int)])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
