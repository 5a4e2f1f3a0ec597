"""Checkpoints keep the field, stay small, and never execute or half-load a bad file."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
import voxel_scenes as scenes

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.checkpoint import load_field, load_state, save_field, save_state
from fast_inerf_ros.fields.field import Field, FieldState
from fast_inerf_ros.fields.registry import field_class, register
from fast_inerf_ros.fields.voxel_grid import CodedColors, VoxelGrid
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.geometry.se3 import SE3


@pytest.fixture
def field():
    pose = SE3.random(np.random.default_rng(0))
    grid = scenes.random_grid(1, contracted=True)
    made = scenes.field_of(grid, background=(0.1, 0.2, 0.3), near=0.25)
    return made.with_frame(FieldFrame(pose, 0.125, metric=True))


@pytest.fixture
def saved(field, tmp_path):
    save_field(tmp_path / "field.npz", field)
    return tmp_path / "field.npz"


def rewritten(path, **changes):
    with np.load(path) as arrays:
        entries = dict(arrays) | changes
    np.savez(path, **{k: v for k, v in entries.items() if v is not None})


def with_header(path, **changes):
    with np.load(path) as arrays:
        header = json.loads(arrays["header"].tobytes()) | changes
    rewritten(path, header=np.frombuffer(json.dumps(header).encode(), np.uint8))


def test_a_loaded_field_renders_as_the_saved_one(field, saved):
    again = load_field(saved)
    assert isinstance(again, Field)
    assert again.shading == field.shading
    rays = scenes.random_rays(3, 300, distance=1.5)
    one, two = field.render(*rays), again.render(*rays)
    assert (one.color - two.color).abs().max() < 0.01
    assert (one.opacity - two.opacity).abs().max() < 0.01
    np.testing.assert_allclose(again.frame.matrix(), field.frame.matrix())
    assert (again.frame.metres_per_unit, again.frame.metric) == (0.125, True)


def test_kernels_decode_colors_as_they_are_decoded_at_once(field, tmp_path):
    field.grid.color[1:, ::7] = 0.0  # voxels that nobody sees
    save_field(tmp_path / "field.npz", field)
    loaded = load_field(tmp_path / "field.npz")
    coded = loaded.grid
    grid = VoxelGrid(coded.domain, coded.coordinates, coded.density, coded.color)
    grid.mask[:] = coded.mask
    plain = replace(loaded, grid=grid)
    assert isinstance(coded.colors, CodedColors)
    assert coded.colors.codes.nbytes == grid.color.nbytes / 4
    assert torch.equal(grid.color[1:] == 0, field.grid.color[1:] == 0)
    assert (grid.color[0] == 0).all()
    rays = scenes.random_rays(3, 300, distance=1.5)
    shown = [field.render_with_ray_derivatives(*rays) for field in (loaded, plain)]
    for name, value in vars(shown[0][1]).items():
        wanted = getattr(shown[1][1], name)
        torch.testing.assert_close(value, wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))
    for name in ("color", "depth", "opacity"):
        one, two = (getattr(field.render(*rays), name) for field in (loaded, plain))
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4, equal_nan=True)
    points = torch.tensor(scenes.CENTER) + 2.5 * (torch.rand(500, 3) - 0.5)
    directions = torch.nn.functional.normalize(torch.randn(500, 3), dim=1)
    for one, two in zip(
        loaded.query(points, directions), plain.query(points, directions), strict=True
    ):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


def test_saving_a_loaded_field_changes_nothing(saved, tmp_path):
    first = load_field(saved)
    save_field(tmp_path / "second.npz", first)
    second = load_field(tmp_path / "second.npz")
    with np.load(saved) as one, np.load(tmp_path / "second.npz") as two:
        for name in ("density", "color", "colored", "mask"):
            np.testing.assert_array_equal(one[name], two[name])
    torch.testing.assert_close(first.grid.density, second.grid.density, rtol=1e-5, atol=1e-6)
    assert torch.equal(first.grid.mask, second.grid.mask)
    torch.testing.assert_close(first.grid.color, second.grid.color, rtol=1e-5, atol=1e-5)


def test_an_empty_field_survives(tmp_path):
    grid, _ = scenes.random_grid(0).reallocated(1e9)
    save_field(tmp_path / "empty.npz", scenes.field_of(grid))
    assert load_field(tmp_path / "empty.npz").grid.n_bricks == 0


def test_densities_keep_their_sign_and_size(saved, field):
    kept, given = load_field(saved).grid.density[1:], field.grid.density[1:]
    near, far = given.abs() < 1e-2, given.abs() > 0.5
    assert (kept - given)[far].abs().div(given[far].abs()).max() < 0.05
    assert (kept - given)[near].abs().max() < 0.02
    large = given.abs() > 0.05
    assert torch.equal(kept[large] > 0, given[large] > 0)


@pytest.mark.parametrize("extent", [(0, 1, 0), (0, 1, -1), (0, np.nan, 1), (0, np.inf, 1)])
def test_a_range_without_sense_is_refused(saved, extent):
    rewritten(saved, density_range=np.array(extent, np.float32))
    with pytest.raises(InputError, match="finite densities"):
        load_field(saved)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_files_are_refused(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="foreign or damaged"):
        load_field(saved)


def test_flipped_bytes_never_load_silently_wrong_or_crash(saved):
    content = bytearray(saved.read_bytes())
    generator = np.random.default_rng(0)
    whole, refused = load_field(saved), 0
    for _ in range(30):
        damaged = content.copy()
        for place in generator.integers(0, len(content), 20):
            damaged[place] ^= 0xFF
        saved.write_bytes(damaged)
        try:
            loaded = load_field(saved)
        except InputError:
            refused += 1
            continue
        assert torch.equal(loaded.grid.density, whole.grid.density)
        assert torch.equal(loaded.grid.color, whole.grid.color)
    assert refused > 20


class Malicious:
    ran = False

    def __reduce__(self):
        return setattr, (Malicious, "ran", True)


def test_pickles_inside_are_not_executed(saved):
    payload = io.BytesIO()
    np.save(payload, np.array([Malicious()], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(saved, "a") as archive:
        archive.writestr("evil.npy", payload.getvalue())
    with pytest.raises(InputError, match="damaged"):
        load_field(saved)
    saved.write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(InputError, match="damaged"):
        load_field(saved)
    assert not Malicious.ran


def test_foreign_files_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    torch.save({"network_fn_state_dict": {}}, tmp_path / "200000.tar")
    for name in ("other.npz", "200000.tar"):
        with pytest.raises(InputError, match="expected the checkpoint of a field"):
            load_field(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        load_field(tmp_path / "absent.npz")


def test_all_missing_and_misshapen_entries_are_listed(saved):
    rewritten(saved, density=None, mask=np.zeros(3, np.int64), extra=np.zeros(2))
    with pytest.raises(InputError) as caught:
        load_field(saved)
    message = str(caught.value)
    assert "lacks density" in message
    assert "mask: expected int64" in message
    assert "unknown extra" in message
    assert "\n" not in message


def test_bricks_outside_the_grid_and_doubles_are_refused(saved):
    with np.load(saved) as arrays:
        coordinates = arrays["coordinates"].copy()
    outside, double = coordinates.copy(), coordinates.copy()
    outside[0] = 200
    double[1] = double[0]
    for wrong in (outside, double):
        rewritten(saved, coordinates=wrong)
        with pytest.raises(InputError, match="inside the grid, each once"):
            load_field(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 99}, "version 2"),
        ({"kind": "voxle"}, "did you mean 'voxel'"),
        ({"metres_per_unit": -1.0}, "metres_per_unit"),
        ({"T_world_field": [[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}, "lies"),
        ({"metadata": {}}, "lacks bricks, center"),
        ({"metadata": 3}, "mapping"),
        ({"format": "x"}, "another file"),
    ],
)
def test_bad_headers_are_refused(saved, change, message):
    with_header(saved, **change)
    with pytest.raises(InputError, match=message):
        load_field(saved)


def test_bombs_are_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, header=np.zeros(1 << 20, np.uint8))
    monkeypatch.setattr("fast_inerf_ros.fields.checkpoint.MAX_BYTES", 1 << 16)
    with pytest.raises(InputError, match="at most"):
        load_state(path)


def test_a_failed_save_leaves_the_old_file(saved):
    before = saved.read_bytes()
    state = FieldState("voxel", FieldFrame(), {"bad": float("nan")}, {})
    with pytest.raises(ValueError, match="JSON"):
        save_state(saved, state)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_another_kind_of_field_is_one_registration_away():
    register("another", f"{__name__}:Malicious")
    register("json", "json:JSONDecoder")
    assert field_class("json") is json.JSONDecoder
    with pytest.raises(InputError, match="kind of field"):
        field_class("nothing")
