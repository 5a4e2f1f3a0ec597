"""Several processes train one field: the same as one process, and the first alone writes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import ball_scene
import numpy as np
import pytest
import torch
import training_runs as runs

from fast_inerf_ros.io.tensor_file import load_tensors
from fast_inerf_ros.training.processes import Processes, average_gradients

TEST = Path(__file__).parents[1]
MODULE = "fast_inerf_ros.nodes.train_nerf"
STEPS = 12
# Every process draws its own jitter of samples; without it, the rays alone are random.
SAME = {"voxel": (), "vanilla": ("--vanilla.training.perturb", 0)}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def together(*command):
    """Run a script or `-m module` with its arguments in two processes, as torchrun does."""
    environment = {**os.environ, "PYTHONPATH": f"{TEST.parent}{os.pathsep}{TEST}"}
    environment |= {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--nnodes", "1"]
    launcher += ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    return subprocess.run(
        [sys.executable, *launcher, *map(str, command)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def ball(tmp_path_factory):
    return ball_scene.write_blender(tmp_path_factory.mktemp("data") / "ball")


def difference(first, second):
    """Largest difference of two checkpoints' numbers, as a share of their largest."""
    one, other = (runs.flat(load_tensors(path)) for path in (first, second))
    assert one.keys() == other.keys()
    shares = []
    for key, values in one.items():
        if values.dtype.kind == "f" and values.size > 1:
            assert values.shape == other[key].shape, key
            largest = np.abs(values).max() + 1e-12
            shares.append(np.abs(values - other[key]).max() / largest)
    return max(shares)


def test_two_processes_train_the_field_of_one(ball, tmp_path):
    commands = {
        kind: (kind, ball, tmp_path / "two" / kind, "--max-steps", STEPS, *more)
        for kind, more in SAME.items()
    }
    (tmp_path / "two").mkdir()
    script = TEST / "train_together.py"
    result = together(script, *commands["voxel"], "+", *commands["vanilla"])
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("saved ") == 2
    for kind, more in SAME.items():
        alone, both = tmp_path / kind, tmp_path / "two" / kind
        assert runs.run(kind, ball, alone, "--max-steps", STEPS, *more) == 0
        name = f"checkpoints/{STEPS:06d}.tar"
        assert difference(both / name, alone / name) < 1e-3, kind
        assert len(runs.checkpoints(both)) == 1


@pytest.mark.slow
def test_two_processes_resume_what_one_began(ball, tmp_path):
    output = tmp_path / "out"
    runs.run("voxel", ball, output, "--max-steps", 5)
    result = together("-m", MODULE, *runs.arguments("voxel", ball, output, "--max-steps", STEPS))
    assert result.returncode == 0, result.stderr
    assert "resuming at step 5" in result.stderr
    assert runs.checkpoints(output) == ["000005.tar", f"{STEPS:06d}.tar"]


@pytest.mark.slow
def test_all_processes_refuse_what_the_first_cannot_resume(ball, tmp_path):
    output = tmp_path / "out"
    runs.run("voxel", ball, output, "--max-steps", 2)
    result = together("-m", MODULE, *runs.arguments("vanilla", ball, output, "--max-steps", 4))
    assert result.returncode != 0
    assert "expected a checkpoint of kind vanilla, got one of kind voxel" in result.stderr


def test_shares_of_a_batch_cover_it_once():
    for count in (1, 2, 3, 7):
        shares = [Processes(rank, count).share(20) for rank in range(count)]
        rows = [row for share in shares for row in range(20)[share]]
        assert rows == list(range(20))


def test_one_process_needs_no_others():
    alone = Processes()
    tensor = torch.arange(3.0)
    assert alone.add(tensor) is tensor
    assert alone.join(tensor, 3) is tensor
    assert alone.either(tensor) is tensor
    assert alone.from_first("x") == "x"
    assert alone.agree(3.0, False) == (3.0, False)
    assert alone.is_first
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    average_gradients(alone, [parameter], 1.0)
    assert torch.equal(parameter.grad, torch.ones(2))
