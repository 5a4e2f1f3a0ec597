"""Tries a detector on images whose objects are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.model_points import Points, surface_points
from fast_inerf_ros.datasets.pose_set import ObjectClass, ObjectTruth, PoseSample, PoseSet
from fast_inerf_ros.evaluation.detections import CameraResult, DetectionReport, ObjectResult
from fast_inerf_ros.evaluation.objects import (
    BOP_SYMMETRY_STEP_RAD,
    add_s,
    symmetric_add,
    symmetric_pose_errors,
)
from fast_inerf_ros.evaluation.poses import pose_errors
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.initialise import poses_from_objects
from fast_inerf_ros.io.scene import SceneObject
from fast_inerf_ros.posecnn.detection import Detection
from fast_inerf_ros.posecnn.detector import Detector

LEAST_VISIBLE = 0.1
"""Objects of which less is seen are neither wanted nor wrong, as in BOP."""

LEAST_PIXELS = 200
"""The same where nobody says which share is visible."""

SYMMETRIC_ADD_STEP_RAD = 0.05
UNKNOWN_EXTENT = (0.1, 0.1, 0.1)
NAN = float("nan")

Mask = npt.NDArray[np.bool_]
Seen = Callable[[PoseSample, tuple[Detection, ...]], None]


@dataclass(frozen=True, eq=False)
class _Model:
    """A class, with points of its surface or None."""

    item: ObjectClass
    points: Points | None


class PoseEvaluation:
    """Compares detections with the truth of one data set.

    labels: classes that count; objects of others are background.

    Raises:
        InputError: a model that is damaged.
    """

    def __init__(self, pose_set: PoseSet, labels: Sequence[str]) -> None:
        self.report = DetectionReport.empty(labels)
        self._number = {label: index + 1 for index, label in enumerate(labels)}
        self._models = {
            key: _Model(item, surface_points(item))
            for key, item in pose_set.classes.items()
            if item.label in self._number
        }

    def add(self, sample: PoseSample, detections: Sequence[Detection]) -> None:
        """Count an image and what was found in it."""
        self.report.n_images += 1
        known = [item for item in detections if item.label in self._number]
        height, width = sample.image.shape[:2]
        masks = [item.full_mask(width, height) for item in known]
        self.report.pixels.add(self._painted(known, masks, sample), self._true_classes(sample))
        truths = [item for item in sample.objects if item.object_id in self._models]
        partner = self._matched(truths, known, masks, sample)
        for index, truth in enumerate(truths):
            if _counts(truth):
                detection = known[partner[index]] if index in partner else None
                self.report.objects.append(self._result(sample, truth, detection))
        self._count_detections(known, set(partner.values()), truths, partner)
        self.report.cameras.append(self._camera(sample, truths, known))

    def _painted(
        self, detections: Sequence[Detection], masks: Sequence[Mask], sample: PoseSample
    ) -> npt.NDArray[np.int64]:
        """Classes (H, W) as found, the surest on top."""
        painted = np.zeros(sample.image.shape[:2], dtype=np.int64)
        for index in np.argsort([item.score for item in detections]):
            painted[masks[index]] = self._number[detections[index].label]
        return painted

    def _true_classes(self, sample: PoseSample) -> npt.NDArray[np.int64]:
        numbers = [
            self._number[self._models[item.object_id].item.label]
            if item.object_id in self._models
            else 0
            for item in sample.objects
        ]
        return np.array([*numbers, 0], dtype=np.int64)[sample.instances()]

    def _matched(
        self,
        truths: Sequence[ObjectTruth],
        detections: Sequence[Detection],
        masks: Sequence[Mask],
        sample: PoseSample,
    ) -> dict[int, int]:
        """Index of the detection of each truth: same class, masks that overlap, nearest centres.

        An object that counts goes before one that does not.
        """
        pairs = []
        for index, truth in enumerate(truths):
            label = self._models[truth.object_id].item.label
            for place, detection in enumerate(detections):
                if detection.label == label and bool((masks[place] & truth.mask).any()):
                    error = _centre_error(sample, truth, detection)
                    pairs.append((not _counts(truth), error, index, place))
        partner: dict[int, int] = {}
        for _, _, index, place in sorted(pairs):
            if index not in partner and place not in partner.values():
                partner[index] = place
        return partner

    def _count_detections(
        self,
        detections: Sequence[Detection],
        matched: set[int],
        truths: Sequence[ObjectTruth],
        partner: dict[int, int],
    ) -> None:
        """Those of objects that are hardly seen are left out: nobody asks for them."""
        ignored = {place for index, place in partner.items() if not _counts(truths[index])}
        for place, item in enumerate(detections):
            if place not in ignored:
                self.report.count(item.label, false=place not in matched)

    def _result(
        self, sample: PoseSample, truth: ObjectTruth, detection: Detection | None
    ) -> ObjectResult:
        model = self._models[truth.object_id]
        label, fraction = model.item.label, truth.visible_fraction
        if detection is None:
            return ObjectResult(
                sample.name, label, fraction, False, has_model=model.points is not None
            )
        pose, true = detection.T_camera_object, truth.T_camera_object
        symmetry = model.item.symmetry
        errors = symmetric_pose_errors(pose, true, symmetry.transforms(BOP_SYMMETRY_STEP_RAD))
        add_error = add_s_error = NAN
        if model.points is not None:
            turns = symmetry.transforms(SYMMETRIC_ADD_STEP_RAD)
            add_error = float(symmetric_add(pose, true, model.points, turns))
            add_s_error = float(add_s(pose, true, model.points))
        return ObjectResult(
            image=sample.name,
            label=label,
            visible_fraction=fraction,
            found=True,
            score=detection.score,
            centre_error_px=_centre_error(sample, truth, detection),
            depth_error=abs(detection.depth / float(true.translation[2]) - 1.0),
            rotation_error_deg=float(errors.rotation_deg),
            translation_error=float(errors.translation),
            add=add_error,
            add_s=add_s_error,
            has_model=model.points is not None,
        )

    def _camera(
        self,
        sample: PoseSample,
        truths: Sequence[ObjectTruth],
        detections: Sequence[Detection],
    ) -> CameraResult:
        """The true camera's frame is taken as the world: there the objects' poses are known."""
        scene = [self._scene_object(item) for item in truths]
        present = {item.label for item in scene}
        seen = [item for item in detections if item.label in present]
        found = poses_from_objects(seen, scene, sample.camera)
        if not found:
            return CameraResult(sample.name, len(seen))
        errors = pose_errors(found[0].T_world_camera, SE3.identity())
        return CameraResult(
            sample.name, len(seen), float(errors.rotation_deg), float(errors.translation)
        )

    def _scene_object(self, truth: ObjectTruth) -> SceneObject:
        item = self._models[truth.object_id].item
        return SceneObject(
            label=item.label,
            class_id=self._number[item.label],
            T_world_object=truth.T_camera_object,
            extent=UNKNOWN_EXTENT if item.extent is None else item.extent,
            box_centre=item.box_centre,
            symmetry=item.symmetry,
        )


def evaluate_detector(
    detector: Detector, pose_set: PoseSet, indices: Iterable[int], seen: Seen | None = None
) -> DetectionReport:
    """Try a detector on some images of a data set.

    seen: is shown each image with its detections.

    Raises:
        InputError: images or models that cannot be read.
    """
    evaluation = PoseEvaluation(pose_set, detector.class_labels)
    for index in indices:
        sample = pose_set.sample(int(index))
        detections = detector.detect(sample.image, sample.camera)
        evaluation.add(sample, detections)
        if seen is not None:
            seen(sample, detections)
    return evaluation.report


def _counts(truth: ObjectTruth) -> bool:
    """Whether an object is to be found."""
    if float(truth.T_camera_object.translation[2]) <= 0:
        return False
    if np.isfinite(truth.visible_fraction):
        return truth.visible_fraction >= LEAST_VISIBLE
    return int(truth.mask.sum()) >= LEAST_PIXELS


def _centre_error(sample: PoseSample, truth: ObjectTruth, detection: Detection) -> float:
    place = np.asarray(truth.T_camera_object.translation, dtype=np.float64)
    centre = np.asarray(sample.camera.project(place))
    return float(np.linalg.norm(detection.centre_px - centre))
