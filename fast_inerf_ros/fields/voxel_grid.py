"""The sparse voxel grid on the host: allocating, growing, pruning and resampling its bricks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.ndimage
import torch
import warp as wp

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.rendering import grid_kernels
from fast_inerf_ros.rendering.grid import NO_CODE, Grid, vec12, vec12b
from fast_inerf_ros.rendering.launch import default_threads, initialise, launch

COLORS = 12
VOXELS = 64
OUTER_LIMIT = 64.0
"""How far contracted space is marched, in half sizes of the inner box."""


@dataclass(frozen=True)
class Domain:
    """The space a grid covers.

    center, half_size: (3,) of the inner box in field units.
    contracted: whether the space around the box is contracted into the grid, too.
    bricks: (3,) number of bricks along each axis.
    """

    center: tuple[float, float, float]
    half_size: tuple[float, float, float]
    contracted: bool
    bricks: tuple[int, int, int]

    def __post_init__(self) -> None:
        numbers = (*self.center, *self.half_size)
        if not np.all(np.isfinite(numbers)) or min(self.half_size) <= 0:
            raise InputError(
                f"box of a voxel field: expected a finite centre and positive half sizes, got "
                f"centre {self.center} and half sizes {self.half_size}"
            )
        if min(self.bricks) < 1 or max(self.bricks) > 256:
            raise InputError(f"bricks of a voxel field: expected 1 to 256, got {self.bricks}")

    @property
    def unit(self) -> np.ndarray:
        """Field units per unit of box coordinates, (3,).

        The largest half size on every axis, so that space is scaled evenly; each half size on
        its own axis where the box is contracted (its faces must then lie at 1).
        """
        largest = max(self.half_size)
        half = self.half_size if self.contracted else (largest, largest, largest)
        return np.array(half, dtype=np.float64)

    @property
    def scale(self) -> np.ndarray:
        """Grid units per unit of contracted coordinates, (3,)."""
        limit = np.full(3, 2.0) if self.contracted else np.asarray(self.half_size) / self.unit
        voxels = np.array(self.bricks, dtype=np.float64) * 4.0
        return np.array(voxels / (2.0 * limit), dtype=np.float64)

    @property
    def offset(self) -> np.ndarray:
        """Grid coordinates of the centre, (3,)."""
        return np.asarray(self.bricks) * 2 - 0.5

    def optical_step(self, step: float, optical_scale: float) -> float:
        """Optical depth of density 1 along ``step`` voxels; see ``VoxelGrid.struct``."""
        return step * optical_scale * float(self.unit.max() / self.scale.max())

    @property
    def limit(self) -> np.ndarray:
        """Half sizes of the marched space in box coordinates, (3,)."""
        if self.contracted:
            return np.full(3, OUTER_LIMIT)
        # The hull of the voxel centres, less what rounding could add.
        return np.array((np.array(self.bricks) * 2.0 - 0.51) / self.scale)


@dataclass(frozen=True, eq=False)
class CodedColors:
    """Colours in a byte for each coefficient, as fields are stored: a quarter of the memory.

    codes (n + 1, 64, 12) uint8 are colours low (12,) + step (12,) * code, NO_CODE stands for 0.
    """

    codes: torch.Tensor
    low: np.ndarray
    step: np.ndarray

    def decoded(self) -> torch.Tensor:
        """The colours themselves (n + 1, 64, 12)."""
        low, step = (torch.as_tensor(v, device=self.codes.device) for v in (self.low, self.step))
        return torch.where(self.codes == int(NO_CODE), 0.0, low + step * self.codes)


class VoxelGrid:
    """Bricks of density and colour; the tensors are changed in place by training.

    density (n + 1, 64) and color (n + 1, 64, 12) hold the voxels of n bricks, slot 0 being empty;
    coordinates (n + 1, 3) says where each brick is; table (Bx By Bz) finds it; mask (n + 1) has
    one bit per cell. A grid with coded colours is only looked at.
    """

    def __init__(
        self,
        domain: Domain,
        coordinates: torch.Tensor,
        density: torch.Tensor,
        colors: torch.Tensor | CodedColors,
        n_threads: int | None = None,
    ) -> None:
        initialise()
        self.domain = domain
        self.coordinates = coordinates
        self.density = density
        self.colors = colors
        self.device = density.device
        self.n_threads = n_threads or default_threads(self.device)
        self.mask = torch.full((len(density),), -1, dtype=torch.int64, device=self.device)
        self.mask[0] = 0
        self.table = brick_table(domain, coordinates)

    @staticmethod
    def dense(
        domain: Domain,
        density: float,
        device: torch.device | str = "cpu",
        threads: int | None = None,
    ) -> VoxelGrid:
        """Grid with every brick stored, at one density, grey."""
        axes = [torch.arange(n, dtype=torch.int32) for n in domain.bricks]
        inside = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        coordinates = torch.cat([torch.zeros(1, 3, dtype=torch.int32), inside]).to(device)
        count = len(coordinates)
        values = torch.full((count, VOXELS), density, device=device)
        values[0] = 0.0
        color = torch.zeros(count, VOXELS, COLORS, device=device)
        return VoxelGrid(domain, coordinates, values, color, threads)

    def contracted_radius(self) -> torch.Tensor:
        """Maximum norm (n + 1, 64) of the contracted coordinates of the voxels: 1 on the box."""
        offset, scale = (
            torch.as_tensor(values, device=self.device)
            for values in (self.domain.offset, self.domain.scale)
        )
        return ((voxel_places(self.coordinates) - offset) / scale).abs().amax(-1)

    @property
    def color(self) -> torch.Tensor:
        """Coefficients (n + 1, 64, 12); of coded ones a copy."""
        colors = self.colors
        return colors.decoded() if isinstance(colors, CodedColors) else colors

    @property
    def n_bricks(self) -> int:
        """Number of stored bricks."""
        return len(self.density) - 1

    def struct(self, step: float, optical_scale: float) -> Any:
        """The grid as kernels take it.

        step: distance of samples in voxels; optical_scale: optical depth of density 1 along one
        field unit of the inner box.
        """
        domain = self.domain
        grid: Any = Grid()
        grid.table = wp.from_torch(self.table)
        grid.mask = wp.from_torch(self.mask, dtype=wp.uint64)
        grid.density = wp.from_torch(self.density.view(-1))
        colors = self.colors
        if isinstance(colors, CodedColors):
            grid.coded = 1
            grid.codes = wp.from_torch(colors.codes.view(-1, COLORS), dtype=vec12b)
            grid.code_low, grid.code_step = vec12(*colors.low), vec12(*colors.step)
        else:
            grid.color = wp.from_torch(colors.view(-1, COLORS), dtype=vec12)
        grid.bricks = wp.vec3i(*domain.bricks)
        grid.scale = wp.vec3(*domain.scale)
        grid.offset = wp.vec3(*domain.offset)
        grid.box_limit = wp.vec3(*domain.limit)
        grid.contracted = int(domain.contracted)
        grid.step = step
        grid.optical_step = domain.optical_step(step, optical_scale)
        return grid

    def occupancy(self, threshold: float) -> torch.Tensor:
        """Refresh the mask of cells with a corner above ``threshold``; returns each brick's reach.

        The reach (n + 1,) has one bit for each of the 27 neighbours next to such a corner.
        """
        reach = torch.zeros(len(self.density), dtype=torch.int32, device=self.device)
        grid = self.struct(1.0, 1.0)
        arrays = (
            wp.from_torch(self.coordinates, dtype=wp.vec3i),
            threshold,
            wp.from_torch(self.mask, dtype=wp.uint64),
            wp.from_torch(reach),
        )
        launch(
            grid_kernels.occupied_cells,
            len(reach),
            lambda part: (grid, *arrays),
            self.device,
            self.n_threads,
        )
        self.mask[0] = 0
        reach[0] = 0
        return reach

    def reallocated(
        self, threshold: float, seen: torch.Tensor | None = None
    ) -> tuple[VoxelGrid, torch.Tensor]:
        """Grid with the bricks that ``threshold`` makes necessary, and where they come from.

        A brick is kept, or newly stored, where a voxel above the threshold is within one voxel
        of it, so that surfaces can grow. seen (n + 1,): whether a brick is seen at all; those that
        are not are left out, and nothing grows from them. The second value (m + 1,) is the old
        slot of each new one, 0 for those newly stored.
        """
        reach = self.occupancy(threshold)
        if seen is not None:
            reach = torch.where(seen, reach, 0)
        needed = reached_bricks(self.domain, self.coordinates, reach)
        flat = torch.nonzero(needed.view(-1)).view(-1)
        old = self.table[flat].clamp(min=0).long()
        source = torch.cat([old.new_zeros(1), old])
        coordinates = torch.cat([self.coordinates[:1], unravel(flat, self.domain.bricks)])
        grid = VoxelGrid(
            self.domain, coordinates, self.density[source], self.color[source], self.n_threads
        )
        grid.occupancy(threshold)
        return grid, source

    def resampled(self, domain: Domain) -> VoxelGrid:
        """The same field on another grid, dense over the bricks that overlap stored ones."""
        ratio, shift = voxel_map(domain, self.domain)
        coordinates = overlapping_bricks(self, domain, ratio, shift)
        count = len(coordinates)
        density = torch.zeros(count, VOXELS, device=self.device)
        color = torch.zeros(count, VOXELS, COLORS, device=self.device)
        source = self.struct(1.0, 1.0)
        arrays = (
            wp.from_torch(coordinates, dtype=wp.vec3i),
            wp.vec3(*ratio),
            wp.vec3(*shift),
            wp.from_torch(density.view(-1)),
            wp.from_torch(color.view(-1, COLORS), dtype=vec12),
        )
        launch(
            grid_kernels.resample_bricks,
            count,
            lambda part: (source, *arrays),
            self.device,
            self.n_threads,
        )
        density[0] = 0.0
        color[0] = 0.0
        return VoxelGrid(domain, coordinates, density, color, self.n_threads)

    def occupied_box(self, threshold: float) -> tuple[np.ndarray, np.ndarray] | None:
        """Corners, in field units, of the box around all voxels above a density; or None."""
        bricks = torch.nonzero((self.density > threshold).any(1)).view(-1)
        if len(bricks) == 0:
            return None
        base = self.coordinates[bricks].cpu().numpy() * 4.0
        domain = self.domain
        corners = np.stack([base.min(0) - 1.0, base.max(0) + 4.0])
        box = (corners - domain.offset) / domain.scale * domain.unit
        return box[0] + domain.center, box[1] + domain.center

    def occupied_domain(self, threshold: float, margin: float) -> Domain:
        """The part of a bounded domain around what is above a density, all of it where nothing is.

        margin: voxels between that and the faces.
        """
        box, domain = self.occupied_box(threshold), self.domain
        if box is None:
            return domain
        around = margin / domain.scale * domain.unit
        center, half = np.asarray(domain.center), np.asarray(domain.half_size)
        low = np.maximum(box[0] - around, center - half)
        high = np.minimum(box[1] + around, center + half)
        (x, y, z), (a, b, c) = map(float, (low + high) / 2), map(float, (high - low) / 2)
        return Domain((x, y, z), (a, b, c), False, domain.bricks)


def brick_table(domain: Domain, coordinates: torch.Tensor) -> torch.Tensor:
    """Slot of every brick, or minus the Chebyshev distance to the nearest stored one."""
    count = int(np.prod(domain.bricks))
    flat = ravel(coordinates[1:], domain.bricks).cpu().numpy()
    stored = np.zeros(count, dtype=bool)
    stored[flat] = True
    if len(flat):
        empty = ~stored.reshape(domain.bricks)
        distance = scipy.ndimage.distance_transform_cdt(empty, metric="chessboard").reshape(-1)
    else:
        distance = np.full(count, max(domain.bricks))
    table = -distance.astype(np.int32)
    table[flat] = np.arange(1, len(flat) + 1)
    return torch.as_tensor(table).to(coordinates.device)


def ravel(coordinates: torch.Tensor, bricks: tuple[int, int, int]) -> torch.Tensor:
    """Row of the table of each brick."""
    c = coordinates.long()
    return (c[:, 0] * bricks[1] + c[:, 1]) * bricks[2] + c[:, 2]


def unravel(flat: torch.Tensor, bricks: tuple[int, int, int]) -> torch.Tensor:
    """Coordinates (n, 3) int32 of rows of the table."""
    plane = bricks[1] * bricks[2]
    parts = (flat // plane, flat // bricks[2] % bricks[1], flat % bricks[2])
    return torch.stack(parts, -1).int()


def voxel_places(coordinates: torch.Tensor) -> torch.Tensor:
    """Grid coordinates (n, 64, 3), float64, of the voxels of bricks at coordinates (n, 3)."""
    voxel = torch.arange(VOXELS, device=coordinates.device)
    within = torch.stack([voxel >> 4, (voxel >> 2) & 3, voxel & 3], -1)
    return (coordinates[:, None].long() * 4 + within).double()


def reached_bricks(domain: Domain, coordinates: torch.Tensor, reach: torch.Tensor) -> torch.Tensor:
    """Boolean volume of the bricks that any stored brick reaches into."""
    padded = torch.zeros([n + 2 for n in domain.bricks], dtype=torch.bool, device=reach.device)
    for bit in range(27):
        hit = coordinates[((reach >> bit) & 1).bool()].long()
        padded[hit[:, 0] + bit // 9, hit[:, 1] + bit // 3 % 3, hit[:, 2] + bit % 3] = True
    return padded[1:-1, 1:-1, 1:-1].contiguous()


def voxel_map(source: Domain, target: Domain) -> tuple[np.ndarray, np.ndarray]:
    """Ratio and shift (3,): voxel v of ``source`` lies at v * ratio + shift in ``target``.

    Raises InputError for two contracted domains with different boxes: the map is not affine.
    """
    if source.contracted != target.contracted or (
        source.contracted
        and (source.center, source.half_size) != (target.center, target.half_size)
    ):
        raise InputError("resampling a voxel grid: contracted grids must keep their inner box")
    stretch = source.unit / target.unit
    ratio = target.scale / source.scale * stretch
    middle = (np.asarray(source.center) - np.asarray(target.center)) / target.unit
    shift = middle * target.scale + target.offset - source.offset * ratio
    return ratio, shift


def overlapping_bricks(
    grid: VoxelGrid, domain: Domain, ratio: np.ndarray, shift: np.ndarray
) -> torch.Tensor:
    """Coordinates (n + 1, 3) of the bricks of ``domain`` that overlap stored ones of ``grid``."""
    stored = (grid.table > 0).view(grid.domain.bricks)
    wanted = torch.zeros(domain.bricks, dtype=torch.bool, device=grid.device)
    lookups = []
    for axis in range(3):
        edges = np.arange(domain.bricks[axis]) * 4.0
        places = [np.floor((edges + o) * ratio[axis] + shift[axis]) for o in (-0.5, 1.5, 3.5)]
        rows = [np.clip(p // 4, 0, grid.domain.bricks[axis] - 1) for p in places]
        lookups.append([torch.as_tensor(r.astype(np.int64), device=grid.device) for r in rows])
    for x in lookups[0]:
        for y in lookups[1]:
            for z in lookups[2]:
                wanted |= stored[x[:, None, None], y[None, :, None], z[None, None, :]]
    flat = torch.nonzero(wanted.view(-1)).view(-1)
    return torch.cat([grid.coordinates[:1], unravel(flat, domain.bricks)])


def resolution(domain: Domain, voxels: int) -> Domain:
    """The same space with ``voxels`` along its longest axis, in whole bricks of cubic voxels."""
    if domain.contracted:
        return replace(domain, bricks=(voxels // 4,) * 3)
    half = np.asarray(domain.half_size)
    bricks = np.maximum(1, np.ceil(half / half.max() * voxels / 4 - 1e-6)).astype(int)
    voxel = float(half.max()) * 2 / (int(bricks.max()) * 4)
    x, y, z = (int(n) for n in bricks)
    grown = (x * 2.0 * voxel, y * 2.0 * voxel, z * 2.0 * voxel)
    return replace(domain, bricks=(x, y, z), half_size=grown)
