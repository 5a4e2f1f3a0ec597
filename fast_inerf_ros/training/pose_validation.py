"""After each epoch: how good the network is, which one was best, and whether to go on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fast_inerf_ros.datasets.bop import has_split, load_pose_set
from fast_inerf_ros.datasets.pose_set import PoseSet
from fast_inerf_ros.evaluation.detections import DetectionReport
from fast_inerf_ros.posecnn.checkpoint import PoseCheckpoint, save_checkpoint
from fast_inerf_ros.posecnn.detector import Detector, DetectorConfig
from fast_inerf_ros.posecnn.network import PoseNetwork
from fast_inerf_ros.training.loop import Moment, Task
from fast_inerf_ros.training.pose_evaluation import evaluate_detector
from fast_inerf_ros.training.pose_options import TrainPoseCnnConfig
from fast_inerf_ros.training.pose_training import PoseTraining
from fast_inerf_ros.training.progress import Observer
from fast_inerf_ros.training.session import tell_figures
from fast_inerf_ros.training.validation import evenly

LAST, BEST = "last.pt", "best.pt"
BEST_SCORE, EPOCHS_SINCE = "best_score", "epochs_since"
NONE = -1.0

logger = logging.getLogger(__name__)


class NetworkFiles:
    """The networks of a training: `last.pt`, and `best.pt` of all validations."""

    def __init__(self, folder: Path, half: bool) -> None:
        self._folder = folder
        self._half = half

    def write_last(self, network: PoseNetwork) -> None:
        """Write the network as it is at the end."""
        self._write(network, LAST)

    def write_best(self, network: PoseNetwork) -> None:
        """Write the best network so far."""
        self._write(network, BEST)

    def _write(self, network: PoseNetwork, name: str) -> None:
        save_checkpoint(PoseCheckpoint(network), self._folder / name, half=self._half)
        logger.info("network -> %s", self._folder / name)


class EpochValidation:
    """Tries the average of the weights on the validation split.

    Without such a split every network counts as the best so far.
    """

    def __init__(
        self, training: PoseTraining, config: TrainPoseCnnConfig, files: NetworkFiles
    ) -> None:
        self._training = training
        self._config = config
        self._files = files
        self._pose_set = _validation_set(config)
        if self._pose_set is None:
            logger.info("no validation split: best.pt is the newest network")

    @property
    def patience_is_over(self) -> bool:
        """Whether too many epochs brought nothing better."""
        patience = self._config.validation.patience
        passed = self._training.progress_of_validation.get(EPOCHS_SINCE, 0.0)
        return patience > 0 and passed >= patience

    def task(self, steps_per_epoch: int, observers: Sequence[Observer]) -> Task:
        """The task of the loop."""

        def validate(moment: Moment) -> None:
            self._validate(moment, observers)

        return Task(validate, every_steps=steps_per_epoch, at_end=True)

    def _validate(self, moment: Moment, observers: Sequence[Observer]) -> None:
        network = self._training.average.network
        if self._pose_set is None:
            self._files.write_best(network)
            return
        report = self._report(network, self._pose_set)
        score = quality(report)
        figures = {"score": score, "miou": report.mean_iou, **report.figures()}
        tell_figures(observers, moment, {f"val/{name}": value for name, value in figures.items()})
        progress = self._training.progress_of_validation
        if score > progress.get(BEST_SCORE, NONE):
            self._training.progress_of_validation = {BEST_SCORE: score, EPOCHS_SINCE: 0.0}
            self._files.write_best(network)
        elif score > 0:  # before anything is found there is nothing to lose patience with
            progress[EPOCHS_SINCE] = progress.get(EPOCHS_SINCE, 0.0) + 1.0
            if self.patience_is_over:
                logger.info("no better network in %d epochs: ending", int(progress[EPOCHS_SINCE]))

    def _report(self, network: PoseNetwork, pose_set: PoseSet) -> DetectionReport:
        options = self._config.validation
        config = DetectorConfig(
            input_width=self._config.schedule.input_width,
            device="cuda" if next(network.parameters()).device.type == "cuda" else "cpu",
            decoding=options.decoding,
        )
        chosen = evenly(np.arange(len(pose_set)), options.n_images)
        return evaluate_detector(Detector(network, config), pose_set, chosen)


def quality(report: DetectionReport) -> float:
    """One figure to choose networks by: mean IoU plus, with models, the area under ADD-S."""
    area = report.summary()["all"]["add_s_auc"]
    iou = report.mean_iou
    return (iou if np.isfinite(iou) else 0.0) + (0.0 if area is None else area)


def _validation_set(config: TrainPoseCnnConfig) -> PoseSet | None:
    split = config.dataset.validation_split
    if not (split and config.validation.n_images and has_split(config.data, split)):
        return None
    return load_pose_set(config.data, split, config.dataset.poses)
