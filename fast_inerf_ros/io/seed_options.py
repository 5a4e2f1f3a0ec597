"""The vocabulary of the seed project: every option of its commands, with its own defaults.

Names are kept as its users type them; `fields/vanilla_seed.py` translates them.
"""

from __future__ import annotations

from dataclasses import dataclass

from fast_inerf_ros.config import option

DATASET_TYPES = ("llff", "blender")


@dataclass(frozen=True)
class SeedFieldOptions:
    """What `run_nerf` and `run_inerf` share: networks, rendering and data."""

    config: str | None = option(None, doc="Configuration file; named by saved arguments.")
    netdepth: int = option(8, doc="Layers of the coarse network.", minimum=1)
    netwidth: int = option(256, doc="Channels of its layers.", minimum=2)
    netdepth_fine: int = option(8, doc="Layers of the fine network.", minimum=1)
    netwidth_fine: int = option(256, doc="Channels of its layers.", minimum=2)
    chunk: int = option(32 * 1024, doc="Rays in work at once.", minimum=1)
    netchunk: int = option(64 * 1024, doc="Points in a network at once.", minimum=1)
    N_samples: int = option(64, doc="Coarse samples of a ray.", minimum=2)
    N_importance: int = option(0, doc="Additional fine samples of a ray.", minimum=0)
    perturb: float = option(1.0, doc="0 for no jitter of samples, 1 for jitter.", minimum=0.0)
    use_viewdirs: bool = option(False, doc="Let the colour depend on the view direction.")
    i_embed: int = option(0, doc="0 for positional encoding, -1 for none.", choices=(0, -1))
    multires: int = option(10, doc="Octaves of the encoding of positions.", minimum=0, maximum=24)
    multires_views: int = option(
        4, doc="Octaves of the encoding of directions.", minimum=0, maximum=24
    )
    raw_noise_std: float = option(0.0, doc="Noise added to raw density.", minimum=0.0)
    render_factor: int = option(0, doc="Factor by which renders are smaller.", minimum=0)
    dataset_type: str = option("llff", doc="Layout of the data.", choices=DATASET_TYPES)
    white_bkgd: bool = option(False, doc="White background behind RGBA images.")
    half_res: bool = option(False, doc="Load Blender images at half their size.")
    factor: int = option(8, doc="Factor by which LLFF images are smaller.", minimum=1)
    no_ndc: bool = option(False, doc="Do not use normalised device coordinates.")
    lindisp: bool = option(False, doc="Sample evenly in disparity, not in depth.")
    spherify: bool = option(False, doc="The LLFF scene was photographed from all around.")
    llffhold: int = option(8, doc="Every n-th LLFF image is held out; 0 for none.", minimum=0)


@dataclass(frozen=True)
class SeedNerfOptions(SeedFieldOptions):
    """Options of `run_nerf`."""

    expname: str | None = option(None, doc="Name of the experiment.")
    basedir: str = option("./logs/", doc="Where checkpoints and results are kept.")
    datadir: str = option("./data/llff/fern", doc="Folder of the data set.")
    N_rand: int = option(32 * 32 * 4, doc="Rays of one step.", minimum=1)
    lrate: float = option(5e-4, doc="Learning rate.", minimum=0.0)
    lrate_decay: int = option(
        250, doc="Thousands of steps in which the learning rate falls to a tenth.", minimum=1
    )
    no_batching: bool = option(False, doc="Take the rays of a step from one image.")
    N_iters: int = option(200_000, doc="Steps in all; fixed in the seed project.", minimum=1)
    no_reload: bool = option(False, doc="Do not resume from a saved checkpoint.")
    ft_path: str | None = option(None, doc="Checkpoint to start from.")
    render_only: bool = option(False, doc="Do not train; render the path of views.")
    render_test: bool = option(False, doc="Render the test images instead of the path.")
    precrop_iters: int = option(0, doc="First steps, on the middle of images.", minimum=0)
    precrop_frac: float = option(0.5, doc="Share of the image.", minimum=0.0, maximum=1.0)
    testskip: int = option(8, doc="Load every n-th test and validation image.", minimum=0)
    i_print: int = option(100, doc="Steps between lines of progress.", minimum=1)
    i_img: int = option(500, doc="Steps between validation images.", minimum=1)
    i_weights: int = option(10000, doc="Steps between checkpoints.", minimum=1)
    i_testset: int = option(50000, doc="Steps between renders of the test set.", minimum=1)
    i_video: int = option(50000, doc="Steps between videos.", minimum=1)


@dataclass(frozen=True)
class SeedInerfOptions(SeedFieldOptions):
    """Options of `run_inerf`; angles in degrees."""

    model_name: str | None = option(None, doc="Name of the model: its data and checkpoint.")
    data_dir: str = option("./data/nerf_synthetic/", doc="Folder of the data of all models.")
    output_dir: str = option("./output/", doc="Where results are kept.")
    ckpt_dir: str = option("./ckpts", doc="Folder of checkpoints.")
    posecnn_dir: str | None = option(None, doc="Folder of the PoseCNN checkpoint.")
    obs_img_num: int = option(1, doc="Number of the observed image.", minimum=0)
    dil_iter: int = option(1, doc="Iterations of dilation of interest regions.", minimum=0)
    kernel_size: int = option(3, doc="Kernel of the dilation in pixels.", minimum=1)
    batch_size: int = option(2048, doc="Pixels of one step.", minimum=1)
    lrate: float = option(0.01, doc="Learning rate at the start.", minimum=0.0)
    sampling_strategy: str = option(
        "random",
        doc="Which pixels are compared.",
        choices=("random", "interest_points", "interest_regions", "mask_region"),
    )
    mask_region: bool = option(False, doc="Compare pixels inside the PoseCNN mask only.")
    posecnn_init_pose: bool = option(False, doc="Start from the pose of PoseCNN.")
    overlay: bool = option(False, doc="Write pictures and a GIF of the optimisation.")
    delta_psi: float = option(0.0, doc="Initial error about x.", unit="deg")
    delta_phi: float = option(0.0, doc="Initial error about z.", unit="deg")
    delta_theta: float = option(0.0, doc="Initial error about y.", unit="deg")
    delta_t: float = option(0.0, doc="Initial error of translation along z, in field units.")
    noise: str | None = option(
        None,
        doc="Noise added to the observed image.",
        choices=("gaussian", "s_and_p", "salt", "pepper", "poisson"),
    )
    sigma: float = option(0.01, doc="Standard deviation of gaussian noise.", minimum=0.0)
    amount: float = option(
        0.05, doc="Share of pixels with salt or pepper.", minimum=0.0, maximum=1.0
    )
    delta_brightness: float = option(
        0.0, doc="Brightness added to the observed image.", minimum=-1.0, maximum=1.0
    )
    solver: str = option(
        "adam",
        doc="adam is the algorithm of the seed project, which batch_size, lrate and "
        "sampling_strategy belong to; keyframe and lm are far faster.",
        choices=("adam", "keyframe", "lm"),
    )
    n_steps: int = option(300, doc="Steps of adam, at most.", minimum=1)
    seed: int = option(0, doc="Seed of everything random.", minimum=0)
    scene: str | None = option(None, doc="Scene file that says where PoseCNN's objects are.")
    detections: str | None = option(
        None, doc="Folder of masks and poses of any detector, without posecnn_dir."
    )
