"""Options of the original NeRF: its networks, its rendering and its training.

Defaults are those of nerf-pytorch; `vanilla_seed.py` translates the names of its
configuration files.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fast_inerf_ros.config import option


@dataclass(frozen=True)
class VanillaArchitecture:
    """Shape of the coarse and the fine network."""

    depth: int = option(8, doc="Layers of the coarse network.", minimum=1)
    width: int = option(256, doc="Channels of its layers.", minimum=2)
    depth_fine: int = option(8, doc="Layers of the fine network.", minimum=1)
    width_fine: int = option(256, doc="Channels of its layers.", minimum=2)
    encode: bool = option(
        True, doc="Encode positions and directions by sines and cosines (i_embed 0, not -1)."
    )
    position_frequencies: int = option(
        10, doc="Octaves of the encoding of positions.", minimum=0, maximum=24
    )
    direction_frequencies: int = option(
        4, doc="Octaves of the encoding of view directions.", minimum=0, maximum=24
    )
    view_directions: bool = option(False, doc="Let the colour depend on the view direction.")


@dataclass(frozen=True)
class VanillaRendering:
    """How rays are sampled and composited."""

    n_samples: int = option(64, doc="Coarse samples of a ray.", minimum=2)
    n_importance: int = option(
        0, doc="Additional samples of a ray, for the fine network; 0 for none.", minimum=0
    )
    linear_in_disparity: bool = option(
        False, doc="Space the coarse samples evenly in 1/distance instead of distance."
    )
    white_background: bool = option(False, doc="White instead of black behind the scene.")
    rays_per_chunk: int = option(
        32 * 1024, doc="Rays in work at once; lower it if memory runs out.", minimum=1
    )
    points_per_chunk: int = option(
        64 * 1024, doc="Points in a network at once; lower it if memory runs out.", minimum=1
    )


@dataclass(frozen=True)
class VanillaTraining:
    """How the networks are trained."""

    rays_per_step: int = option(32 * 32 * 4, doc="Rays of one step of training.", minimum=1)
    learning_rate: float = option(5e-4, doc="Step of Adam at the start.", minimum=0.0)
    learning_rate_decay: int = option(
        250, doc="Thousands of steps in which the learning rate falls to a tenth.", minimum=1
    )
    perturb: float = option(
        1.0, doc="Above 0, samples move at random within their stratum.", minimum=0.0
    )
    density_noise: float = option(
        0.0, doc="Standard deviation of the noise added to raw density.", minimum=0.0
    )
    one_image_per_step: bool = option(
        False, doc="Take the rays of a step from one image, not from all of them."
    )
    precrop_steps: int = option(
        0, doc="First steps, taken on the middle of the image (one image per step).", minimum=0
    )
    precrop_fraction: float = option(
        0.5, doc="Share of width and height that counts as the middle.", minimum=0.0, maximum=1.0
    )
    seed: int = option(0, doc="Seed of everything random.", minimum=0)


@dataclass(frozen=True)
class VanillaOptions:
    """All options of the original NeRF."""

    architecture: VanillaArchitecture = field(default_factory=VanillaArchitecture)
    rendering: VanillaRendering = field(default_factory=VanillaRendering)
    training: VanillaTraining = field(default_factory=VanillaTraining)
