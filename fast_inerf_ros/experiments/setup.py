"""From a photograph of known pose to the question that a solver is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.experiments.detections import DetectionSource, Found
from fast_inerf_ros.experiments.fields import camera_for
from fast_inerf_ros.experiments.image_noise import ImageNoise, spoilt
from fast_inerf_ros.experiments.start_error import StartError, started
from fast_inerf_ros.experiments.trial import Outcome, Trial, perform
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.similarity import Similarity
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.inerf.observer import Observer
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.result import failed
from fast_inerf_ros.inerf.solvers.solver import Solver
from fast_inerf_ros.training.pictures import to_pixels

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Growth:
    """How far masks grow: a square of kernel_size pixels, so many times."""

    kernel_size: int
    iterations: int

    def grown(self, mask: Mask) -> Mask:
        """The mask (H, W), larger."""
        kernel = np.ones((self.kernel_size, self.kernel_size), dtype=np.uint8)
        larger = cv2.dilate(mask.astype(np.uint8), kernel, iterations=self.iterations)
        return np.asarray(larger > 0)


@dataclass(frozen=True, eq=False)
class Setup:
    """What all photographs of an experiment have in common.

    layout: which of the seed's orders start errors have. background: what lies behind the
    scene, None where unknown. growth: of masks, None where these are not to be used.
    from_detection: start at the pose that detections give, not at the disturbed true one.
    """

    field: Field
    solver: Solver
    layout: Literal["blender", "llff"]
    start_error: StartError
    noise: ImageNoise
    background: tuple[float, float, float] | None
    detections: DetectionSource
    growth: Growth | None = None
    from_detection: bool = False
    seed: int = 0

    def ask(self, posed: PosedImages, index: int, observer: Observer | None = None) -> Outcome:
        """Refine the pose of one photograph; what detections lack is a failure, not an error.

        Raises InputError for files of detections that are wrong.
        """
        found = self._found(posed, index)
        trial = self.trial(posed, index, found)
        lacking = self._lacking(found, trial.name)
        if lacking is not None:
            return Outcome(trial, failed(self.solver.name, lacking, 0.0), ())
        return perform(trial, observer)

    def trial(self, posed: PosedImages, index: int, found: Found) -> Trial:
        """The question about one photograph."""
        frame = self.field.frame
        world = Similarity(frame.T_world_field, frame.metres_per_unit)
        T_field_camera = posed.T_field_camera[index]
        start = world.pose_to_target(started(T_field_camera, self.start_error, self.layout))
        if self.from_detection:
            start = _UNKNOWN if found.T_world_camera is None else found.T_world_camera
        generator = np.random.default_rng([self.seed, index])
        behind = self.background or (0.0, 0.0, 0.0)
        region = found.region if self.growth is not None else None
        problem = Problem(
            image=spoilt(posed.colors(index, behind), self.noise, generator),
            camera=camera_for(self.field, posed.cameras[index]),
            field=self.field,
            T_world_camera=start,
            mask=None if region is None or self.growth is None else self.growth.grown(region),
            region=region,
            background=self.background,
        )
        truth = world.pose_to_target(T_field_camera)
        return Trial(posed.names[index], problem, self.solver, truth, self.seed)

    def _found(self, posed: PosedImages, index: int) -> Found:
        if self.growth is None and not self.from_detection:
            return Found(None, None)
        colors = posed.colors(index, self.background or (0.0, 0.0, 0.0))
        path = posed.images.paths[index]
        return self.detections.find(path, to_pixels(colors), posed.cameras[index])

    def _lacking(self, found: Found, name: str) -> str | None:
        if self.from_detection and found.T_world_camera is None:
            return f"{name}: nothing was detected that gives a pose to start from"
        if self.growth is not None and found.region is None:
            return f"{name}: nothing was detected that gives a mask of the region"
        return None


_UNKNOWN = SE3(SO3.identity(), np.full(3, np.nan))
"""Where a camera is that nothing is known of; solvers refuse it."""
