"""``adam``: the algorithm of iNeRF, stochastic gradient descent on one twist.

Yen-Chen et al., "iNeRF: Inverting neural radiance fields for pose estimation" (2021), section
III; Kingma and Ba, "Adam" (2015), algorithm 1. The twist x moves the camera about the origin of
the field, ``T_field_camera = SE3.exp(x) @ start``, in units of the field.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.config import option, section
from fast_inerf_ros.geometry.jacobians import se3_left_jacobian
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.similarity import Similarity
from fast_inerf_ros.inerf.brightness import Brightness, BrightnessModel
from fast_inerf_ros.inerf.held_out import HeldOut, HeldOutOptions
from fast_inerf_ros.inerf.normal_equations import build
from fast_inerf_ros.inerf.observer import Observer
from fast_inerf_ros.inerf.photometric import Linearised, Samples, coverage, linearise, samples_at
from fast_inerf_ros.inerf.pixels import PixelOptions, draw, interest
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.result import Result, failed
from fast_inerf_ros.inerf.robust import LossOptions, robust_scale
from fast_inerf_ros.inerf.run import Run

Float64s = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Options:
    """Options of the solver ``adam``; the defaults are those of the seed project."""

    pixels: PixelOptions = section(PixelOptions, strategy="interest_regions", count=512)
    max_steps: int = option(300, doc="Steps, at most.", minimum=1)
    learning_rate: float = option(
        0.01, doc="Step at the start, in radians and units of the field.", minimum=1e-9
    )
    decay: float = option(
        0.8,
        doc="Factor of the learning rate every `decay_steps` steps.",
        minimum=1e-3,
        maximum=1.0,
    )
    decay_steps: float = option(100.0, doc="See `decay`.", minimum=1.0)
    beta1: float = option(0.9, doc="Memory of the mean of gradients.", minimum=0.0, maximum=0.9999)
    beta2: float = option(0.999, doc="Memory of their mean squares.", minimum=0.0, maximum=0.99999)
    brightness: bool = option(
        False, doc="Fit gain and bias to every batch before its gradient is taken."
    )
    patience: int = option(
        50, doc="Steps without a better mean loss after which to stop; 0 never.", minimum=0
    )
    smoothing: int = option(20, doc="Steps that the mean loss is taken over.", minimum=1)
    target_loss: float = option(
        0.0, doc="Mean squared error at which to stop; 0 never.", minimum=0.0
    )
    max_seconds: float = option(
        0.0, doc="Time after which to stop; 0 never.", unit="s", minimum=0.0
    )
    held_out: HeldOutOptions = section(HeldOutOptions)


@dataclass(eq=False)
class AdamState:
    """Moments (6,) of Adam; Kingma and Ba (2015), algorithm 1."""

    options: Options
    mean: Float64s
    square: Float64s
    n_steps: int = 0

    def step(self, gradient: Float64s) -> Float64s:
        """Take in a gradient (6,) and return what to add to the parameters."""
        options = self.options
        self.mean = options.beta1 * self.mean + (1 - options.beta1) * gradient
        self.square = options.beta2 * self.square + (1 - options.beta2) * gradient**2
        rate = options.learning_rate * options.decay ** (self.n_steps / options.decay_steps)
        self.n_steps += 1
        mean = self.mean / (1 - options.beta1**self.n_steps)
        square = self.square / (1 - options.beta2**self.n_steps)
        return np.asarray(-rate * mean / (np.sqrt(square) + 1e-8))


@dataclass(frozen=True)
class AdamSolver:
    """Takes many small steps, each along the gradient of a few hundred random pixels."""

    options: Options
    name = "adam"

    def solve(
        self,
        problem: Problem,
        generator: np.random.Generator,
        observer: Observer | None = None,
    ) -> Result:
        """Refine the start of a problem; see ``Solver``."""
        began = time.perf_counter()
        options = self.options
        obstacle = problem.obstacle(options.pixels.minimum)
        if obstacle is not None:
            return failed(self.name, obstacle, time.perf_counter() - began)
        model = BrightnessModel("affine" if options.brightness else "none")
        held_out = HeldOut.split(problem, options.held_out, model, generator)
        weights = interest(options.pixels, problem, held_out.free)
        n_candidates = int((weights > 0).sum())
        if n_candidates < options.pixels.minimum:
            reason = (
                f"{options.pixels.strategy} found {n_candidates} pixels, at least "
                f"{options.pixels.minimum} are needed"
            )
            return failed(self.name, reason, time.perf_counter() - began)
        run = Run(self.name, held_out, observer)
        with run.stage("adam") as proposed:
            descent = _Descent(problem, options, model, run)
            for _ in range(options.max_steps):
                pixels = draw(weights, options.pixels.count, generator)
                if not descent.step(samples_at(problem, pixels)):
                    break
            proposed.append(descent.pose)
        return descent.result()


class _Descent:
    """Adam on the twist of one problem."""

    def __init__(
        self, problem: Problem, options: Options, model: BrightnessModel, run: Run
    ) -> None:
        self.problem, self.options, self.model, self.run = problem, options, model, run
        frame = problem.field.frame
        self.world = Similarity(frame.T_world_field, frame.metres_per_unit)
        self.start = self.world.pose_to_source(problem.start)
        self.twist: Float64s = np.zeros(6)
        self.adam = AdamState(options, np.zeros(6), np.zeros(6))
        self.losses: list[float] = []
        self.best, self.since_best = float("inf"), 0
        self.ended: str | None = f"the limit of {options.max_steps} steps was reached"
        self.last: tuple[Samples, Linearised, Brightness] | None = None

    @property
    def pose(self) -> SE3:
        """T_world_camera now."""
        return self.world.pose_to_target(SE3.exp(self.twist) @ self.start)

    def step(self, samples: Samples) -> bool:
        """One step on a batch; False where it was the last."""
        pose = self.pose
        with self.run.rendering():
            view = linearise(self.problem, pose, samples.bearings)
        brightness = self.model.fit(samples.colors, view.color)
        residuals = samples.colors - brightness.apply(view.color)
        self.last = (samples, view, brightness)
        loss = float(np.mean(residuals**2)) if len(residuals) else float("nan")
        self.run.report("adam", pose, loss, len(samples))
        if coverage(view) == 0.0 or not np.isfinite(loss):
            self.ended = "no ray meets the field any more"
            return False
        self.losses.append(loss)
        gradient = self._gradient(residuals, view, brightness)
        self.twist = self.twist + self.adam.step(gradient)
        return not self._over(loss)

    def _gradient(
        self, residuals: npt.NDArray[np.float32], view: Linearised, brightness: Brightness
    ) -> Float64s:
        """Of the mean squared error by the twist x (6,), in units of the field.

        A change dx moves the pose by the twist J dx of the field, J the left Jacobian of x, and
        the camera by Ad⁻¹ J dx.
        """
        size = residuals.size
        slope = view.jacobian.reshape(-1, 6) * np.float32(-brightness.gain)
        of_camera = (2.0 / size) * (slope.T @ residuals.ravel()).astype(np.float64)
        of_camera[:3] *= self.world.scale
        inverse = (SE3.exp(self.twist) @ self.start).inverse().adjoint()
        return np.asarray(se3_left_jacobian(self.twist).T @ (inverse.T @ of_camera))

    def _over(self, loss: float) -> bool:
        options = self.options
        recent = float(np.mean(self.losses[-options.smoothing :]))
        self.since_best = 0 if recent < 0.999 * self.best else self.since_best + 1
        self.best = min(self.best, recent)
        if 0 < options.patience <= self.since_best or recent < options.target_loss:
            self.ended = None
        elif 0 < options.max_seconds <= self.run.seconds:
            self.ended = f"the limit of {options.max_seconds:g} s was reached"
        else:
            return self.run.stopped
        return True

    def result(self) -> Result:
        """The answer, with the statistics of the last batch."""
        assert self.last is not None
        samples, view, brightness = self.last
        residuals = samples.colors - brightness.apply(view.color)
        scale = robust_scale(residuals)
        jacobian = view.jacobian * np.float32(-brightness.gain)
        loss = LossOptions(kind="huber")
        equations = build(residuals, jacobian, view.color, self.model, loss, scale)
        rms = float(np.sqrt(np.mean(residuals**2)))
        return self.run.result(equations, brightness, rms, scale, self.ended)


def make(options: Options) -> AdamSolver:
    """The solver with its options."""
    return AdamSolver(options)
