"""What `make bench` and `make bench-train` run has the options that they give it."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import flags, help_of

from benchmarks._artefacts import FULL, QUICK, artefacts
from benchmarks._parts import Places, parts

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

ANYWHERE = Path("anywhere")
EVALUATED = [
    (f"{part.name}, {'quick' if quick else 'full'}", part.command)
    for quick in (True, False)
    for part in parts(Places(ANYWHERE, ANYWHERE, quick))
]
TRAINED = [
    (item.name, command)
    for amounts in (FULL, QUICK)
    for item in artefacts(ANYWHERE, ANYWHERE, amounts)
    for command in item.commands
]


@pytest.mark.parametrize(("name", "command"), EVALUATED + TRAINED)
def test_every_option_exists(name, command):
    _, _, module, *words = command
    if module == "benchmarks._keep":
        assert not flags(words)
        return
    unknown = flags(words) - help_of(module)
    assert not unknown, f"{name}: {sorted(unknown)}"
