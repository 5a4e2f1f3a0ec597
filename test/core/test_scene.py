"""Scene files: equal after a round trip, and one located line for everything wrong in them."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.symmetry import Symmetry, SymmetryAxis
from fast_inerf_ros.io.scene import (
    FieldReference,
    Scene,
    SceneObject,
    load_scene,
    parse_scene,
    save_scene,
)
from fast_inerf_ros.io.scene_text import write_scene

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "scene.md"

CANONICAL = """\
# A scene of fast_inerf_ros. Metres; T_target_source maps source to target; z is up.
version: 1
description: "kitchen"
frame_id: "map"
metric: true
field:
  checkpoint: "field.pt"
  metres_per_unit: 0.25
  T_world_field:
    translation: [0.1, -0.2, 0.3]
    quaternion_xyzw: [0.0, 0.0, 0.7071067811865476, 0.7071067811865476]
detector: "posecnn.pt"
landmarks: "landmarks.npz"
objects:
  - label: "mug"
    class_id: 1
    T_world_object:
      translation: [1.0, 2.0, 0.05]
      quaternion_xyzw: [0.0, 0.0, 0.0, 1.0]
    extent: [0.08, 0.08, 0.1]
    symmetry:
      axes:
        - axis: [0.0, 0.0, 1.0]
          offset: [0.0, 0.0, 0.0]
    mesh: "models/mug.obj"
  - label: "box"
    class_id: 2
    T_world_object:
      translation: [0.0, 0.0, 0.1]
      quaternion_xyzw: [0.0, 0.0, 0.0, 1.0]
    extent: [0.2, 0.1, 0.2]
    box_centre: [0.0, 0.0, 0.05]
    symmetry:
      discrete:
        - translation: [0.0, 0.0, 0.0]
          quaternion_xyzw: [0.0, 0.0, 1.0, 0.0]
"""

MINIMAL = "version: 1\nframe_id: map\nmetric: true\n"

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
VECTORS = st.tuples(NUMBERS, NUMBERS, NUMBERS)
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def poses(draw):
    """A pose with any translation and a rotation of any angle."""
    pose = SE3.random(np.random.default_rng(draw(SEEDS)))
    return SE3(pose.rotation, np.array(draw(VECTORS)))


@st.composite
def axes(draw):
    direction = np.random.default_rng(draw(SEEDS)).standard_normal(3)
    return SymmetryAxis(tuple((direction / np.linalg.norm(direction)).tolist()), draw(VECTORS))


@st.composite
def scenes(draw):
    """Any valid scene, with at most one object of each class."""
    lengths = st.floats(1e-6, 1e6)
    objects = [
        SceneObject(
            label=f"{draw(TEXTS)}{class_id}",
            class_id=class_id,
            T_world_object=draw(poses()),
            extent=draw(st.tuples(lengths, lengths, lengths)),
            box_centre=draw(VECTORS),
            symmetry=Symmetry(
                tuple(draw(st.lists(axes(), max_size=2))),
                tuple(draw(st.lists(poses(), max_size=2))),
            ),
            mesh=draw(st.none() | st.just("models/a b.obj")),
        )
        for class_id in range(1, draw(st.integers(1, 4)))
    ]
    field = draw(st.none() | st.builds(FieldReference, TEXTS.filter(bool), lengths, poses()))
    return Scene(
        frame_id=draw(st.sampled_from(["map", "robot/world", "küche"])),
        metric=draw(st.booleans()),
        field=field,
        objects=objects,
        detector=draw(st.none() | st.just("net.pt")),
        landmarks=draw(st.none() | st.just("../map.npz")),
        description=draw(TEXTS),
    )


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_scene(text, source="s")
    message = str(caught.value)
    assert "\n" not in message
    return message


@settings(deadline=None, derandomize=True, max_examples=80)
@given(scenes())
def test_a_written_scene_reads_back_exactly_equal_and_writes_the_same_text(scene):
    text = write_scene(scene)
    again = parse_scene(text)
    assert again == scene
    assert write_scene(again) == text
    for item, other in zip(scene.objects, again.objects, strict=True):
        np.testing.assert_array_equal(
            item.T_world_object.matrix(), other.T_world_object.matrix(), strict=True
        )


def test_a_canonical_file_is_written_back_to_the_letter(tmp_path):
    path = tmp_path / "scene.yaml"
    path.write_text(CANONICAL)
    save_scene(load_scene(path, check_files=False), path)
    assert path.read_text() == CANONICAL


def test_a_file_gives_what_it_says():
    scene = parse_scene(CANONICAL)
    assert (scene.frame_id, scene.metric, scene.description) == ("map", True, "kitchen")
    assert scene.field.metres_per_unit == 0.25
    quarter_turn = [[0, -1, 0, 0.1], [1, 0, 0, -0.2], [0, 0, 1, 0.3], [0, 0, 0, 1]]
    np.testing.assert_allclose(scene.field.T_world_field.matrix(), quarter_turn, atol=1e-15)
    mug, box = scene.objects
    np.testing.assert_array_equal(mug.T_world_object.translation, [1.0, 2.0, 0.05])
    assert mug.symmetry == Symmetry((SymmetryAxis((0.0, 0.0, 1.0)),))
    assert mug.extent == (0.08, 0.08, 0.1)
    assert box.box_centre == (0.0, 0.0, 0.05)
    np.testing.assert_allclose(
        box.symmetry.discrete[0].matrix(), np.diag([-1.0, -1.0, 1.0, 1.0]), atol=1e-15
    )


def test_the_example_of_the_documentation_is_a_valid_canonical_file():
    blocks = re.findall(r"```yaml\n(# A scene.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    assert len(blocks) == 1
    scene = parse_scene(blocks[0])
    assert scene.objects
    assert scene.field is not None
    assert write_scene(scene) == blocks[0]


def test_only_version_frame_and_scale_are_required():
    scene = parse_scene(MINIMAL)
    assert scene == Scene("map")
    assert scene.field is None
    assert scene.objects == ()


def test_a_matrix_is_read_like_the_pose_it_means():
    pose = SE3.random(np.random.default_rng(3))
    rows = pose.matrix().tolist()
    for written in (str(rows), str([number for row in rows for number in row])):
        text = f"{MINIMAL}field:\n  checkpoint: f.pt\n  T_world_field: {written}\n"
        read = parse_scene(text).field.T_world_field
        np.testing.assert_allclose(read.matrix(), pose.matrix(), atol=1e-15)


def test_equality_sees_every_number():
    scene = parse_scene(CANONICAL)
    mug, box = scene.objects
    shifted = SE3(mug.T_world_object.rotation, np.array([1.0, 2.0, np.nextafter(0.05, 1)]))
    moved = dataclasses.replace(mug, T_world_object=shifted)
    assert scene == dataclasses.replace(scene, objects=(mug, box))
    assert scene != dataclasses.replace(scene, objects=(moved, box))
    assert scene != dataclasses.replace(scene, objects=(box, mug))
    assert scene == dataclasses.replace(scene, folder=Path("elsewhere"))
    assert hash(scene) == hash(parse_scene(CANONICAL))


def test_objects_are_found_by_class():
    mug, box = parse_scene(CANONICAL).objects
    second = dataclasses.replace(mug, T_world_object=SE3.identity())
    scene = Scene("map", objects=(mug, box, second))
    assert scene.objects_by_class() == {1: (mug, second), 2: (box,)}
    assert scene.objects_labelled("mug") == (mug, second)
    assert scene.objects_labelled("cup") == ()


def test_paths_are_relative_to_the_file_and_kept_as_written(tmp_path):
    (tmp_path / "kitchen" / "models").mkdir(parents=True)
    for name in ("field.pt", "posecnn.pt", "landmarks.npz", "models/mug.obj"):
        (tmp_path / "kitchen" / name).touch()
    path = tmp_path / "kitchen" / "scene.yaml"
    path.write_text(CANONICAL)
    scene = load_scene(path)
    assert scene.field.checkpoint == "field.pt"
    assert scene.resolve(scene.field.checkpoint) == tmp_path / "kitchen" / "field.pt"
    assert scene.resolve("/absolute.pt") == Path("/absolute.pt")
    with pytest.raises(InputError, match=r"field\.pt is relative to a scene file"):
        parse_scene(CANONICAL).resolve("field.pt")


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("field.pt", ":7: field.checkpoint: expected a file at {path}, got none: train the field"),
        ("posecnn.pt", ":12: detector: expected a file at {path}, got none: train the detector"),
        ("landmarks.npz", ":13: landmarks: expected a file at {path}, got none: make the land"),
        ("models/mug.obj", ":25: objects[0].mesh: expected a file at {path}, got none: correct"),
    ],
)
def test_a_missing_file_is_named_with_its_key_line_and_remedy(tmp_path, missing, message):
    (tmp_path / "models").mkdir()
    for name in {"field.pt", "posecnn.pt", "landmarks.npz", "models/mug.obj"} - {missing}:
        (tmp_path / name).touch()
    path = tmp_path / "scene.yaml"
    path.write_text(CANONICAL)
    with pytest.raises(InputError) as caught:
        load_scene(path)
    assert str(caught.value).startswith(str(path) + message.format(path=tmp_path / missing))
    assert load_scene(path, check_files=False) == parse_scene(CANONICAL)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version: 1\n", "", "s:2: expected a scene with 'version: 1' at its top, got none"),
        (
            "version: 1",
            "version: 2",
            "s:2: expected version 1 of the scene file, got 2: use the release of "
            "fast_inerf_ros that wrote it, or a newer one",
        ),
        ("version: 1", "version: true", "s:2: expected version 1 of the scene file, got True"),
        ('frame_id: "map"\n', "", "s:2: scene: the key frame_id is missing"),
        ("metric: true", "metrik: true", "s:5: scene: unknown key metrik: did you mean metric?"),
        ("metric: true", "metric: 1", "s:5: metric: expected boolean, got integer 1"),
        ('"map"', '"/map"', "s:4: frame_id: expected the name of a frame without spaces or a l"),
        ('"map"', '"my map"', "s:4: frame_id: expected the name of a frame without spaces or a"),
        ('"map"', '""', "s:4: frame_id: expected the name of a frame without spaces or a lead"),
        ("0.25", "0", "s:8: field.metres_per_unit: expected double >= 1e-09, got integer 0"),
        ("0.25", "-1.0", "s:8: field.metres_per_unit: expected double >= 1e-09, got double -1.0"),
        ('"field.pt"', '""', "s:7: field.checkpoint: expected the path of a trained field, got n"),
        ('"field.pt"', "5", "s:7: field.checkpoint: expected string, got integer 5 (write it in"),
        (
            "[0.1, -0.2, 0.3]",
            "[0.1, .nan, 0.3]",
            "s:10: field.T_world_field.translation: expected list of 3 doubles, got double nan "
            "(NaN and infinity are not allowed)",
        ),
        (
            "[0.1, -0.2, 0.3]",
            "[0.1, 0.3]",
            "s:10: field.T_world_field.translation: expected list of 3 doubles, got list "
            "[0.1, 0.3], which has 2",
        ),
        (
            "0.7071067811865476, 0.7071067811865476",
            "0.7, 0.7",
            "s:9: field.T_world_field: expected unit quaternions",
        ),
        (
            "translation: [1.0, 2.0, 0.05]",
            "position: [1.0, 2.0, 0.05]",
            "s:18: objects[0].T_world_object: unknown key position: known are translation, "
            "quaternion_xyzw",
        ),
        (
            "      translation: [1.0, 2.0, 0.05]\n",
            "",
            "s:17: objects[0].T_world_object: the key translation is missing",
        ),
        (
            "class_id: 1",
            "class_id: 0",
            "s:16: objects[0].class_id: expected integer in [1, 65535]",
        ),
        ('label: "mug"', 'label: ""', "s:15: objects[0].label: expected the name of a class, got"),
        (
            "[0.08, 0.08, 0.1]",
            "[0.08, -0.08, 0.1]",
            "s:20: objects[0].extent: expected list of 3 doubles >= 1e-06 m, got double -0.08",
        ),
        (
            "[0.08, 0.08, 0.1]",
            "0.1",
            "s:20: objects[0].extent: expected list of 3 doubles >= 1e-0",
        ),
        (
            "axis: [0.0, 0.0, 1.0]",
            "axis: [0.0, 0.0, 2.0]",
            "s:23: objects[0].symmetry.axes[0]: expected a symmetry axis of length 1, got "
            "[0.0, 0.0, 2.0]: normalise it",
        ),
        (
            "discrete:",
            "planes:",
            "s:34: objects[1].symmetry: unknown key planes: known are axes, discrete",
        ),
        (
            'label: "box"',
            'label: "mug"',
            "s:26: objects[1]: expected one label for each class_id and one class_id for each "
            "label, got 'mug' with 2 beside 'mug' with 1",
        ),
        ("class_id: 2", "class_id: 1", "s:26: objects[1]: expected one label for each class_id"),
    ],
)
def test_each_mistake_is_one_line_with_place_and_key(old, new, message):
    assert CANONICAL.count(old) >= 1
    assert refusal(CANONICAL.replace(old, new, 1)).startswith(message)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.diag([2.0, 1, 1, 1]), r"expected rotation matrices with \|RᵀR - I\| <= 0.0001"),
        (np.diag([-1.0, 1, 1, 1]), r"determinant \+1, got a reflection"),
        (np.eye(4)[:3], r"or a 4x4 matrix, got 12 numbers"),
        (np.eye(4) + 1e-3 * np.eye(4, k=-3), r"the last row 0, 0, 0, 1, got another one"),
    ],
)
def test_a_matrix_that_is_no_pose_is_refused(matrix, message):
    text = f"{MINIMAL}field:\n  checkpoint: f.pt\n  T_world_field: {matrix.tolist()}\n"
    assert re.search(rf"\As:6: field\.T_world_field: .*{message}", refusal(text))


def test_nan_in_a_matrix_is_refused():
    rows = str(np.eye(4).tolist()).replace("1.0", ".nan", 1)
    text = f"{MINIMAL}field:\n  checkpoint: f.pt\n  T_world_field: {rows}\n"
    assert refusal(text).startswith("s:6: field.T_world_field: expected list of doubles, got doub")


def test_the_same_object_twice_is_refused():
    first = CANONICAL.index('  - label: "mug"')
    second = CANONICAL.index('  - label: "box"')
    assert refusal(CANONICAL + CANONICAL[first:second]) == (
        "s:37: objects[2]: 'mug' is listed twice with the same pose: drop one of the two"
    )


@pytest.mark.parametrize("text", ["- 1\n", "", "objects: {}\n"])
def test_a_file_that_is_no_scene_is_refused(text):
    assert refusal(text) == "s:1: expected a scene with 'version: 1' at its top, got none"


def test_lists_and_mappings_in_each_others_place_are_refused():
    assert refusal(MINIMAL + "objects: {}\n") == "s:4: objects: expected a list ('- ...')"
    assert refusal(MINIMAL + "field: []\n") == (
        "s:4: field: expected a mapping of checkpoint, metres_per_unit, T_world_field"
    )


def test_scenes_built_by_hand_are_checked_too():
    with pytest.raises(InputError, match=r"extent: expected list of 3 doubles >= 1e-06 m"):
        SceneObject("mug", 1, SE3.identity(), (0.1, 0.1, -0.1))
    with pytest.raises(InputError, match=r"expected one pose, got a batch of shape \(2,\)"):
        SceneObject("mug", 1, SE3.identity((2,)), (0.1, 0.1, 0.1))
    with pytest.raises(InputError, match="metres_per_unit: expected double"):
        FieldReference("field.pt", 0.0)


def test_saving_replaces_the_file_as_a_whole(tmp_path):
    path = tmp_path / "scene.yaml"
    save_scene(parse_scene(CANONICAL), path)
    save_scene(parse_scene(MINIMAL), path)
    assert load_scene(path) == parse_scene(MINIMAL)
    assert [entry.name for entry in tmp_path.iterdir()] == ["scene.yaml"]
