"""Aligning a keyframe with the image at one resolution, without rendering.

Points of the keyframe are projected into the image, lens included, and their colours compared
(Baker and Matthews, "Lucas-Kanade 20 years on", 2004, inverse compositional: the Jacobian is that
of the keyframe and constant; Engel et al., "Direct sparse odometry", 2018, for the brightness).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.config import option
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.brightness import Brightness, BrightnessModel
from fast_inerf_ros.inerf.keyframe import KeyframeLevel
from fast_inerf_ros.inerf.normal_equations import (
    TWIST,
    NormalEquations,
    build,
    mean_cost,
    moved,
)
from fast_inerf_ros.inerf.pyramid import ImageLevel
from fast_inerf_ros.inerf.robust import LossOptions, robust_scale

Floats = npt.NDArray[np.float32]

LARGEST_DAMPING = 1e4


@dataclass(frozen=True)
class AlignmentOptions:
    """How one level is aligned."""

    max_steps: int = option(15, doc="Steps at each level, at most.", minimum=1)
    initial_damping: float = option(1e-3, doc="Damping of the first step.", minimum=0.0)
    tolerance_px: float = option(
        0.03, doc="Mean motion of pixels below which a level is done.", unit="px", minimum=0.0
    )
    minimum_visible: float = option(
        0.2,
        doc="Least share of the points inside of what may be used of the image, times the share "
        "of the image that this is.",
        minimum=0.0,
        maximum=1.0,
    )
    minimum_points: int = option(50, doc="Least number of points inside.", minimum=8)


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where a keyframe lies in the image. T_image_key: p_image = T_image_key @ p_key.

    loss: mean robust cost. motion_px: root mean square motion of the points' pixels. n_points:
    of the points that were compared. failure: why nothing could be aligned. information: JᵀWJ
    over the squared scale of the residuals, of twists x of the points, ``T_image_key @ exp(x)``.
    """

    T_image_key: SE3
    brightness: Brightness
    loss: float
    motion_px: float
    n_points: int
    n_steps: int
    failure: str | None = None
    information: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((6, 6)))


@dataclass(frozen=True, eq=False)
class _Comparison:
    residuals: Floats  # (M, 3), of the visible points
    visible: npt.NDArray[np.bool_]  # (N,)
    pixels: npt.NDArray[np.float64]  # (N, 2)


def align(
    key: KeyframeLevel,
    image: ImageLevel,
    T_image_key: SE3,
    brightness: Brightness | None,
    model: BrightnessModel,
    free: BrightnessModel,
    loss: LossOptions,
    options: AlignmentOptions,
) -> Alignment:
    """Gauss-Newton, damped where a step does not help.

    brightness: at the start, None to take it from the moments of the colours. model: what an
    exposure may change; free: what of that the steps may.
    """
    state = _compare(key, image, T_image_key, brightness or Brightness())
    # Of a small mask most points lie outside, wherever the camera is.
    expected = options.minimum_visible * image.usable_share * len(key)
    least = max(options.minimum_points, int(expected))
    if int(state.visible.sum()) < least:
        reason = f"{int(state.visible.sum())} of {len(key)} points are in view, {least} are needed"
        return Alignment(T_image_key, brightness or Brightness(), 0.0, 0.0, 0, 0, reason)
    if brightness is None:
        brightness = _first_brightness(key, state, model)
        state = _compare(key, image, T_image_key, brightness)
    damping, n_steps = options.initial_damping, 0
    scale, equations = _equations(key, state, brightness, free, loss)
    while n_steps < options.max_steps:
        n_steps += 1
        step = equations.step(damping)
        if step is None:
            reason = "the rendered view has no structure that fixes the pose"
            return Alignment(T_image_key, brightness, equations.loss, 0.0, 0, n_steps, reason)
        trial_pose = moved(T_image_key, step)
        trial_brightness = free.moved(brightness, step[TWIST:])
        trial = _compare(key, image, trial_pose, trial_brightness)
        moved_px = _motion(key, step)
        if int(trial.visible.sum()) < least or not _better(trial, key, equations, loss, scale):
            damping = 10.0 * max(damping, 1e-3)
            if damping > LARGEST_DAMPING or moved_px < options.tolerance_px:
                break
            continue
        T_image_key, brightness, state = trial_pose, trial_brightness, trial
        damping *= 0.3
        scale, equations = _equations(key, state, brightness, free, loss)
        if moved_px < options.tolerance_px:
            break
    shift = (state.pixels - key.pixels)[state.visible]
    return Alignment(
        T_image_key,
        brightness,
        equations.loss,
        _root_mean_square(shift),
        int(state.visible.sum()),
        n_steps,
        information=equations.pose_information() / scale**2,
    )


def _compare(
    key: KeyframeLevel, image: ImageLevel, T_image_key: SE3, brightness: Brightness
) -> _Comparison:
    pixels = np.asarray(image.camera.project(T_image_key @ key.points))
    colors, visible = image.sample(pixels)
    residuals = np.compress(visible, colors - brightness.apply(key.colors), axis=0)
    return _Comparison(residuals, visible, pixels)


def _equations(
    key: KeyframeLevel,
    state: _Comparison,
    brightness: Brightness,
    model: BrightnessModel,
    loss: LossOptions,
) -> tuple[float, NormalEquations]:
    """The scale of the residuals and the normal equations at it."""
    scale = robust_scale(state.residuals)
    visible = np.flatnonzero(state.visible)  # taking rows by number is several times as fast
    slope = np.take(key.slope, visible, axis=0) * np.float32(brightness.gain)
    colors = np.take(key.colors, visible, axis=0)
    confidence = np.take(key.confidence, visible)
    equations = build(state.residuals, slope, colors, model, loss, scale, confidence)
    return scale, equations


def _better(
    trial: _Comparison,
    key: KeyframeLevel,
    equations: NormalEquations,
    loss: LossOptions,
    scale: float,
) -> bool:
    confidence = key.confidence[trial.visible]
    return mean_cost(trial.residuals, loss, scale, confidence) < equations.loss


def _motion(key: KeyframeLevel, step: npt.NDArray[np.float64]) -> float:
    """Root mean square motion of the points' pixels by a step."""
    shift = key.flow.reshape(-1, TWIST) @ step[:TWIST].astype(np.float32)
    return _root_mean_square(shift.reshape(-1, 2))


def _root_mean_square(shift: npt.NDArray[Any]) -> float:
    """Root mean square length of vectors (N, 2)."""
    return float(np.sqrt(np.vdot(shift, shift) / len(shift)))


def _first_brightness(
    key: KeyframeLevel, state: _Comparison, model: BrightnessModel
) -> Brightness:
    """From the moments of the visible colours, which do not need them aligned."""
    rendered = key.colors[state.visible]
    image = state.residuals + rendered
    if model.kind == "none":
        return Brightness()
    if model.kind == "gain":
        gain = float(image.mean()) / max(float(rendered.mean()), 1e-3)
        return Brightness(float(np.clip(gain, 0.2, 5.0)), 0.0)
    gain = float(np.clip(image.std() / max(float(rendered.std()), 1e-3), 0.2, 5.0))
    return Brightness(gain, float(np.clip(image.mean() - gain * rendered.mean(), -1.0, 1.0)))
