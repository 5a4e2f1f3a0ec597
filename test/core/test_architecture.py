"""Imports point one way, and only the nodes know ROS."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest
from ros_blocker import ROS_PACKAGES

PACKAGE = "fast_inerf_ros"
ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / PACKAGE

# What the modules of each part may import of the others, from the bottom up.
FOUNDATION = {"errors", "config"}
ALLOWED = {
    "errors": set(),
    "config": {"errors"},
    "command_line": FOUNDATION,
    "geometry": {"errors"},
    "evaluation": {"errors", "geometry"},
    "io": FOUNDATION | {"geometry"},
    "rendering": FOUNDATION | {"geometry"},
    "fields": FOUNDATION | {"geometry", "io", "rendering"},
    "posecnn": FOUNDATION | {"geometry", "io"},
    "inerf": FOUNDATION | {"geometry", "io", "rendering", "fields"},
    "datasets": FOUNDATION | {"command_line", "geometry", "io", "evaluation"},
    "estimator": FOUNDATION | {"geometry", "io", "rendering", "fields", "posecnn", "inerf"},
    "training": FOUNDATION
    | {"command_line", "geometry", "io", "evaluation", "rendering", "fields", "posecnn"}
    | {"datasets", "inerf", "estimator"},
    # Makes scenes with everything that was trained before; nothing but nodes stands above it.
    "scene_building": FOUNDATION
    | {"command_line", "geometry", "io", "evaluation", "rendering", "fields", "posecnn"}
    | {"inerf", "datasets", "estimator", "training"},
}
ALLOWED["experiments"] = ALLOWED["training"] - {"estimator"} | {"training", "inerf"}
ALLOWED["nodes"] = set(ALLOWED)


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(path: Path) -> set[str]:
    """Return every absolute name that a module imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def part_of(name: str) -> str | None:
    """Return the part of this package that a module belongs to."""
    first, *rest = name.split(".")
    return rest[0] if first == PACKAGE and rest else None


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_imports_point_one_way(path):
    own = part_of(module_name(path))
    if own is None:
        return
    assert own in ALLOWED, f"{own} is new: say in ALLOWED what it may import"
    others = {part_of(name) for name in imported_names(path)} - {None, own}
    assert others <= ALLOWED[own], f"{own} must not import {sorted(others - ALLOWED[own])}"


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_only_nodes_import_ros(path):
    if part_of(module_name(path)) == "nodes":
        return
    ros = {name.split(".")[0] for name in imported_names(path)} & ROS_PACKAGES
    assert not ros, f"{module_name(path)} imports {sorted(ros)}"


def test_no_module_imports_itself_through_others():
    known = {module_name(path): path for path in modules()}
    graph = {
        name: {other for other in imported_names(path) if other in known and other != name}
        for name, path in known.items()
    }
    graphlib.TopologicalSorter(graph).prepare()


def test_every_part_with_a_rule_that_exists_is_reached():
    parts = {part_of(module_name(path)) for path in modules()} - {None}
    assert {"errors", "config", "geometry", "io", "datasets", "nodes"} <= parts


def test_core_imports_where_ros_is_blocked():
    core = [module_name(path) for path in modules() if part_of(module_name(path)) != "nodes"]
    code = "import sys, importlib, ros_blocker\nros_blocker.block_ros()\n"
    code += "".join(f"importlib.import_module({name!r})\n" for name in core)
    code += "assert not ros_blocker.ROS_PACKAGES & set(sys.modules)\n"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{ROOT / 'test'}"}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_blocker_really_blocks():
    code = "import ros_blocker\nros_blocker.block_ros()\nimport rclpy\n"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "test")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert "blocked" in result.stderr
