"""docs/ros.md and docs/tuning.md name options with their defaults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from fast_inerf_ros.command_line import written
from fast_inerf_ros.config import options
from fast_inerf_ros.nodes.collect_config import CollectConfig
from fast_inerf_ros.nodes.localisation.settings import PoseEstimatorConfig
from fast_inerf_ros.nodes.record_config import RecordConfig
from fast_inerf_ros.nodes.replay_config import ReplayConfig
from fast_inerf_ros.scene_building.build_scene_options import BuildSceneConfig

MANUAL = Path(__file__).parents[2] / "docs" / "ros.md"


@pytest.mark.parametrize("config_class", [ReplayConfig, CollectConfig, RecordConfig])
def test_every_option_is_in_the_manual_with_its_default(config_class):
    rows = [line.split(" | ") for line in MANUAL.read_text().splitlines() if line[:3] == "| `"]
    documented = {(row[0].strip("| `"), row[1].strip("`")) for row in rows}
    wanted = {(item.name, written(item.default) or "empty") for item in options(config_class)}
    assert wanted <= documented


def test_options_of_the_tuning_page_exist_with_their_defaults():
    text = (MANUAL.parent / "tuning.md").read_text()
    of_node, of_scene = text.split("## Better fields")
    for page, config_class in ((of_node, PoseEstimatorConfig), (of_scene, BuildSceneConfig)):
        rows = re.findall(r"^\| `([\w.]+)` \| `(\S+)` \|", page, re.MULTILINE)
        known = {item.name: item for item in options(config_class)}
        assert rows
        for name, default in rows:
            assert written(known[name].default) == default, name
            live = re.search(rf"^\| `{name}` .*\*live\*", page, re.MULTILINE)
            assert live is None or known[name].dynamic, name
