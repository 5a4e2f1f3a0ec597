"""`train_posecnn`: images with known objects to a pose network, resumed by the same command."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from fast_inerf_ros.config import dump
from fast_inerf_ros.datasets.bop import load_pose_set
from fast_inerf_ros.datasets.images import read_image
from fast_inerf_ros.datasets.model_points import rotation_points
from fast_inerf_ros.datasets.pose_set import PoseSet
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.io.atomic import write_text
from fast_inerf_ros.posecnn.backbones import make_network
from fast_inerf_ros.posecnn.checkpoint import load_checkpoint
from fast_inerf_ros.posecnn.decoding import View
from fast_inerf_ros.posecnn.network import NetworkConfig, PoseNetwork
from fast_inerf_ros.posecnn.point_matching import ModelPoints
from fast_inerf_ros.training.checkpoints import CheckpointStore
from fast_inerf_ros.training.loop import Budget, Task
from fast_inerf_ros.training.memory import freed_memory_kept
from fast_inerf_ros.training.pose_batches import BatchMaker, BatchPlan, Size
from fast_inerf_ros.training.pose_images import StoredImage, class_labels, read_images
from fast_inerf_ros.training.pose_options import TrainPoseCnnConfig
from fast_inerf_ros.training.pose_training import PoseTraining
from fast_inerf_ros.training.pose_validation import EpochValidation, NetworkFiles
from fast_inerf_ros.training.processes import Processes, joined_processes
from fast_inerf_ros.training.progress import Observer
from fast_inerf_ros.training.reporting import (
    CHECKPOINTS,
    CONFIG_FILE,
    Watch,
    log_end,
    report_changes,
    usual_observers,
)
from fast_inerf_ros.training.session import (
    SavingPlan,
    Session,
    make_folder,
    only_writer,
    resume_newest,
)
from fast_inerf_ros.training.stop_request import StopRequest

PICTURES = (".jpg", ".jpeg", ".png")

Watcher = Callable[[PoseSet], Watch]

logger = logging.getLogger(__name__)


def train_posecnn(
    config: TrainPoseCnnConfig, stop: StopRequest | None = None, watcher: Watcher | None = None
) -> int:
    """Train and return the exit status.

    stop: asks the training to end; made here unless given. watcher: is given the images.

    0 at the end, 130 and 143 after Ctrl-C and SIGTERM, when everything is saved. Raises
    InputError for bad input, OSError where results cannot be written.
    """
    if not config.data:
        raise InputError("data: expected a folder of images with poses, got nothing; give --data")
    if not (config.max_epochs or config.max_steps or config.max_seconds):
        raise InputError(
            "max_epochs, max_steps, max_seconds: expected one that is not 0, got none: training "
            "would never end"
        )
    request = stop or StopRequest()
    with ExitStack() as stack:
        stack.enter_context(freed_memory_kept())
        processes, device = stack.enter_context(joined_processes(config.device))
        pose_set = load_pose_set(config.data, config.dataset.split, config.dataset.poses)
        folder = make_folder(config.output)
        stack.enter_context(only_writer(folder, processes))
        training, plan = new_pose_training(config, pose_set, processes, device)
        stack.callback(training.close)
        session = _session(config, training, plan, processes, folder)
        watch = watcher(pose_set) if watcher is not None and processes.is_first else Watch()
        _train(session, plan, config, request, watch, processes, folder)
        return request.exit_status


def new_pose_training(
    config: TrainPoseCnnConfig, pose_set: PoseSet, processes: Processes, device: torch.device
) -> tuple[PoseTraining, BatchPlan]:
    """What the options ask for, before the first step."""
    schedule, data = config.schedule, config.dataset
    labels = class_labels(pose_set, data.classes)
    network = _new_network(config, labels).to(device)
    backgrounds = read_pictures(data.backgrounds) if data.backgrounds else []
    images = read_images(pose_set, labels, data.stored_width, data.threads)
    plan = BatchPlan(len(images), schedule.batch_size, config.seed)
    if schedule.batch_size < processes.count:
        raise InputError(
            f"batch_size: expected an image for each of {processes.count} processes, got "
            f"{schedule.batch_size}; raise it"
        )
    share = processes.share(schedule.batch_size)
    unit = network.side_unit
    sizes = (
        input_size(images, schedule.first_width, unit),
        input_size(images, schedule.input_width, unit),
    )
    whole = sizes[1][0] if schedule.first_view == "part" else None
    longest = longest_focal(images, sizes[1], config.augmentation.zoom[1])
    network.config = dataclasses.replace(network.config, longest_focal_px=longest)
    maker = BatchMaker.of(images, plan, config.augmentation, backgrounds, network, share, whole)
    training = PoseTraining(
        network,
        _models(pose_set, labels),
        maker,
        sizes,
        schedule,
        config.loss,
        processes,
        data.threads,
        config.half_precision,
    )
    return training, plan


def input_size(images: Sequence[StoredImage], width: int, unit: int) -> Size:
    """Size of inputs of about a width, as high as the first image is, in whole units."""
    camera = images[0].camera
    height = width * camera.height / camera.width
    wide, high = (unit * max(1, round(side / unit)) for side in (width, height))
    return wide, high


def longest_focal(images: Sequence[StoredImage], size: Size, zoom: float) -> float:
    """Focal length, in input pixels, of what is enlarged most: the median of the images'."""
    focal = np.median([View(item.camera, *size).focal_px for item in images])
    return float(focal) * zoom


def read_pictures(folder: str) -> list[npt.NDArray[np.uint8]]:
    """All pictures of a folder; InputError where there are none, or one cannot be read."""
    paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in PICTURES)
    if not paths:
        raise InputError(f"{folder}: expected pictures for backgrounds, got none: correct it")
    return [read_image(path)[..., :3] for path in paths]


def _new_network(config: TrainPoseCnnConfig, labels: tuple[str, ...]) -> PoseNetwork:
    if not config.start_from:
        context = config.context_channels if config.backbone == "efficientnet_lite0" else 0
        network_config = NetworkConfig(labels, config.backbone, context_channels=context)
        return make_network(network_config, pretrained=config.pretrained, seed=config.seed)
    network = load_checkpoint(config.start_from, labels).network
    found = network.config
    if found.class_labels != labels or found.backbone != config.backbone or found.legacy:
        raise InputError(
            f"{config.start_from}: expected a {config.backbone} network of the classes "
            f"{', '.join(labels)}, got {found.backbone} of {', '.join(found.class_labels)}; "
            "give dataset.classes in that order"
        )
    return network


def _models(pose_set: PoseSet, labels: Sequence[str]) -> ModelPoints:
    by_label = {item.label: item for item in pose_set.classes.values()}
    chosen = [by_label[label] for label in labels]
    return ModelPoints.of(
        [rotation_points(item) for item in chosen], [item.symmetry for item in chosen]
    )


def _session(
    config: TrainPoseCnnConfig,
    training: PoseTraining,
    plan: BatchPlan,
    processes: Processes,
    folder: Path,
) -> Session[PoseTraining]:
    store = CheckpointStore(folder / CHECKPOINTS, config.keep_checkpoints)
    if processes.is_first:
        store.folder.mkdir(exist_ok=True)
        store.remove_left_behind()
    steps = config.max_steps or config.max_epochs * plan.steps_per_epoch
    budget = Budget(steps, config.max_seconds)
    session = Session(training, budget, store, dump(config), processes)
    resume_newest(session, store, processes, wanted=config.resume)
    if processes.is_first:
        report_changes(config, folder)
        write_text(folder / CONFIG_FILE, dump(config))
    return session


def _train(
    session: Session[PoseTraining],
    plan: BatchPlan,
    config: TrainPoseCnnConfig,
    stop: StopRequest,
    watch: Watch,
    processes: Processes,
    folder: Path,
) -> None:
    training = session.training
    files = NetworkFiles(folder, config.half_weights)
    validation = EpochValidation(training, config, files) if processes.is_first else None
    done = validation is not None and validation.patience_is_over
    if processes.from_first(session.is_finished or done):
        logger.info("trained already: %d steps; raise max_epochs to go on", training.step_count)
        return
    observers: list[Observer] = []
    tasks: list[Task] = []
    if validation is not None:
        observers = [
            *usual_observers(session, folder, tensorboard=config.tensorboard),
            *watch.observers,
        ]
        tasks = [validation.task(plan.steps_per_epoch, observers), *watch.tasks]
    ending = _Ending(stop, validation)
    saving = SavingPlan(config.checkpoint_steps, config.checkpoint_seconds)
    with stop:
        moment = session.run(tasks, observers, ending, saving)
    log_end(moment, stop)
    if processes.is_first and moment.step:
        files.write_last(training.average.network)


class _Ending:
    """Ends a training on request, or when validation has lost patience."""

    def __init__(self, stop: StopRequest, validation: EpochValidation | None) -> None:
        self._stop = stop
        self._validation = validation

    def is_set(self) -> bool:
        """Whether to stop."""
        over = self._validation is not None and self._validation.patience_is_over
        return over or self._stop.is_set()
