"""The original NeRF as the training loop takes it: photographs, batches, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.vanilla import VanillaField
from fast_inerf_ros.fields.vanilla_checkpoint import VanillaCheckpoint
from fast_inerf_ros.fields.vanilla_network import NetworkPair, check_entries
from fast_inerf_ros.fields.vanilla_options import VanillaOptions
from fast_inerf_ros.fields.vanilla_setting import VanillaSetting
from fast_inerf_ros.fields.vanilla_trainer import VanillaTrainer
from fast_inerf_ros.rendering.ndc import NdcFrustum
from fast_inerf_ros.training.pixel_batches import PixelBatches
from fast_inerf_ros.training.processes import Processes, average_gradients
from fast_inerf_ros.training.trainer import StepReport


@dataclass(frozen=True)
class PhotographRays:
    """Every pixel of the training photographs, all of one size.

    colors: (n, h, w, 3) over the background. directions: (n, h, w, 3) of unit depth, in the
    camera's axes, for each camera once. camera_of: (n,) row of ``directions`` of each image.
    """

    colors: np.ndarray
    directions: np.ndarray
    camera_of: np.ndarray
    rotations: np.ndarray
    origins: np.ndarray

    @staticmethod
    def of(posed: PosedImages, background: tuple[float, float, float]) -> PhotographRays:
        """The rays of the training split; raises InputError for images of several sizes."""
        train = [int(index) for index in posed.splits.train]
        _check_sizes(posed, train)
        cameras = list(dict.fromkeys(posed.cameras[index] for index in train))
        tables = []
        for camera in cameras:
            bearings = np.asarray(camera.bearings(camera.pixel_grid()))
            tables.append((bearings / bearings[..., 2:]).astype(np.float32))
        poses = posed.T_field_camera
        colors = [_stored(posed.colors(index, background)) for index in train]
        return PhotographRays(
            np.stack(colors),
            np.stack(tables),
            np.array([cameras.index(posed.cameras[index]) for index in train]),
            np.asarray(poses.rotation.matrix, dtype=np.float32)[train],
            np.asarray(poses.translation, dtype=np.float32)[train],
        )

    def gather(
        self, images: np.ndarray, rows: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Origins, directions of unit depth and colours, each (m, 3), of the pixels seen."""
        directions = self.directions[self.camera_of[images], rows, columns]
        seen = np.isfinite(directions).all(axis=-1)  # a lens may not fill the image
        images, rows, columns = images[seen], rows[seen], columns[seen]
        turned = np.einsum("nij,nj->ni", self.rotations[images], directions[seen])
        colors = self.colors[images, rows, columns].astype(np.float32) / np.float32(255.0)
        return self.origins[images], turned, colors


class VanillaFieldTraining:
    """Trains the original NeRF; see `trainer.FieldTraining`.

    With several processes every step's rays are shared out and the gradients averaged: the
    random numbers of a ray then differ from those of one process, the expectation does not.
    """

    kind = "vanilla"

    def __init__(
        self,
        rays: PhotographRays,
        setting: VanillaSetting,
        options: VanillaOptions,
        posed: PosedImages,
        processes: Processes,
        device: torch.device,
    ) -> None:
        self._rays = rays
        self._options = options
        self._processes = processes
        self._device = device
        n_images, height, width = rays.colors.shape[:3]
        self._batches = PixelBatches(n_images, height, width, options.training)
        generator = np.random.default_rng(options.training.seed)
        field = VanillaField.untrained(options.architecture, setting, generator, posed.frame)
        self._trainer = self._new_trainer(field.to(device))

    @property
    def step_count(self) -> int:
        """Steps done so far."""
        return self._trainer.global_step

    def prepare(self) -> None:
        """Nothing: the photographs are decoded, and there is nothing to compile."""

    def step(self, progress: float) -> StepReport:
        """One step on the pixels that belong to its number."""
        trainer, processes = self._trainer, self._processes
        batch = self._batches.batch(trainer.global_step)
        whole = self._rays.gather(batch.images, batch.rows, batch.columns)
        count = len(whole[0])
        if count < processes.count:
            raise InputError(
                f"rays_per_step: expected at least one for each of {processes.count} processes, "
                f"got {count}; raise it"
            )
        own = [torch.from_numpy(rows[processes.share(count)]).to(self._device) for rows in whole]
        rate = trainer.learning_rate
        stats = trainer.accumulate((own[0], own[1]), own[2])
        weight = len(own[0]) / count
        average_gradients(processes, trainer.field.networks.parameters(), weight)
        trainer.update()
        errors = processes.add(weight * torch.stack([stats.loss, stats.error]))
        details = {"learning_rate": rate}
        return StepReport(trainer.global_step, count, errors[0], errors[1], details)

    def field(self) -> VanillaField:
        """The field as it is now."""
        return self._trainer.field

    def finished_field(self) -> VanillaField:
        """The field as it is now: nothing is left to do."""
        return self._trainer.field

    def state(self) -> dict[str, Any]:
        """The dict of nerf-pytorch: everything random follows from seed and step."""
        return self._trainer.checkpoint().to_dict()

    def restore(self, state: Mapping[str, Any], source: str) -> None:
        """Go on from a state, or from a checkpoint of nerf-pytorch."""
        checkpoint = VanillaCheckpoint.from_dict(state, source)
        field = self._trainer.field
        _check_same_networks(checkpoint.networks, field.networks, source)
        restored = VanillaField(checkpoint.networks, field.setting, field.frame)
        self._trainer = self._new_trainer(restored.to(self._device), checkpoint)

    def _new_trainer(
        self, field: VanillaField, checkpoint: VanillaCheckpoint | None = None
    ) -> VanillaTrainer:
        training, processes = self._options.training, self._processes
        # Each process draws its own jitter; the rays come from the seed all share.
        seed = training.seed * processes.count + processes.rank
        options = replace(training, seed=seed)
        if checkpoint is None:
            return VanillaTrainer(field, options)
        return VanillaTrainer.resumed(checkpoint, field, options)


def vanilla_setting(posed: PosedImages, options: VanillaOptions) -> VanillaSetting:
    """How a field trained on photographs is rendered: their depths, or their frustum."""
    if posed.ndc:
        camera = posed.cameras[int(posed.splits.train[0])]
        frustum = NdcFrustum(camera.width, camera.height, camera.fx)
        return VanillaSetting(options.rendering, ndc=frustum)
    bounds = posed.field_bounds[posed.splits.train]
    return VanillaSetting(
        options.rendering, near=float(bounds[:, 0].min()), far=float(bounds[:, 1].max())
    )


def _stored(colors: np.ndarray) -> np.ndarray:
    return np.rint(colors * 255.0).astype(np.uint8)


def _check_sizes(posed: PosedImages, train: list[int]) -> None:
    sizes = {(posed.cameras[index].width, posed.cameras[index].height): index for index in train}
    if len(sizes) > 1:
        (first, _), (other, index) = list(sizes.items())[:2]
        raise InputError(
            f"{posed.name}: {posed.names[index]}: the vanilla field expects photographs of one "
            f"size, got {first[0]}x{first[1]} and {other[0]}x{other[1]}; train a voxel field, or "
            "make them equal"
        )


def _check_same_networks(found: NetworkPair, expected: NetworkPair, source: str) -> None:
    if (found.fine is None) != (expected.fine is None):
        has = ["without", "with"]
        raise InputError(
            f"{source}: expected a checkpoint {has[expected.fine is not None]} a fine network, "
            f"got one {has[found.fine is not None]}; set n_importance as it was trained"
        )
    pairs = [("coarse", found.coarse, expected.coarse)]
    if found.fine is not None and expected.fine is not None:
        pairs.append(("fine", found.fine, expected.fine))
    for name, stored, own in pairs:
        shapes = {key: tuple(values.shape) for key, values in own.state_dict().items()}
        check_entries(stored.state_dict(), shapes, f"{source}: {name} network")
