"""How well a scene localises the photographs that were held out of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.estimator.estimate import Estimate, Status
from fast_inerf_ros.estimator.observation import Observation
from fast_inerf_ros.estimator.pose_estimator import PoseEstimator
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.io.atomic import write_text
from fast_inerf_ros.scene_building.placed_field import in_world_of
from fast_inerf_ros.training.pictures import brightest, disparity_pixels, to_pixels, write_png
from fast_inerf_ros.training.validation import ImageScore, Scores, evenly, score_view
from fast_inerf_ros.training.views import View, render_view

RESULTS = "results.json"
LONGEST_RENDER = 800
"""Side of the pictures in which the field is compared with photographs, in pixels, at most."""

PICTURE_WIDTH = 320
N_PICTURES = 8
BACKGROUND = (1.0, 1.0, 1.0)

Pixels = npt.NDArray[np.uint8]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldOut:
    """One held-out photograph, localised without a prior.

    Errors are None where it is LOST: rotation in degrees, translation in metres (or the scene's
    unit) and in d, the median depth of what the photographs show. seconds: wall-clock.
    """

    name: str
    status: str
    source: str
    reason: str
    score: float
    seconds: float
    psnr_db: float | None
    rotation_error_deg: float | None = None
    translation_error: float | None = None
    translation_error_d: float | None = None

    def within(self, degrees: float, depths: float) -> bool:
        """Whether it was localised with errors below limits, the second in d."""
        if self.rotation_error_deg is None or self.translation_error_d is None:
            return False
        return self.rotation_error_deg < degrees and self.translation_error_d < depths


@dataclass(frozen=True)
class Evaluation:
    """What is known of a scene. depth: d, in metres of the scene. Means are over photographs."""

    depth: float | None
    psnr_db: float | None
    ssim: float | None
    render_size: tuple[int, ...]
    photographs: tuple[HeldOut, ...]


def evaluate_scene(scene_path: Path, posed: PosedImages, folder: Path) -> Evaluation:
    """Localise the held-out photographs of a data set, render their views, and write all of it.

    Writes results.json and, for some photographs, pictures: photograph, render and depth.
    """
    folder.mkdir(exist_ok=True)
    estimator = PoseEstimator.load(scene_path)
    posed = in_world_of(estimator.scene, posed)
    longest = max(max(camera.width, camera.height) for camera in posed.cameras)
    small = posed.downscaled(max(1.0, longest / LONGEST_RENDER))
    test = [int(index) for index in posed.splits.test]
    shown = evenly(np.arange(len(test)), N_PICTURES)
    tried = []
    for number, index in enumerate(tqdm(test, "held out", unit="image", disable=None)):
        view = render_view(estimator.field, small.cameras[index], small.T_field_camera[index])
        if number in shown:
            _write_pictures(folder, number, small.colors(index, BACKGROUND), view)
        depth = _median_depth(view) * estimator.field.frame.metres_per_unit
        likeness = score_view(view, small, index, BACKGROUND)
        estimate = estimator.estimate(_observation(posed, index))
        tried.append(_Tried(index, estimate, depth, likeness))
    result = _evaluation(posed, small, tried)
    write_text(folder / RESULTS, json.dumps(asdict(result), indent=1, allow_nan=False) + "\n")
    return result


@dataclass(frozen=True, eq=False)
class _Tried:
    index: int
    estimate: Estimate
    depth: float
    likeness: ImageScore


def _evaluation(posed: PosedImages, small: PosedImages, tried: Sequence[_Tried]) -> Evaluation:
    if not tried:
        return Evaluation(None, None, None, (), ())
    depths = np.array([item.depth for item in tried])
    depth = float(np.nanmedian(depths)) if np.isfinite(depths).any() else None
    scores = Scores(tuple(item.likeness for item in tried))
    camera = small.cameras[tried[0].index]
    photographs = tuple(_held_out(posed, item, depth) for item in tried)
    size = (camera.width, camera.height)
    return Evaluation(depth, _finite(scores.psnr_db), scores.ssim, size, photographs)


def load_evaluation(folder: Path) -> Evaluation:
    """Read what ``evaluate_scene`` wrote."""
    content = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    photographs = tuple(HeldOut(**item) for item in content.pop("photographs"))
    size = tuple(content.pop("render_size"))
    return Evaluation(render_size=size, photographs=photographs, **content)


def pictures(folder: Path) -> Iterator[tuple[int, tuple[Path, ...]]]:
    """Numbers of the photographs that are shown, with photograph, render and depth."""
    for photograph in sorted(folder.glob("*_photograph.png")):
        number = int(photograph.name.split("_")[0])
        yield number, tuple(_picture(folder, number, what) for what in _WHAT)


_WHAT = ("photograph", "render", "depth")


def _picture(folder: Path, number: int, what: str) -> Path:
    return folder / f"{number:03d}_{what}.png"


def _observation(posed: PosedImages, index: int) -> Observation:
    image = (posed.colors(index, BACKGROUND) * 255).round().astype(np.uint8)
    return Observation(image, posed.cameras[index])


def _held_out(posed: PosedImages, tried: _Tried, depth: float | None) -> HeldOut:
    estimate = tried.estimate
    found = HeldOut(
        posed.names[tried.index],
        estimate.status.value,
        estimate.source.value,
        estimate.reason,
        float(estimate.score),
        estimate.seconds,
        _finite(tried.likeness.psnr_db),
    )
    if estimate.status is not Status.LOCALISED or estimate.T_world_camera is None:
        return found
    errors = pose_errors(estimate.T_world_camera, posed.T_world_camera[tried.index])
    distance = float(errors.translation)
    return replace(
        found,
        rotation_error_deg=float(errors.rotation_deg),
        translation_error=distance,
        translation_error_d=None if depth is None else distance / depth,
    )


def _median_depth(view: View) -> float:
    known = view.depth[np.isfinite(view.depth)]
    return float(np.median(known)) if known.size else float("nan")


def _write_pictures(
    folder: Path, number: int, photograph: npt.NDArray[np.float32], view: View
) -> None:
    disparity = disparity_pixels(view.disparity, brightest([view.disparity]))
    for what, image in zip(
        _WHAT, (to_pixels(photograph), to_pixels(view.color), disparity), strict=True
    ):
        write_png(_picture(folder, number, what), _small(image))


def _small(image: Pixels) -> Pixels:
    height = max(1, round(image.shape[0] * PICTURE_WIDTH / image.shape[1]))
    size = (PICTURE_WIDTH, height)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
