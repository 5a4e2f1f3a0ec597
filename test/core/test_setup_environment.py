"""Set-up says plainly what is missing, and its second call does nothing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def setup_environment(monkeypatch):
    path = ROOT / "scripts" / "setup_environment.py"
    spec = importlib.util.spec_from_file_location("setup_environment", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    return module


def test_without_a_distribution_the_wheels_are_used(setup_environment):
    world = setup_environment.detect_world()
    assert world.distribution is None
    assert world.constraints.name == "pypi.txt"


@pytest.mark.parametrize(
    ("distribution", "constraints"),
    [
        ("humble", "humble.txt"),
        ("jazzy", "jazzy.txt"),
        ("kilted", "kilted.txt"),
        ("rolling", "other.txt"),
    ],
)
def test_each_distribution_has_its_constraints(setup_environment, distribution, constraints):
    world = setup_environment.World(distribution)
    assert world.constraints.name == constraints
    assert world.constraints.is_file()


def test_a_distribution_that_is_named_but_not_there_is_explained(setup_environment, monkeypatch):
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(setup_environment.SetupError, match=r"source the distribution|Source the"):
        setup_environment.detect_world()


def test_this_machine_has_all_prerequisites(setup_environment, monkeypatch):
    monkeypatch.setattr(setup_environment, "FREE_GIGABYTES", 0)
    assert setup_environment.missing_prerequisites(setup_environment.World(None)) == []


def test_missing_compilers_are_named_with_their_remedy(setup_environment, monkeypatch):
    monkeypatch.setattr(setup_environment.shutil, "which", lambda name: None)
    problems = setup_environment.missing_for_wheels("3.11")
    assert any("gcc" in line and "apt install" in line for line in problems)
    assert any("g++" in line and "apt install" in line for line in problems)


def test_missing_headers_are_named_with_their_remedy(setup_environment, monkeypatch, tmp_path):
    monkeypatch.setattr(setup_environment.sysconfig, "get_path", lambda name: str(tmp_path))
    problems = setup_environment.missing_for_wheels("3.11")
    assert [line for line in problems if "Python.h" in line and "python3-dev" in line]


def test_an_architecture_without_wheels_is_sent_to_a_distribution(setup_environment, monkeypatch):
    monkeypatch.setattr(setup_environment.platform, "machine", lambda: "aarch64")
    (problem,) = setup_environment.missing_for_wheels("3.11")
    assert "aarch64" in problem
    assert "distribution" in problem


def test_a_distribution_needs_no_compiler(setup_environment, monkeypatch):
    monkeypatch.setattr(setup_environment.shutil, "which", lambda name: None)
    monkeypatch.setattr(setup_environment, "FREE_GIGABYTES", 0)
    assert setup_environment.missing_prerequisites(setup_environment.World("jazzy")) == []


def test_too_little_disk_is_said_in_numbers(setup_environment, monkeypatch):
    monkeypatch.setattr(setup_environment, "FREE_GIGABYTES", 10**6)
    (problem,) = setup_environment.missing_prerequisites(setup_environment.World("jazzy"))
    assert "1000000 GB" in problem


def test_a_failing_download_says_what_to_check(setup_environment, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    installer = setup_environment.Installer(Path(sys.prefix), setup_environment.World(None))
    with pytest.raises(setup_environment.SetupError, match=r"Check the\s+network"):
        installer.pip("a-package-that-nobody-has")


def test_second_call_returns_at_once(setup_environment, monkeypatch, tmp_path):
    monkeypatch.setattr(setup_environment, "missing_prerequisites", lambda world: [])
    calls = []
    monkeypatch.setattr(setup_environment.Installer, "install", lambda self: calls.append(1))
    setup_environment.set_up(tmp_path)
    setup_environment.set_up(tmp_path)
    assert len(calls) == 1


def test_an_interrupted_installation_is_resumed(setup_environment, monkeypatch, tmp_path):
    monkeypatch.setattr(setup_environment, "missing_prerequisites", lambda world: [])

    def fail(self):
        raise setup_environment.SetupError("no network")

    monkeypatch.setattr(setup_environment.Installer, "install", fail)
    for _ in range(2):
        with pytest.raises(setup_environment.SetupError, match="no network"):
            setup_environment.set_up(tmp_path)


def test_what_is_missing_reaches_the_user_without_a_traceback(tmp_path):
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    command = [sys.executable, ROOT / "scripts" / "setup_environment.py", tmp_path / "venv"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "apt install g++" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "venv").exists()
