"""Strict YAML: the values of ROS parameter files, with the line of every error."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fast_inerf_ros.config.yaml_text import parse_yaml, read_yaml, resolve_scalar, yaml_value
from fast_inerf_ros.errors import InputError

PROPERTY = settings(deadline=None, derandomize=True, max_examples=200)

SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(st.characters(codec="utf-8"))
)


def same(first: object, second: object) -> bool:
    """Whether two values are equal and of equal type, with NaN equal to itself."""
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    if type(first) is not type(second):
        return False
    if isinstance(first, float) and math.isnan(first):
        return math.isnan(second)
    return repr(first) == repr(second)


@PROPERTY
@given(st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4), max_leaves=8))
def test_written_values_read_back_equal_and_of_the_same_type(value):
    document = parse_yaml(f"key: {yaml_value(value)}\n")
    assert same(document.plain()["key"], value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("+3", 3),
        ("0x1F", 31),
        (".inf", math.inf),
        ("-inf", -math.inf),
        ("on", True),
        ("No", False),
        ("tRue", "tRue"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("1e400", "1e400"),
        ("null", None),
        ("~", None),
    ],
)
def test_plain_scalars_have_the_types_of_ros_parameter_files(text, value):
    assert same(resolve_scalar(text), value)
    assert same(parse_yaml(f"key: {text}").plain()["key"], value)


def test_quotes_make_a_text_of_anything():
    document = parse_yaml("a: '1'\nb: \"yes\"\nc: ''\nd: |\n  text\n")
    assert document.plain() == {"a": "1", "b": "yes", "c": "", "d": "text\n"}


def test_values_know_their_lines():
    document = parse_yaml("a: 1\nb:\n  c:\n  - 5\n  - {d: 6}\n")
    assert document.at("b.c").line == 3
    assert document.at("b.c[0]").line == 4
    assert document.at("b.c[1].d").content == 6
    assert document.at("b.c[1].d").line == 5


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n"])
def test_an_empty_file_is_an_empty_mapping(text):
    assert parse_yaml(text).plain() == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n\tb: 1\n", "f:2: a tab where YAML wants spaces: indent with spaces"),
        ("a: 1\nb: 2\na: 3\n", "f:3: duplicate key 'a' (first on line 1): keep one of the two"),
        ("a:\n  b: 1\n  b: 2\n", "f:3: duplicate key 'b' (first on line 2): keep one of the two"),
        (
            "a: !!python/object/apply:os.system ['echo']\n",
            "f:1: the tag !!python/object/apply:os.system is not allowed: write a plain value",
        ),
        ("a: !!str 5\n", "f:1: the tag !!str is not allowed: write a plain value"),
        ("\na: !own {}\n", "f:2: the tag !own is not allowed: write a plain value"),
        (
            "a: &x 1\nb: *x\n",
            "f:1: anchors and aliases ('&', '*') are not supported: write the value out",
        ),
        ("a: 1\n---\nb: 2\n", "f:3: expected one YAML document, got a second one ('---')"),
        ("a: [1, 2\n", "f:2: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 'text\n", "f:2: not valid YAML: found unexpected end of stream"),
        ("? [a, b]\n: 1\n", "f:1: expected a name as key, got a list or a mapping"),
        ("<<: {a: 1}\n", "f:1: merge keys ('<<') are not supported: write it out"),
        ("a: 1\nb:\n", "f:2: expected a value, got nothing: write one, or null"),
        ("a: 010\n", "f:1: 010 has a leading zero: drop it, or quote it if it is a text"),
        ("a: 1\nb: \x07\n", "f:2: not valid YAML: special characters are not allowed"),
    ],
)
def test_anything_else_is_refused_in_one_line_with_its_place(text, message):
    with pytest.raises(InputError) as caught:
        parse_yaml(text, source="f")
    assert str(caught.value) == message


@PROPERTY
@given(st.text(st.sampled_from("abc:-?[]{}\n\t '\"!&*#|>%@`0 1."), max_size=40))
def test_no_text_breaks_the_reader_other_than_with_one_located_line(text):
    with contextlib.suppress(InputError):
        parse_yaml(text, source="f")
        return
    with pytest.raises(InputError, match=r"\Af:[0-9]+: [^\n]+\Z"):
        parse_yaml(text, source="f")


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml: cannot read this file: No such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="cannot read this file: Is a directory"):
        read_yaml(tmp_path)
    (tmp_path / "binary").write_bytes(b"a: \xff\xfe")
    with pytest.raises(InputError, match="expected UTF-8 text, got bytes at 3"):
        read_yaml(tmp_path / "binary")


def test_lists_are_read_as_launch_files_pass_them_on():
    text = "cameras: !!python/tuple\n- front\n- rear\nscales: !!python/tuple [1.0, 2.0]\n"
    assert parse_yaml(text).plain() == {"cameras": ["front", "rear"], "scales": [1.0, 2.0]}
    with pytest.raises(InputError, match="python/tuple is not allowed"):
        parse_yaml("a: !!python/tuple 5\n")
