"""The protocol's scenes are out of reach of training, and as hard as promised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from core.tabletop import models, renderer

from fast_inerf_ros.config import build, options, replace
from fast_inerf_ros.datasets.synthetic.generate_tabletop import LAST_SEED, TabletopConfig
from fast_inerf_ros.datasets.synthetic.layout import (
    DISTRACTOR_POOL,
    PROTOCOL_SEEDS_FROM,
    ROOM_POOL,
    TABLE_POOL,
    make_layout,
)
from fast_inerf_ros.datasets.synthetic.protocol import (
    Protocol,
    load_protocol,
    queries,
    turned_start,
)
from fast_inerf_ros.datasets.synthetic.textures import table_texture
from fast_inerf_ros.datasets.synthetic.trajectories import look_at
from fast_inerf_ros.errors import InputError

FILE = Path(__file__).parents[2] / "benchmarks" / "protocol.yaml"


def test_protocol_file_promises_what_the_benchmarks_need():
    protocol = load_protocol(FILE)
    assert len(protocol.layout_seeds) == 20
    assert protocol.query.noise_sigma == 0.02
    assert protocol.query.blur_px == (0.0, 7.0)
    assert protocol.query.exposure_ev == (-0.7, 0.7)
    assert protocol.query.start_angle_deg == (5.0, 10.0, 20.0, 30.0)
    assert (protocol.route.max_speed, protocol.route.max_rate_deg) == (0.5, 90.0)


def test_training_cannot_use_a_seed_of_the_protocol():
    assert min(load_protocol(FILE).layout_seeds) > LAST_SEED
    seeds = [item for item in options(TabletopConfig) if item.name.endswith("_seed")]
    assert {item.name for item in seeds} == {"layout_seed", "object_set_seed"}
    for item in seeds:
        with pytest.raises(InputError, match=item.name):
            build(TabletopConfig, {"output": "x", item.name: PROTOCOL_SEEDS_FROM})
    with pytest.raises(InputError, match="first_layout_seed"):
        build(Protocol, {"first_layout_seed": LAST_SEED})


def test_tables_rooms_clutter_and_lamps_of_the_protocol_never_occur_in_training():
    protocol = load_protocol(FILE)
    tests = [protocol.layout(seed, models()) for seed in protocol.layout_seeds[::4]]
    training = [make_layout(seed, models()) for seed in range(6)]
    for layout in training:
        assert layout.table_seed < TABLE_POOL
        assert layout.room_seed < ROOM_POOL
    pool = {f"distractor{seed}" for seed in range(DISTRACTOR_POOL)}
    for layout in tests:
        assert layout.table_seed >= PROTOCOL_SEEDS_FROM
        assert layout.room_seed >= PROTOCOL_SEEDS_FROM
        assert not pool & {placement.model.key for placement in layout.clutter}
    assert len({layout.table_seed for layout in tests}) == len(tests)
    lamps = {lamp for layout in training for lamp in layout.lamps}
    assert not lamps & {lamp for layout in tests for lamp in layout.lamps}
    trained = [table_texture(seed, (24, 32))[0] for seed in range(TABLE_POOL)]
    for layout in tests:
        texture = table_texture(layout.table_seed, (24, 32))[0]
        assert all(np.abs(texture - other).max() > 0.01 for other in trained)


def test_unknown_and_bad_values_of_a_protocol_are_refused(tmp_path):
    path = tmp_path / "protocol.yaml"
    path.write_text(FILE.read_text().replace("noise_sigma", "noise_sigmas"))
    with pytest.raises(InputError, match="noise_sigma"):
        load_protocol(path)
    path.write_text(FILE.read_text().replace("version: 1", "version: 2"))
    with pytest.raises(InputError, match="version"):
        load_protocol(path)
    with pytest.raises(InputError, match="test layout"):
        load_protocol(FILE).layout(3, models())


def test_start_poses_are_turned_by_their_angle_and_still_see_the_table():
    truth = look_at((0.5, 0.4, 0.4), (0.0, 0.0, 0.05))
    for angle in (5.0, 30.0):
        for seed in range(10):
            start = turned_start(truth, angle, np.random.default_rng(seed))
            turn = (truth.rotation.inverse() @ start.rotation).angle()
            assert np.degrees(turn) == pytest.approx(angle)
            target = start.inverse() @ np.array([0.0, 0.0, 0.05])
            assert target[2] > 0.3
            assert np.abs(target[:2]).max() < 0.02


def small_protocol() -> Protocol:
    protocol = load_protocol(FILE)
    for name, value in (("width", 160), ("height", 120), ("focal_length", 150.0)):
        protocol = replace(protocol, name, value)
    return protocol


def test_queries_repeat_and_carry_all_start_poses():
    protocol = small_protocol()
    seed = protocol.layout_seeds[0]
    first = next(queries(protocol, renderer(), models(), seed))
    again = next(queries(protocol, renderer(), models(), seed))
    np.testing.assert_array_equal(first.item[0].image, again.item[0].image)
    assert list(first.starts) == [5.0, 10.0, 20.0, 30.0]
    assert all(len(poses) == 3 for poses in first.starts.values())
    assert first.item[0].sensor.noise_sigma == 0.02


@pytest.mark.slow
def test_a_third_of_the_instances_is_partly_hidden():
    protocol = small_protocol()
    known = protocol.models()
    fractions, blurs = [], []
    for seed in protocol.layout_seeds:
        for query in queries(protocol, renderer(), known, seed):
            fractions += [truth.visible_fraction for truth in query.item[1]]
            blurs.append(query.item[0].blur_px * 4)  # at the full size
    share = np.mean([(0.3 <= f <= 0.8) for f in fractions])
    assert len(fractions) == 20 * 5 * 7
    assert share >= 0.3
    assert np.mean(np.array(fractions) > 0) > 0.9


def test_protocol_is_written_layout_by_layout(tmp_path):
    from fast_inerf_ros.datasets.synthetic.protocol import write_protocol

    protocol = small_protocol()
    for name, value in (
        ("n_layouts", 1),
        ("n_reference", 2),
        ("query.per_layout", 1),
        ("route.duration_s", 0.5),
        ("route.rate_hz", 4.0),
    ):
        protocol = replace(protocol, name, value)
    write_protocol(tmp_path, protocol, renderer())
    root = tmp_path / "layout_9000000"
    for name in (
        "scene.yaml",
        "transforms_train.json",
        "bag/metadata.yaml",
        "queries/000000/scene_gt.json",
        "queries/starts.json",
    ):
        assert (root / name).is_file(), name
