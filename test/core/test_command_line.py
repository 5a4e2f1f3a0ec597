"""Command lines made of a configuration: values, precedence, help and exit statuses."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fast_inerf_ros.command_line import run, written
from fast_inerf_ros.config import build, option, options, parse, section, values_of
from fast_inerf_ros.errors import InputError


@dataclass(frozen=True)
class Solver:
    """A section."""

    name: Literal["adam", "lm"] = option("lm", doc="The solver.")
    max_steps: int = option(30, doc="Steps at most.", minimum=1)


@dataclass(frozen=True)
class Settings:
    """Options of a command."""

    data: str = option(doc="Folder of the data.", positional=True)
    out: str = option("out", doc="Folder of the results.", positional=True)
    rate: float = option(0.01, doc="Step at 100%.", minimum=-1, maximum=1, unit="1/s")
    fast: bool = option(True, doc="Whether to hurry.")
    sure: bool | None = option(None, doc="Whether one is sure.")
    limit: int | None = option(None, doc="Limit.")
    scales: tuple[float, ...] = option((1.0, 0.5), doc="Scales.")
    names: tuple[str, ...] = option((), doc="Names.")
    solver: Solver = section(Solver)


def configured(*argv: str) -> Settings:
    """Run a command and return the configuration that it was called with."""
    seen: list[Settings] = []
    assert run(Settings, seen.append, argv, prog="tool") == 0
    return seen[0]


def refused(capsys, *argv: str) -> str:
    """Run a command that must fail before it starts and return its one line of error."""
    status = run(Settings, lambda config: pytest.fail("started"), argv, prog="tool")
    output = capsys.readouterr()
    assert (status, output.out) == (2, "")
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    return output.err[len("error: ") : -1]


def test_without_flags_the_defaults_hold():
    assert configured("fox") == Settings("fox")


def test_flags_give_values_of_the_declared_types():
    config = configured(
        *["fox", "results", "--rate=1", "--no-fast", "--sure", "yes", "--limit", "0x10"],
        *["--scales", "2,1e-1", "--names", "a, b", "--solver.name", "adam"],
        *["--solver.max-steps", "5"],
    )
    assert config == Settings(
        data="fox",
        out="results",
        rate=1.0,
        fast=False,
        sure=True,
        limit=16,
        scales=(2.0, 0.1),
        names=("a", "b"),
        solver=Solver("adam", 5),
    )
    assert type(config.rate) is float


@pytest.mark.parametrize("text", ["-1e-3", "-.5", "-0.25"])
def test_a_negative_number_is_a_value_and_not_a_flag(text):
    assert configured("fox", "--rate", text).rate == float(text)


def test_underscores_and_hyphens_of_a_flag_are_the_same():
    assert configured("fox", "--solver.max_steps=3").solver.max_steps == 3


def test_lists_may_be_empty_or_written_as_in_yaml():
    assert configured("fox", "--scales=").scales == ()
    assert configured("fox", "--names", '["a,b", c]').names == ("a,b", "c")


def test_a_text_keeps_what_yaml_would_interpret():
    assert configured("fox", "--names", "on,1e3").names == ("on", "1e3")
    assert configured("007").data == "007"


def test_null_takes_a_value_back(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("limit: 5\n")
    arguments = ["fox", "--params-file", str(path)]
    assert configured(*arguments).limit == 5
    assert configured(*arguments, "--limit", "null").limit is None


def test_flags_override_the_file_and_the_file_the_defaults(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(
        "/**:\n  ros__parameters:\n    rate: 0.5\n    fast: false\n    data: cat\n"
        "tool:\n  ros__parameters: {solver: {name: adam}}\n"
        "other:\n  ros__parameters: {nonsense: 1}\n"
    )
    config = configured("--rate", "0.25", "--params-file", str(path))
    assert config == Settings("cat", rate=0.25, fast=False, solver=Solver("adam"))


def test_a_double_dash_ends_the_flags():
    assert configured("--", "--rate").data == "--rate"


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.fixed_dictionaries(
        {
            "data": st.text("ab-=/ .", min_size=1).filter(lambda text: text[0] != "-"),
            "rate": st.floats(-1, 1),
            "sure": st.none() | st.booleans(),
            "limit": st.none() | st.integers(-(2**63), 2**63 - 1),
            "scales": st.lists(st.floats(allow_nan=False, allow_infinity=False)),
            "names": st.lists(st.text("xyz-", min_size=1)),
        }
    )
)
def test_every_value_can_be_given_by_a_flag(values):
    config = build(Settings, values)
    argv = [config.data]
    for item in options(Settings):
        if not item.positional and item.name != "fast":
            argv += [f"--{item.name}", written(values_of(config)[item.name])]
    assert configured(*argv) == config


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "data: a value is required: string"),
        (["fox", "--rat", "1"], "unknown flag --rat: did you mean --rate?"),
        (["fox", "--solver.max-step=1"], "unknown flag --solver.max-step: did you mean --solver."),
        (["fox", "--max-steps=1"], "unknown flag --max-steps: did you mean --solver.max-steps?"),
        (
            ["fox", "--qqq"],
            "unknown flag --qqq: known are -h, --help, --params-file, --print-config",
        ),
        (["fox", "out", "more"], "unexpected argument more (see --help)"),
        (["fox", "--rate"], "--rate needs a value (see --help)"),
        (["fox", "--rate", "--fast"], "--rate needs a value (see --help)"),
        (["fox", "--rate", "5"], "rate: expected double in [-1, 1] 1/s, got integer 5"),
        (["fox", "--rate", "high"], "rate: expected double in [-1, 1] 1/s, got string 'high'"),
        (["fox", "--rate="], "rate: expected double in [-1, 1] 1/s, got null"),
        (["fox", "--limit", "1.5"], "limit: expected integer or null, got double 1.5"),
        (["fox", "--limit", "010"], "limit: 010 has a leading zero: drop it, or quote it"),
        (["fox", "--scales", "1,a"], "scales: expected list of doubles, got string 'a'"),
        (["fox", "--scales", "[1"], "scales: value:1: not valid YAML: expected ',' or ']'"),
        (["fox", "--solver.name", "sgd"], "solver.name: expected string out of adam, lm, got"),
        (["fox", "--fast=1"], "argument --fast/--no-fast: ignored explicit argument '1'"),
        (["fox", "--params-file", "/none.yaml"], "/none.yaml: cannot read this file: No such"),
        (["fox", "--log-level", "loud"], "argument --log-level: invalid choice: 'loud'"),
    ],
)
def test_wrong_command_lines_are_refused_in_one_line(capsys, argv, message):
    assert refused(capsys, *argv).startswith(message)


def test_errors_of_a_file_name_its_line(capsys, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("fast: true\nrat: 1\n")
    assert refused(capsys, "fox", "--params-file", str(path)) == (
        f"{path}:2: unknown option rat: did you mean rate?"
    )


def test_the_printed_configuration_loads_back_equal(capsys):
    arguments = ["fox", "--rate", "0.125", "--limit", "3", "--solver.name=adam"]
    assert (
        run(Settings, lambda config: pytest.fail("started"), [*arguments, "--print-config"]) == 0
    )
    assert parse(Settings, capsys.readouterr().out) == configured(*arguments)


def test_help_shows_every_option_its_meaning_unit_range_and_default(capsys):
    with pytest.raises(SystemExit, match="0"):
        run(Settings, lambda config: None, ["--help"], prog="tool", description="Does it.")
    text = " ".join(capsys.readouterr().out.split())
    assert "Does it." in text
    assert "--rate NUMBER Step at 100%. (1/s; in [-1, 1]; default: 0.01)" in text
    assert "--fast, --no-fast Whether to hurry. (default: true)" in text
    assert "DATA Folder of the data. (required)" in text
    assert "--scales NUMBER,... Scales. (default: 1.0,0.5)" in text
    assert "solver: --solver.name {adam,lm} The solver. (default: lm)" in text


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("the bag is truncated"), 2, "error: the bag is truncated\n"),
        (OSError(28, "No space left on device", "f.pt"), 1, "error: [Errno 28] No space left"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_errors_of_the_command_become_exit_statuses(capsys, error, status, line):
    def fail(config: Settings) -> None:
        raise error

    assert run(Settings, fail, ["fox"]) == status
    assert capsys.readouterr().err.startswith(line)


def test_a_mistake_of_the_programmer_keeps_its_traceback():
    def fail(config: Settings) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(Settings, fail, ["fox"])


def test_the_status_of_the_command_is_passed_on():
    assert run(Settings, lambda config: 3, ["fox"]) == 3


def test_the_log_level_decides_what_is_logged():
    run(Settings, lambda config: None, ["fox", "--log-level", "error"])
    assert not logging.getLogger("anything").isEnabledFor(logging.WARNING)
    run(Settings, lambda config: None, ["fox"])
    assert logging.getLogger("anything").isEnabledFor(logging.INFO)


PROGRAM = """
import logging, signal, sys, time
from dataclasses import dataclass
from fast_inerf_ros.command_line import run
from fast_inerf_ros.config import option

# As in a terminal: the background jobs of a shell inherit that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

@dataclass(frozen=True)
class Settings:
    wait_s: float = option(0.0, doc="How long to wait.", unit="s")

def main(config):
    logging.getLogger("work").info("waiting")
    time.sleep(config.wait_s)

sys.exit(run(Settings, main))
"""


def process(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_real_process_logs_to_stderr_and_reports_its_status():
    child = process("--log-level", "info")
    assert child.communicate(timeout=60) == ("", "INFO work: waiting\n")
    assert child.returncode == 0
    child = process("--wait", "1")
    assert child.communicate(timeout=60) == (
        "",
        "error: unknown flag --wait: did you mean --wait-s?\n",
    )
    assert child.returncode == 2


def test_ctrl_c_ends_a_real_process_without_a_traceback():
    child = process("--wait-s", "60")
    assert child.stderr.readline() == "INFO work: waiting\n"
    time.sleep(0.1)
    os.kill(child.pid, signal.SIGINT)
    assert child.communicate(timeout=60) == ("", "interrupted\n")
    assert child.returncode == 130
