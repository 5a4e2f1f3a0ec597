"""Options of the original NeRF from those of the seed project's commands."""

from __future__ import annotations

from fast_inerf_ros.fields.vanilla_options import (
    VanillaArchitecture,
    VanillaOptions,
    VanillaRendering,
    VanillaTraining,
)
from fast_inerf_ros.io.seed_options import SeedFieldOptions, SeedNerfOptions


def uses_ndc(options: SeedFieldOptions) -> bool:
    """Whether the field lives in normalised device coordinates: LLFF unless `no_ndc`."""
    return options.dataset_type == "llff" and not options.no_ndc


def vanilla_architecture(options: SeedFieldOptions) -> VanillaArchitecture:
    """Networks that the seed's options ask for."""
    return VanillaArchitecture(
        depth=options.netdepth,
        width=options.netwidth,
        depth_fine=options.netdepth_fine,
        width_fine=options.netwidth_fine,
        encode=options.i_embed == 0,
        position_frequencies=options.multires,
        direction_frequencies=options.multires_views,
        view_directions=options.use_viewdirs,
    )


def vanilla_rendering(options: SeedFieldOptions) -> VanillaRendering:
    """Rendering that the seed's options ask for; `lindisp` has no effect in NDC, as there."""
    return VanillaRendering(
        n_samples=options.N_samples,
        n_importance=options.N_importance,
        linear_in_disparity=options.lindisp and not uses_ndc(options),
        white_background=options.white_bkgd,
        rays_per_chunk=options.chunk,
        points_per_chunk=options.netchunk,
    )


def vanilla_options(options: SeedNerfOptions) -> VanillaOptions:
    """Networks, rendering and training that the seed's options ask for."""
    training = VanillaTraining(
        rays_per_step=options.N_rand,
        learning_rate=options.lrate,
        learning_rate_decay=options.lrate_decay,
        perturb=options.perturb,
        density_noise=options.raw_noise_std,
        one_image_per_step=options.no_batching,
        precrop_steps=options.precrop_iters,
        precrop_fraction=options.precrop_frac,
    )
    return VanillaOptions(vanilla_architecture(options), vanilla_rendering(options), training)
