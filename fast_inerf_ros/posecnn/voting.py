"""Hough voting: where the centres of objects are, from what each pixel says of its own.

Every sampled pixel walks from itself towards the centre and votes for each cell that it passes,
on a grid that reaches beyond the image's borders; with an offset head it votes for one cell.
Peaks are found for all classes at once. What a peak explains is taken out, and the rest votes
again, so that several instances of a class are found. Work and memory depend on the number of
samples and cells, both bounded, and not on the image's size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from fast_inerf_ros.config import option
from fast_inerf_ros.posecnn.centres import CentreFit, Evidence, fit_centres
from fast_inerf_ros.posecnn.components import agreeing_components

HASH = 40503
"""Odd, and 2^16 times the golden ratio: multiples of it fill 0 ... 65535 evenly, without a
pattern of rows or columns (Knuth's multiplicative hashing)."""

HASH_RANGE = 1 << 16
MARGIN = 0.25
"""How far the grid reaches beyond the image, as a share of its size on either side."""

BYTES_PER_VOTE = 40
CLOSE_CELLS = 2.0
"""Within so many cells of a peak a direction says nothing, and a pixel agrees with it anyway."""


@dataclass(frozen=True)
class VotingConfig:
    """How centres are voted for."""

    samples_per_class: int = option(
        256, doc="Pixels of each class that vote; all where there are fewer.", minimum=16
    )
    grid_cells: int = option(
        64, doc="Cells along the longer side of the image.", minimum=16, maximum=1024
    )
    max_instances: int = option(3, doc="Objects of one class in an image.", minimum=1)
    inlier_angle_deg: float = option(
        20.0, doc="Largest angle of a vote to its centre.", unit="deg", minimum=1.0, maximum=89.0
    )
    minimum_share: float = option(
        0.25,
        doc="Share of the votes of a class that makes an instance.",
        minimum=0.01,
        maximum=1.0,
    )
    memory_mb: int = option(32, doc="Memory that votes may take.", unit="MB", minimum=1)


@dataclass(frozen=True, eq=False)
class VoteMaps:
    """One image's cells. `pixels` (2, h, w) are in any unit of length; results are in the same.

    labels: class of each cell (h, w), int64, 0 for those that do not vote. weights: trust (h, w)
    in the cells that do, > 0.
    direction: towards the centre (2, h, w). depth: (h, w) in metres. offset: to the centre
    (2, h, w), or None. spacing: distance between cells.
    """

    labels: Tensor
    weights: Tensor
    direction: Tensor
    depth: Tensor
    offset: Tensor | None
    pixels: Tensor
    spacing: float


@dataclass(frozen=True, eq=False)
class Centres:
    """Instances found, n of them, in the order of their class.

    label: class (n,). fit: their centres. support: share (n,) of the votes of the class.
    member: instance (h, w) of each cell, -1 for none.
    """

    label: Tensor
    fit: CentreFit
    support: Tensor
    member: Tensor


@dataclass(frozen=True, eq=False)
class _Grid:
    """Cells of the accumulator: `origin` (2,) is the corner of the first, `side` their size."""

    origin: Tensor
    side: float
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class _Samples:
    """Voters (m,): class from 0, weight, place (m, 2), direction (m, 2), depth, aim (m, 2)."""

    group: Tensor
    weight: Tensor
    place: Tensor
    direction: Tensor
    depth: Tensor
    aim: Tensor | None


def vote(maps: VoteMaps, n_classes: int, config: VotingConfig) -> Centres:
    """Find the centres of all instances of the classes 1 ... n_classes."""
    samples = _sampled(maps, n_classes, config.samples_per_class)
    grid = _grid(maps, config.grid_cells)
    group, peak, support = _instances(samples, grid, n_classes, config)
    closest = CLOSE_CELLS * grid.side
    cosine = math.cos(math.radians(config.inlier_angle_deg))
    owner = _owners(samples.place, samples.direction, samples.group, group, peak, closest, cosine)
    evidence = Evidence(
        owner, samples.weight, samples.place, samples.direction, samples.depth, samples.aim
    )
    fit = fit_centres(evidence, peak, maps.spacing, grid.side)
    return Centres(group + 1, fit, support, _members(maps, group, fit.centre, closest))


def without_strangers(centres: Centres, maps: VoteMaps, config: VotingConfig) -> Centres:
    """The same without patches of cells most of which aim elsewhere than at their centre.

    Things that look like a class, and that too few cells speak for to be an instance, would belong
    to one that is elsewhere.
    """
    owner = centres.member.flatten()
    cells = torch.nonzero(owner >= 0)[:, 0]
    place, direction = _rays(maps, cells)
    target = centres.fit.centre[owner[cells]].to(place.dtype)
    cosine = math.cos(math.radians(config.inlier_angle_deg))
    closest = CLOSE_CELLS * _grid(maps, config.grid_cells).side
    agrees = torch.zeros_like(owner, dtype=torch.bool)
    agrees[cells] = _agrees(place, direction, target, closest, cosine)
    shape = centres.member.shape
    kept = agreeing_components(centres.member.cpu().numpy(), agrees.reshape(shape).cpu().numpy())
    return replace(centres, member=torch.from_numpy(kept).to(centres.member.device))


def _sampled(maps: VoteMaps, n_classes: int, per_class: int) -> _Samples:
    """About `per_class` voters of each class, spread evenly and always the same."""
    labels = maps.labels.flatten()
    voting = torch.nonzero(labels)[:, 0]
    classes = labels.index_select(0, voting)
    count = torch.bincount(classes, minlength=n_classes + 1)
    limit = (HASH_RANGE * per_class) // count.clamp(min=per_class)
    taken = torch.nonzero((voting * HASH) % HASH_RANGE < limit.index_select(0, classes))[:, 0]
    chosen, group = voting[taken], classes[taken] - 1
    place, direction = _rays(maps, chosen)
    sane = torch.isfinite(direction).all(dim=-1)
    aim = None
    if maps.offset is not None:
        aim = place + maps.offset.reshape(2, -1)[:, chosen].T.float()
        sane &= torch.isfinite(aim).all(dim=-1)
    return _Samples(
        group[sane],
        maps.weights.flatten()[chosen[sane]].float(),
        place[sane],
        direction[sane],
        maps.depth.flatten()[chosen[sane]],
        None if aim is None else aim[sane],
    )


def _grid(maps: VoteMaps, n_cells: int) -> _Grid:
    height, width = maps.labels.shape
    first = maps.pixels[:, 0, 0] - maps.spacing / 2
    size_x, size_y = width * maps.spacing, height * maps.spacing
    side = max(maps.spacing, max(size_x, size_y) / n_cells)
    origin = first - MARGIN * first.new_tensor([size_x, size_y])
    scale = (1 + 2 * MARGIN) / side
    return _Grid(origin, side, math.ceil(size_x * scale), math.ceil(size_y * scale))


def _instances(
    samples: _Samples, grid: _Grid, n_classes: int, config: VotingConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Class (n,) from 0, peak (n, 2) and support (n,) of each instance, sorted by class."""
    device = samples.place.device
    cosine = math.cos(math.radians(config.inlier_angle_deg))
    total = torch.zeros(n_classes, device=device).index_add_(0, samples.group, samples.weight)
    needed = (config.minimum_share * total).clamp(min=1e-9)
    weight = samples.weight
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(config.max_instances):
        left = torch.zeros(n_classes, device=device).index_add_(0, samples.group, weight)
        if not bool((left >= needed).any()):
            break
        peak = _peaks(samples, weight, grid, n_classes, config.memory_mb)
        target, closest = peak[samples.group], CLOSE_CELLS * grid.side
        agrees = _agrees(samples.place, samples.direction, target, closest, cosine)
        won = torch.zeros(n_classes, device=device).index_add_(0, samples.group, weight * agrees)
        accepted = torch.nonzero(won >= needed)[:, 0]
        found.append((accepted, peak[accepted], (won / total.clamp(min=1e-9))[accepted]))
        # A class whose best peak is too weak has no other: its voters are done.
        weight = weight * ~agrees * (won >= needed)[samples.group]
    if not found:
        return samples.group[:0], samples.place[:0], samples.weight[:0]
    group, peaks, support = (torch.cat(parts) for parts in zip(*found, strict=True))
    order = torch.argsort(group, stable=True)
    return group[order], peaks[order], support[order]


def _peaks(
    samples: _Samples, weight: Tensor, grid: _Grid, n_classes: int, memory_mb: int
) -> Tensor:
    """Place (C, 2) with most votes of each class."""
    # A border of one cell takes the votes that fall outside, so that none has to be sorted out.
    width, height = grid.width + 2, grid.height + 2
    voters = torch.nonzero(weight > 0)[:, 0]
    # Steps of a whole cell: every ray votes about once in every cell that it passes.
    length = 1 if samples.aim is not None else math.ceil(math.hypot(grid.width, grid.height))
    steps = torch.arange(length, device=weight.device, dtype=torch.float32)
    first = samples.place if samples.aim is None else samples.aim
    start = (first - grid.origin) / grid.side + 1
    votes = torch.zeros(n_classes * width * height, device=weight.device)
    chunk = max(1, memory_mb * 2**20 // (BYTES_PER_VOTE * length))
    for part in torch.split(voters, chunk):
        ray = start[part, :, None] + samples.direction[part, :, None] * steps
        x, y = ray[:, 0].clamp_(0, width - 1).int(), ray[:, 1].clamp_(0, height - 1).int()
        place = y.mul_(width).add_(x).add_((samples.group[part] * (width * height)).int()[:, None])
        counted = weight[part, None].expand_as(place)
        votes += torch.bincount(
            place.flatten(), counted.flatten(), minlength=n_classes * width * height
        )
    inner = votes.reshape(n_classes, height, width)[:, 1:-1, 1:-1]
    smooth = F.avg_pool2d(inner[:, None], 3, 1, 1)
    best = smooth.flatten(1).argmax(dim=1)
    cell = torch.stack([best % grid.width, best // grid.width], dim=-1)
    return grid.origin + (cell + 0.5) * grid.side


def _owners(
    place: Tensor,
    direction: Tensor,
    group: Tensor,
    instance_group: Tensor,
    centre: Tensor,
    closest: float,
    least_cosine: float,
) -> Tensor:
    """Instance (m,) that each voter agrees with best, -1 where it agrees with none."""
    if len(instance_group) == 0:
        return torch.full_like(group, -1)
    to_centre = centre - place[:, None]
    distance = torch.linalg.vector_norm(to_centre, dim=-1)
    cosine = (direction[:, None] * to_centre).sum(dim=-1) / distance.clamp(min=1e-9)
    # Just beside a centre a direction means little, and the pixel belongs to it.
    cosine = torch.where(distance <= closest, 2.0, cosine)
    cosine = torch.where(group[:, None] == instance_group, cosine, -2.0)
    best, owner = cosine.max(dim=1)
    return torch.where(best >= least_cosine, owner, -1)


def _members(maps: VoteMaps, group: Tensor, centre: Tensor, closest: float) -> Tensor:
    """Instance (h, w) of each cell that votes, -1 elsewhere.

    All cells of a class with one instance are its own.
    """
    count = torch.bincount(group + 1, minlength=int(maps.labels.max()) + 1)
    only = torch.full_like(count, -1)
    only[group + 1] = torch.arange(len(group), device=group.device)
    labels = maps.labels.flatten()
    member = only.index_select(0, labels)
    if bool((count > 1).any()):
        several = torch.nonzero((count > 1).index_select(0, labels))[:, 0]
        member[several] = _owners(
            *_rays(maps, several),
            labels[several] - 1,
            group,
            centre,
            closest,
            -1.0,
        )
    return member.reshape(maps.labels.shape)


def _rays(maps: VoteMaps, cells: Tensor) -> tuple[Tensor, Tensor]:
    """Place (m, 2) and direction (m, 2), of length 1, of cells given by their number (m,)."""
    direction = maps.direction.reshape(2, -1)[:, cells].T.float()
    return maps.pixels.reshape(2, -1)[:, cells].T, F.normalize(direction, dim=-1, eps=1e-9)


def _agrees(
    place: Tensor, direction: Tensor, target: Tensor, closest: float, least_cosine: float
) -> Tensor:
    """Whether voters (m,) point to a target (m, 2), or are too close to it to tell."""
    to_target = target - place
    cosine = (direction * F.normalize(to_target, dim=-1, eps=1e-9)).sum(dim=-1)
    near = torch.linalg.vector_norm(to_target, dim=-1) <= closest
    agrees: Tensor = (cosine >= least_cosine) | near
    return agrees
