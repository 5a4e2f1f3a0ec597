"""``run_posecnn``: trains or tries PoseCNN as the seed project's script does.

run_posecnn --train --data PROPS-Pose-Dataset
run_posecnn --eval --data PROPS-Pose-Dataset --checkpoint posecnn_model.pth
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fast_inerf_ros.command_line import run
from fast_inerf_ros.config import option
from fast_inerf_ros.datasets.bop import has_split
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.posecnn.network import Backbone
from fast_inerf_ros.training.evaluate_posecnn import EvaluatePoseCnnConfig, evaluate_posecnn
from fast_inerf_ros.training.pose_options import PoseSchedule, TrainPoseCnnConfig
from fast_inerf_ros.training.pose_validation import BEST, LAST
from fast_inerf_ros.training.posecnn import train_posecnn

NAME = "run_posecnn"
DESCRIPTION = "Train PoseCNN (--train), or measure it on the validation set (--eval)."

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunPoseCnnConfig:
    """Options of `run_posecnn`."""

    train: bool = option(False, doc="Train; the same command resumes.")
    eval: bool = option(False, doc="Measure on the validation set: 5 deg 5 cm and more.")
    data: str = option("PROPS-Pose-Dataset", doc="Folder of a data set in PROPS' or BOP's layout.")
    output: str = option("posecnn_out", doc="Folder for the training and the report.")
    checkpoint: str = option(
        "", doc="Network to measure; empty takes best.pt of output, else last.pt."
    )
    backbone: Backbone = option(
        "vgg16", doc="vgg16 is that of the seed, efficientnet_lite0 light."
    )
    pretrained: bool = option(True, doc="Start from ImageNet weights of the backbone.")
    epochs: int = option(50, doc="Epochs of the training.", minimum=1)
    batch_size: int = option(4, doc="Images of a step.", minimum=1)
    device: str = option("auto", doc="cpu, cuda, cuda:1 ...; auto takes a GPU if there is one.")


def run_posecnn(config: RunPoseCnnConfig) -> int:
    """Train, measure, or both; return the exit status.

    Raises InputError for bad input, OSError where results cannot be written.
    """
    if not (config.train or config.eval):
        raise InputError("expected --train or --eval, got neither")
    if config.train:
        status = train_posecnn(_training(config))
        if status or not config.eval:
            return status
    report = evaluate_posecnn(_evaluation(config))
    share = report.summary()["all"]["within_5deg_5cm"]
    logger.info("5 deg 5 cm: %s", "no objects" if share is None else f"{100 * share:.1f} %")
    return 0


def _training(config: RunPoseCnnConfig) -> TrainPoseCnnConfig:
    return TrainPoseCnnConfig(
        data=config.data,
        output=config.output,
        backbone=config.backbone,
        pretrained=config.pretrained,
        max_epochs=config.epochs,
        device=config.device,
        schedule=PoseSchedule(batch_size=config.batch_size),
    )


def _evaluation(config: RunPoseCnnConfig) -> EvaluatePoseCnnConfig:
    split = "val" if has_split(config.data, "val") else "test"
    return EvaluatePoseCnnConfig(
        checkpoint=config.checkpoint or str(_newest(Path(config.output))),
        data=config.data,
        output=str(Path(config.output) / "evaluation"),
        split=split,
    )


def _newest(folder: Path) -> Path:
    for name in (BEST, LAST):
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"{folder}: expected {BEST} or {LAST} of a training, got neither; train first, or give "
        "--checkpoint"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the executable and return its exit status."""
    return run(RunPoseCnnConfig, run_posecnn, argv, NAME, DESCRIPTION)


if __name__ == "__main__":
    sys.exit(main())
