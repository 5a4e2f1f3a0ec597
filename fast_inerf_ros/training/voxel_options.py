"""Options of the training of voxel fields, and the defaults of each type of scene."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fast_inerf_ros.config import option
from fast_inerf_ros.errors import InputError


@dataclass(frozen=True)
class VoxelTraining:
    """How a voxel field is trained.

    Progress goes from 0 to 1: with ``seconds`` by the clock, else by ``steps``. By steps the
    result on a CPU depends on nothing but the data, the options and the seed.
    """

    steps: int = option(8000, doc="Steps of the whole training.", minimum=1)
    seconds: float = option(
        0.0, doc="Time for the whole training; 0 to count steps instead.", unit="s", minimum=0.0
    )
    rays_per_step: int = option(
        4096, doc="Rays that meet something, in each step.", minimum=16, maximum=1 << 20
    )
    resolutions: tuple[int, ...] = option(
        (64, 128, 256),
        doc="Voxels along the longest axis, stage by stage.",
        minimum=8,
        maximum=1024,
    )
    stage_starts: tuple[float, ...] = option(
        (0.0, 0.04, 0.24), doc="Progress at which each stage starts.", minimum=0.0, maximum=1.0
    )
    coarse_steps: int = option(
        1500,
        doc="Steps after which the last stage starts, whatever the progress, and those before it "
        "in proportion; 0 for no limit. What takes shape in a coarse grid for long stays coarse.",
        minimum=0,
    )
    density_rate: float = option(
        0.1, doc="Learning rate of densities, as optical depth of a sample.", minimum=0.0
    )
    color_rate: float = option(0.35, doc="Learning rate of colours.", minimum=0.0)
    final_rate: float = option(
        0.04, doc="Learning rates at the end, as a share of those at the start.", minimum=0.0
    )
    warm_up: int = option(
        0, doc="Steps over which the rate of densities rises from nothing.", minimum=0
    )
    color_smoothing: float = option(
        0.03,
        doc="Pull of colours towards those of neighbouring voxels, in units of their rate.",
        minimum=0.0,
        maximum=0.2,
    )
    moment_decay: float = option(
        0.99, doc="Decay of the mean squares of gradients.", minimum=0.0, maximum=0.9999
    )
    initial_opacity: float = option(
        0.02, doc="Optical depth of a sample before training.", minimum=0.0, maximum=1.0
    )
    far_opacity: float = option(
        0.0,
        doc="The same at the far end of contracted space: light ends there, before anything is "
        "learned, not in fog.",
        minimum=0.0,
        maximum=10.0,
    )
    optical_scale: float = option(
        64.0, doc="Optical depth of density 1 across half of the box.", minimum=1e-3
    )
    voxels_per_step: float = option(
        0.8, doc="Distance of samples along a ray, in voxels.", minimum=0.1, maximum=4.0
    )
    cutoff: float = option(
        0.0005, doc="Optical depth below which a sample is left out.", minimum=0.0, maximum=0.1
    )
    light_cutoff: float = option(
        0.002, doc="Share of light below which a ray ends.", minimum=0.0, maximum=0.1
    )
    distortion: float = option(
        0.0, doc="Weight of the distortion loss, against fog and floaters.", minimum=0.0
    )
    nearness: float = option(
        0.0,
        doc="Weight of light that ends near a camera, where fog could stand for any wall.",
        minimum=0.0,
    )
    huber: float = option(
        0.0,
        doc="Difference of a colour, which goes to 1, from which it counts by its size, not its "
        "square: a highlight that one photograph shows is no reason for floaters. 0: never.",
        minimum=0.0,
        maximum=1.0,
    )
    prune_every: int = option(100, doc="Steps between prunings of empty space.", minimum=1)
    prune_opacity: float = option(
        0.01, doc="Optical depth of a sample below which space is empty.", minimum=0.0
    )
    crop: bool = option(True, doc="Shrink the box to what is in it, unless contracted.")
    random_background: bool = option(
        True, doc="Lay transparent photographs over random colours, not the background."
    )
    max_samples: int = option(
        384, doc="Samples of a ray that training keeps.", minimum=16, maximum=4096
    )

    def __post_init__(self) -> None:
        starts = self.stage_starts
        if len(starts) != len(self.resolutions) or not starts:
            raise InputError(
                f"stage_starts: expected one for each of {len(self.resolutions)} resolutions, "
                f"got {len(starts)}"
            )
        if starts[0] != 0.0 or list(starts) != sorted(starts):
            raise InputError(f"stage_starts: expected 0 first, then ascending, got {starts}")

    def stage_is_due(self, stage: int, progress: float, steps: int) -> bool:
        """Whether a stage, if there is such a one, starts at a progress after so many steps."""
        starts = self.stage_starts
        if stage >= len(starts):
            return False
        share = starts[stage] / starts[-1] if starts[-1] > 0.0 else 0.0
        return progress >= starts[stage] or 0 < self.coarse_steps * share <= steps


_SCENES: dict[str, dict[str, Any]] = {
    "object": {"distortion": 0.1, "huber": 0.1},
    "unbounded": {
        "density_rate": 0.2,
        "stage_starts": (0.0, 0.1, 0.45),
        "color_smoothing": 0.05,
        "distortion": 2e-3,
        "nearness": 1e-2,
        "warm_up": 100,
        "initial_opacity": 0.002,
        "far_opacity": 0.5,
        "prune_opacity": 0.03,
        "cutoff": 0.003,
        "optical_scale": 32.0,
    },
    "forward_facing": {
        "density_rate": 0.2,
        "color_smoothing": 0.05,
        "distortion": 5e-4,
        "warm_up": 100,
        "initial_opacity": 0.002,
        "far_opacity": 0.5,
        "prune_opacity": 0.03,
        "cutoff": 0.003,
        "optical_scale": 32.0,
    },
}
SCENE_TYPES = tuple(_SCENES)


def options_for(scene_type: str, **changes: Any) -> VoxelTraining:
    """Defaults for an "object", an "unbounded" or a "forward_facing" scene, with changes.

    Raises InputError for another type.
    """
    if scene_type not in _SCENES:
        raise InputError(f"scene type: expected one of {SCENE_TYPES}, got {scene_type!r}")
    return replace(VoxelTraining(), **(_SCENES[scene_type] | changes))
