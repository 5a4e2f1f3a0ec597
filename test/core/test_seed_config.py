"""The seed project's configuration files are read as its users wrote them."""

from __future__ import annotations

import pytest

from fast_inerf_ros import config
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.vanilla_options import VanillaOptions
from fast_inerf_ros.fields.vanilla_seed import (
    uses_ndc,
    vanilla_architecture,
    vanilla_options,
    vanilla_rendering,
)
from fast_inerf_ros.io.seed_config import dump_seed_config, load_seed_config, parse_seed_config
from fast_inerf_ros.io.seed_options import SeedInerfOptions, SeedNerfOptions

LEGO = """\
expname = blender_paper_lego
basedir = ./logs
datadir = ./data/nerf_synthetic/lego
dataset_type = blender

no_batching = True

use_viewdirs = True
white_bkgd = True
lrate_decay = 500

N_samples = 64
N_importance = 128
N_rand = 1024

precrop_iters = 500
precrop_frac = 0.5

half_res = True
"""

FERN = """\
expname = fern_test
datadir = ./data/nerf_llff_data/fern
dataset_type = llff
factor = 8
llffhold = 8
N_rand = 1024
N_samples = 64
N_importance = 64
use_viewdirs = True
raw_noise_std = 1e0
"""

PROPS = """\
model_name = PROPS
dataset_type = blender
batch_size = 1024
lrate = 0.03
sampling_strategy = interest_regions
dil_iter = 3
kernel_size = 5
N_samples = 64
N_importance = 64
use_viewdirs = True
delta_phi = 4
delta_theta = 4.
delta_psi = 4
white_bkgd = False
half_res = False
"""


def nerf(text: str) -> SeedNerfOptions:
    return parse_seed_config(SeedNerfOptions, text, "x.txt")


def test_a_blender_configuration_becomes_options_of_the_field():
    seed = nerf(LEGO)
    assert (seed.expname, seed.half_res, seed.precrop_frac) == ("blender_paper_lego", True, 0.5)
    options = vanilla_options(seed)
    assert options.architecture.view_directions
    assert (options.architecture.depth, options.architecture.width) == (8, 256)
    assert (options.rendering.n_samples, options.rendering.n_importance) == (64, 128)
    assert options.rendering.white_background
    training = options.training
    assert (training.rays_per_step, training.learning_rate_decay) == (1024, 500)
    assert (training.one_image_per_step, training.precrop_steps) == (True, 500)
    assert not uses_ndc(seed)


def test_a_forward_facing_configuration_uses_ndc_and_noise():
    seed = nerf(FERN)
    assert uses_ndc(seed)
    assert vanilla_options(seed).training.density_noise == 1.0
    assert not uses_ndc(nerf(FERN + "no_ndc = True\n"))
    assert not vanilla_rendering(nerf(FERN + "lindisp = True\n")).linear_in_disparity
    assert vanilla_rendering(nerf(FERN + "lindisp\nno_ndc\n")).linear_in_disparity


def test_an_inerf_configuration_is_read():
    seed = parse_seed_config(SeedInerfOptions, PROPS)
    assert (seed.model_name, seed.batch_size, seed.lrate) == ("PROPS", 1024, 0.03)
    assert seed.sampling_strategy == "interest_regions"
    assert (seed.delta_phi, seed.delta_theta, seed.delta_psi) == (4.0, 4.0, 4.0)
    assert vanilla_architecture(seed).view_directions
    assert not vanilla_rendering(seed).white_background


def test_defaults_of_the_seed_are_the_defaults_of_the_options():
    assert vanilla_options(SeedNerfOptions()) == VanillaOptions()
    options = VanillaOptions()
    assert options.training.rays_per_step == 4096
    assert options.training.learning_rate == 5e-4
    assert options.rendering.rays_per_chunk == 32768


def test_no_embedding_means_no_frequencies():
    assert not vanilla_architecture(nerf("i_embed = -1")).encode


@pytest.mark.parametrize(
    "line",
    [
        "N_rand = 512",
        "N_rand: 512",
        "N_rand 512",
        "--N_rand = 512",
        "  N_rand=512   # a comment",
        "N_rand = '512'",
        "N_rand = 7\nN_rand = 512",
        "# N_rand = 3\n; N_rand = 4\n[section]\n---\nN_rand = 512",
        "\ufeffN_rand = 512\r\n",
    ],
)
def test_every_way_to_write_a_value_is_understood(line):
    assert nerf(line).N_rand == 512


@pytest.mark.parametrize(
    ("text", "value"),
    [("True", True), ("true", True), ("yes", True), ("1", True), ("False", False), ("no", False)],
)
def test_booleans_are_written_in_words(text, value):
    assert nerf(f"white_bkgd = {text}").white_bkgd is value


def test_a_key_alone_is_true():
    assert nerf("no_batching").no_batching


def test_none_means_not_given():
    assert nerf("ft_path = None").ft_path is None
    assert nerf("ft_path = ./logs/a b/200000.tar").ft_path == "./logs/a b/200000.tar"


def test_both_spellings_of_the_posecnn_start_are_accepted():
    for key in ("posecnn_init_pose", "posecnn_pose_init"):
        assert parse_seed_config(SeedInerfOptions, f"{key} = True").posecnn_init_pose


@pytest.mark.parametrize(
    ("options_class", "text"), [(SeedNerfOptions, LEGO), (SeedInerfOptions, PROPS)]
)
def test_saved_arguments_are_read_back(options_class, text):
    options = parse_seed_config(options_class, text)
    written = dump_seed_config(options)
    assert "half_res = " in written
    assert written.splitlines() == sorted(written.splitlines())
    assert parse_seed_config(options_class, written) == options


def test_a_file_is_read(tmp_path):
    path = tmp_path / "lego.txt"
    path.write_text(LEGO)
    assert load_seed_config(SeedNerfOptions, path) == nerf(LEGO)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("N_ramd = 5", "x.txt, line 1: unknown option N_ramd: did you mean N_rand?"),
        ("\n\nbatch_size = 5", "x.txt, line 3: unknown option batch_size"),
        ("N_rand = many", "x.txt, line 1: N_rand: expected integer >= 1, got string 'many'"),
        ("N_rand = 0", "N_rand: expected integer >= 1, got integer 0"),
        ("N_rand = 1.5", "got string '1.5'"),
        ("N_rand = [1, 2]", "N_rand: expected integer >= 1, got string '[1, 2]'"),
        ("N_rand", "N_rand: expected integer >= 1, got null"),
        ("lrate = nan", "lrate: expected double >= 0, got double nan"),
        ("white_bkgd = maybe", "white_bkgd: expected boolean, got string 'maybe'"),
        ("dataset_type = colmap", "dataset_type: expected string out of llff, blender"),
        ("i_embed = 3", "i_embed: expected integer out of 0, -1"),
        ("N_rand =", "expected key = value, got 'N_rand ='"),
        ("= 5", "expected key = value"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(text, message):
    with pytest.raises(InputError) as caught:
        nerf(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such configuration file"):
        load_seed_config(SeedNerfOptions, tmp_path / "absent.txt")
    with pytest.raises(InputError, match="cannot be read"):
        load_seed_config(SeedNerfOptions, tmp_path)
    binary = tmp_path / "binary.txt"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="expected a text file"):
        load_seed_config(SeedNerfOptions, binary)


def test_every_option_of_the_inventory_is_known():
    shared = """netdepth netwidth netdepth_fine netwidth_fine chunk netchunk N_samples N_importance
        perturb use_viewdirs i_embed multires multires_views raw_noise_std render_factor
        dataset_type white_bkgd half_res llffhold factor no_ndc lindisp spherify"""
    inerf = """data_dir model_name output_dir ckpt_dir obs_img_num dil_iter kernel_size batch_size
        lrate sampling_strategy mask_region delta_psi delta_phi delta_theta delta_t noise sigma
        amount delta_brightness posecnn_dir posecnn_init_pose overlay
        solver n_steps seed scene detections"""
    training = """expname basedir datadir N_rand lrate lrate_decay no_batching no_reload ft_path
        precrop_iters precrop_frac testskip i_print i_img i_weights i_testset i_video
        render_only render_test N_iters"""
    for options_class, names in ((SeedNerfOptions, training), (SeedInerfOptions, inerf)):
        known = {item.name for item in config.options(options_class)}
        assert known == {"config", *shared.split(), *names.split()}
