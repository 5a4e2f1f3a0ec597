"""However a training is broken off, the same command goes on from where it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import ball_scene
import pytest
import training_runs as runs

TEST = Path(__file__).parents[1]
STEPS_PER_KILL = 40
KINDS = ("voxel", "vanilla")


def process(*command, **options):
    environment = {
        **os.environ,
        "PYTHONPATH": f"{TEST.parent}{os.pathsep}{TEST}",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def survive(folder, n_kills, seed):
    """Kill a training of each kind so often; they must end as if nobody had disturbed them."""
    data = ball_scene.write_blender(folder / "ball")
    output, steps = folder / "killed", STEPS_PER_KILL * n_kills
    command = (TEST / "kill_trainings.py", ",".join(KINDS), data, output, steps, n_kills, seed)
    with process(*command) as killing:
        text, _ = killing.communicate()
    assert killing.returncode == 0, text
    assert text.count("resuming at step") >= n_kills * len(KINDS)
    for kind in KINDS:
        assert runs.run(kind, data, folder / kind, "--max-steps", steps) == 0
        killed, whole = (place / "checkpoints" for place in (output / kind, folder / kind))
        assert runs.same_state(killed / f"{steps:06d}.tar", whole / f"{steps:06d}.tar")
        assert [path.name for path in killed.iterdir() if path.name[0] == "."] == []


def test_trainings_killed_at_random_moments_end_as_those_that_were_not(tmp_path):
    survive(tmp_path, n_kills=4, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_many_kills_lose_nothing(seed, tmp_path):
    survive(tmp_path, n_kills=20, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_signals_to_the_process_itself_save_and_end_it(name, status, tmp_path):
    import signal

    data = ball_scene.write_blender(tmp_path / "ball")
    more = ("--max-steps", 10**6, "--checkpoint-steps", 5)
    command = runs.arguments("voxel", data, tmp_path / "out", *more)
    with process("-m", "fast_inerf_ros.nodes.train_nerf", *command) as training:
        while not runs.checkpoints(tmp_path / "out"):
            assert training.poll() is None
        before = runs.checkpoints(tmp_path / "out")
        training.send_signal(getattr(signal, name))
        text, _ = training.communicate()
    assert training.returncode == status, text
    assert "Traceback" not in text
    assert runs.checkpoints(tmp_path / "out")[-1] >= before[-1]
    assert (tmp_path / "out" / "field.npz").exists()
