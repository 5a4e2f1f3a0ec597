"""`inerf`, `run_inerf` and `plot_inerf` as users type them."""

from __future__ import annotations

import json
from pathlib import Path

import ball_scene
import cv2
import inerf_scenes
import numpy as np
import pytest
import yaml
from PIL import Image

from fast_inerf_ros import config
from fast_inerf_ros.experiments import plot_inerf
from fast_inerf_ros.experiments.detections import Found
from fast_inerf_ros.experiments.options import InerfConfig
from fast_inerf_ros.experiments.run_inerf import main as run_inerf
from fast_inerf_ros.experiments.run_inerf import observed, seed_setup
from fast_inerf_ros.fields.vanilla import VanillaField
from fast_inerf_ros.fields.vanilla_checkpoint import VanillaCheckpoint
from fast_inerf_ros.fields.vanilla_file import save_vanilla
from fast_inerf_ros.fields.vanilla_options import VanillaArchitecture, VanillaRendering
from fast_inerf_ros.fields.vanilla_setting import VanillaSetting
from fast_inerf_ros.io.seed_command_line import parse_seed_command
from fast_inerf_ros.io.seed_config import load_seed_config
from fast_inerf_ros.io.seed_options import SeedInerfOptions
from fast_inerf_ros.nodes.inerf import main as inerf
from fast_inerf_ros.training.options import TrainNerfConfig

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "config" / "inerf").glob("*.yaml"))
NERF_CONFIGS = sorted((ROOT / "config" / "nerf").glob("*.yaml"))

pytestmark = pytest.mark.usefixtures("one_thread")

SEED_CONFIG = """
# as the seed's users write it
model_name = cloud
dataset_type = blender
data_dir = {folder}/data
ckpt_dir = {folder}/checkpoints
output_dir = {output}
obs_img_num = 2
sampling_strategy = random
dil_iter = 2
kernel_size = 3
batch_size = 256
lrate = 0.01
white_bkgd = True
use_viewdirs = True
N_samples = 8
N_importance = 8
delta_phi = 3
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("cloud")
    inerf_scenes.write_cloud(made)
    return made


@pytest.fixture
def seed_config(folder, tmp_path):
    path = tmp_path / "cloud.txt"
    path.write_text(SEED_CONFIG.format(folder=folder, output=tmp_path / "output"))
    return path


def run(*arguments):
    return run_inerf([str(argument) for argument in arguments])


def result_in(path):
    return json.loads((path / "result.json").read_text())


def options_of(*arguments):
    return parse_seed_command(SeedInerfOptions, [str(text) for text in arguments]).options


def error_of(capsys, call, *arguments):
    capsys.readouterr()
    assert call([str(argument) for argument in arguments]) == 2
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return next(line for line in text.splitlines() if line.startswith("error: "))


# ---- run_inerf


def test_a_configuration_of_the_seed_finds_the_camera_and_leaves_its_files(
    seed_config, folder, tmp_path
):
    flags = ("--solver", "keyframe", "--overlay")
    assert run("--config", seed_config, *flags) == 0
    output = tmp_path / "output" / "cloud"
    found = result_in(output)
    assert found["start_rotation_error_deg"] == pytest.approx(3.0, abs=1e-3)
    assert found["result_rotation_error_deg"] < 0.1
    assert found["result_translation_error"] < 0.01
    names = {item.name for item in output.iterdir()}
    expected = {"args.txt", "config.txt", "steps.csv", "result.json", "observed.png", "video.gif"}
    assert expected | {"video.mp4", "overlay_000.png"} <= names
    assert (output / "config.txt").read_text() == seed_config.read_text()
    args = load_seed_config(SeedInerfOptions, output / "args.txt")
    assert (args.obs_img_num, args.solver, args.overlay) == (2, "keyframe", True)
    with Image.open(output / "video.gif") as video:
        assert (video.format, video.size) == ("GIF", (64, 64))


def test_adam_is_the_default_and_follows_the_options(seed_config):
    options = options_of("--config", seed_config, "--mask_region")
    posed, _ = observed(options)
    solver = seed_setup(options, posed).solver
    assert solver.name == "adam"
    pixels = solver.options.pixels
    assert (pixels.strategy, pixels.count, pixels.kernel_size) == ("mask_region", 256, 3)
    assert (pixels.iterations, solver.options.learning_rate) == (2, 0.01)
    assert (solver.options.max_steps, solver.options.decay) == (300, 0.8)


def test_adam_comes_nearer(seed_config, tmp_path):
    run("--config", seed_config, "--n_steps", 60)
    found = result_in(tmp_path / "output" / "cloud")
    assert found["solver"] == "adam"
    assert found["result_rotation_error_deg"] < 1.5 < found["start_rotation_error_deg"]


def test_the_observed_image_is_counted_as_its_file_lists_it(seed_config):
    """The file lists 2, 1, 0; names in order would be 0, 1, 2."""
    for number, name in ((0, "2"), (1, "1"), (2, "0")):
        posed, index = observed(options_of("--config", seed_config, "--obs_img_num", number))
        assert posed.names[index] == name


def test_a_checkpoint_of_nerf_pytorch_is_seen_through_the_rays_it_was_trained_with(
    folder, tmp_path
):
    networks = VanillaField.untrained(
        VanillaArchitecture(2, 16, 2, 16, view_directions=True),
        VanillaSetting(VanillaRendering(8, 8)),
        np.random.default_rng(0),
    ).networks
    save_vanilla(VanillaCheckpoint(7, networks), tmp_path / "cloud.tar")
    text = SEED_CONFIG.format(folder=folder, output=tmp_path / "output")
    (tmp_path / "cloud.txt").write_text(text)
    flags = ("--config", tmp_path / "cloud.txt", "--ckpt_dir", tmp_path)
    options = options_of(*flags)
    posed, index = observed(options)
    setup = seed_setup(options, posed)
    trial = setup.trial(posed, index, Found(None, None))
    assert (trial.problem.camera.cx, trial.problem.camera.cy) == (32.0, 32.0)
    assert (setup.field.setting.near, setup.field.setting.far) == (2.0, 6.0)
    assert setup.field.setting.rendering.white_background
    assert posed.cameras[index].cx == 31.5
    assert run(*flags, "--n_steps", 2) in (0, 1)  # an untrained field cannot agree
    assert len((tmp_path / "output" / "cloud" / "steps.csv").read_text().splitlines()) == 4


def test_llff_starts_are_in_the_coordinates_of_the_field(tmp_path):
    ball_scene.write_llff(tmp_path / "data" / "ball")
    networks = VanillaField.untrained(
        VanillaArchitecture(2, 16, 2, 16),
        VanillaSetting(VanillaRendering(8, 8)),
        np.random.default_rng(0),
    ).networks
    save_vanilla(VanillaCheckpoint(7, networks), tmp_path / "ball.tar")
    base = ("--model_name", "ball", "--dataset_type", "llff", "--factor", 1, "--obs_img_num", 2)
    base += ("--data_dir", tmp_path / "data", "--ckpt_dir", tmp_path)
    base += ("--N_samples", 8, "--N_importance", 8)
    options = options_of(*base, "--delta_phi", 10, "--delta_t", 0.2)
    posed, index = observed(options)
    assert index == 2
    setup = seed_setup(options, posed)
    assert setup.field.setting.ndc is not None
    problem = setup.trial(posed, index, Found(None, None)).problem
    turn = np.eye(4)
    c, s = np.cos(np.radians(10)), np.sin(np.radians(10))
    turn[:2, :2] = [[c, -s], [s, c]]
    shift = np.eye(4)
    shift[2, 3] = 0.2
    expected = turn @ shift @ posed.T_field_camera[index].matrix()
    np.testing.assert_allclose(problem.start.matrix(), expected, atol=1e-9)


def test_masks_of_any_detector_restrict_every_strategy(seed_config, folder, tmp_path):
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[20:44, 20:44] = 255
    cv2.imwrite(str(tmp_path / "0_mask.png"), mask)
    options = options_of("--config", seed_config, "--mask_region", "--detections", tmp_path)
    posed, index = observed(options)
    setup = seed_setup(options, posed)
    found = setup.detections.find(Path("0.png"), None, posed.cameras[index])
    problem = setup.trial(posed, index, found).problem
    grown = np.zeros((64, 64), dtype=bool)
    grown[18:46, 18:46] = True  # 2 iterations of 3 x 3
    np.testing.assert_array_equal(problem.usable, grown)
    assert (
        run(
            "--config",
            seed_config,
            "--mask_region",
            "--detections",
            tmp_path,
            "--solver",
            "keyframe",
        )
        == 0
    )
    assert result_in(tmp_path / "output" / "cloud")["result_rotation_error_deg"] < 0.5


def test_a_mask_or_pose_that_is_missing_is_a_failure_with_a_reason(seed_config, tmp_path):
    assert run("--config", seed_config, "--mask_region") == 1
    stored = result_in(tmp_path / "output" / "cloud")
    assert stored["status"] == "failed"
    assert "mask" in stored["reason"]
    for spelling in ("--posecnn_init_pose", "--posecnn_pose_init"):
        assert run("--config", seed_config, spelling) == 1
        assert "pose to start from" in result_in(tmp_path / "output" / "cloud")["reason"]


def test_a_pose_of_any_detector_is_where_refinement_starts(seed_config, tmp_path):
    truth = inerf_scenes.poses()[0]
    (tmp_path / "0_pose.json").write_text(
        json.dumps({"T_world_camera": np.asarray(truth.matrix()).tolist()})
    )
    flags = ("--posecnn_pose_init", "--detections", tmp_path, "--solver", "lm")
    assert run("--config", seed_config, *flags) == 0
    found = result_in(tmp_path / "output" / "cloud")
    assert found["start_rotation_error_deg"] < 1e-6
    assert found["result_rotation_error_deg"] < 0.1


def test_noise_and_brightness_reach_the_image(seed_config):
    plain, noisy = (
        seed_setup(options, observed(options)[0])
        .trial(*observed(options), Found(None, None))
        .problem
        for options in (
            options_of("--config", seed_config),
            options_of("--config", seed_config, "--noise", "salt", "--amount", "0.3"),
        )
    )
    assert (noisy.image == 1).mean() > (plain.image == 1).mean() + 0.05


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--obs_img_num", 3), "obs_img_num: expected less than the 3 observed images"),
        (("--model_name", "absent"), "expected a data set, got no such file"),
        (("--ckpt_dir", "absent"), "expected the checkpoint of a NeRF"),
        (("--noise", "loud"), "noise: expected"),
        (("--batch_siz", 3), "did you mean batch_size"),
        (("--posecnn_init_pose", "--posecnn_dir", "absent"), "expected a scene file"),
        (("--mask_region", "--posecnn_dir", "absent.pth"), "no such file"),
    ],
)
def test_bad_input_is_one_line(flags, message, seed_config, capsys):
    assert message in error_of(capsys, run_inerf, "--config", seed_config, *flags)


def test_help_names_every_option_of_the_seed(capsys):
    assert run_inerf(["--help"]) == 0
    text = capsys.readouterr().out
    for name in ("obs_img_num", "dil_iter", "posecnn_init_pose", "mask_region", "delta_psi"):
        assert f"--{name}" in text


# ---- inerf


def test_the_new_command_refines_many_images_and_says_so(folder, tmp_path):
    arguments = ["--data", folder / "data" / "cloud" / "obs_imgs", "--images", "0,2"]
    arguments += ["--field", folder / "checkpoints" / "cloud.npz", "--output", tmp_path / "out"]
    arguments += ["--start-error.phi-deg", "2", "--background", "white"]
    assert inerf([str(text) for text in arguments]) == 0
    for name in ("0", "2"):
        assert result_in(tmp_path / "out" / name)["result_rotation_error_deg"] < 0.1
    assert not (tmp_path / "out" / "1").exists()
    stored = config.load(InerfConfig, tmp_path / "out" / "config.yaml")
    assert stored.start_error.phi_deg == 2.0


def test_the_new_command_takes_configurations_of_the_seed(seed_config, tmp_path):
    assert inerf(["--config", str(seed_config), "--solver", "keyframe"]) == 0
    assert (tmp_path / "output" / "cloud" / "args.txt").exists()


def test_images_that_do_not_exist_are_named(folder, capsys):
    base = ("--data", folder / "data" / "cloud" / "obs_imgs")
    base += ("--field", folder / "checkpoints" / "cloud.npz")
    assert "images: expected names" in error_of(capsys, inerf, *base, "--images", "9")
    assert "give --field or --scene" in error_of(capsys, inerf, *base[:2])
    assert "give --data" in error_of(capsys, inerf)


# ---- the seed's scenes


def test_every_scene_of_the_seed_has_a_configuration():
    assert {path.stem for path in CONFIGS} == {
        *("lego", "chair", "mic", "ficus", "fern", "flower", "fortress", "horns"),
        *("pinecone", "vasedeck", "PROPS"),
    }
    assert {path.stem for path in NERF_CONFIGS} == {
        *("chair", "drums", "ficus", "lego", "mic", "ship"),
        *("fern", "flower", "fortress", "horns", "hotdog", "leaves", "materials", "orchids"),
        *("room", "trex", "PROPS"),
    }


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_refinement_of_the_seeds_scenes_is_configured_as_there(path):
    found = config.load(InerfConfig, path)
    pixels = found.adam.pixels
    special = {
        "lego": ("interest_regions", 512, 0.01, 10.0, "2"),
        "chair": ("random", 512, 0.01, 10.0, "2"),
        "mic": ("random", 512, 0.01, 10.0, "2"),
        "ficus": ("interest_points", 2048, 0.01, 10.0, "15"),
        "PROPS": ("interest_regions", 1024, 0.03, 4.0, "2"),
    }.get(path.stem, ("interest_regions", 512, 0.01, 10.0, "2"))
    assert (pixels.strategy, pixels.count, found.adam.learning_rate) == special[:3]
    assert (found.start_error.phi_deg, *found.images) == special[3:]
    assert (pixels.kernel_size, pixels.iterations) == (5, 3)
    assert (found.vanilla.n_samples, found.vanilla.n_importance) == (64, 64)
    assert (found.image_noise.kind, found.image_noise.brightness) == ("none", 0.0)
    others = (found.start_error.theta_deg, found.start_error.psi_deg)
    assert others == ((4.0, 4.0) if path.stem == "PROPS" else (0.0, 0.0))
    inward = path.stem in ("pinecone", "vasedeck")
    assert found.vanilla.linear_in_disparity == inward
    assert (found.dataset.spherify, found.dataset.ndc) == (
        inward,
        not inward,
    ) or found.dataset.format == "transforms"


@pytest.mark.parametrize("path", NERF_CONFIGS, ids=lambda path: path.stem)
def test_training_of_the_seeds_scenes_is_configured_as_there(path):
    found = config.load(TrainNerfConfig, path)
    training, rendering = found.vanilla.training, found.vanilla.rendering
    assert (found.field, training.rays_per_step, rendering.n_samples) == ("vanilla", 1024, 64)
    if found.dataset.format == "transforms":
        assert (rendering.n_importance, training.learning_rate_decay) == (128, 500)
        assert (training.precrop_steps, training.precrop_fraction) == (500, 0.5)
        assert training.one_image_per_step
        props = path.stem == "PROPS"
        assert (found.background, found.dataset.factor) == (
            ("black", 0) if props else ("white", 2)
        )
    else:
        assert (rendering.n_importance, training.density_noise) == (64, 1.0)
        assert (found.dataset.factor, found.dataset.hold_out) == (8, 8)


def test_the_file_of_all_options_is_up_to_date():
    text = (ROOT / "config" / "inerf.yaml").read_text()
    assert text == config.dump(InerfConfig())
    assert "adam" in yaml.safe_load(text)["/**"]["ros__parameters"]


# ---- plot_inerf


def test_runs_are_laid_over_each_other(seed_config, tmp_path):
    for solver in ("keyframe", "lm"):
        run("--config", seed_config, "--solver", solver, "--output_dir", tmp_path / solver)
    picture = tmp_path / "comparison.png"
    runs = f"{tmp_path / 'keyframe'},{tmp_path / 'lm' / 'cloud' / 'steps.csv'}"
    assert plot_inerf.main(["--runs", runs, "--output", str(picture), "--names", "a,b"]) == 0
    with Image.open(picture) as image:
        assert image.format == "PNG"
    steps = {name: plot_inerf.read_steps(tmp_path / name / "cloud/steps.csv") for name in ("lm",)}
    figure = plot_inerf.drawn(steps)
    assert len(figure.axes) == 6
    drawn = figure.axes[0].lines[0].get_xydata()
    np.testing.assert_allclose(drawn[:, 0], steps["lm"].step)
    np.testing.assert_allclose(drawn[:, 1], steps["lm"].rotation_error_deg)


def test_what_is_no_run_is_refused(tmp_path, capsys):
    assert "give --runs" in error_of(capsys, plot_inerf.main)
    assert "steps.csv" in error_of(capsys, plot_inerf.main, "--runs", tmp_path)
    assert "check the path" in error_of(capsys, plot_inerf.main, "--runs", tmp_path / "no.csv")
