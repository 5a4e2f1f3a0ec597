"""`train_nerf` from photographs to a field: learnt, resumed to the bit, ended cleanly."""

from __future__ import annotations

import json
import re
import shutil
import signal

import ball_scene
import numpy as np
import pytest
import torch
import training_runs as runs
from PIL import Image

from fast_inerf_ros.datasets.images import image_size
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.fields.checkpoint import load_field
from fast_inerf_ros.io.tensor_file import load_tensors, save_tensors
from fast_inerf_ros.nodes import train_nerf as executable
from fast_inerf_ros.training.stop_request import StopRequest

KINDS = ("voxel", "vanilla")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def ball(tmp_path_factory):
    return ball_scene.write_blender(tmp_path_factory.mktemp("data") / "ball")


@pytest.fixture(scope="module")
def llff(tmp_path_factory):
    return ball_scene.write_llff(tmp_path_factory.mktemp("data") / "llff")


def scalars(output):
    return [json.loads(line) for line in (output / "scalars.jsonl").read_text().splitlines()]


# ---- what comes out


def test_a_scene_is_learnt_and_reported(ball, tmp_path):
    more = ("--max-steps", 150, "--render-test", "--video.path", "circle", "--video.n-frames", 3)
    assert runs.run("voxel", ball, tmp_path, "--validation.every-steps", 70, *more) == 0
    metrics = json.loads((tmp_path / "test" / "metrics.json").read_text())
    assert metrics["mean"]["psnr_db"] > 13.0
    assert [image["name"] for image in metrics["images"]] == [f"test/r_{n}" for n in range(3)]
    mean = np.mean([image["psnr_db"] for image in metrics["images"]])
    assert metrics["mean"]["psnr_db"] == pytest.approx(mean)
    for name in ("000.png", "002_disp.png"):
        assert image_size(tmp_path / "test" / name) == (24, 24)
    assert (tmp_path / "path_rgb.mp4").stat().st_size > 0
    assert (tmp_path / "path_disp.mp4").stat().st_size > 0
    validated = [line for line in scalars(tmp_path) if "val/psnr_db" in line]
    assert [line["step"] for line in validated] == [70, 140, 150]
    assert validated[-1]["val/psnr_db"] > validated[0]["val/psnr_db"] - 1.0
    field = load_field(tmp_path / "field.npz")
    assert field.kind == "voxel"


@pytest.mark.parametrize("kind", KINDS)
def test_scenes_that_face_forward_are_trained_too(kind, llff, tmp_path):
    more = ("--max-steps", 20, "--dataset.hold-out", 3, "--render-test", "--video.path", "auto")
    assert runs.run(kind, llff, tmp_path, *more, "--video.n-frames", 2) == 0
    mean = json.loads((tmp_path / "test" / "metrics.json").read_text())["mean"]
    assert mean["psnr_db"] > 5.0
    assert load_field(tmp_path / "field.npz").kind == kind


def test_the_field_keeps_where_it_lies_in_the_world(llff, tmp_path):
    runs.run("vanilla", llff, tmp_path, "--max-steps", 1)
    frame, expected = load_field(tmp_path / "field.npz").frame, load_dataset(llff).frame
    assert frame.metres_per_unit == pytest.approx(expected.metres_per_unit)
    np.testing.assert_allclose(frame.matrix(), expected.matrix(), atol=1e-9)


def test_a_finished_training_is_rendered_without_training(ball, tmp_path):
    runs.run("voxel", ball, tmp_path, "--max-steps", 5)
    before = (tmp_path / "checkpoints" / "000005.tar").read_bytes()
    more = ("--render-only", "--video.n-frames", 2, "--video.scale", 0.5, "--video.gif")
    assert runs.run("voxel", ball, tmp_path, "--max-steps", 9, *more) == 0
    assert (tmp_path / "path_rgb.gif").exists()
    assert not (tmp_path / "test").exists()
    assert runs.run("voxel", ball, tmp_path, "--render-only", "--render-test") == 0
    assert (tmp_path / "test" / "metrics.json").exists()
    assert runs.checkpoints(tmp_path) == ["000005.tar"]
    assert (tmp_path / "checkpoints" / "000005.tar").read_bytes() == before


def test_the_exported_field_is_rendered_where_no_checkpoint_is_left(ball, tmp_path):
    runs.run("voxel", ball, tmp_path, "--max-steps", 5)
    shutil.rmtree(tmp_path / "checkpoints")
    assert runs.run("voxel", ball, tmp_path, "--render-only", "--video.n-frames", 2) == 0
    assert (tmp_path / "path_rgb.mp4").exists()


# ---- resuming


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_training_is_one_never_interrupted(kind, ball, tmp_path):
    steps = 30
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    # Both know the whole budget from the start; one is stopped on the way.
    assert runs.run(kind, ball, whole, "--max-steps", steps) == 0
    request = StopRequest()
    stopping = [runs.at_step(13, lambda moment: request.set())]
    assert runs.run(kind, ball, halves, "--max-steps", steps, tasks=stopping, stop=request) == 0
    assert runs.checkpoints(halves) == ["000013.tar"]
    assert runs.run(kind, ball, halves, "--max-steps", steps) == 0
    name = f"checkpoints/{steps:06d}.tar"
    assert runs.same_state(whole / name, halves / name)
    first, second = load_field(whole / "field.npz"), load_field(halves / "field.npz")
    for key, values in first.state().arrays.items():
        np.testing.assert_array_equal(values, second.state().arrays[key])


def test_the_same_command_after_the_end_changes_nothing(ball, tmp_path, caplog):
    runs.run("voxel", ball, tmp_path, "--max-steps", 4)
    before = (tmp_path / "checkpoints" / "000004.tar").read_bytes()
    assert runs.run("voxel", ball, tmp_path, "--max-steps", 4) == 0
    assert (tmp_path / "checkpoints" / "000004.tar").read_bytes() == before
    assert "trained already: 4 steps" in caplog.text
    assert runs.run("voxel", ball, tmp_path, "--max-steps", 6, "--voxel.density-rate", 0.1) == 0
    assert runs.checkpoints(tmp_path) == ["000004.tar", "000006.tar"]
    assert "changed since the run before: max_steps from 4 to 6" in caplog.text
    assert "changed since the run before: voxel.density_rate from 0.2 to 0.1" in caplog.text


def test_only_the_newest_checkpoints_are_kept(ball, tmp_path):
    more = ("--checkpoint-steps", 2, "--keep-checkpoints", 2, "--max-steps", 9)
    runs.run("voxel", ball, tmp_path, *more)
    assert runs.checkpoints(tmp_path) == ["000008.tar", "000009.tar"]


def test_starting_again_sets_the_earlier_training_aside(ball, tmp_path):
    runs.run("voxel", ball, tmp_path, "--max-steps", 5)
    runs.run("voxel", ball, tmp_path, "--max-steps", 3, "--no-resume")
    assert runs.checkpoints(tmp_path) == ["000003.tar"]
    assert (tmp_path / "checkpoints" / "earlier_1" / "000005.tar").exists()


def test_figures_of_steps_that_are_done_again_are_written_once(ball, tmp_path):
    runs.run("voxel", ball, tmp_path, "--max-steps", 4)
    with (tmp_path / "scalars.jsonl").open("a") as file:
        file.write('{"step": 4, "seconds": 1}\n{"step": 9, "seconds": 2}\n{"step": 1')
    runs.run("voxel", ball, tmp_path, "--max-steps", 6)
    steps = [line["step"] for line in scalars(tmp_path)]
    assert steps == sorted(steps)
    assert 9 not in steps


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_ends_with_its_status(number, status, ball, tmp_path):
    before = signal.getsignal(number)
    more = ("--max-steps", 1000, "--render-test")
    assert runs.run("voxel", ball, tmp_path, *more, tasks=[runs.signal_at(3, number)]) == status
    assert signal.getsignal(number) is before
    assert runs.checkpoints(tmp_path) == ["000003.tar"]
    assert (tmp_path / "field.npz").exists()
    assert not (tmp_path / "test").exists()


def test_time_limits_count_all_runs(ball, tmp_path):
    assert runs.run("voxel", ball, tmp_path, "--max-seconds", 0.5) == 0
    steps = int(runs.checkpoints(tmp_path)[-1][:-4])
    assert runs.run("voxel", ball, tmp_path, "--max-seconds", 0.5) == 0
    assert int(runs.checkpoints(tmp_path)[-1][:-4]) == steps


# ---- bad input


def error_of(capsys, kind, *arguments, status=2):
    capsys.readouterr()
    assert runs.run(kind, *arguments) == status
    text = capsys.readouterr().err
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, text
    assert "Traceback" not in text
    return errors[0]


def edited(ball, folder, change):
    """A copy of the data set with its training poses changed."""
    shutil.copytree(ball, folder)
    file = folder / "transforms_train.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return folder


def keep_frames(count):
    def change(content):
        content["frames"] = content["frames"][:count]

    return change


def spoil_pose(content):
    content["frames"][1]["transform_matrix"][0][3] = float("nan")


def test_data_sets_that_cannot_be_trained_on_are_refused(ball, tmp_path, capsys):
    output = tmp_path / "out"
    assert "no such file or folder" in error_of(capsys, "voxel", tmp_path / "absent", output)
    (tmp_path / "empty").mkdir()
    assert "expected transforms.json" in error_of(capsys, "voxel", tmp_path / "empty", output)
    none = edited(ball, tmp_path / "none", keep_frames(0))
    assert "got none" in error_of(capsys, "voxel", none, output)
    poses = edited(ball, tmp_path / "nan", spoil_pose)
    assert "train/r_1" in error_of(capsys, "vanilla", poses, output)
    for near, far in ((3.0, 3.0), (4.0, 2.0)):
        limits = ("--dataset.near", near, "--dataset.far", far)
        assert "0 < near < far" in error_of(capsys, "voxel", ball, output, *limits)
    assert not output.exists()


def test_a_single_photograph_is_refused(ball, tmp_path, capsys):
    single = edited(ball, tmp_path / "single", keep_frames(1))
    for split in ("val", "test"):
        (single / f"transforms_{split}.json").unlink()
    message = error_of(capsys, "voxel", single, tmp_path / "out")
    assert "expected at least 2 images, got 1" in message


@pytest.mark.parametrize("kind", KINDS)
def test_unreadable_photographs_are_named(kind, ball, tmp_path, capsys):
    folder = edited(ball, tmp_path / "data", lambda content: None)
    image = folder / "train" / "r_2.png"
    image.write_bytes(image.read_bytes()[:60])
    assert "r_2.png" in error_of(capsys, kind, folder, tmp_path / "out")


def test_photographs_of_several_sizes_are_refused_or_trained_on(ball, tmp_path, capsys):
    folder = edited(ball, tmp_path / "data", lambda content: None)
    wider = np.zeros((24, 30, 4), dtype=np.uint8)
    Image.fromarray(wider).save(folder / "train" / "r_3.png")
    assert "24x24 pixels like the others" in error_of(capsys, "voxel", folder, tmp_path / "out")

    def own_intrinsics(content):
        for frame in content["frames"]:
            frame.update(fl_x=28.8, fl_y=28.8, cx=12.0, cy=12.0, w=24, h=24)
        content["frames"][3].update(cx=15.0, w=30)

    folder = edited(folder, tmp_path / "each", own_intrinsics)
    message = error_of(capsys, "vanilla", folder, tmp_path / "out")
    assert "photographs of one size, got 24x24 and 30x24" in message
    assert runs.run("voxel", folder, tmp_path / "out", "--max-steps", 3) == 0


def test_checkpoints_of_something_else_are_refused_with_the_differences(ball, tmp_path, capsys):
    output = tmp_path / "out"
    runs.run("vanilla", ball, output, "--max-steps", 2)
    path = output / "checkpoints" / "000002.tar"
    before = path.read_bytes()
    assert "got one of kind vanilla" in error_of(capsys, "voxel", ball, output)
    wider = ("--vanilla.architecture.width", 24)
    message = error_of(capsys, "vanilla", ball, output, *wider)
    assert "coarse network: pts_linears.0.weight expected (24, 63) got (16, 63)" in message
    alone = ("--vanilla.rendering.n-importance", 0)
    assert "without a fine network, got one with" in error_of(
        capsys, "vanilla", ball, output, *alone
    )
    assert path.read_bytes() == before


def spoilt_voxel_state(state, name):
    if name == "torch_generator":
        return {**state, name: torch.zeros(5, dtype=torch.uint8)}
    if name == "generator":
        return {**state, name: {"bit_generator": "other"}}
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        ("moments", "missing moments"),
        ("domain", r"lacks \['domain'\]"),
        ("generator", "entries that do not fit"),
        ("torch_generator", "entries that do not fit"),
    ],
)
def test_spoilt_states_of_the_voxel_field_are_explained(spoilt, message, ball, tmp_path, capsys):
    runs.run("voxel", ball, tmp_path, "--max-steps", 2)
    path = tmp_path / "checkpoints" / "000002.tar"
    content = load_tensors(path)
    content["voxel_training"] = spoilt_voxel_state(content["voxel_training"], spoilt)
    save_tensors(path, content)
    assert re.search(message, error_of(capsys, "voxel", ball, tmp_path, "--max-steps", 4))


def test_options_that_contradict_each_other_are_refused(ball, tmp_path, capsys):
    out = tmp_path / "out"
    seeds = ("--seed", 1, "--vanilla.training.seed", 2)
    assert "give seed alone" in error_of(capsys, "vanilla", ball, out, *seeds)
    colors = ("--background", "black", "--vanilla.rendering.white-background")
    assert "give background alone" in error_of(capsys, "vanilla", ball, out, *colors)
    rays = ("--vanilla.training.one-image-per-step", "--vanilla.training.rays-per-step", 10_000)
    assert "at most the 576 pixels" in error_of(capsys, "vanilla", ball, out, *rays)
    assert "no test photographs" not in error_of(capsys, "voxel", ball, out, "--render-only")


def test_rendering_before_training_says_so(ball, tmp_path, capsys):
    message = error_of(capsys, "voxel", ball, tmp_path / "out", "--render-only")
    assert "expected a checkpoint to render, got none; train first" in message
    file = tmp_path / "file"
    file.write_text("")
    assert "expected a folder for the training, got a file" in error_of(
        capsys, "voxel", ball, file
    )


def test_without_data_the_executable_says_what_it_needs(capsys):
    assert executable.main(["--log-level", "error"]) == 2
    assert "give --data" in capsys.readouterr().err


def test_without_a_validation_split_photographs_are_held_out_on_request(llff, tmp_path, caplog):
    validate = ("--validation.every-steps", 2, "--max-steps", 2)
    runs.run("voxel", llff, tmp_path / "none", *validate)
    assert "no validation photographs" in caplog.text
    runs.run("voxel", llff, tmp_path / "some", *validate, "--validation.hold-out", 4)
    assert any("val/psnr_db" in line for line in scalars(tmp_path / "some"))
