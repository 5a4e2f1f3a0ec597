"""From a network's prediction to detections: which objects there are, and where."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fast_inerf_ros.config import option, section
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.posecnn.components import confident_components
from fast_inerf_ros.posecnn.detection import Detection
from fast_inerf_ros.posecnn.legacy_voting import legacy_votes
from fast_inerf_ros.posecnn.outlines import guided
from fast_inerf_ros.posecnn.prediction import CentreMaps, Prediction, cell_pixels
from fast_inerf_ros.posecnn.rotations import viewing_rotation
from fast_inerf_ros.posecnn.voting import (
    Centres,
    VoteMaps,
    VotingConfig,
    vote,
    without_strangers,
)

RotationsInBoxes = Callable[[tuple[Tensor, ...], Tensor], Tensor]

LEAST_DEVIATION_PX = 0.5
"""No centre is known better, in cells of the network."""

LEAST_LOG_DEPTH_DEVIATION = 0.01

OUTLINE_RADIUS = 1.7
"""Of the windows that outlines are fitted in, in cells."""

LEAST_MARGIN = -0.1
"""A pixel whose class is less probable than another by no more than this belongs to the object
where its outline is fitted to the image; chosen, as the radius, on validation images."""


@dataclass(frozen=True)
class DecodingConfig:
    """What counts as an object."""

    score_threshold: float = option(
        0.3, doc="Least score of a detection.", minimum=0.0, maximum=1.0, dynamic=True
    )
    component_probability: float = option(
        0.5,
        doc="Least mean probability of a connected patch: others are confused classes.",
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    )
    minimum_pixels: int = option(
        200, doc="Least area of an object in the image as given.", unit="px", minimum=1
    )
    classes: tuple[str, ...] = option((), doc="Labels to look for; all if empty.")
    rotation_deviation_deg: float = option(
        15.0, doc="Typical error of a rotation, from validation.", unit="deg", minimum=0.1
    )
    centres: Literal["auto", "voting", "seed"] = option(
        "auto",
        doc="voting: to a fraction of a pixel, robust. seed: as the seed project did, whole "
        "pixels. auto: seed for legacy networks.",
    )
    outlines: Literal["auto", "image", "cells"] = option(
        "auto",
        doc="image: fitted to the edges of the image. cells: as the network's cells say. auto: "
        "cells for legacy networks.",
    )
    voting: VotingConfig = section(VotingConfig)


@dataclass(frozen=True, eq=False)
class View:
    """How the network's input lies in the image: the whole of `camera`'s, `width` x `height`.

    image: (H, W, 3) of `camera`, 8 bits or in [0, 1]; None: outlines follow the cells alone.
    """

    camera: Camera
    width: int
    height: int
    image: npt.NDArray[Any] | None = None

    @property
    def scale(self) -> tuple[float, float]:
        """Image pixels an input pixel is wide and high."""
        return self.camera.width / self.width, self.camera.height / self.height

    @property
    def focal_px(self) -> float:
        """Focal length in input pixels, the geometric mean of both directions."""
        scale_x, scale_y = self.scale
        return math.sqrt(self.camera.fx / scale_x * self.camera.fy / scale_y)

    def to_image(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Image pixels (..., 2) of input pixels."""
        return (np.asarray(pixels, dtype=np.float64) + 0.5) * self.scale - 0.5


@dataclass(frozen=True, eq=False)
class Decoder:
    """Turns predictions of one network into detections.

    class_labels: names of the classes 1, 2, ... rotations_in_boxes: the network's second stage.
    allocentric: what its rotations are relative to. legacy: whether "auto" means the seed's.

    Raises:
        InputError: a class is asked for that the network does not know.
    """

    class_labels: tuple[str, ...]
    rotations_in_boxes: RotationsInBoxes
    allocentric: bool
    legacy: bool
    config: DecodingConfig

    def __post_init__(self) -> None:
        unknown = sorted(set(self.config.classes) - set(self.class_labels))
        if unknown:
            raise InputError(
                f"classes: expected some of {', '.join(self.class_labels)}, got "
                f"{', '.join(unknown)}: correct the name or train for it"
            )

    def detections(self, prediction: Prediction, view: View) -> tuple[Detection, ...]:
        """Objects in the first image of a batch, the best first; empty where there are none."""
        cells = self._cells(prediction, view)
        if not cells.labels.any():
            return ()
        centres = self._centres(cells, prediction)
        boxes = _boxes(centres.member, len(centres.label), prediction.stride)
        present = torch.nonzero(boxes[:, 3] >= boxes[:, 1])[:, 0]
        if len(present) == 0:
            return ()
        rotation = self._rotations(prediction, centres, boxes, present, view)
        found = [
            self._detection(cells, centres, int(index), boxes[index], matrix, view)
            for index, matrix in zip(present, rotation, strict=True)
        ]
        return _numbered([item for item in found if item is not None])

    def _guide(self, view: View) -> npt.NDArray[Any] | None:
        """The image that outlines are fitted to, if they are."""
        fitted = self.config.outlines == "image"
        fitted |= self.config.outlines == "auto" and not self.legacy
        return view.image if fitted else None

    def _cells(self, prediction: Prediction, view: View) -> _Cells:
        """Labels that survive, and what belongs to them."""
        probability = prediction.probability()[:1]
        probability = torch.nan_to_num(probability, nan=0.0)
        if self.config.classes:
            wanted = [label in self.config.classes for label in self.class_labels]
            keep = probability.new_tensor([1.0, *map(float, wanted)])
            probability = probability * keep[:, None, None]
        best, labels = probability.max(dim=1)
        maps = prediction.centre_maps(labels)
        scale_x, scale_y = view.scale
        least = self.config.minimum_pixels / (scale_x * scale_y * prediction.stride**2)
        kept = confident_components(
            labels[0].cpu().numpy(),
            best[0].float().cpu().numpy(),
            self.config.component_probability,
            least,
        )
        on_device = torch.from_numpy(kept).to(labels.device).long()
        return _Cells(kept, on_device, probability[0], best[0], maps, prediction.stride)

    def _centres(self, cells: _Cells, prediction: Prediction) -> Centres:
        maps = cells.maps
        shape = (int(cells.on_device.shape[0]), int(cells.on_device.shape[1]))
        vote_maps = VoteMaps(
            cells.on_device,
            cells.best,
            maps.direction[0],
            maps.depth[0],
            None if maps.offset is None else maps.offset[0],
            cell_pixels(shape, prediction.stride, maps.depth),
            float(prediction.stride),
        )
        centres = vote(vote_maps, len(self.class_labels), self.config.voting)
        if self.config.centres == "seed" or (self.config.centres == "auto" and self.legacy):
            return _as_the_seed(centres, cells, prediction)
        return without_strangers(centres, vote_maps, self.config.voting)

    def _rotations(
        self, prediction: Prediction, centres: Centres, boxes: Tensor, present: Tensor, view: View
    ) -> npt.NDArray[np.float64]:
        """Rotations (n, 3, 3) in the camera's frame of the objects that are present."""
        chosen = boxes[present]
        every = self.rotations_in_boxes(prediction.features, chosen).float()
        labels = centres.label[present] - 1
        matrix = every[torch.arange(len(labels), device=every.device), labels]
        rotation = matrix.cpu().numpy().astype(np.float64)
        if not self.allocentric:
            return rotation
        middle = (chosen[:, 1:3] + chosen[:, 3:5]).cpu().numpy() / 2
        turn = crop_rotation(view.camera, view.to_image(middle))
        return np.asarray(turn @ rotation)

    def _detection(
        self,
        cells: _Cells,
        centres: Centres,
        index: int,
        box: Tensor,
        rotation: npt.NDArray[np.float64],
        view: View,
    ) -> Detection | None:
        """The detection of one instance, None where it makes no sense."""
        class_id, fit = int(centres.label[index]), centres.fit
        member = centres.member == index
        score = float(cells.best[member].mean() * fit.inlier_share[index])
        centre = view.to_image(fit.centre[index].cpu().numpy())
        depth = float(fit.depth[index])
        point = np.asarray(view.camera.unproject(centre, np.array(depth)))
        sensible = np.isfinite(point).all() and np.isfinite(rotation).all() and depth > 0
        if not sensible or not score >= self.config.score_threshold:
            return None
        image_box, mask = _image_mask(cells, member, class_id, view, self._guide(view))
        if int(mask.sum()) < self.config.minimum_pixels:
            return None
        scale = np.array(view.scale)
        floor = (LEAST_DEVIATION_PX * cells.stride) ** 2 * np.eye(2)
        covariance = fit.covariance[index].cpu().numpy().astype(np.float64) + floor
        deviation = float(fit.log_depth_deviation[index])
        return Detection(
            label=self.class_labels[class_id - 1],
            class_id=class_id,
            instance=0,
            score=min(score, 1.0),
            box=image_box,
            mask=mask,
            centre_px=centre,
            centre_covariance_px=covariance * scale[:, None] * scale,
            depth=depth,
            log_depth_deviation=math.hypot(deviation, LEAST_LOG_DEPTH_DEVIATION),
            T_camera_object=SE3(SO3.nearest(rotation), point),
            rotation_deviation=math.radians(self.config.rotation_deviation_deg),
        )


@dataclass(frozen=True, eq=False)
class _Cells:
    """labels (h, w) on the CPU and on the device, probabilities (C + 1, h, w), that of the best
    class (h, w), and the centre maps.
    """

    labels: npt.NDArray[np.int32]
    on_device: Tensor
    probability: Tensor
    best: Tensor
    maps: CentreMaps
    stride: int


def crop_rotation(camera: Camera, pixels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Rotations (n, 3, 3) from the frame of crops around pixels (n, 2) to the camera's.

    The identity where the lens has no ray for a pixel, or the ray points backwards.
    """
    bearings = np.asarray(camera.bearings(np.asarray(pixels, dtype=np.float64)))
    usable = np.isfinite(bearings).all(axis=-1) & (bearings[..., 2] > -0.99)
    bearings = np.where(usable[..., None], bearings, [0.0, 0.0, 1.0])
    return np.asarray(viewing_rotation(torch.from_numpy(bearings)).numpy())


def _boxes(member: Tensor, n: int, stride: int) -> Tensor:
    """Boxes (n, 5) in input pixels of the cells of each instance: 0, x0, y0, x1, y1.

    x1 < x0 for an instance without cells.
    """
    height, width = member.shape
    y, x = torch.nonzero(member >= 0, as_tuple=True)
    owner = member[y, x]
    low = torch.full((n, 2), max(height, width), device=member.device)
    high = torch.full((n, 2), -1, device=member.device)
    place, index = torch.stack([x, y], dim=-1), owner[:, None].expand(-1, 2)
    low = low.scatter_reduce(0, index, place, "amin")
    high = high.scatter_reduce(0, index, place, "amax")
    first = torch.zeros(n, 1, device=member.device)
    return torch.cat([first, low * stride, (high + 1) * stride - 1], dim=1).float()


def _as_the_seed(centres: Centres, cells: _Cells, prediction: Prediction) -> Centres:
    """The same instances, one a class, with the centres and depths of the seed's voting."""
    maps = torch.cat([prediction.direction[0], prediction.depth[0][:, None]], dim=1)
    if len(maps) == 1:
        maps = maps.expand(prediction.n_classes, -1, -1, -1)
    votes = legacy_votes(cells.on_device, maps)
    first = torch.ones_like(centres.label, dtype=torch.bool)
    first[1:] = centres.label[1:] != centres.label[:-1]
    depth = votes.depths[centres.label - 1]
    fit = type(centres.fit)(
        votes.centres[centres.label - 1],
        centres.fit.covariance,
        torch.where(first & (depth > 0), depth, float("nan")),
        centres.fit.log_depth_deviation,
        centres.fit.inlier_share,
    )
    return Centres(centres.label, fit, centres.support, _merged(centres, first))


def _merged(centres: Centres, first: Tensor) -> Tensor:
    """Members, all those of a class with its first instance."""
    position = torch.cumsum(first.long(), dim=0) - 1
    target = torch.nonzero(first)[:, 0][position]
    flat = centres.member.flatten()
    merged = torch.where(flat >= 0, target[flat.clamp(min=0)], -1)
    return merged.reshape(centres.member.shape)


def _image_mask(
    cells: _Cells, member: Tensor, class_id: int, view: View, guide: npt.NDArray[Any] | None
) -> tuple[tuple[int, int, int, int], npt.NDArray[np.bool_]]:
    """Box and mask in the image of an instance, its outline between the cells smooth, or fitted
    to the edges of an image.
    """
    inside = member.cpu().numpy()
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    # One cell more on each side, or half of the outer cells would be lost in interpolation.
    y0, y1 = max(rows[0] - 1, 0), min(rows[-1] + 2, inside.shape[0])
    x0, x1 = max(columns[0] - 1, 0), min(columns[-1] + 2, inside.shape[1])
    part = cells.probability[:, y0:y1, x0:x1]
    margin = part[class_id] - torch.cat([part[:class_id], part[class_id + 1 :]]).amax(dim=0)
    soft = np.where(inside[y0:y1, x0:x1], 1.0, -1.0) * np.abs(margin.float().cpu().numpy())
    side = cells.stride * np.array(view.scale)
    limit = (view.camera.width, view.camera.height)
    left, top = (round(start * size) for start, size in zip((x0, y0), side, strict=True))
    right, bottom = (
        min(round(end * size), most) for end, size, most in zip((x1, y1), side, limit, strict=True)
    )
    shape = (max(right - left, 1), max(bottom - top, 1))
    fine = cv2.resize(soft.astype(np.float32), shape, interpolation=cv2.INTER_LINEAR)
    if guide is None:
        mask = np.asarray(fine > 0)
    else:
        part_of_image = guide[top : top + shape[1], left : left + shape[0]]
        radius = max(1, round(OUTLINE_RADIUS * float(side.mean())))
        mask = guided(fine, part_of_image, radius) > LEAST_MARGIN
    if not mask.any():
        return (left, top, 1, 1), mask[:1, :1]
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return (left + x, top + y, width, height), mask[y : y + height, x : x + width]


def _numbered(detections: list[Detection]) -> tuple[Detection, ...]:
    """By falling score, instances of a class numbered in that order."""
    seen: dict[int, int] = {}
    result = []
    for item in sorted(detections, key=lambda found: -found.score):
        number = seen.get(item.class_id, 0)
        seen[item.class_id] = number + 1
        result.append(replace(item, instance=number))
    return tuple(result)
