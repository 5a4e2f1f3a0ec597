"""Pixels that no solver looks at, and that must agree before a step is believed.

The image is divided into square blocks; a random share of them is held out. Solvers draw their
pixels elsewhere, so a pose that merely fits noise does not pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.config import option
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf import pixels as pixels_of
from fast_inerf_ros.inerf.anchors import Anchors
from fast_inerf_ros.inerf.brightness import BrightnessModel
from fast_inerf_ros.inerf.photometric import Samples, coverage, render, samples_at
from fast_inerf_ros.inerf.problem import Problem

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

BLOCKS = 20
"""Blocks along the longer side of what is usable: about as coarse as the coarsest level."""

ANCHOR_SHARE = 0.25
"""Share of the landmarks that is held out."""

CHANCE = 2.0
"""Standard deviation of the squared error of one landmark: of chi-square with two degrees."""

TRUNCATION = 0.15
"""Differences of colours beyond this are all equally wrong."""


@dataclass(frozen=True)
class HeldOutOptions:
    """Which pixels are kept away from the solver, and what they must show."""

    share: float = option(
        0.125, doc="Share of the image's blocks that is held out.", minimum=0.01, maximum=0.5
    )
    count: int = option(512, doc="Pixels compared, at most.", minimum=32)
    tolerance: float = option(
        0.02,
        doc="A stage is kept while the cost of the held-out pixels is no more than this share "
        "above the lowest so far.",
        minimum=0.0,
    )
    minimum_correlation: float = option(
        0.5,
        doc="Least correlation of the held-out pixels with their rendering; below it the result "
        "is rejected.",
        minimum=-1.0,
        maximum=1.0,
    )
    minimum_coverage: float = option(
        0.05,
        doc="Least share of the held-out pixels whose rays meet the scene.",
        minimum=0.0,
        maximum=1.0,
    )


@dataclass(frozen=True)
class Agreement:
    """How image and field agree on the held-out pixels at one pose.

    cost: mean of the truncated differences, in units of colour, the brightness fitted.
    correlation: zero-mean normalised, over all channels. coverage: share of the rays that meet
    the scene. anchor_cost: of the held-out landmarks, 0 where there are none.
    """

    cost: float
    correlation: float
    coverage: float
    anchor_cost: float = 0.0


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The held-out part of one problem. free: (H, W), what the solver may look at.

    anchors: the landmarks that are held out, free_anchors: the others; None where there are none.
    """

    problem: Problem
    options: HeldOutOptions
    brightness: BrightnessModel
    free: Mask
    samples: Samples
    anchors: Anchors | None = None
    free_anchors: Anchors | None = None

    @staticmethod
    def split(
        problem: Problem,
        options: HeldOutOptions,
        brightness: BrightnessModel,
        generator: np.random.Generator,
    ) -> HeldOut:
        """Hold out random blocks; drawn in proportion to gradients, so that they can tell."""
        blocks = held_out_blocks(problem.usable, options.share, generator)
        chosen = pixels_of.PixelOptions(count=options.count, uniform_share=0.3)
        kept = pixels_of.select(chosen, problem, problem.usable & blocks, generator)
        samples = samples_at(problem, kept)
        free_anchors, anchors = None, None
        if problem.anchors is not None:
            free_anchors, anchors = problem.anchors.split(ANCHOR_SHARE, generator)
        free = problem.usable & ~blocks
        return HeldOut(problem, options, brightness, free, samples, anchors, free_anchors)

    @cached_property
    def start(self) -> Agreement:
        """Agreement at the start pose."""
        return self.agreement(self.problem.start)

    def agreement(self, T_world_camera: SE3) -> Agreement:
        """Compare the held-out pixels with the field as seen from a pose."""
        image = self.samples.colors
        if len(image) == 0:
            return Agreement(float("inf"), 0.0, 0.0)
        view = render(self.problem, T_world_camera, self.samples.bearings)
        fitted = self.brightness.fit(image, view.color).apply(view.color)
        difference = np.minimum(np.abs(image - fitted), TRUNCATION)
        cost = float(difference.mean())
        alike, met = correlation(image, view.color), coverage(view)
        if self.anchors is None:
            return Agreement(cost, alike, met)
        anchor_cost = self.anchors.cost(self.problem.camera, T_world_camera)
        return Agreement(cost, alike, met, anchor_cost)

    def accepts(self, lowest: Agreement, before: Agreement, after: Agreement) -> bool:
        """Whether a change is one for the better, or makes no difference.

        Pixels and landmarks must agree, the latter within the chance of so few. What wins back
        the landmarks that colours had led away from need not be as good for the colours as what
        led away: no worse than at the start is enough. lowest: the least costs so far, each for
        itself. before: where the change began.
        """
        tolerated = 1.0 + self.options.tolerance
        n_anchors = 0 if self.anchors is None else len(self.anchors)
        chance = CHANCE / np.sqrt(max(n_anchors, 1))
        if not np.isfinite(after.cost) or after.anchor_cost > lowest.anchor_cost + chance:
            return False
        won_back = after.anchor_cost < before.anchor_cost - chance
        limit = self.start.cost if won_back else lowest.cost
        return bool(after.cost <= limit * tolerated)

    def objection(self, final: Agreement) -> str | None:
        """Why a final pose is not to be believed; None where it may be."""
        if final.coverage < self.options.minimum_coverage:
            return (
                f"the field does not cover the view: {final.coverage:.0%} of the rays meet it, "
                f"{self.options.minimum_coverage:.0%} are needed"
            )
        if final.correlation < self.options.minimum_correlation:
            return (
                f"image and field do not agree: correlation {final.correlation:.2f}, "
                f"{self.options.minimum_correlation:.2f} is needed"
            )
        return None


def held_out_blocks(usable: Mask, share: float, generator: np.random.Generator) -> Mask:
    """Random square blocks (H, W), ``BLOCKS`` along the longer side of what is usable."""
    height, width = usable.shape
    rows, columns = (np.flatnonzero(usable.any(axis=axis)) for axis in (1, 0))
    extent = max((np.ptp(found) + 1 for found in (rows, columns) if found.size), default=1)
    side = max(1, round(float(extent) / BLOCKS))
    chosen = generator.random((-(-height // side), -(-width // side))) < share
    return np.asarray(np.repeat(np.repeat(chosen, side, 0), side, 1)[:height, :width])


def correlation(image: Floats, rendered: Floats) -> float:
    """Zero-mean normalised correlation of colours (N, 3) in [-1, 1]; 0 where one is flat."""
    a, b = image.ravel() - image.mean(), rendered.ravel() - rendered.mean()
    power = float(np.sqrt((a @ a) * (b @ b)))
    flat = 1e-6 * len(a)
    if not np.isfinite(power) or power < flat:
        return 0.0
    return float(np.clip((a @ b) / power, -1.0, 1.0))
