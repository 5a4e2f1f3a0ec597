"""The data sets of the seed project as its `run_nerf` reads them, and its own rays."""

from __future__ import annotations

import dataclasses

from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.vanilla_options import VanillaRendering
from fast_inerf_ros.fields.vanilla_seed import uses_ndc, vanilla_rendering
from fast_inerf_ros.fields.vanilla_setting import LegacyRays, VanillaSetting
from fast_inerf_ros.io.seed_options import SeedFieldOptions, SeedNerfOptions
from fast_inerf_ros.rendering.ndc import NdcFrustum

BLENDER_NEAR, BLENDER_FAR = 2.0, 6.0
LLFF_NEARER = 0.9
"""Without NDC, rays of LLFF scenes start at this share of the nearest depth."""


def seed_photographs(options: SeedNerfOptions) -> PosedImages:
    """The data set of `run_nerf`, with the rays ((i - W/2)/f, (j - H/2)/f) that it trains on."""
    posed = load_dataset(options.datadir, dataset_options(options, max(1, options.testskip)))
    sizes = {(camera.width, camera.height) for camera in posed.cameras}
    if len(sizes) > 1:
        raise InputError(
            f"{options.datadir}: expected photographs of one size, got "
            f"{', '.join(f'{w}x{h}' for w, h in sorted(sizes))}; make them equal or use train_nerf"
        )
    camera = legacy_rays(posed).camera()
    return dataclasses.replace(posed, cameras=(camera,) * len(posed))


def dataset_options(options: SeedFieldOptions, test_skip: int = 1) -> DatasetOptions:
    """How the seed's options read a folder."""
    if options.dataset_type == "blender":
        return DatasetOptions(
            format="transforms",
            factor=2 if options.half_res else 0,
            test_skip=test_skip,
            near=BLENDER_NEAR,
            far=BLENDER_FAR,
        )
    return DatasetOptions(
        format="llff",
        factor=options.factor,
        hold_out=options.llffhold,
        spherify=options.spherify,
        ndc=uses_ndc(options),
    )


def legacy_rays(posed: PosedImages) -> LegacyRays:
    """The camera of nerf-pytorch for a data set: no lens, its principal point at W/2, H/2."""
    camera = posed.cameras[0]
    return LegacyRays(camera.width, camera.height, camera.fx)


def seed_setting(posed: PosedImages, options: SeedFieldOptions) -> VanillaSetting:
    """How the seed renders a field of this data set, which has its legacy cameras."""
    limits = (BLENDER_NEAR, BLENDER_FAR)
    if options.dataset_type == "llff":
        limits = llff_limits(posed)
    return legacy_setting(posed, vanilla_rendering(options), limits)


def llff_limits(posed: PosedImages) -> tuple[float, float]:
    """Near and far of LLFF scenes without NDC, in field units."""
    return LLFF_NEARER * float(posed.field_bounds.min()), float(posed.field_bounds.max())


def legacy_setting(
    posed: PosedImages, rendering: VanillaRendering, limits: tuple[float, float]
) -> VanillaSetting:
    """How nerf-pytorch renders a field of this data set; limits: near and far without NDC."""
    rays = legacy_rays(posed)
    if posed.ndc:
        frustum = NdcFrustum(rays.width, rays.height, rays.focal)
        return VanillaSetting(rendering, ndc=frustum, legacy_rays=rays)
    return VanillaSetting(rendering, near=limits[0], far=limits[1], legacy_rays=rays)
