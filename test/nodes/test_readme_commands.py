"""Every command line of the front page and the manuals has only options that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


@cache
def executables() -> dict[str, str]:
    """Return the module of each executable, as setup.py declares them."""
    pairs = re.findall(r'"(\w+)": "([\w.]+):main"', (ROOT / "setup.py").read_text())
    return dict(pairs)


@cache
def known_options(name: str) -> set[str]:
    command = [sys.executable, "-m", executables()[name], "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(re.findall(r"--[A-Za-z][\w.-]*", result.stdout))


def command_lines() -> list[tuple[str, str]]:
    """Return page and command of every documented call of an executable, continuations joined."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = line.split("#")[0].split()
                if words and words[0] in executables() and "--ros-args" not in words:
                    found.append((page.name, " ".join(words)))
    return found


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_documented_options_exist(page, line):
    name, *words = line.split()
    options = {word.split("=")[0] for word in words if word.startswith("--")}
    assert options <= known_options(name), f"{page}: {line}"


def test_every_executable_is_documented():
    documented = {line.split()[0] for _, line in command_lines()}
    assert documented == set(executables())
