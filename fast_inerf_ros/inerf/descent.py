"""Levenberg-Marquardt on exact photometric residuals of fixed pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.config import option, section
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.anchors import Anchors
from fast_inerf_ros.inerf.brightness import Brightness, BrightnessModel
from fast_inerf_ros.inerf.normal_equations import TWIST, NormalEquations, build, mean_cost, moved
from fast_inerf_ros.inerf.photometric import Linearised, Samples, linearise, linearise_by_image
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.robust import LossOptions, robust_scale
from fast_inerf_ros.inerf.run import Run

Floats = npt.NDArray[np.float32]

LARGEST_DAMPING = 1e6

NEGLIGIBLE = 0.1
"""xᵀAx / σ² of a step x that is well below what the noise leaves undetermined."""

LONGEST = 2.5
"""How much longer than Gauss and Newton's a step may be."""


@dataclass(frozen=True)
class DescentOptions:
    """How Levenberg-Marquardt goes down."""

    max_steps: int = option(30, doc="Steps, at most.", minimum=1)
    initial_damping: float = option(
        1e-3, doc="Damping of the first step, relative to the diagonal.", minimum=0.0
    )
    tolerance: float = option(
        1e-5, doc="Relative decrease of the loss below which it has converged.", minimum=0.0
    )
    jacobian: Literal["exact", "image"] = option(
        "exact",
        doc="exact: through the renderer. image: slopes of the image and depth of the field; "
        "cheaper and fewer steps where the pose is right within about a pixel.",
    )
    loss: LossOptions = section(LossOptions)


@dataclass(frozen=True, eq=False)
class State:
    """A pose, its brightness, and the field linearised there.

    confidence: (N,), how much each pixel is worth beside its residual, None for all alike.
    """

    T_world_camera: SE3
    brightness: Brightness
    view: Linearised
    residuals: Floats
    confidence: Floats | None

    def equations(
        self,
        model: BrightnessModel,
        loss: LossOptions,
        scale: float,
        problem: Problem,
        anchors: Anchors | None,
    ) -> NormalEquations:
        """Normal equations of the residuals at this state, landmarks included."""
        jacobian = self.view.jacobian * np.float32(-self.brightness.gain)
        photometric = build(
            self.residuals, jacobian, self.view.color, model, loss, scale, self.confidence
        )
        if anchors is None:
            return photometric
        return anchors.added(photometric, problem.camera, self.T_world_camera, scale)

    def loss(
        self, loss: LossOptions, scale: float, problem: Problem, anchors: Anchors | None
    ) -> float:
        """The loss that ``equations`` would give, without Jacobians."""
        photometric = mean_cost(self.residuals, loss, scale, self.confidence)
        if anchors is None:
            return photometric
        extra = anchors.loss(problem.camera, self.T_world_camera)
        return photometric + extra / max(len(self.residuals), 1)

    def scale(self) -> float:
        """Robust standard deviation of the residuals that count."""
        if self.confidence is None:
            return robust_scale(self.residuals)
        return robust_scale(self.residuals[self.confidence > 0.5])

    def rms(self) -> float:
        """Root mean square of the residuals."""
        return float(np.sqrt(np.mean(self.residuals**2))) if self.residuals.size else 0.0


@dataclass(frozen=True, eq=False)
class Descent:
    """Where Levenberg-Marquardt has come to. failure: why it could make no step at all."""

    state: State
    equations: NormalEquations
    scale: float
    converged: bool
    failure: str | None = None


def evaluate(
    problem: Problem,
    samples: Samples,
    T_world_camera: SE3,
    brightness: Brightness,
    options: DescentOptions,
    run: Run,
) -> State:
    """Linearise the field at a pose and compare it with the samples."""
    with run.rendering():
        if options.jacobian == "exact":
            view = linearise(problem, T_world_camera, samples.bearings)
        else:
            view = linearise_by_image(problem, T_world_camera, samples, brightness.gain)
    residuals = samples.colors - brightness.apply(view.color)
    # What lies behind the scene is unknown unless the problem says it: such rays are no evidence.
    confidence = view.opacity if problem.background is None else None
    return State(T_world_camera, brightness, view, residuals, confidence)


def descend(
    problem: Problem,
    samples: Samples,
    T_world_camera: SE3,
    model: BrightnessModel,
    options: DescentOptions,
    run: Run,
    stage: str = "lm",
) -> Descent:
    """Minimise the robust cost of samples and landmarks over the pose and the brightness.

    Madsen et al. (2004), algorithm 3.16, with the damping relative to the diagonal and the scale
    of the residuals estimated anew at every accepted step.
    """
    state = evaluate(problem, samples, T_world_camera, Brightness(), options, run)
    fitted = model.fit(samples.colors, state.view.color)
    state = _with_brightness(state, fitted, samples)
    damping, longer = options.initial_damping, 1.0
    scale = state.scale()
    anchors = run.held_out.free_anchors
    equations = state.equations(model, options.loss, scale, problem, anchors)
    run.report(stage, state.T_world_camera, equations.loss, len(samples))
    for _ in range(options.max_steps):
        step = equations.step(damping)
        if step is None:
            reason = "the rendered view has no structure that fixes the pose"
            return Descent(state, equations, scale, False, reason)
        step = longer * step
        trial = _stepped(problem, samples, state, model, step, options, run)
        loss = trial.loss(options.loss, scale, problem, anchors)
        run.report(stage, trial.T_world_camera, loss, len(samples))
        decrease = equations.loss - loss
        if not decrease > 0:
            damping, longer = 10.0 * max(damping, 1e-4), 1.0
            if negligible(step, equations, scale) or damping > LARGEST_DAMPING or run.stopped:
                return Descent(state, equations, scale, not run.stopped)
            continue
        small = negligible(step, equations, scale) or decrease < options.tolerance * equations.loss
        previous, state = equations, trial
        scale = state.scale()
        equations = state.equations(model, options.loss, scale, problem, anchors)
        damping, longer = 0.2 * damping, stretch(step, previous, equations)
        if small or run.stopped:
            return Descent(state, equations, scale, not run.stopped)
    return Descent(state, equations, scale, False)


def negligible(step: npt.NDArray[np.float64], equations: NormalEquations, scale: float) -> bool:
    """Whether a step is well below what the noise leaves undetermined."""
    pose = step[:TWIST]
    length = float(pose @ equations.hessian[:TWIST, :TWIST] @ pose)
    return length < NEGLIGIBLE * scale**2


def stretch(
    step: npt.NDArray[np.float64], before: NormalEquations, after: NormalEquations
) -> float:
    """How much too short a step was: xᵀAx / xᵀ(g' - g), by the secant, in [1, LONGEST].

    Noise in slopes makes A too large in all directions alike (regression dilution), so that
    steps would shrink only geometrically.
    """
    expected = float(step @ before.hessian @ step)
    found = float(step @ (after.gradient - before.gradient))
    return float(np.clip(expected / found, 1.0, LONGEST)) if found > 0 else 1.0


def _stepped(
    problem: Problem,
    samples: Samples,
    state: State,
    model: BrightnessModel,
    step: npt.NDArray[np.float64],
    options: DescentOptions,
    run: Run,
) -> State:
    pose = moved(state.T_world_camera, step)
    brightness = model.moved(state.brightness, step[TWIST:])
    return evaluate(problem, samples, pose, brightness, options, run)


def _with_brightness(state: State, brightness: Brightness, samples: Samples) -> State:
    residuals = samples.colors - brightness.apply(state.view.color)
    return State(state.T_world_camera, brightness, state.view, residuals, state.confidence)
