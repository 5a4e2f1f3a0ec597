"""Checkpoints of the vanilla field: those of nerf-pytorch, and what must never be loaded."""

from __future__ import annotations

import json
import os
import pickle
import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from full_disk import full_disk

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.vanilla import VanillaField
from fast_inerf_ros.fields.vanilla_checkpoint import EXTRAS, VanillaCheckpoint
from fast_inerf_ros.fields.vanilla_file import load_vanilla, save_vanilla
from fast_inerf_ros.fields.vanilla_options import (
    VanillaArchitecture,
    VanillaRendering,
    VanillaTraining,
)
from fast_inerf_ros.fields.vanilla_setting import LegacyRays, VanillaSetting
from fast_inerf_ros.fields.vanilla_trainer import VanillaTrainer
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.rendering.ndc import NdcFrustum

ORIGINAL = Path(__file__).parents[1] / "data" / "nerf_pytorch.tar"
SMALL = VanillaArchitecture(
    depth=2, width=8, depth_fine=3, width_fine=6, position_frequencies=2, view_directions=True
)
RENDERING = VanillaRendering(n_samples=6, n_importance=4)


@pytest.fixture
def original():
    return torch.load(ORIGINAL, weights_only=True)


def new_trainer(**changes) -> VanillaTrainer:
    architecture = changes.pop("architecture", SMALL)
    setting = VanillaSetting(**{"rendering": RENDERING, **changes})
    frame = FieldFrame(SE3.random(np.random.default_rng(1)), 0.5, metric=True)
    field = VanillaField.untrained(architecture, setting, np.random.default_rng(0), frame)
    trainer = VanillaTrainer(field, VanillaTraining(rays_per_step=8))
    for seed in range(2):
        drawn = np.random.default_rng(seed).uniform(size=(3, 8, 3)).astype(np.float32)
        origins, directions, targets = torch.from_numpy(drawn)
        trainer.step((origins, -directions - 0.1), targets)
    return trainer


def stored(path: Path, value: object) -> Path:
    torch.save(value, path)
    return path


def assert_same(first: object, second: object) -> None:
    """Equal trees of dicts, sequences and tensors, to the last bit."""
    assert type(first) is type(second)
    if isinstance(first, dict):
        assert list(first) == list(second)
        for key in first:
            assert_same(first[key], second[key])
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    elif isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype
        assert torch.equal(first, second)
    else:
        assert first == second


def one_line_error(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_vanilla(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message


# ---- round trips


def test_a_checkpoint_of_the_original_code_is_written_back_bit_identically(tmp_path, original):
    save_vanilla(load_vanilla(ORIGINAL), tmp_path / "again.tar")
    written = torch.load(tmp_path / "again.tar", weights_only=True)
    assert list(written) == [
        "global_step",
        "network_fn_state_dict",
        "network_fine_state_dict",
        "optimizer_state_dict",
    ]
    for name in ("network_fn_state_dict", "network_fine_state_dict"):
        original[name] = dict(original[name])  # an OrderedDict there
    assert_same(written, original)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ndc": NdcFrustum(40, 30, 20.0), "box": ((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))},
        {"legacy_rays": LegacyRays(40, 30, 20.0), "near": 0.5},
        {"architecture": VanillaArchitecture(depth=7, width=8, depth_fine=6, width_fine=6)},
        {"rendering": VanillaRendering(n_samples=6, n_importance=0)},
    ],
)
def test_our_own_checkpoints_keep_everything_to_the_last_bit(tmp_path, changes):
    checkpoint = new_trainer(**changes).checkpoint()
    save_vanilla(checkpoint, tmp_path / "first.tar")
    loaded = load_vanilla(tmp_path / "first.tar")
    save_vanilla(loaded, tmp_path / "second.tar")
    assert_same(loaded.to_dict(), checkpoint.to_dict())
    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes()
    assert loaded.step == 2
    assert loaded.setting == checkpoint.setting
    np.testing.assert_allclose(loaded.frame.matrix(), checkpoint.frame.matrix(), atol=1e-14)
    assert (loaded.frame.metres_per_unit, loaded.frame.metric) == (0.5, True)


def test_the_original_code_would_load_our_checkpoint(tmp_path):
    # What nerf-pytorch does: strict state dicts by name, then Adam over coarse and fine.
    trainer = new_trainer()
    save_vanilla(trainer.checkpoint(), tmp_path / "ours.tar")
    written = torch.load(tmp_path / "ours.tar", weights_only=True)
    networks = trainer.field.networks
    for network, name in ((networks.coarse, "fn"), (networks.fine, "fine")):
        state = written[f"network_{name}_state_dict"]
        assert set(state) == set(network.state_dict())
        network.load_state_dict(state, strict=True)
    optimizer = torch.optim.Adam([*networks.coarse.parameters(), *networks.fine.parameters()])
    optimizer.load_state_dict(written["optimizer_state_dict"])
    assert written["global_step"] == 2
    first = networks.coarse.pts_linears[0].weight
    assert optimizer.state[first]["exp_avg"].shape == first.shape


def test_shapes_are_found_in_the_checkpoint():
    loaded = load_vanilla(ORIGINAL)
    coarse, fine = loaded.networks.coarse.shape, loaded.networks.fine.shape
    assert (coarse.depth, coarse.width, fine.depth, fine.width) == (6, 16, 7, 24)
    assert (coarse.position_frequencies, coarse.direction_frequencies) == (6, 2)


def test_a_checkpoint_without_settings_says_what_is_missing():
    with pytest.raises(InputError, match="give the configuration file it was trained with"):
        load_vanilla(ORIGINAL).field()


def test_adam_states_of_old_versions_of_torch_continue_the_same_training(original):
    new = VanillaCheckpoint.from_dict(original, "new")
    state = original["optimizer_state_dict"]
    old_group = {
        name: state["param_groups"][0][name]
        for name in ("lr", "betas", "eps", "weight_decay", "amsgrad", "params")
    }
    moments = {
        number: {**entries, "step": int(entries["step"])}
        for number, entries in state["state"].items()
    }
    old_state = {"state": moments, "param_groups": [old_group]}
    old = VanillaCheckpoint.from_dict({**original, "optimizer_state_dict": old_state}, "old")
    rays = (torch.zeros(4, 3), torch.tensor([[0.0, 0.1, -1.0]]).expand(4, 3))
    losses = []
    for checkpoint in (new, old):
        field = checkpoint.field(VanillaSetting(RENDERING))
        trainer = VanillaTrainer.resumed(checkpoint, field, VanillaTraining())
        assert trainer.global_step == 6
        losses.append([float(trainer.step(rays, torch.ones(4, 3)).loss) for _ in range(3)])
    assert losses[0] == losses[1]


# ---- what is refused


class Attack:
    """A pickle that runs a command when it is loaded."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return os.system, (f"touch '{self.witness}'",)


@pytest.mark.parametrize("wrap", ["zip", "pickle", "inside"])
def test_a_malicious_pickle_is_refused_and_nothing_is_executed(tmp_path, original, wrap):
    path, witness = tmp_path / "evil.tar", tmp_path / "witness"
    if wrap == "pickle":
        path.write_bytes(pickle.dumps(Attack(witness), protocol=2))
    else:
        attack = Attack(witness)
        stored(path, attack if wrap == "zip" else {**original, "global_step": attack})
    message = one_line_error(path)
    assert "not executed" in message or "foreign" in message
    assert not witness.exists()
    if wrap == "pickle":  # the attack is real
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert witness.exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused(tmp_path, share):
    whole = ORIGINAL.read_bytes()
    path = tmp_path / "short.tar"
    path.write_bytes(whole[: int(share * len(whole))])
    one_line_error(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(100), b"PK\x05\x06" + bytes(18), b"\x80\x02}q."],
)
def test_foreign_files_are_refused(tmp_path, content):
    path = tmp_path / "foreign.tar"
    path.write_bytes(content)
    one_line_error(path)


def test_random_bytes_are_refused(tmp_path):
    generator = np.random.default_rng(0)
    path = tmp_path / "random.tar"
    for size in (10, 100, 1000) * 10:
        path.write_bytes(generator.bytes(size))
        one_line_error(path)


def test_damage_is_refused_or_harmless(tmp_path):
    # A flipped byte is noticed, or lies where it cannot change the kind of anything.
    whole = ORIGINAL.read_bytes()
    path = tmp_path / "damaged.tar"
    generator = np.random.default_rng(1)
    for _ in range(40):
        damaged = bytearray(whole)
        for position in generator.integers(len(whole), size=20):
            damaged[position] ^= int(generator.integers(1, 256))
        path.write_bytes(damaged)
        with suppress(InputError):
            assert isinstance(load_vanilla(path), VanillaCheckpoint)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert "no such file" in one_line_error(tmp_path / "absent.tar")
    assert "no such file" in one_line_error(tmp_path)


def test_another_networks_state_dict_is_refused(tmp_path):
    path = stored(tmp_path / "other.tar", torch.nn.Linear(3, 3).state_dict())
    message = one_line_error(path)
    assert "missing global_step, network_fn_state_dict, got weight, bias" in message
    inside = {"global_step": 1, "network_fn_state_dict": torch.nn.Linear(3, 3).state_dict()}
    assert "pts_linears.0.weight, got bias, weight" in one_line_error(stored(path, inside))
    assert "expected a dict" in one_line_error(stored(path, [1, 2, 3]))


def test_every_missing_unknown_and_misshapen_entry_is_listed(tmp_path, original):
    state = original["network_fine_state_dict"]
    del state["pts_linears.3.weight"]
    state["alpha_linear.weight"] = torch.zeros(2, 24)
    state["rgb_linear.bias"] = torch.full((3,), float("nan"))
    state["views_linears.0.bias"] = torch.zeros(12, dtype=torch.int64)
    state["pts_linears.1.bias"] = "text"
    state["surplus.weight"] = torch.zeros(2)
    message = one_line_error(stored(tmp_path / "bad.tar", original))
    for part in (
        "network_fine_state_dict",
        "missing pts_linears.3.weight (24, 24)",
        "unknown surplus.weight",
        "alpha_linear.weight expected (1, 24) got (2, 24)",
        "rgb_linear.bias holds NaN",
        "views_linears.0.bias expected floating point",
        "pts_linears.1.bias is a str",
    ):
        assert part in message


def drop_parameter(original):
    original["optimizer_state_dict"]["param_groups"][0]["params"].pop()


def reshape_moment(original):
    moments = original["optimizer_state_dict"]["state"][0]
    moments["exp_avg"] = moments["exp_avg"][:, :5]


def spoil_rate(original):
    original["optimizer_state_dict"]["param_groups"][0]["lr"] = "fast"


def spoil_step(original):
    original["global_step"] = -1


def spoil_octaves(original):
    state = original["network_fn_state_dict"]
    state["pts_linears.0.weight"] = torch.zeros(16, 40)


def spoil_extras(original):
    original[EXTRAS] = "{"


def spoil_pose(original):
    pose = {"translation": [0, 0, 0], "quaternion_xyzw": [0, 0, 0, 2]}
    setting = VanillaSetting().to_metadata()
    extras = {"version": 1, "setting": setting, "T_world_field": pose, "metres_per_unit": 1.0}
    original[EXTRAS] = json.dumps({**extras, "metric": False})


def future_extras(original):
    names = ("setting", "T_world_field", "metres_per_unit", "metric")
    original[EXTRAS] = json.dumps({"version": 99, **dict.fromkeys(names, 0)})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop_parameter, r"expected Adam over 42 parameters .* got 41 parameters"),
        (reshape_moment, r"coarse.pts_linears.0.weight exp_avg expected \(16, 39\) got \(16, 5\)"),
        (spoil_rate, "with lr, betas and eps"),
        (spoil_step, "global_step: expected a number of steps >= 0, got -1"),
        (spoil_octaves, r"expected 3 \+ 6 L encoded channels, got 40"),
        (spoil_pose, "quaternion"),
        (spoil_extras, "fast_inerf_ros: expected a dict"),
        (future_extras, "expected version 1, got 99; update"),
    ],
)
def test_each_spoilt_entry_is_named(tmp_path, original, spoil, message):
    spoil(original)
    path = stored(tmp_path / "spoilt.tar", original)
    assert re.search(message, one_line_error(path))


def test_a_full_disk_leaves_the_old_checkpoint_whole(tmp_path):
    path = tmp_path / "kept.tar"
    save_vanilla(load_vanilla(ORIGINAL), path)
    before = path.read_bytes()
    with pytest.raises(OSError, match="File too large"), full_disk(4096):
        save_vanilla(new_trainer().checkpoint(), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["kept.tar"]
