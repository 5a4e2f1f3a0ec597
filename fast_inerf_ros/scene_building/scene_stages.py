"""The stages from photographs to a scene: field, landmarks, place, boxes, PoseCNN, evaluation."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from pathlib import Path

import numpy as np

from fast_inerf_ros.config import values_of
from fast_inerf_ros.config.value_rule import Value
from fast_inerf_ros.datasets.image_folders import image_paths
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.fields.checkpoint import load_state
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.similarity import Similarity
from fast_inerf_ros.inerf.landmark_file import load_landmarks, save_landmarks
from fast_inerf_ros.io.atomic import atomic_path, write_text
from fast_inerf_ros.io.scene import FieldReference, Scene, load_scene, save_scene
from fast_inerf_ros.scene_building.build_scene_options import BuildSceneConfig
from fast_inerf_ros.scene_building.fingerprint import fingerprint
from fast_inerf_ros.scene_building.marker_scale import scale_of_markers
from fast_inerf_ros.scene_building.scene_boxes import BOXES_PICTURE, make_boxes
from fast_inerf_ros.scene_building.scene_evaluation import RESULTS, evaluate_scene
from fast_inerf_ros.scene_building.scene_report import write_report
from fast_inerf_ros.scene_building.self_label import SelfLabelConfig, self_label
from fast_inerf_ros.scene_building.stages import Stages, digest, job_folder, require_end
from fast_inerf_ros.scene_building.structure_from_motion import (
    has_poses,
    photographs_without_poses,
    reconstruct,
    require_pycolmap,
)
from fast_inerf_ros.scene_building.world_placement import Placement, place, placed_by_cameras
from fast_inerf_ros.training.build_landmarks import BuildLandmarksConfig, make_landmarks
from fast_inerf_ros.training.checkpoints import locked
from fast_inerf_ros.training.nerf import FIELD_FILE, train_nerf
from fast_inerf_ros.training.options import TrainNerfConfig, ValidationOptions
from fast_inerf_ros.training.pose_options import TrainPoseCnnConfig
from fast_inerf_ros.training.pose_validation import BEST, LAST
from fast_inerf_ros.training.posecnn import train_posecnn
from fast_inerf_ros.training.reporting import CHECKPOINTS

SCENE, BOXES = "scene.yaml", "boxes.yaml"
MARKERS, LANDMARKS, DETECTOR = "aruco.json", "landmarks.npz", "detector.pt"
FIELD, LABELS, NETWORK, EVALUATION, COLMAP = "field", "labels", "posecnn", "evaluation", "colmap"

logger = logging.getLogger(__name__)


class SceneBuilder:
    """Builds one scene in one folder; see the functions of its stages for what they raise."""

    def __init__(self, config: BuildSceneConfig) -> None:
        self.config = config
        self._data = Path(config.data)
        if not has_poses(self._data):
            require_pycolmap(photographs_without_poses(self._data))
        self.folder = job_folder(config.output)
        self._stages = Stages(self.folder)

    def run(self) -> None:
        """Do all that is left to do; InputError where another process builds in this folder."""
        with locked(self.folder):
            self._run()

    def _run(self) -> None:
        data, posed = self._photographs()
        if self.config.camera_positions:  # wrong ones are to be known before hours of training
            placed_by_cameras(posed, self.config.placement_options())
        self._markers(posed)
        self._field(data, posed)
        self._landmarks(data, posed)
        placement = self._placement(posed)
        self._boxes(posed, placement)
        scene = load_scene(self.folder / BOXES)
        self._write_scene(scene, None)  # one can localise with it while PoseCNN is trained
        self._detector(data, scene)
        scene = self._write_scene(scene, DETECTOR if self._has_detector(scene) else None)
        self._evaluation(posed)
        report = write_report(self.folder, scene, placement, self._stages.seconds())
        logger.info("scene -> %s, report -> %s", self.folder / SCENE, report)

    def _photographs(self) -> tuple[Path, PosedImages]:
        """The data set, with poses by COLMAP where it has none."""
        data = self._data
        if not has_poses(data):
            pictures = photographs_without_poses(data)
            data = self.folder / COLMAP
            self._stages.ensure(
                "poses",
                {
                    "photographs": [
                        [path.name, path.stat().st_size] for path in image_paths(pictures)
                    ]
                },
                [f"{COLMAP}/sparse/0"],
                lambda _: reconstruct(pictures, data),
            )
        posed = load_dataset(data, self.config.dataset_options())
        logger.info(
            "photographs: %d to learn from, %d held out",
            len(posed.splits.train), len(posed.splits.test),
        )  # fmt: skip
        return data, posed

    def _markers(self, posed: PosedImages) -> None:
        edge = self.config.aruco
        if not edge:
            self._stages.forget("aruco")
            return

        def work(_: bool) -> None:
            found = scale_of_markers(posed, edge)
            write_text(
                self.folder / MARKERS, json.dumps(dataclasses.asdict(found), indent=1) + "\n"
            )
            logger.info(
                "%d markers in %d photographs, sizes within %.1f %%",
                found.n_markers, found.n_photographs, 100 * found.spread,
            )  # fmt: skip

        made_with = {"photographs": fingerprint(posed), "aruco": edge}
        self._stages.ensure("aruco", made_with, [MARKERS], work)

    def _field(self, data: Path, posed: PosedImages) -> None:
        config = self.config
        made_with = {
            "photographs": fingerprint(posed),
            "seconds": config.field_seconds,
            "seed": config.seed,
            **_values("field", config.field, "seconds"),
        }

        def work(goes_on: bool) -> None:
            plan = config.field
            self._clear(FIELD, goes_on)
            require_end(
                train_nerf(
                    TrainNerfConfig(
                        data=str(data),
                        output=str(self.folder / FIELD),
                        scene_type=plan.scene_type,
                        background=plan.background,
                        max_steps=plan.steps,
                        max_seconds=config.field_seconds,
                        seed=config.seed,
                        device=config.device,
                        keep_checkpoints=1,
                        validation=ValidationOptions(every_seconds=0.0),
                        dataset=config.dataset_options(),
                        voxel=plan.voxel,
                    )
                )
            )

        self._stages.ensure("field", made_with, [f"{FIELD}/{FIELD_FILE}"], work)
        self._clear(f"{FIELD}/{CHECKPOINTS}", False)  # hundreds of megabytes, of no more use

    def _landmarks(self, data: Path, posed: PosedImages) -> None:
        if not self.config.landmarks:
            self._stages.forget("landmarks")
            return
        plan = BuildLandmarksConfig(
            "", str(data), dataset=self.config.dataset_options(), build=self.config.map
        )

        def work(_: bool) -> None:
            found = make_landmarks(
                self._placed(Placement(Similarity(SE3.identity()), False)), plan
            )
            save_landmarks(self.folder / LANDMARKS, found)

        self._stages.ensure(
            "landmarks", _values("map", self.config.map), [LANDMARKS], work, ["field"]
        )

    def _placement(self, posed: PosedImages) -> Placement:
        points = np.zeros((0, 3))
        if self.config.landmarks:
            landmarks = load_landmarks(self.folder / LANDMARKS)
            own = Similarity(posed.frame.T_world_field, posed.frame.metres_per_unit)
            points = np.asarray(own @ landmarks.points[landmarks.n_seen > 1].astype(np.float64))
        options = self.config.placement_options()
        if options.aruco:
            stored = json.loads((self.folder / MARKERS).read_text(encoding="utf-8"))
            options = dataclasses.replace(options, aruco=0.0, scale=stored["metres_per_unit"])
        found = place(posed, points, options)
        for note in found.notes:
            logger.info("%s", note)
        if not found.metric:
            logger.warning(
                "the scale is not known (metric: false): give --distance, --camera-positions or "
                "--scale"
            )
        return found

    def _placed(self, placement: Placement) -> Scene:
        """The scene with its field where a placement puts it, and nothing else."""
        frame = load_state(self.folder / FIELD / FIELD_FILE).frame
        own = Similarity(frame.T_world_field, frame.metres_per_unit)
        place = placement.scene_from_world @ own
        return Scene(
            self.config.frame_id,
            placement.metric,
            FieldReference(f"{FIELD}/{FIELD_FILE}", place.scale, place.transform),
            folder=self.folder,
        )

    def _boxes(self, posed: PosedImages, placement: Placement) -> None:
        config = self.config
        similarity = placement.scene_from_world
        made_with = {
            "place": [*similarity.transform.matrix().ravel().tolist(), similarity.scale],
            "metric": placement.metric,
            "box": config.box,
            "propose_boxes": config.propose_boxes,
            **_values("proposals", config.proposals),
        }

        def work(_: bool) -> None:
            scene = self._placed(placement)
            objects = make_boxes(
                scene, posed, config.box, config.propose_boxes, config.proposals, config.seed
            )
            save_scene(dataclasses.replace(scene, objects=objects), self.folder / BOXES)

        self._stages.ensure("boxes", made_with, [BOXES, BOXES_PICTURE], work, ["field"])

    def _detector(self, data: Path, scene: Scene) -> None:
        if not self._has_detector(scene):
            for name in ("labels", "posecnn"):
                self._stages.forget(name)
            return
        self._label(data)
        config, plan = self.config, self.config.detector
        made_with = {
            "seconds": config.detector_seconds,
            "seed": config.seed,
            **_values("detector", plan, "seconds", "n_novel", "width"),
        }

        def work(goes_on: bool) -> None:
            self._clear(NETWORK, goes_on)
            require_end(
                train_posecnn(
                    TrainPoseCnnConfig(
                        data=str(self.folder / LABELS),
                        output=str(self.folder / NETWORK),
                        pretrained=plan.pretrained,
                        max_epochs=0,
                        max_steps=plan.steps,
                        max_seconds=config.detector_seconds,
                        seed=config.seed,
                        device=config.device,
                        keep_checkpoints=1,
                        schedule=plan.schedule,
                    )
                )
            )
            best = self.folder / NETWORK / BEST
            chosen = best if best.exists() else self.folder / NETWORK / LAST
            with atomic_path(self.folder / DETECTOR) as temporary:
                shutil.copyfile(chosen, temporary)

        self._stages.ensure("posecnn", made_with, [DETECTOR], work, ["labels"])
        self._clear(f"{NETWORK}/{CHECKPOINTS}", False)

    def _label(self, data: Path) -> None:
        config = self.config
        made_with = {
            "boxes": digest(self.folder, [BOXES]),  # which people may edit
            "n_novel": config.n_novel,
            "width": config.label_width,
            "seed": config.seed,
            **_values("views", config.detector.views),
        }

        def work(_: bool) -> None:
            for killed in self.folder.glob(f".{LABELS}.*"):
                self._clear(killed.name, False)
            self_label(
                SelfLabelConfig(
                    scene=str(self.folder / BOXES),
                    data=str(data),
                    output=str(self.folder / LABELS),
                    n_novel=config.n_novel,
                    width=config.label_width,
                    seed=config.seed,
                    overwrite=True,
                    dataset=config.dataset_options(),
                    views=config.detector.views,
                )
            )

        self._stages.ensure("labels", made_with, [LABELS], work, ["field"])

    def _clear(self, name: str, goes_on: bool) -> None:
        """Remove a folder, such as what a training with other options has left."""
        if not goes_on:
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def _has_detector(self, scene: Scene) -> bool:
        return self.config.posecnn and bool(scene.objects)

    def _write_scene(self, scene: Scene, detector: str | None) -> Scene:
        """Write scene.yaml with all that was made; return it as it is read."""
        complete = dataclasses.replace(
            scene,
            frame_id=self.config.frame_id,
            description=self.config.description,
            landmarks=LANDMARKS if self.config.landmarks else None,
            detector=detector,
        )
        save_scene(complete, self.folder / SCENE)
        return load_scene(self.folder / SCENE)

    def _evaluation(self, posed: PosedImages) -> None:
        made_with = {"scene": digest(self.folder, [SCENE]), "photographs": fingerprint(posed)}
        results = [f"{EVALUATION}/{RESULTS}"]

        def work(_: bool) -> None:
            self._clear(EVALUATION, False)
            evaluate_scene(self.folder / SCENE, posed, self.folder / EVALUATION)

        self._stages.ensure(
            "evaluation", made_with, results, work, ["field", "landmarks", "posecnn"]
        )


def _values(name: str, config: object, *but: str) -> dict[str, Value]:
    """The options of a section by full name, but for some."""
    return {f"{name}.{key}": value for key, value in values_of(config).items() if key not in but}
