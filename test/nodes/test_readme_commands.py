"""Every command line of the front page and the manuals is one that its program understands."""

from __future__ import annotations

import importlib
import re
import sys

import documents
import pytest
from documents import ROOT, flags, help_of

EXECUTABLES = dict(re.findall(r'"(\w+)": "([\w.]+):main"', (ROOT / "setup.py").read_text()))
SEEDS_OWN = {"inerf": {"--config"}}
"""What an executable takes beside its options: there it is the seed's."""
OTHERS = {
    *(".", "cd", "cp", "echo", "export", "source", "sudo"),
    *("colcon", "rosdep", "ros2", "torchrun", "scripts/in_environment"),
}
"""Programs of shells, ROS and torch; what they are told of this package is checked below."""

COMMANDS = [command for page in documents.PAGES for command in documents.commands(page)]


def of(*names):
    return [command for command in COMMANDS if command.words[0] in names]


def fenced():
    """Commands of ``sh`` blocks: there everything has to be a command."""
    found = []
    for page in documents.PAGES:
        text = "".join(documents.blocks(page, "sh"))
        found += [c for c in documents.commands(page) if c.words[0] in text]
    return found


@pytest.mark.parametrize("command", fenced(), ids=str)
def test_every_line_begins_with_a_program_that_is_known(command):
    name = command.words[0]
    assert name in {*EXECUTABLES, *OTHERS, "make", "python"}, command


@pytest.mark.parametrize("command", of(*EXECUTABLES), ids=str)
def test_executables_understand_their_command_lines(command, monkeypatch, capsys):
    name, *words = command.words
    if "--ros-args" in words:
        words = words[: words.index("--ros-args")]
    if name.startswith("run_") or "--aruco-sheet" in words:  # files that users have; no options
        assert flags(words) <= help_of(EXECUTABLES[name]), command
        return
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [name, *words, "--print-config"])
    status = importlib.import_module(EXECUTABLES[name]).main()
    assert status == 0, capsys.readouterr().err


def test_every_executable_is_documented():
    assert {command.words[0] for command in of(*EXECUTABLES)} == set(EXECUTABLES)


@pytest.mark.parametrize(
    "command", [c for c in of("python", "torchrun") if "-m" in c.words], ids=str
)
def test_modules_exist_and_have_the_options(command):
    words = command.words[command.words.index("-m") + 1 :]
    module, *options = words
    if module.partition(".")[0] in ("colcon", "pytest"):
        return
    parts = module.split(".")
    path = ROOT.joinpath(*parts)
    assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), command
    known = help_of(module)
    assert flags(options) <= known, f"{command}: {sorted(flags(options) - known)}"


@pytest.mark.parametrize("command", of("make"), ids=str)
def test_make_knows_target_and_variables(command):
    makefile = (ROOT / "Makefile").read_text()
    for word in command.words[1:]:
        name, equals, _ = word.partition("=")
        assert f"$({name})" in makefile if equals else f"\n{name}:" in makefile, command


@pytest.mark.parametrize("command", of("ros2"), ids=str)
def test_ros2_finds_executables_and_launch_arguments(command):
    verb, *words = command.words[1:]
    if verb == "run":
        assert words[1] in EXECUTABLES, command
    if verb != "launch":
        return
    text = (ROOT / "launch" / words[1]).read_text()
    for word in words[2:]:
        name = word.partition(":=")[0]
        known = re.search(rf'"{name}"', text) or f'"{name.replace("_", ".", 1)}"' in text
        assert known, f"{command}: {name}"


@pytest.mark.parametrize("page", documents.PAGES, ids=lambda page: page.name)
def test_options_within_the_text_exist(page):
    for span in documents.spans(page):
        name, *words = span.split()
        if name in EXECUTABLES and "--ros-args" not in words:
            unknown = flags(words) - help_of(EXECUTABLES[name]) - SEEDS_OWN.get(name, set())
            assert not unknown, f"{span}: {sorted(unknown)}"


def test_a_wrong_option_and_an_unknown_program_would_be_found():
    text = "```sh\nbuild_scene photographs --outptu x | nonsense  # why\n```\n"
    page = ROOT / "README.md"

    class Page:
        name = page.name

        @staticmethod
        def read_text(encoding):
            return text

    first, second = documents.commands(Page)
    assert first.words == ["build_scene", "photographs", "--outptu", "x"]
    assert second.words == ["nonsense"]
    assert not flags(first.words) <= help_of(EXECUTABLES["build_scene"])
