"""Options as ROS 2 parameters, on real nodes of this process and of another one."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import parameter_node
import pytest
import rclpy
from parameter_node import Settings, Transform
from processes import PATIENCE_S, REPOSITORY
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.parameter import Parameter

from fast_inerf_ros.config import dump, parse
from fast_inerf_ros.config.yaml_text import resolve_scalar
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.nodes.parameters import check_params_files, declare_parameters


@pytest.fixture
def make_node(tmp_path):
    """Make nodes started with the text of a parameter file; ended after the test."""
    made = []

    def make(text="", kind=Node, arguments=(), name="settings_node", **options):
        path = tmp_path / f"params{len(made)}.yaml"
        path.write_text(text)
        context = Context()
        rclpy.init(
            args=["test", "--ros-args", "--params-file", str(path), *arguments], context=context
        )
        made.append((kind(name, context=context, **options), context))
        return made[-1][0]

    yield make
    for node, context in made:
        node.destroy_node()
        rclpy.shutdown(context=context)


def section_of(*lines: str) -> str:
    return "/**:\n  ros__parameters:\n" + "".join(f"    {line}\n" for line in lines)


@pytest.mark.parametrize("kind", [Node, LifecycleNode])
def test_a_node_without_parameters_has_the_defaults(make_node, kind):
    node = make_node(kind=kind)
    assert declare_parameters(node, Settings) == Settings()
    assert node.get_parameter("learning_rate").value == 0.5
    assert node.get_parameter("tf.mode").value == "camera"
    assert node.get_parameter("names").value == ["a"]


@pytest.mark.parametrize("kind", [Node, LifecycleNode])
def test_a_parameter_file_gives_the_values(make_node, kind):
    text = section_of(
        *["learning_rate: 1e-3", "steps: 0x10", "topic: '5'", "hurry: on", "limit: 3"],
        *["label: cup", "scales: [2, 3]", "names: [b, c]", "tf: {mode: base, delay: 1}"],
    )
    config = declare_parameters(make_node(text, kind), Settings)
    assert config == Settings(
        learning_rate=0.001,
        steps=16,
        topic="5",
        hurry=True,
        limit=3,
        label="cup",
        scales=(2.0, 3.0),
        names=["b", "c"],
        tf=Transform("base", 1.0),
    )
    assert config == parse(Settings, text)


def test_an_integer_is_taken_for_a_double_and_stored_as_one(make_node):
    node = make_node(section_of("learning_rate: 1", "scales: [1, 2]"))
    config = declare_parameters(node, Settings)
    assert type(config.learning_rate) is float
    assert node.get_parameter("learning_rate").type_ == Parameter.Type.DOUBLE
    assert node.get_parameter("scales").type_ == Parameter.Type.DOUBLE_ARRAY


@pytest.mark.parametrize("text", ["null", "~", "''"])
def test_null_and_the_empty_string_mean_nothing(make_node, text):
    config = declare_parameters(
        make_node(section_of(f"limit: {text}", f"label: {text}")), Settings
    )
    assert (config.limit, config.label) == (None, None)


def test_an_empty_list_is_a_value(make_node):
    config = declare_parameters(make_node(section_of("scales: []", "names: []")), Settings)
    assert (config.scales, config.names) == ((), [])


def test_a_dumped_configuration_starts_a_node_with_the_same(make_node):
    config = Settings(1.0, label="ü \"'\\\n\t#: ", limit=-3, names=["", "on", "1"], scales=(1e-7,))
    assert declare_parameters(make_node(dump(config)), Settings) == config


def test_parameters_of_the_command_line_and_of_the_constructor_count_too(make_node):
    node = make_node(
        section_of("steps: 3"),
        arguments=["-p", "learning_rate:=1", "-p", "tf.mode:=base"],
        parameter_overrides=[Parameter("steps", value=4), Parameter("names", value=[])],
    )
    assert declare_parameters(node, Settings) == Settings(
        1.0, steps=4, names=[], tf=Transform("base")
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lerning_rate: 0.5", "unknown option lerning_rate: did you mean learning_rate?"),
        ("tf: {mod: base}", "unknown option tf.mod: did you mean tf.mode?"),
        ("use_sim_tme: true", "unknown option use_sim_tme: did you mean use_sim_time?"),
        ("qqq: 1", "unknown option qqq: known are learning_rate, steps,"),
    ],
)
def test_a_name_that_nobody_knows_stops_the_node(make_node, line, message):
    with pytest.raises(InputError) as caught:
        declare_parameters(make_node(section_of(line)), Settings)
    assert str(caught.value).startswith(f"parameters of /settings_node: {message}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("learning_rate: 2", r"learning_rate: expected double in \[0, 1\] 1/s, got integer 2"),
        ("learning_rate: .nan", r"learning_rate: .* \(NaN and infinity are not allowed\)"),
        ("learning_rate: fast", r"learning_rate: expected double .*, got string 'fast'"),
        ("steps: 1.5", "steps: expected integer >= 1, got double 1.5"),
        ("steps: true", "steps: expected integer >= 1, got boolean True"),
        ("topic: 5", r"topic: expected string, got integer 5 \(write it in quotes\)"),
        ("tf: {mode: odom}", "tf.mode: expected string out of camera, base, got string 'odom'"),
        ("scales: [1.0, -1.0]", "scales: expected list of doubles >= 0, got double -1.0"),
        ("low: 3", r"low: expected at most high \(2\), got 3"),
    ],
)
def test_a_wrong_value_stops_the_node_with_what_was_expected(make_node, line, message):
    with pytest.raises(InputError, match=message):
        declare_parameters(make_node(section_of(line)), Settings)


def test_parameters_that_every_node_has_pass(make_node):
    node = make_node(
        section_of(
            "use_sim_time: true",
            "start_type_description_service: false",
            "qos_overrides: {/parameter_events: {publisher: {depth: 5}}}",
        )
    )
    assert declare_parameters(node, Settings) == Settings()
    assert node.get_parameter("use_sim_time").value is True


def test_parameters_that_the_node_declared_itself_pass(make_node):
    node = make_node(section_of("own: 3"))
    node.declare_parameter("own", 1)
    assert declare_parameters(node, Settings) == Settings()


def test_descriptors_carry_meaning_unit_bounds_and_whether_it_may_change(make_node):
    node = make_node()
    declare_parameters(node, Settings)
    rate = node.describe_parameter("learning_rate")
    assert rate.description == "Step. [1/s]"
    assert rate.additional_constraints == "double in [0, 1] 1/s"
    assert (rate.floating_point_range[0].from_value, rate.floating_point_range[0].to_value) == (
        0,
        1,
    )
    assert not rate.read_only
    steps = node.describe_parameter("steps").integer_range[0]
    assert (steps.from_value, steps.to_value, steps.step) == (1, 2**63 - 1, 0)
    assert node.describe_parameter("topic").read_only
    assert len(node.describe_parameter("topic").integer_range) == 0


@pytest.fixture
def live(make_node):
    """A started node and the configurations that its changes gave."""
    node = make_node()
    seen: list[Settings] = []
    declare_parameters(node, Settings, seen.append)
    return node, seen


def change(node, **values):
    parameters = [
        Parameter(name.replace("__", "."), value=value) for name, value in values.items()
    ]
    return node.set_parameters_atomically(parameters)


def test_a_change_arrives_as_a_new_configuration(live):
    node, seen = live
    assert change(node, learning_rate=0.25, tf__delay=2.0).successful
    assert change(node, scales=[]).successful
    expected = Settings(0.25, tf=Transform(delay=2.0))
    assert seen == [expected, dataclasses.replace(expected, scales=())]


def test_a_live_integer_is_taken_for_a_double(live):
    node, seen = live
    assert change(node, learning_rate=1, scales=[2, 3]).successful
    assert seen == [Settings(1.0, scales=(2.0, 3.0))]
    assert type(seen[0].learning_rate) is float


def test_a_live_value_can_be_taken_back_to_nothing(live):
    node, seen = live
    assert change(node, limit=3).successful
    assert change(node, limit="").successful
    assert [config.limit for config in seen] == [3, None]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"learning_rate": 2.0}, "Parameter learning_rate out of range"),
        ({"learning_rate": 2}, "learning_rate: expected double in [0, 1] 1/s, got integer 2"),
        ({"learning_rate": float("nan")}, "Parameter learning_rate out of range"),
        ({"learning_rate": "fast"}, "learning_rate: expected double in [0, 1] 1/s, got string"),
        ({"learning_rate": None}, "learning_rate: an option cannot be deleted, only set"),
        ({"steps": 0}, "Parameter steps out of range"),
        ({"limit": 1.5}, "limit: expected integer or null, got double 1.5"),
        ({"scales": [1.0, -1.0]}, "scales: expected list of doubles >= 0, got double -1.0"),
        ({"topic": "other"}, "Trying to set a read-only parameter: topic"),
        ({"low": 5}, "low: expected at most high (2), got 5"),
    ],
)
def test_a_refused_change_says_why_and_changes_nothing(live, values, reason):
    node, seen = live
    before = node.get_parameter("hurry").value
    result = change(node, hurry=not before, **values)
    assert not result.successful
    assert result.reason.startswith(reason)
    assert seen == []
    assert node.get_parameter("hurry").value == before
    assert change(node, steps=11).successful
    assert seen == [Settings(steps=11)]


def test_options_that_depend_on_each_other_change_together(live):
    node, seen = live
    assert change(node, low=5, high=6).successful
    assert seen == [Settings(low=5, high=6)]


def test_a_change_that_another_callback_refuses_is_not_announced(live):
    node, seen = live
    if not hasattr(node, "add_post_set_parameters_callback"):
        pytest.skip("needs ROS 2 Iron or newer")
    refusal = SetParametersResult(successful=False, reason="not now")
    node.add_on_set_parameters_callback(lambda parameters: refusal)
    assert change(node, steps=11).reason == "not now"
    assert seen == []


def test_changes_of_other_parameters_are_none_of_ours(live):
    node, seen = live
    node.declare_parameter("own", 1)
    assert change(node, own=2, use_sim_time=True).successful
    assert seen == []


def test_parameter_files_are_checked_with_line_numbers_before_ros_reads_them(tmp_path):
    path = tmp_path / "params.yaml"
    arguments = ["node", "--ros-args", "--params-file", str(path)]
    for text, message in [
        (section_of("steps: 3", "steps: 4"), ":4: duplicate key 'steps' (first on line 3)"),
        ("/**:\n\tros__parameters: {}\n", ":2: a tab where YAML wants spaces"),
        (section_of("lerning_rate: 1"), ":3: unknown option lerning_rate: did you mean learning"),
        (section_of("steps: 0"), ":3: steps: expected integer >= 1, got integer 0"),
    ]:
        path.write_text(text)
        with pytest.raises(InputError) as caught:
            check_params_files(Settings, "settings_node", arguments)
        assert str(caught.value).startswith(f"{path}{message}")
    path.write_text("/other:\n  ros__parameters: {qqq: 1}\n")
    check_params_files(Settings, "settings_node", arguments)


WORDS = """
y Y yes Yes YES n no On off OFF true TRUE tRue oN 0 -1 +5 0x10 -0X1f 1e3 1e-3 1E5 -1e-3 +1e3 1.
.5 -.5 . + 1.5e+3 nan .nan .NaN inf -inf +.inf -.Inf infinity 1_000 12:30 2024-01-01 1e e3 1,2 3m
9223372036854775807 -9223372036854775808 1e400 abc 0b101 0o17 0x 1d3
"""


def test_plain_scalars_mean_the_same_to_the_parser_of_ros(make_node):
    words = WORDS.split()
    node = make_node(section_of(*(f"s{index}: {word}" for index, word in enumerate(words))))
    declared = [
        node.declare_parameter(f"s{index}", None, ParameterDescriptor(dynamic_typing=True))
        for index in range(len(words))
    ]
    ros = {word: repr(item.value) for word, item in zip(words, declared, strict=True)}
    assert ros == {word: repr(resolve_scalar(word)) for word in words}


class NodeProcess:
    """parameter_node.py in a process of its own; ended by its id."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, parameter_node.__file__, "--ros-args", *arguments],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=PATIENCE_S)

    def line(self):
        return self.process.stdout.readline().rstrip("\n")


def test_a_node_of_another_process_takes_a_file_and_live_changes(tmp_path, make_node):
    path = tmp_path / "own.yaml"
    path.write_text("/settings_node:\n  ros__parameters: {learning_rate: 1, tf: {mode: base}}\n")
    client_node = make_node(name="client")
    with NodeProcess("--params-file", str(path)) as other:
        start = Settings(1.0, tf=Transform("base"))
        assert other.line() == str(start)
        assert call(client_node, SetParameters, steps=7, learning_rate=7) == [
            (True, ""),
            (False, "learning_rate: expected double in [0, 1] 1/s, got integer 7"),
        ]
        assert other.line() == str(dataclasses.replace(start, steps=7))
        refused = call(client_node, SetParametersAtomically, low=9, hurry=True)
        assert refused == [(False, "low: expected at most high (2), got 9")]
        accepted = call(client_node, SetParametersAtomically, low=9, high=10)
        assert accepted == [(True, "")]
        assert other.line() == str(dataclasses.replace(start, steps=7, low=9, high=10))


def call(node, kind, **values):
    """Set parameters of the other process by a service; return (successful, reason) of each."""
    name = "set_parameters" if kind is SetParameters else "set_parameters_atomically"
    client = node.create_client(kind, f"/settings_node/{name}")
    assert client.wait_for_service(PATIENCE_S)
    messages = [
        ParameterMessage(name=name, value=Parameter(name, value=value).get_parameter_value())
        for name, value in values.items()
    ]
    future = client.call_async(kind.Request(parameters=messages))
    executor = rclpy.executors.SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    executor.spin_until_future_complete(future, PATIENCE_S)
    executor.shutdown()
    response = future.result()
    results = response.results if kind is SetParameters else [response.result]
    return [(result.successful, result.reason) for result in results]


def test_a_misspelt_name_ends_the_process_with_one_line(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(section_of("lerning_rate: 1"))
    for arguments, place in [
        (["--params-file", str(path)], f"{path}:3"),
        (["-p", "lerning_rate:=1"], "parameters of /settings_node"),
    ]:
        with NodeProcess(*arguments) as other:
            output, errors = other.process.communicate(timeout=PATIENCE_S)
            assert other.process.returncode == 2
            assert (output, errors) == (
                "",
                f"error: {place}: unknown option lerning_rate: did you mean learning_rate?\n",
            )
