"""Batches of varied images for pose networks, made by threads ahead of time.

What a batch holds follows from the seed and the step alone, so that a training goes on after a
break as if there had been none.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fast_inerf_ros.datasets.augmentation import AugmentationConfig, TrainingImage, augmented
from fast_inerf_ros.posecnn.decoding import View, crop_rotation
from fast_inerf_ros.posecnn.network import PoseNetwork
from fast_inerf_ros.posecnn.targets import DenseTargets, dense_targets
from fast_inerf_ros.training.pose_images import StoredImage

AHEAD = 2
"""Batches that are made while others are in use."""

LEAST_CELLS = 12.0
"""Objects with fewer cells teach no rotation: nothing can be seen of them."""

BOX_JITTER = 0.08
"""Largest error of the sides of boxes, as a share of their size: predicted ones are not exact."""

Size = tuple[int, int]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class PoseBatch:
    """B images with their truth.

    images: (B, 3, H, W) uint8. focal_px: (B,). boxes: (N, 5) as `PoseNetwork.rotations` takes
    them. rotations: (N, 3, 3) as it answers. class_ids: (N,) from 1.
    """

    images: Tensor
    focal_px: Tensor
    targets: DenseTargets
    boxes: Tensor
    rotations: Tensor
    class_ids: Tensor

    def to(self, device: torch.device) -> PoseBatch:
        """The same on a device."""
        return PoseBatch(
            self.images.to(device, non_blocking=True),
            self.focal_px.to(device, non_blocking=True),
            self.targets.to(device),
            self.boxes.to(device, non_blocking=True),
            self.rotations.to(device, non_blocking=True),
            self.class_ids.to(device, non_blocking=True),
        )


@dataclass(frozen=True)
class BatchPlan:
    """Which images a step takes: every image once an epoch, in an order of its own."""

    n_images: int
    batch_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Steps after which every image was taken; at least one."""
        return max(1, self.n_images // self.batch_size)

    def indices(self, step: int) -> npt.NDArray[np.int64]:
        """The images of a step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self.seed, 1, epoch]).permutation(self.n_images)
        first = place * self.batch_size
        return np.resize(order[first:], self.batch_size)

    def generator(self, step: int, place: int) -> np.random.Generator:
        """Of the variation of one image."""
        return np.random.default_rng([self.seed, 2, step, place])


@dataclass(frozen=True, eq=False)
class BatchMaker:
    """Makes the batches of a plan, or one process's share of them.

    whole: width at which inputs show images as a whole, narrower ones a part; None: all do.
    """

    images: Sequence[StoredImage]
    plan: BatchPlan
    augmentation: AugmentationConfig
    backgrounds: Sequence[Pixels]
    stride: int
    allocentric: bool
    share: slice
    whole: int | None = None

    @staticmethod
    def of(
        images: Sequence[StoredImage],
        plan: BatchPlan,
        augmentation: AugmentationConfig,
        backgrounds: Sequence[Pixels],
        network: PoseNetwork,
        share: slice,
        whole: int | None = None,
    ) -> BatchMaker:
        """For what a network needs."""
        stride, allocentric = network.stride, network.allocentric
        return BatchMaker(
            images, plan, augmentation, backgrounds, stride, allocentric, share, whole
        )

    def batch(self, step: int, size: Size) -> PoseBatch:
        """The batch of a step, its images `size` (width, height)."""
        chosen = list(enumerate(self.plan.indices(step)))[self.share]
        return collated([self._item(step, place, int(index), size) for place, index in chosen])

    def _item(self, step: int, place: int, index: int, size: Size) -> PoseItem:
        generator = self.plan.generator(step, place)
        stored = self.images[index]
        part = 1.0 if self.whole is None else min(1.0, size[0] / self.whole)
        varied = augmented(
            stored.training_image(), *size, self.augmentation, generator, self.backgrounds, part
        )
        return pose_item(varied, stored.class_ids, self.stride, self.allocentric, generator)


class Prefetcher:
    """Batches from threads, asked for in the order of steps; those of another size are dropped."""

    def __init__(self, maker: BatchMaker, threads: int) -> None:
        self._maker = maker
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="batches")
        self._pending: dict[tuple[int, Size], Future[PoseBatch]] = {}

    def batch(self, step: int, size: Size) -> PoseBatch:
        """The batch of a step."""
        wanted = [(step + more, size) for more in range(AHEAD + 1)]
        for key in [key for key in self._pending if key not in wanted]:
            self._pending.pop(key).cancel()
        for key in wanted:
            if key not in self._pending:
                self._pending[key] = self._pool.submit(self._maker.batch, *key)
        return self._pending.pop(wanted[0]).result()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, eq=False)
class PoseItem:
    """One image of a batch; boxes are (n, 4)."""

    image: Pixels
    focal_px: float
    targets: DenseTargets
    boxes: npt.NDArray[np.float64]
    rotations: npt.NDArray[np.float64]
    class_ids: npt.NDArray[np.int64]


def pose_item(
    item: TrainingImage,
    class_ids: npt.NDArray[np.int64],
    stride: int,
    allocentric: bool,
    generator: np.random.Generator,
) -> PoseItem:
    """What a network with cells of `stride` pixels should say of an image."""
    height, width = item.instances.shape
    depths = np.zeros(0) if item.poses is None else np.asarray(item.poses.translation)[:, 2]
    targets = dense_targets(item.instances, class_ids, item.centres_px(), depths, stride)
    shown, boxes = seen_boxes(item.instances, len(class_ids), stride)
    if item.poses is None or len(shown) == 0:
        rotations = np.zeros((0, 3, 3))
    else:
        boxes = _jittered(boxes, (width, height), generator)
        rotations = np.asarray(item.poses.rotation.matrix, dtype=np.float64)[shown]
        if allocentric:
            middle = (boxes[:, :2] + boxes[:, 2:]) / 2
            turn = crop_rotation(item.camera, middle)
            rotations = np.swapaxes(turn, -1, -2) @ rotations
    focal = View(item.camera, width, height).focal_px
    return PoseItem(item.image, focal, targets, boxes, rotations, class_ids[shown])


def seen_boxes(
    instances: npt.NDArray[np.int64], n: int, stride: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Indices (m,) of objects that are seen well enough, and boxes (m, 4) as decoding has them."""
    cells = instances[stride // 2 :: stride, stride // 2 :: stride]
    shown, boxes = [], []
    least = max(1.0, LEAST_CELLS * (4.0 / stride) ** 2)
    for index in range(n):
        rows, columns = np.nonzero(cells == index)
        if len(rows) < least:
            continue
        shown.append(index)
        low = (columns.min() * stride, rows.min() * stride)
        boxes.append((*low, (columns.max() + 1) * stride - 1, (rows.max() + 1) * stride - 1))
    return np.array(shown, dtype=np.int64), np.reshape(boxes, (-1, 4)).astype(np.float64)


def _jittered(
    boxes: npt.NDArray[np.float64], size: Size, generator: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Sides moved a little, inside the image."""
    extent = np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)
    moved = boxes + generator.uniform(-BOX_JITTER, BOX_JITTER, boxes.shape) * extent
    return np.asarray(np.clip(moved, 0, np.tile(np.array(size) - 1, 2)))


def collated(items: Sequence[PoseItem]) -> PoseBatch:
    """One batch of several images."""
    owner = np.concatenate([np.full(len(item.boxes), i) for i, item in enumerate(items)])
    boxes = np.concatenate([item.boxes for item in items])
    images = np.stack([item.image for item in items]).transpose(0, 3, 1, 2)
    return PoseBatch(
        torch.from_numpy(images),
        torch.tensor([item.focal_px for item in items], dtype=torch.float32),
        DenseTargets.stack([item.targets for item in items]),
        _floats(np.concatenate([owner[:, None], boxes], axis=1)),
        _floats(np.concatenate([item.rotations for item in items])),
        torch.from_numpy(np.concatenate([item.class_ids for item in items])),
    )


def _floats(values: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
