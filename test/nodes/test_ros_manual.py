"""docs/ros.md names every option with its default, and every encoding."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from fast_inerf_ros.command_line import written
from fast_inerf_ros.config import options
from fast_inerf_ros.nodes.collect_config import CollectConfig
from fast_inerf_ros.nodes.record_config import RecordConfig
from fast_inerf_ros.nodes.replay_config import ReplayConfig

MANUAL = Path(__file__).parents[2] / "docs" / "ros.md"


@pytest.mark.parametrize("config_class", [ReplayConfig, CollectConfig, RecordConfig])
def test_every_option_is_in_the_manual_with_its_default(config_class):
    rows = [line.split(" | ") for line in MANUAL.read_text().splitlines() if line[:3] == "| `"]
    documented = {(row[0].strip("| `"), row[1].strip("`")) for row in rows}
    wanted = {(item.name, written(item.default) or "empty") for item in options(config_class)}
    assert wanted <= documented
