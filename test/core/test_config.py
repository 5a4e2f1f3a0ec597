"""Typed configuration: declared once, loaded strictly, written so that it loads back equal."""

from __future__ import annotations

import dataclasses
import math
import re
import runpy
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fast_inerf_ros.config import (
    build,
    check,
    describe,
    dump,
    file_values,
    load,
    option,
    options,
    parse,
    replace,
    section,
    values_of,
)
from fast_inerf_ros.errors import InputError

PROPERTY = settings(deadline=None, derandomize=True, max_examples=150)


@dataclass(frozen=True)
class RobustLoss:
    """The innermost section."""

    scale: float = option(0.1, doc="Residual beyond which pixels count less.", minimum=0.0)


@dataclass(frozen=True)
class Solver:
    """A section with a section."""

    name: Literal["adam", "lm"] = option("lm", doc="The solver.")
    steps: int = option(30, doc="Steps at most.", minimum=1, maximum=1000, dynamic=True)
    loss: RobustLoss = section(RobustLoss, scale=0.25)


@dataclass(frozen=True)
class Everything:
    """Every kind of option there is."""

    rate: float = option(0.01, doc="Size of | a step.", minimum=0, maximum=1, unit="1/s")
    seed: int = option(0, doc="Seed of all randomness.")
    fast: bool = option(True, doc="Whether to hurry.")
    topic: str = option("image", doc="Topic of the images.")
    anything: float = option(1.0, doc="Any number, finite or not.", finite=False)
    limit: Optional[int] = option(None, doc="Limit, if there is one.", minimum=1)
    label: str | None = option(None, doc="Label, if there is one.")
    scales: tuple[float, ...] = option((1.0, 0.5), doc="Scales.", minimum=0.0)
    corner: tuple[int, int] = option((3, 4), doc="Corner.", unit="px")
    names: list[str] = option(["a", "b"], doc="Names.")
    level: int = option(2, doc="Level.", choices=(1, 2, 4))
    flags: tuple[bool, ...] = option((), doc="Flags.")
    solver: Solver = section(Solver)


@dataclass(frozen=True)
class Needy:
    """A configuration with a required option."""

    checkpoint: str = option(doc="File of the field.")
    size: int = option(3, doc="Size.")


def refusal(call, *arguments) -> str:
    with pytest.raises(InputError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


FINITE = {"allow_nan": False, "allow_infinity": False}
TEXTS = st.text(st.characters(codec="utf-8"))
VALUES = st.fixed_dictionaries(
    {
        "rate": st.floats(0, 1),
        "seed": st.integers(-(2**63), 2**63 - 1),
        "fast": st.booleans(),
        "topic": TEXTS,
        "anything": st.floats(allow_nan=False),
        "limit": st.none() | st.integers(1, 2**63 - 1),
        "label": st.none() | TEXTS,
        "scales": st.lists(st.floats(0, **FINITE), max_size=4),
        "corner": st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
        "names": st.lists(TEXTS, max_size=3),
        "level": st.sampled_from((1, 2, 4)),
        "flags": st.lists(st.booleans(), max_size=3),
        "solver.name": st.sampled_from(("adam", "lm")),
        "solver.steps": st.integers(1, 1000),
        "solver.loss.scale": st.floats(0, **FINITE),
    }
)


@PROPERTY
@given(VALUES)
def test_a_dumped_configuration_loads_back_equal(values):
    config = build(Everything, values)
    assert parse(Everything, dump(config)) == config


def test_a_dump_documents_every_option_within_the_line_width():
    text = dump(Everything())
    for item in options(Everything):
        assert item.doc in re.sub(r"\n *#", "", text)
    assert max(map(len, text.splitlines())) <= 99
    assert text.startswith("/**:\n  ros__parameters:\n    # Size of | a step. (double in [0, 1]")


def test_a_dump_of_no_options_loads_back():
    empty = dataclasses.make_dataclass("Empty", [], frozen=True)
    assert parse(empty, dump(empty())) == empty()


def test_a_file_may_give_some_options_and_the_defaults_are_the_rest(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("/**:\n  ros__parameters:\n    seed: 7\n    solver:\n      steps: 5\n")
    assert load(Everything, path) == build(Everything, {"seed": 7, "solver.steps": 5})
    assert file_values(Everything, path) == {"seed": 7, "solver.steps": 5}


def test_defaults_are_those_of_the_class_and_of_the_section():
    assert build(Everything, {}) == Everything()
    assert Everything().solver.loss.scale == 0.25
    assert build(Solver, {}) == Solver()


def test_default_lists_are_not_shared():
    first = build(Everything, {})
    first.names.append("c")
    assert build(Everything, {}).names == Everything().names == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "seed: 7\n",
        "/**:\n  ros__parameters:\n    seed: 7\n",
        "/train:\n  ros__parameters:\n    seed: 7\n",
        "train:\n  ros__parameters:\n    seed: 7\n",
        "/robot/train:\n  ros__parameters:\n    seed: 7\n",
        "/*/train:\n  ros__parameters:\n    seed: 7\n",
        "/**/train:\n  ros__parameters:\n    seed: 7\n",
        "robot:\n  train:\n    ros__parameters:\n      seed: 7\n",
        "/other:\n  ros__parameters:\n    sed: 7\n/**:\n  ros__parameters:\n    seed: 7\n",
        "/**:\n  ros__parameters:\n    seed: 3\ntrain:\n  ros__parameters:\n    seed: 7\n",
        "train:\n  ros__parameters:\n    seed: 3\n/**:\n  ros__parameters:\n    seed: 7\n",
        "/**:\n  ros__parameters: {use_sim_time: true, qos_overrides: {a: 1}, seed: 7}\n",
    ],
)
def test_the_section_of_the_node_is_read_in_every_spelling_of_ros(text):
    assert parse(Everything, text, node_name="train") == Everything(seed=7)


@pytest.mark.parametrize("text", ["", "# nothing\n", "/**:\n  ros__parameters: {}\n"])
def test_an_empty_file_gives_the_defaults(text):
    assert parse(Everything, text) == Everything()


def test_dotted_and_nested_names_are_the_same():
    dotted = parse(Everything, "solver.loss.scale: 2\nsolver: {steps: 4}\n")
    assert dotted == parse(Everything, "solver:\n  steps: 4\n  loss: {scale: 2.0}\n")
    assert dotted.solver.loss.scale == 2.0


def test_an_empty_section_changes_nothing():
    assert parse(Everything, "solver: {}\n") == Everything()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed: 7", "f:1: unknown option sed: did you mean seed?"),
        (
            "seed: 1\nsolver:\n  stepps: 3",
            "f:3: unknown option solver.stepps: did you mean solver.steps?",
        ),
        ("scale: 3", "f:1: unknown option scale: did you mean scales?"),
        ("steps: 3", "f:1: unknown option steps: did you mean solver.steps?"),
        ("solve.step: 3", "f:1: unknown option solve.step: did you mean solver.steps?"),
        ("rate: fast", "f:1: rate: expected double in [0, 1] 1/s, got string 'fast'"),
        ("rate: 1.5", "f:1: rate: expected double in [0, 1] 1/s, got double 1.5"),
        ("rate: true", "f:1: rate: expected double in [0, 1] 1/s, got boolean True"),
        ("rate: null", "f:1: rate: expected double in [0, 1] 1/s, got null"),
        ("seed: true", "f:1: seed: expected integer, got boolean True"),
        ("seed: 3.0", "f:1: seed: expected integer, got double 3.0"),
        ("seed: [1]", "f:1: seed: expected integer, got list [1]"),
        ("seed: {a: 1}", "f:1: seed: expected integer, got a mapping"),
        ("seed: {}", "f:1: seed: expected integer, got a mapping"),
        ("seed: 1e3", "f:1: seed: expected integer, got double 1000.0"),
        (
            "seed: 9223372036854775808",
            "f:1: seed: expected integer, got integer 9223372036854775808",
        ),
        ("fast: 1", "f:1: fast: expected boolean, got integer 1"),
        ("fast: 'true'", "f:1: fast: expected boolean, got string 'true'"),
        ("topic: 5", "f:1: topic: expected string, got integer 5 (write it in quotes)"),
        ("topic: on", "f:1: topic: expected string, got boolean True (write it in quotes)"),
        ("limit: 0", "f:1: limit: expected integer >= 1 or null, got integer 0"),
        (
            "corner: [1, 2, 3]",
            "f:1: corner: expected list of 2 integers px, got list [1, 2, 3], which has 3",
        ),
        ("corner: 3", "f:1: corner: expected list of 2 integers px, got integer 3"),
        ("names: ab", "f:1: names: expected list of strings, got string 'ab'"),
        ("scales: [1, -2]", "f:1: scales: expected list of doubles >= 0, got integer -2"),
        ("level: 3", "f:1: level: expected integer out of 1, 2, 4, got integer 3"),
        (
            "solver.name: sgd",
            "f:1: solver.name: expected string out of adam, lm, got string 'sgd'",
        ),
        (
            "rate: .nan",
            "f:1: rate: expected double in [0, 1] 1/s, got double nan "
            "(NaN and infinity are not allowed)",
        ),
        (
            "solver: lm",
            "f:1: solver: expected a mapping of solver.name, solver.steps, solver.loss.scale",
        ),
        (
            "solver:\n  steps: 3\nsolver.steps: 4",
            "f:3: solver.steps is given twice (first on line 2)",
        ),
        ("- seed: 1", "f:1: expected a mapping of options ('name: value')"),
        (
            "/**:\n  seed: 1",
            "f:1: expected 'ros__parameters:' below '/**:', with the options in it",
        ),
        (
            "/**:\n  ros__parameters: {seed: 1}\nrate: 0.5",
            "f:3: rate stands outside of ros__parameters: move it below that key",
        ),
        (
            "/**:\n  ros__parameters: [1]",
            "f:2: expected a mapping of options below ros__parameters",
        ),
        (
            "/other:\n  ros__parameters: {seed: 1}",
            "f:1: expected a section '/**' or 'train' with ros__parameters, got /other",
        ),
        (
            "/**:\n  ros__parameters:\n    scales: [1, 0.5]",
            "f:3: scales: ROS wants list elements of one type: write 1.0 for 1",
        ),
    ],
)
def test_wrong_files_are_refused_with_line_key_expectation_and_remedy(text, message):
    assert refusal(parse, Everything, text, "train", "f") == message


def test_an_unknown_name_without_a_near_one_lists_the_known():
    assert refusal(parse, Needy, "qqq: 1") == (
        "<text>:1: unknown option qqq: known are checkpoint, size"
    )


def test_without_a_node_name_the_only_section_is_read_but_not_one_of_several():
    one = "/train:\n  ros__parameters: {seed: 7}\n"
    assert parse(Everything, one).seed == 7
    message = refusal(parse, Everything, one + "/bake:\n  ros__parameters: {seed: 8}\n")
    assert message == (
        "<text>:1: expected a section '/**' or '*' with ros__parameters, got /train, /bake"
    )


def test_a_file_without_the_section_is_left_alone_where_that_is_allowed(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("/other:\n  ros__parameters: {sed: 1}\n")
    assert file_values(Everything, path, "train", required=False) == {}


def test_integers_become_doubles_where_doubles_are_wanted():
    config = parse(Everything, "rate: 1\nscales: [2, 3]\n")
    assert (config.rate, config.scales) == (1.0, (2.0, 3.0))
    assert [type(number) for number in (config.rate, *config.scales)] == [float] * 3


@pytest.mark.parametrize("text", ["null", "~", "''", '""', "'null'"])
def test_nothing_is_written_as_null_or_as_an_empty_string(text):
    config = parse(Everything, f"limit: {text}\nlabel: {text}\n")
    assert config.limit is None
    assert config.label is None


def test_numbers_that_are_not_finite_need_permission():
    assert parse(Everything, "anything: .inf").anything == math.inf
    assert math.isnan(parse(Everything, "anything: .nan").anything)


def test_one_option_is_replaced_and_the_rest_kept():
    config = replace(Everything(seed=3), "solver.steps", 5)
    assert config == build(Everything, {"seed": 3, "solver.steps": 5})
    assert refusal(replace, config, "solver.steps", 0) == (
        "solver.steps: expected integer in [1, 1000], got integer 0"
    )
    assert refusal(replace, config, "solver.step", 1) == (
        "unknown option solver.step: did you mean solver.steps?"
    )


def test_a_configuration_built_by_hand_can_be_checked():
    assert check(Everything(rate=1)) == Everything(rate=1.0)
    assert type(check(Everything(rate=1)).rate) is float
    assert refusal(check, Everything(rate=-1)).startswith("rate: expected double in [0, 1]")


def test_a_required_option_must_be_given():
    assert refusal(parse, Needy, "size: 2") == "checkpoint: a value is required: string"
    assert parse(Needy, "checkpoint: field.pt") == Needy("field.pt")


def test_the_example_of_the_documentation_works(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    (code,) = re.findall(r"```python\n(from dataclasses.*?)```", text, re.DOTALL)
    (file,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "example.py").write_text(code)
    names = runpy.run_path(str(tmp_path / "example.py"), run_name="example")
    sys.modules["example"] = types.SimpleNamespace(**names)  # where type hints are looked up
    try:
        config = parse(names["EstimatorConfig"], file)
    finally:
        del sys.modules["example"]
    assert (config.learning_rate, config.max_range, config.tf.mode) == (0.001, 5.0, "base")


def test_values_are_listed_by_dotted_name_in_the_order_of_the_class():
    values = values_of(Everything())
    assert list(values) == [item.name for item in options(Everything)]
    assert values["solver.loss.scale"] == 0.25


def test_the_table_of_options_is_markdown_with_a_row_each():
    lines = describe(Everything).splitlines()
    assert lines[0] == "| Name | Type | Default | Unit | Range | Dynamic | Meaning |"
    assert len(lines) == 2 + len(options(Everything))
    cells = [re.split(r"(?<!\\)\|", line) for line in lines]
    assert {len(row) for row in cells} == {9}
    assert lines[2] == (
        "| `rate` | double | `0.01` | 1/s | in [0, 1] | no | Size of \\| a step. |"
    )
    assert '| `solver.name` | string | `"lm"` |  | `adam`, `lm` | no | The solver. |' in lines
    assert "| `solver.steps` | integer | `30` |  | in [1, 1000] | yes | Steps at most. |" in lines
    assert describe(Needy).splitlines()[2].startswith("| `checkpoint` | string | required |")


@dataclass(frozen=True)
class PlainField:
    """A mistake: not an option."""

    size: int = 3


@dataclass(frozen=True)
class WrongDefault:
    """A mistake: the default breaks its own bound."""

    size: int = option(3, doc="Size.", minimum=4)


@dataclass(frozen=True)
class IntegerDefault:
    """A mistake: an integer as default of a double."""

    size: float = option(3, doc="Size.")


@dataclass(frozen=True)
class StrangeType:
    """A mistake: a type that no parameter can have."""

    size: dict[str, int] = option(None, doc="Size.")


@dataclass(frozen=True)
class Ambiguous:
    """A mistake: a union."""

    size: int | str = option(3, doc="Size.")


@dataclass(frozen=True)
class MixedTuple:
    """A mistake: elements of several types."""

    size: tuple[int, str] = option((3, "a"), doc="Size.")


@pytest.mark.parametrize(
    ("config_class", "message"),
    [
        (PlainField, r"PlainField\.size is not declared with option"),
        (WrongDefault, r"the default of WrongDefault\.size: expected integer >= 4, got integer 3"),
        (IntegerDefault, r"the default of IntegerDefault\.size has another type"),
        (StrangeType, r"no option can have the type dict\[str, int\]"),
        (Ambiguous, r"no option can have the type int \| str: only X \| None is a union"),
        (MixedTuple, r"elements differ in type"),
    ],
)
def test_a_wrong_declaration_is_an_error_of_the_programmer(config_class, message):
    with pytest.raises(TypeError, match=message):
        options(config_class)
