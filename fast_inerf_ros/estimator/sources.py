"""All that can say where to begin: a prior, landmarks, objects, and views of the field."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.estimator.config import EstimatorConfig
from fast_inerf_ros.estimator.estimate import Source
from fast_inerf_ros.estimator.hypotheses import Hypothesis, of_landmarks
from fast_inerf_ros.estimator.motion import is_finite
from fast_inerf_ros.estimator.observation import Observation, PosePrior
from fast_inerf_ros.estimator.priors import of_prior
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.pnp import PnpResult, pnp_near, solve_pnp
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.features.feature import Features
from fast_inerf_ros.inerf.features.registry import make_extractor
from fast_inerf_ros.inerf.initialise import poses_from_objects
from fast_inerf_ros.inerf.landmarks import LandmarkMap, Matches, features_of
from fast_inerf_ros.inerf.problem import Problem
from fast_inerf_ros.inerf.view_search import ViewSearch
from fast_inerf_ros.inerf.views import around
from fast_inerf_ros.io.scene import Scene
from fast_inerf_ros.posecnn.detection import Detection
from fast_inerf_ros.posecnn.detector import Detector

MOST_COMPARED = 40_000
"""Landmarks that are compared with every feature, at most: a fifth of a second."""

PART = 200
"""Features that are searched at a time."""


class Sources:
    """What a scene offers to start from. landmarks, detector: None where it has none."""

    def __init__(
        self,
        scene: Scene,
        scene_field: Field,
        config: EstimatorConfig,
        landmarks: LandmarkMap | None,
        detector: Detector | None,
    ) -> None:
        self.scene, self.field, self.config = scene, scene_field, config
        self.landmarks, self.detector = landmarks, detector
        self._views: ViewSearch | None = None
        self._extractor = None
        if landmarks is not None:
            self._extractor = make_extractor(landmarks.landmarks.extractor)

    def detected(self, observation: Observation) -> tuple[Detection, ...]:
        """Objects that PoseCNN finds; none where there is no network."""
        if self.detector is None:
            return ()
        return self.detector.detect(observation.image, observation.camera)

    def features(self, observation: Observation, *, quick: bool = False) -> Features | None:
        """Local features of an image, None where the scene has no map of landmarks."""
        if self.landmarks is None or self._extractor is None:
            return None
        extract, options = self._extractor.extract, self.landmarks.options
        if quick:
            own = self.config.landmarks
            few = min(options.n_features, own.quick_features)
            small = min(options.longest_side, own.quick_side)
            options = replace(options, n_features=few, longest_side=small)
        return features_of(observation.image, observation.camera, extract, options)

    def matched(self, features: Features | None) -> Matches | None:
        """Landmarks that the features of an image look like, None where the scene has no map."""
        if features is None or self.landmarks is None:
            return None
        return self.landmarks.match(features)

    def locating(
        self, observation: Observation, *, quick: bool
    ) -> Generator[None, None, Hypothesis | None]:
        """The hypothesis of an image's landmarks, found a bit at a time.

        quick: by few features of a small image. Returns None where they agree on nothing.
        """
        features = self.features(observation, quick=quick)
        if features is None or self.landmarks is None:
            return None
        yield
        matches: Matches | None = None
        for part in self.landmarks.match_in_parts(features, max(1, len(features) // PART)):
            matches = part
            yield
        assert matches is not None  # the last part has them
        found = self.located(matches, observation.camera, quick=quick)
        return None if found is None else of_landmarks(found, matches)

    def located_quickly(self, observation: Observation) -> Hypothesis | None:
        """The hypothesis of few landmarks in a small image, None where they agree on nothing."""
        bits = self.locating(observation, quick=True)
        while True:
            try:
                next(bits)
            except StopIteration as end:
                found: Hypothesis | None = end.value
                return found

    def located(
        self, matches: Matches, camera: Camera, *, quick: bool = False
    ) -> PnpResult | None:
        """Where the matched landmarks alone put the camera, None where they agree on nothing."""
        return solve_pnp(
            matches.points,
            matches.pixels,
            camera,
            max_error_px=self.max_error_px(camera, quick=quick),
            min_inliers=self.config.landmarks.min_inliers,
            generator=np.random.default_rng(self.config.seed),
        )

    def located_near(
        self, matches: Matches, camera: Camera, T_world_camera: SE3
    ) -> PnpResult | None:
        """As ``located``, for matches most of which are right, from about where the camera is."""
        return pnp_near(
            matches.points,
            matches.pixels,
            camera,
            T_world_camera.inverse(),
            max_error_px=self.max_error_px(camera),
            min_inliers=self.config.landmarks.min_inliers,
        )

    def max_error_px(self, camera: Camera, *, quick: bool = False) -> float:
        """Largest reprojection error of a landmark, in pixels of the image as it is."""
        options = self.config.landmarks
        side = options.quick_side if quick else options.match.longest_side
        longest = max(camera.width, camera.height)
        return options.max_error_px * max(1.0, longest / side)

    def hypotheses(
        self,
        observation: Observation,
        prior: PosePrior | None,
        detections: tuple[Detection, ...],
        features: Features | None,
        matches: Matches | None,
    ) -> list[Hypothesis]:
        """Hypotheses of all sources but the views, in no order.

        features, matches: local features of the image and the landmarks that they look like.
        Where the landmarks of the whole scene agree on nothing, those are tried that the other
        hypotheses have in view.
        """
        camera = observation.camera
        found = self._of_objects(detections, camera)
        around = found[:1]
        if prior is not None and is_finite(prior.T_world_camera):
            priors = of_prior(prior, np.random.default_rng(self.config.seed))
            found, around = found + priors, around + priors[:1]
        if features is None or matches is None:
            return found
        located = self.located(matches, camera)
        if located is not None:
            return [*found, of_landmarks(located, matches)]
        return found + self._narrowed(features, camera, around)

    def _narrowed(
        self, features: Features, camera: Camera, around: Sequence[Hypothesis]
    ) -> list[Hypothesis]:
        """Hypotheses of the landmarks in view of others, half an image further on each side."""
        if self.landmarks is None:
            return []
        found = []
        for item in around:
            near = self.landmarks.visible(camera, item.T_world_camera, camera.width / 2)
            if int(near.sum()) > MOST_COMPARED:
                continue
            matches = self.landmarks.match(features, near)
            located = self.located(matches, camera)
            if located is not None:
                found.append(of_landmarks(located, matches))
        return found

    def searched(self, problem: Problem) -> list[Hypothesis]:
        """Hypotheses of views that look like the image; they are rendered at the first call."""
        if self._views is None:
            options = self.config.views
            self._views = ViewSearch(self._viewpoints(), options.n_aligned, options.n_kept)
        poses = self._views.search(problem, np.random.default_rng(self.config.seed))
        return [Hypothesis(pose, Source.VIEWS) for pose in poses]

    def _of_objects(self, detections: tuple[Detection, ...], camera: Camera) -> list[Hypothesis]:
        if not detections or not self.scene.objects:
            return []
        try:
            poses = poses_from_objects(detections, self.scene.objects, camera, self.config.objects)
        except InputError:  # detections with numbers that are not finite
            return []
        return [
            Hypothesis(item.T_world_camera, Source.OBJECTS, covariance=item.covariance)
            for item in poses
        ]

    def _viewpoints(self) -> SE3:
        """Where the photographs were taken, or all around the field."""
        count = self.config.views.count
        if self.landmarks is None:
            return around(self.field, count)
        poses = self.landmarks.viewpoints
        return poses[:: max(1, -(-poses.batch_shape[0] // count))]
