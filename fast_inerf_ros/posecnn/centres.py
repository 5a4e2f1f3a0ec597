"""Centres and depths of instances to a fraction of a pixel, from the votes of their pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

N_ROUNDS = 6
DIRECTION_DEVIATION_RAD = 0.08
"""Typical error of a predicted direction: a far pixel's line misses the centre by more."""

OFFSET_DEVIATION_CELLS = 2.0
INDEPENDENT_VOTES = 8.0
"""Errors of neighbouring pixels are alike: so many of them at most count as independent."""

MEDIAN_TO_DEVIATION = 1.4826


@dataclass(frozen=True, eq=False)
class Evidence:
    """Voters (m,): `owner` (instance, -1 for none), trust, place (m, 2), direction (m, 2) of
    length 1, depth in metres, and the place (m, 2) they aim at or None.
    """

    owner: Tensor
    weight: Tensor
    place: Tensor
    direction: Tensor
    depth: Tensor
    aim: Tensor | None


@dataclass(frozen=True, eq=False)
class CentreFit:
    """Centres (n, 2) with covariance (n, 2, 2), and depths (n,) in metres.

    log_depth_deviation: of the logarithm of depth (n,). inlier_share: weight (n,) of the voters
        that agree with the centre, over that of all voters of the instance.
    """

    centre: Tensor
    covariance: Tensor
    depth: Tensor
    log_depth_deviation: Tensor
    inlier_share: Tensor


def fit_centres(
    evidence: Evidence, start: Tensor, spacing: float, start_error: float
) -> CentreFit:
    """Least squares on the distances to the voters' lines, reweighted until it stands.

    A voter whose line passes at a distance e of the centre, r away, weighs
    1 / (σ² (1 + e²/σ²)²) with σ² = spacing² + (r · angular error)²: Geman-McClure, so that
    blobs of a confused class lose their influence. Aims count in the same way.

    start: centres (n, 2) to begin with, good to about `start_error`: σ begins with that and
        shrinks. spacing: distance between neighbouring cells.
    """
    n = len(start)
    kept = torch.nonzero(evidence.owner >= 0)[:, 0]
    owner = evidence.owner[kept]
    place, direction = evidence.place[kept].double(), evidence.direction[kept].double()
    trust = evidence.weight[kept].double()
    aim = None if evidence.aim is None else evidence.aim[kept].double()
    across = torch.eye(2, dtype=torch.float64, device=start.device)
    across = across - direction[:, :, None] * direction[:, None, :]
    centre = start.double()
    scale = max(start_error, spacing)
    for _ in range(N_ROUNDS):
        scale = max(spacing, scale / 3)
        weight = _line_weight(centre[owner] - place, direction, scale)[0] * trust
        normal = weight[:, None, None] * across
        right = weight[:, None] * (across @ place[:, :, None])[..., 0]
        if aim is not None:
            pull = trust * _aim_weight(centre[owner] - aim, scale)
            normal = normal + pull[:, None, None] * torch.eye(2, device=start.device)
            right = right + pull[:, None] * aim
        information = _sums(normal, owner, n) + 1e-9 * torch.eye(2, device=start.device)
        moved = torch.linalg.solve(information, _sums(right, owner, n) + 1e-9 * centre)
        step = (moved - centre).abs().max() if n else moved.sum()
        centre = moved
        if scale == spacing and float(step) < 1e-2 * spacing:
            break
    squared = _line_weight(centre[owner] - place, direction, spacing)[1]
    agrees = squared < 4.0
    depth, deviation = _depths(evidence.depth[kept], trust * agrees, owner, n)
    total = _sums(trust, owner, n).clamp(min=1e-12)
    count = _sums(torch.ones_like(trust), owner, n)
    # Residuals larger than assumed widen the covariance, as does the likeness of neighbours.
    variance = (_sums(trust * squared.clamp(max=4.0), owner, n) / total).clamp(min=0.1)
    inflation = variance * (count / INDEPENDENT_VOTES).clamp(min=1.0)
    covariance = torch.linalg.inv(information) * inflation[:, None, None]
    return CentreFit(
        centre.float(),
        covariance.float(),
        depth.float(),
        deviation.float(),
        (_sums(trust * agrees, owner, n) / total).float(),
    )


def _line_weight(to_centre: Tensor, direction: Tensor, spacing: float) -> tuple[Tensor, Tensor]:
    """Weight (m,) of each voter's line and its squared distance from the centre in deviations."""
    across = to_centre[:, 0] * direction[:, 1] - to_centre[:, 1] * direction[:, 0]
    along = (to_centre * direction).sum(dim=-1)
    squared_range = (to_centre * to_centre).sum(dim=-1)
    variance = spacing**2 + DIRECTION_DEVIATION_RAD**2 * squared_range
    ahead = along >= 0
    # Behind a voter there is no centre: it has no say there, and does not agree.
    squared = torch.where(ahead, across * across, squared_range) / variance
    return torch.where(ahead, 1 / (variance * (1 + squared) ** 2), 0.0), squared


def _aim_weight(error: Tensor, spacing: float) -> Tensor:
    variance = (OFFSET_DEVIATION_CELLS * spacing) ** 2
    return 1 / (variance * (1 + (error * error).sum(dim=-1) / variance) ** 2)


def _sums(values: Tensor, owner: Tensor, n: int) -> Tensor:
    """Sums (n, ...) of values (m, ...) by their owner."""
    return values.new_zeros((n, *values.shape[1:])).index_add_(0, owner, values)


def _depths(depth: Tensor, trust: Tensor, owner: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Weighted median (n,) of the depths, and the deviation of the logarithm's mean."""
    usable = torch.nonzero((depth > 0) & torch.isfinite(depth) & (trust > 0))[:, 0]
    logs, owner, trust = torch.log(depth[usable].double()), owner[usable], trust[usable]
    median = _weighted_medians(logs, trust, owner, n)
    spread = _weighted_medians((logs - median[owner]).abs(), trust, owner, n)
    count = _sums(torch.ones_like(trust), owner, n).clamp(max=INDEPENDENT_VOTES)
    return torch.exp(median), MEDIAN_TO_DEVIATION * spread / count.sqrt()


def _weighted_medians(values: Tensor, weight: Tensor, owner: Tensor, n: int) -> Tensor:
    """Weighted median (n,) of the values (m,) of each owner, NaN where it has none."""
    order = torch.argsort(values)
    order = order[torch.argsort(owner[order], stable=True)]
    reached = torch.cumsum(weight[order], dim=0)
    total = _sums(weight, owner, n)
    half = torch.cumsum(total, dim=0) - total / 2
    middle = torch.searchsorted(reached, half).clamp(max=max(len(values) - 1, 0))
    if len(values) == 0:
        return total + float("nan")
    return torch.where(total > 0, values[order][middle], float("nan"))
