"""`run_nerf` as users of the seed project type it."""

from __future__ import annotations

import json
import shutil

import ball_scene
import numpy as np
import pytest
import torch

from fast_inerf_ros.datasets.images import image_size
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.checkpoint import load_field
from fast_inerf_ros.fields.vanilla_file import load_vanilla
from fast_inerf_ros.io.seed_command_line import parse_seed_command
from fast_inerf_ros.io.seed_config import load_seed_config
from fast_inerf_ros.io.seed_options import SeedNerfOptions
from fast_inerf_ros.training.run_nerf import main
from fast_inerf_ros.training.seed_scene import seed_photographs, seed_setting

SMALL = """
# a comment, as in the seed's files
dataset_type = {kind}
expname = ball_test
basedir = {basedir}
datadir = {datadir}

no_batching = {no_batching}
use_viewdirs = True
N_samples = 8
N_importance = 8
N_rand = 64
netdepth = 2
netwidth = 16
netdepth_fine = 2
netwidth_fine = 16
testskip = 1
factor = 1
llffhold = 3
lrate_decay = 500
"""


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return {
        "blender": ball_scene.write_blender(folder / "ball"),
        "llff": ball_scene.write_llff(folder / "llff"),
    }


@pytest.fixture
def config(scenes, tmp_path):
    """Write a configuration file of a kind of scene and return its path."""

    def write(kind="blender", more=""):
        text = SMALL.format(
            kind=kind,
            basedir=tmp_path / "logs",
            datadir=scenes[kind],
            no_batching=kind == "blender",
        )
        path = tmp_path / "config.txt"
        path.write_text(text + more)
        return path

    return write


def run(config, *flags):
    return main(["--config", str(config), *map(str, flags)])


def error_of(capsys, *arguments):
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return next(line for line in text.splitlines() if line.startswith("error: "))


@pytest.mark.parametrize("kind", ["blender", "llff"])
def test_training_leaves_the_files_that_the_seed_leaves(kind, config, tmp_path):
    path = config(kind, "white_bkgd = True\n")
    intervals = ("--i_weights", 4, "--i_img", 3, "--i_testset", 4, "--i_print", 2, "--N_iters", 6)
    assert run(path, *intervals) == 0
    folder = tmp_path / "logs" / "ball_test"
    names = {item.name for item in folder.iterdir()}
    assert {"000004.tar", "000006.tar", "args.txt", "config.txt", "field.npz"} <= names
    assert {"testset_000004", "validation_000003.png", "validation_000006.png"} <= names
    assert (folder / "config.txt").read_text() == path.read_text()
    args = load_seed_config(SeedNerfOptions, folder / "args.txt")
    assert (args.N_iters, args.i_weights, args.N_rand, args.expname) == (6, 4, 64, "ball_test")
    stored = torch.load(folder / "000006.tar", weights_only=True)
    keys = {"global_step", "network_fn_state_dict", "network_fine_state_dict"}
    assert keys | {"optimizer_state_dict"} <= stored.keys()
    assert stored["global_step"] == 6
    assert (folder / "testset_000004" / "000.png").exists()
    assert load_field(folder / "field.npz").kind == "vanilla"


def test_a_video_is_made_on_the_way(config, tmp_path):
    assert run(config(), "--N_iters", 2, "--i_video", 2, "--chunk", 4096) == 0
    folder = tmp_path / "logs" / "ball_test"
    assert (folder / "ball_test_spiral_000002_rgb.mp4").stat().st_size > 0
    assert (folder / "ball_test_spiral_000002_disp.mp4").stat().st_size > 0


def test_the_newest_checkpoint_is_resumed_unless_no_reload(config, tmp_path, caplog):
    path, folder = config(), tmp_path / "logs" / "ball_test"
    run(path, "--N_iters", 3)
    run(path, "--N_iters", 5)
    assert "resuming at step 3" in caplog.text
    whole = load_vanilla(folder / "000005.tar")
    shutil.rmtree(folder)
    run(path, "--N_iters", 5)
    once = load_vanilla(folder / "000005.tar")
    for a, b in zip(whole.networks.parameters(), once.networks.parameters(), strict=True):
        assert torch.equal(a, b)
    run(path, "--N_iters", 2, "--no_reload")
    assert sorted(item.name for item in folder.glob("*.tar")) == ["000002.tar"]
    assert (folder / "earlier_1" / "000005.tar").exists()


def test_a_checkpoint_of_nerf_pytorch_is_continued_and_rendered(config, tmp_path):
    """Its dict has the four keys alone, and says nothing of camera, scene or options."""
    path, folder = config(), tmp_path / "logs" / "ball_test"
    run(path, "--N_iters", 3)
    stored = torch.load(folder / "000003.tar", weights_only=True)
    original = {key: value for key, value in stored.items() if not key.startswith("fast_inerf")}
    assert len(original) == 4
    torch.save(original, tmp_path / "theirs.tar")
    run(path, "--N_iters", 4)
    expected = load_vanilla(folder / "000004.tar")
    fine_tuning = ("--expname", "tuned", "--ft_path", tmp_path / "theirs.tar")
    run(path, "--N_iters", 4, *fine_tuning)
    found = load_vanilla(tmp_path / "logs" / "tuned" / "000004.tar")
    for a, b in zip(found.networks.parameters(), expected.networks.parameters(), strict=True):
        assert torch.equal(a, b)
    assert run(path, *fine_tuning, "--render_only", "--render_test") == 0
    folder = tmp_path / "logs" / "tuned" / "renderonly_test_000003"
    assert len(list(folder.glob("[0-9]*.png"))) == 3
    assert (folder / "video.mp4").stat().st_size > 0
    assert "psnr_db" in json.loads((folder / "metrics.json").read_text())["mean"]


def test_render_only_renders_the_path_smaller_where_asked_for(config, tmp_path):
    path = config("llff")
    run(path, "--N_iters", 1)
    assert run(path, "--render_only", "--render_factor", 3) == 0
    folder = tmp_path / "logs" / "ball_test" / "renderonly_path_000001"
    assert len(list(folder.glob("*.png"))) == 120
    assert image_size(folder / "119.png") == (8, 6)
    assert not (folder / "metrics.json").exists()


def test_rays_are_those_of_nerf_pytorch(config):
    for kind in ("blender", "llff"):
        options = load_seed_config(SeedNerfOptions, config(kind))
        posed = seed_photographs(options)
        camera = posed.cameras[0]
        x, y, z = camera.bearings(np.array([5.0, 7.0]))
        expected = (5.0 - camera.width / 2) / camera.fx, (7.0 - camera.height / 2) / camera.fx
        np.testing.assert_allclose([x / z, y / z], expected)
        setting = seed_setting(posed, options)
        assert setting.legacy_rays.camera() == camera
        assert (setting.ndc is None) == (kind == "blender")
    assert (setting.ndc.width, setting.ndc.near) == (24, 1.0)


def test_limits_are_those_of_nerf_pytorch(config):
    blender = load_seed_config(SeedNerfOptions, config("blender"))
    setting = seed_setting(seed_photographs(blender), blender)
    assert (setting.near, setting.far) == (2.0, 6.0)
    llff = load_seed_config(SeedNerfOptions, config("llff", "no_ndc = True\nlindisp = True\n"))
    posed = seed_photographs(llff)
    setting = seed_setting(posed, llff)
    assert setting.ndc is None
    assert setting.near == pytest.approx(0.9 / 0.75)  # bd_factor puts the nearest at 1 / 0.75
    assert setting.far == pytest.approx(posed.field_bounds.max())
    assert setting.rendering.linear_in_disparity


def test_half_resolution_works_with_transparent_photographs(config):
    options = load_seed_config(SeedNerfOptions, config("blender", "half_res = True\n"))
    posed = seed_photographs(options)
    assert (posed.cameras[0].width, posed.image(0).shape) == (12, (12, 12, 4))


# ---- the command line


def parsed(*arguments):
    return parse_seed_command(SeedNerfOptions, arguments).options


def test_flags_go_before_the_file(config):
    path = config()
    options = parsed("--config", str(path), "--N_rand=32", "--lrate", "1e-3", "--render_only")
    assert (options.N_rand, options.lrate, options.render_only) == (32, 1e-3, True)
    assert (options.N_samples, options.no_batching) == (8, True)
    assert parsed("--render_test").render_test
    assert parsed("--config", str(path), "--no_batching=False").no_batching is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--lrat", "1"), "did you mean lrate"),
        (("--N_rand",), "--N_rand: expected a value after it|--N_rand: .*expected"),
        (("--N_rand", "many"), "--N_rand: N_rand: expected"),
        (("--N_rand", "0"), "--N_rand: N_rand: expected"),
        (("lego.txt",), "expected a flag such as --config FILE, got 'lego.txt'"),
        (("--config", "absent.txt"), "absent.txt: no such configuration file"),
        (("--render_only", "yes"), "expected a flag such as --config FILE, got 'yes'"),
    ],
)
def test_wrong_flags_are_named_in_one_line(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        parsed(*arguments)
    assert "\n" not in str(caught.value)


def test_help_names_every_flag(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for flag in ("--config", "--ft_path", "--no_reload", "--render_test", "--i_weights"):
        assert flag in text


def test_bad_input_is_one_line_and_status_2(config, scenes, tmp_path, capsys):
    assert "give --expname" in error_of(capsys, "--datadir", scenes["blender"])
    path = config()
    absent = ("--ft_path", tmp_path / "absent.tar")
    assert "no such file" in error_of(capsys, "--config", path, *absent)
    foreign = tmp_path / "foreign.tar"
    torch.save({"weights": torch.zeros(3)}, foreign)
    message = error_of(capsys, "--config", path, "--ft_path", foreign)
    assert "missing global_step, network_fn_state_dict, got weights" in message
    run(path, "--N_iters", 1)
    message = error_of(capsys, "--config", path, "--netwidth", 24)
    assert "coarse network" in message
    assert "expected (24, 63) got (16, 63)" in message
    nothing = ("--config", path, "--datadir", tmp_path / "nothing")
    assert "no such file or folder" in error_of(capsys, *nothing)
