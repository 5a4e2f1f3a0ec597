"""Options of ``build_scene``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from fast_inerf_ros.config import option, section
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.inerf.landmark_building import BuildOptions
from fast_inerf_ros.scene_building.box_proposals import ProposalOptions
from fast_inerf_ros.scene_building.given_boxes import given_box
from fast_inerf_ros.scene_building.novel_views import NovelViewOptions
from fast_inerf_ros.scene_building.world_placement import PlacementOptions
from fast_inerf_ros.training.options import SceneType
from fast_inerf_ros.training.pose_options import PoseSchedule
from fast_inerf_ros.training.voxel_options import VoxelTraining

HOLD_OUT = 8


@dataclass(frozen=True)
class FieldPlan:
    """How the radiance field is trained."""

    seconds: float = option(
        0.0, doc="Time of training; 0 for 1800 s, or 300 s with quick.", unit="s", minimum=0.0
    )
    steps: int = option(0, doc="Steps of training instead of a time; 0 for the time.", minimum=0)
    scene_type: SceneType = option("auto", doc="As scene_type of train_nerf.")
    background: Literal["white", "black"] = option(
        "white", doc="What lies behind transparent photographs."
    )
    voxel: VoxelTraining = section(VoxelTraining)


@dataclass(frozen=True)
class DetectorPlan:
    """How PoseCNN is trained, where the scene has boxes."""

    seconds: float = option(
        0.0, doc="Time of training; 0 for 3600 s, or 600 s with quick.", unit="s", minimum=0.0
    )
    steps: int = option(0, doc="Steps of training instead of a time; 0 for the time.", minimum=0)
    n_novel: int = option(
        -1, doc="Views rendered for training; -1 for 500, or 200 with quick.", minimum=-1
    )
    width: int = option(
        0, doc="Width of the images; 0 for 640, or 480 with quick.", unit="px", minimum=0,
        maximum=8192,
    )  # fmt: skip
    pretrained: bool = option(True, doc="Start from ImageNet weights of the backbone.")
    views: NovelViewOptions = section(NovelViewOptions)
    schedule: PoseSchedule = section(PoseSchedule)


@dataclass(frozen=True)
class BuildSceneConfig:
    """Options of ``build_scene``."""

    data: str = option(
        "", doc="Folder of the photographs, with poses or without.", positional=True
    )
    output: str = option("scene", doc="Folder of the scene; the same command goes on in it.")
    quick: bool = option(
        False, doc="Half an hour at most on two cores for 50 photographs, for a first look."
    )
    hold_out: int = option(
        HOLD_OUT,
        doc="Every n-th photograph, beginning with the first, is kept from field, landmarks and "
        "network, and localised at the end. 0 uses all and evaluates nothing. Data sets with test "
        "photographs of their own keep those.",
        minimum=0,
    )
    distance: tuple[float, ...] = option(
        (), doc="AX AY AZ BX BY BZ METRES: two points in the coordinates of the data set and "
        "their distance in metres; sets the scale.",
    )  # fmt: skip
    camera_positions: str = option(
        "", doc="CSV of file name,x,y,z in metres of photographs: sets scale and world frame, "
        "whose z axis must point up.",
    )  # fmt: skip
    scale: float = option(
        0.0, doc="Metres of a unit of the data set; 0 where it is not known.", minimum=0.0
    )
    aruco: float = option(
        0.0,
        doc="Edge of a marker of the printed sheet in metres, where the photographs show it: sets "
        "the scale. 0 where there is none.",
        unit="m",
        minimum=0.0,
    )
    aruco_sheet: str = option(
        "", doc="Write the sheet of markers to this .png or .pdf for A4 paper, and end."
    )
    up: tuple[str, ...] = option(
        (), doc="Which way is up: X Y Z in the coordinates of the data set, auto for the plane "
        "that most landmarks stand on, keep for the z axis of the data set. Unless given: keep "
        "for metric data sets, else auto.",
    )  # fmt: skip
    box: tuple[str, ...] = option(
        (), doc="LABEL X Y Z SX SY SZ YAW_DEG: an object's box, centre and edge lengths in metres "
        "of the scene and turn about z; may be given several times.",
    )  # fmt: skip
    propose_boxes: bool = option(False, doc="Take what stands on the support plane for objects.")
    landmarks: bool = option(True, doc="Make a map of landmarks.")
    posecnn: bool = option(True, doc="Train PoseCNN on the boxes' objects, where there are any.")
    frame_id: str = option("map", doc="ROS name of the world frame.")
    description: str = option("", doc="Free text for scene.yaml.")
    device: str = option("auto", doc="Of the trainings: cpu, cuda ...; auto takes a GPU if any.")
    seed: int = option(0, doc="Seed of everything random.", minimum=0)
    dataset: DatasetOptions = section(DatasetOptions)
    field: FieldPlan = section(FieldPlan)
    map: BuildOptions = section(BuildOptions)
    proposals: ProposalOptions = section(ProposalOptions)
    detector: DetectorPlan = section(DetectorPlan)

    def __post_init__(self) -> None:
        if not (self.data or self.aruco_sheet):
            raise InputError("data: expected a folder of photographs, got nothing: give one")
        if self.dataset.hold_out not in (HOLD_OUT, self.hold_out):
            raise InputError(
                f"dataset.hold_out: expected {HOLD_OUT} or the {self.hold_out} of hold_out, got "
                f"{self.dataset.hold_out}; give hold_out alone"
            )
        if self.box and self.propose_boxes:
            raise InputError("expected --box or --propose-boxes, got both: leave one out")
        for text in self.box:
            given_box(text)
        self.placement_options()

    def placement_options(self) -> PlacementOptions:
        """Those of scale and gravity; InputError where they contradict each other."""
        return PlacementOptions(
            self.distance, self.camera_positions, self.scale, self.aruco, self.up, self.seed
        )

    def dataset_options(self) -> DatasetOptions:
        """Those of the loader, with what is held out."""
        return replace(self.dataset, hold_out=self.hold_out)

    @property
    def field_seconds(self) -> float:
        """Time for the field; 0 where its steps are counted."""
        return _chosen(self.field.seconds, self.field.steps, 300.0 if self.quick else 1800.0)

    @property
    def detector_seconds(self) -> float:
        """Time for PoseCNN; 0 where its steps are counted."""
        return _chosen(self.detector.seconds, self.detector.steps, 600.0 if self.quick else 3600.0)

    @property
    def n_novel(self) -> int:
        """Rendered views that PoseCNN is trained on."""
        return self.detector.n_novel if self.detector.n_novel >= 0 else 200 if self.quick else 500

    @property
    def label_width(self) -> int:
        """Width of the labelled images in pixels."""
        return self.detector.width or (480 if self.quick else 640)


def _chosen(seconds: float, steps: int, usual: float) -> float:
    return seconds or (0.0 if steps else usual)
