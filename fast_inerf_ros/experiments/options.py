"""Options of `inerf`: the same for the command line and the ROS node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from fast_inerf_ros.config import option, section
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.experiments.image_noise import ImageNoise
from fast_inerf_ros.experiments.overlay import OverlayOptions
from fast_inerf_ros.experiments.start_error import StartError
from fast_inerf_ros.fields.vanilla_options import VanillaRendering
from fast_inerf_ros.inerf.solvers.adam import Options as AdamOptions
from fast_inerf_ros.inerf.solvers.keyframe import Options as KeyframeOptions
from fast_inerf_ros.inerf.solvers.lm import Options as LmOptions
from fast_inerf_ros.inerf.solvers.registry import make_solver
from fast_inerf_ros.inerf.solvers.solver import Solver

SolverName = Literal["keyframe", "lm", "adam"]
Background = Literal["unknown", "white", "black"]


def background_color(name: Background) -> tuple[float, float, float] | None:
    """What lies behind the scene as a colour, None where it is not known."""
    return {"unknown": None, "white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0)}[name]


@dataclass(frozen=True)
class InerfConfig:
    """Options of `inerf`."""

    data: str = option("", doc="Data set with the photographs; see docs/datasets.md.")
    field: str = option(
        "",
        doc="Trained field: field.npz, or a .tar checkpoint of the original NeRF. Empty takes "
        "that of the scene file.",
    )
    scene: str | None = option(None, doc="Scene file (scene.yaml) with the field and objects.")
    output: str = option("inerf_out", doc="Folder for the results, one inside for each image.")
    images: tuple[str, ...] = option(
        ("0",),
        doc="Photographs that are refined: names, with * and ?, or numbers counted from 0.",
    )
    split: Literal["all", "train", "val", "test"] = option(
        "all", doc="Part of the data set that images are taken of and counted in."
    )
    solver: SolverName = option("keyframe", doc="How the pose is refined.")
    start: Literal["photograph", "detection"] = option(
        "photograph",
        doc="Where refinement starts: at the photograph's own pose with start_error, or at the "
        "pose that detections give.",
    )
    mask_region: bool = option(
        False, doc="Compare only pixels that detections mark, grown as adam.pixels says."
    )
    detections: str | None = option(
        None,
        doc="Folder with NAME_mask.png and NAME_pose.yaml of the photographs; without it, and "
        "without a detector, they are looked for beside the photographs.",
    )
    detector: str | None = option(
        None, doc="Pose network (checkpoint or ONNX) that finds the objects of the scene file."
    )
    background: Background = option(
        "unknown",
        doc="What lies behind the scene. Where that is known, rays that meet nothing are "
        "evidence.",
    )
    max_side: int = option(
        0,
        doc="Photographs are made smaller to this longest side; 0 keeps them.",
        unit="px",
        minimum=0,
    )
    seed: int = option(0, doc="Seed of everything random.", minimum=0)
    device: str = option("cpu", doc="Where the field is: cpu, cuda, cuda:1 ...")
    start_error: StartError = section(StartError)
    image_noise: ImageNoise = section(ImageNoise)
    overlay: OverlayOptions = section(OverlayOptions)
    dataset: DatasetOptions = section(DatasetOptions)
    vanilla: VanillaRendering = section(VanillaRendering, n_importance=64)
    keyframe: KeyframeOptions = section(KeyframeOptions)
    lm: LmOptions = section(LmOptions)
    adam: AdamOptions = section(AdamOptions)

    def make_solver(self) -> Solver:
        """The solver that is asked for."""
        options: dict[str, Any] = {"keyframe": self.keyframe, "lm": self.lm, "adam": self.adam}
        return make_solver(self.solver, options[self.solver])
