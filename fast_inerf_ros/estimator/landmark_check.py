"""Landmarks of an image of a stream, asked anew a bit at a time while the next images come.

What is tracked from image to image drifts, grows less, and may have been wrong from the start.
Only a search among all landmarks of the scene, which knows nothing of the tracked ones, shows
that; it takes several images' time, and no image is to wait for it.
"""

from __future__ import annotations

import numpy as np

from fast_inerf_ros.estimator.hypotheses import Hypothesis
from fast_inerf_ros.estimator.observation import Observation
from fast_inerf_ros.estimator.refinement import SURE
from fast_inerf_ros.estimator.sources import Sources
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.landmarks import Matches

TOLERANCE = 3.0
"""How much farther than its own landmarks may be off those may be that a pose is compared with."""


class LandmarkCheck:
    """A search for the landmarks of one image.

    T_world_camera: where tracking says that the image was taken. quick: by few features of a
    small image.
    """

    def __init__(
        self,
        sources: Sources,
        observation: Observation,
        T_world_camera: SE3,
        *,
        quick: bool = True,
    ) -> None:
        self.observation, self.T_world_camera = observation, T_world_camera
        self._sources, self._quick = sources, quick
        self._steps = sources.locating(observation, quick=quick)
        self._found: Hypothesis | None = None

    def advance(self) -> bool:
        """Do the next bit; whether that was the last."""
        try:
            next(self._steps)
        except StopIteration as end:
            self._found = end.value
            return True
        return False

    @property
    def found(self) -> Hypothesis | None:
        """Where the landmarks put the camera, None where they are not sure, or not yet known."""
        sure = self._found is not None and self._found.support >= SURE
        return self._found if sure else None

    @property
    def inliers(self) -> Matches | None:
        """The landmarks that agree on that."""
        found = self.found
        if found is None or found.matches is None or found.located is None:
            return None
        return found.matches[found.located.inliers]

    @property
    def confirms(self) -> bool:
        """Whether most of these landmarks agree with where tracking says that the camera was."""
        inliers, camera = self.inliers, self.observation.camera
        if inliers is None:
            return False
        pixels = np.asarray(camera.project(self.T_world_camera.inverse() @ inliers.points))
        limit = TOLERANCE * self._sources.max_error_px(camera, quick=self._quick)
        with np.errstate(invalid="ignore"):
            return bool(np.median(np.linalg.norm(pixels - inliers.pixels, axis=-1)) <= limit)
