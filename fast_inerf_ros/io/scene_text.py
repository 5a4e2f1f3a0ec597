"""The text of a scene file, read and written; docs/scene.md describes it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fast_inerf_ros.config.value_rule import Value, ValueRule
from fast_inerf_ros.config.yaml_text import Located, yaml_value
from fast_inerf_ros.errors import InputError, suggestion
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.stored_pose import StoredPose
from fast_inerf_ros.geometry.symmetry import Symmetry, SymmetryAxis
from fast_inerf_ros.io.scene_description import (
    FIELD_RULES,
    OBJECT_RULES,
    SCENE_RULES,
    FieldReference,
    Scene,
    SceneError,
    SceneObject,
)

VERSION = 1
_HEADER = "# A scene of fast_inerf_ros. Metres; T_target_source maps source to target; z is up."
_NUMBERS = ValueRule(float, container=tuple)
_VECTOR = ValueRule(float, container=tuple, length=3)
_QUATERNION = ValueRule(float, container=tuple, length=4)
_AXIS_KEYS = ("axis", "offset")
_POSE_KEYS = ("translation", "quaternion_xyzw")

Read = TypeVar("Read")


def read_scene(document: Located, folder: Path | None) -> Scene:
    """Make a scene of a parsed file; InputError with file and line where it is wrong."""
    _require_version(document)
    required = ("version", "frame_id", "metric")
    entries = _entries(document, "scene", required, (*SCENE_RULES, "field", "objects"))
    values: dict[str, Any] = _checked(entries, SCENE_RULES, "")
    if "field" in entries:
        values["field"] = _field(entries["field"])
    if "objects" in entries:
        values["objects"] = _listed(entries["objects"], "objects", _object)
    return _built(document, "", lambda: Scene(folder=folder, **values))


def write_scene(scene: Scene) -> str:
    """Write a scene in its canonical form, which `read_scene` reads back equal."""
    lines = [_HEADER, f"version: {VERSION}"]
    if scene.description:
        lines.append(f"description: {yaml_value(scene.description)}")
    lines += [f"frame_id: {yaml_value(scene.frame_id)}", f"metric: {yaml_value(scene.metric)}"]
    if scene.field is not None:
        lines += ["field:", *_indented(_field_lines(scene.field))]
    for key in ("detector", "landmarks"):
        if getattr(scene, key) is not None:
            lines.append(f"{key}: {yaml_value(getattr(scene, key))}")
    if scene.objects:
        lines += ["objects:", *_items(_object_lines(item) for item in scene.objects)]
    return "\n".join(lines) + "\n"


def _require_version(document: Located) -> None:
    content = document.content
    if not isinstance(content, dict) or "version" not in content:
        raise document.error(f"expected a scene with 'version: {VERSION}' at its top, got none")
    version = content["version"]
    if version.content is True or version.content != VERSION:
        raise version.error(
            f"expected version {VERSION} of the scene file, got {version.plain()!r}: "
            "use the release of fast_inerf_ros that wrote it, or a newer one"
        )


def _field(located: Located) -> FieldReference:
    entries = _entries(located, "field", ("checkpoint",), ("metres_per_unit", "T_world_field"))
    values: dict[str, Any] = _checked(entries, FIELD_RULES, "field.")
    if "T_world_field" in entries:
        values["T_world_field"] = _pose(entries["T_world_field"], "field.T_world_field")
    return _built(located, "field", lambda: FieldReference(**values))


def _object(located: Located, name: str) -> SceneObject:
    required = ("label", "class_id", "T_world_object", "extent")
    entries = _entries(located, name, required, ("box_centre", "symmetry", "mesh"))
    values: dict[str, Any] = _checked(entries, OBJECT_RULES, f"{name}.")
    values["T_world_object"] = _pose(entries["T_world_object"], f"{name}.T_world_object")
    if "symmetry" in entries:
        values["symmetry"] = _symmetry(entries["symmetry"], f"{name}.symmetry")
    return _built(located, name, lambda: SceneObject(**values))


def _symmetry(located: Located, name: str) -> Symmetry:
    entries = _entries(located, name, (), ("axes", "discrete"))
    axes: tuple[SymmetryAxis, ...] = ()
    discrete: tuple[SE3, ...] = ()
    if "axes" in entries:
        axes = _listed(entries["axes"], f"{name}.axes", _axis)
    if "discrete" in entries:
        discrete = _listed(entries["discrete"], f"{name}.discrete", _pose)
    return Symmetry(axes, discrete)


def _axis(located: Located, name: str) -> SymmetryAxis:
    entries = _entries(located, name, ("axis",), ("offset",))
    values: Any = _checked(entries, dict.fromkeys(_AXIS_KEYS, _VECTOR), f"{name}.")
    return _built(located, name, lambda: SymmetryAxis(**values))


def _pose(located: Located, name: str) -> StoredPose:
    """Read {translation, quaternion_xyzw}, a 4x4 matrix, or its 16 numbers row by row."""
    if isinstance(located.content, list):
        return _built(located, name, lambda: _pose_of_matrix(located))
    entries = _entries(located, name, _POSE_KEYS, ())
    rules = dict(zip(_POSE_KEYS, (_VECTOR, _QUATERNION), strict=True))
    values: Any = _checked(entries, rules, f"{name}.")
    return _built(located, name, lambda: StoredPose.from_numbers(**values))


def _pose_of_matrix(located: Located) -> StoredPose:
    rows = located.plain()
    if all(isinstance(row, list) for row in rows):
        rows = [number for row in rows for number in row]
    numbers = _NUMBERS.checked(rows)
    matrix = np.array(numbers, dtype=np.float64)
    if matrix.size != 16:
        raise InputError(
            f"expected translation and quaternion_xyzw, or a 4x4 matrix, got {matrix.size} numbers"
        )
    return StoredPose.of(SE3.from_matrix(matrix.reshape(4, 4)))


def _entries(
    located: Located, name: str, required: Iterable[str], optional: Iterable[str]
) -> dict[str, Located]:
    """Return the entries of a mapping; InputError for missing and for unknown keys."""
    known = list(dict.fromkeys([*required, *optional]))
    if not isinstance(located.content, dict):
        raise located.error(f"{name}: expected a mapping of {', '.join(known)}")
    for key, value in located.content.items():
        if key not in known:
            raise value.error(f"{name}: unknown key {key}: {suggestion(key, known)}")
    for key in required:
        if key not in located.content:
            raise located.error(f"{name}: the key {key} is missing")
    return located.content


def _checked(
    entries: dict[str, Located], rules: dict[str, ValueRule], prefix: str
) -> dict[str, Value]:
    """Return the values that have a rule, checked, with the line of the key in the errors."""
    values: dict[str, Value] = {}
    for key, rule in rules.items():
        if key in entries:
            located = entries[key]
            check = functools.partial(rule.checked, located.plain())
            values[key] = _built(located, prefix + key, check)
    return values


def _listed(located: Located, name: str, read: Callable[[Located, str], Read]) -> tuple[Read, ...]:
    if not isinstance(located.content, list):
        raise located.error(f"{name}: expected a list ('- ...')")
    return tuple(
        read(element, f"{name}[{index}]") for index, element in enumerate(located.content)
    )


def _built(located: Located, name: str, build: Callable[[], Read]) -> Read:
    try:
        return build()
    except SceneError as error:
        place = located.at(error.key)
        raise place.error(f"{name}.{error}" if name else str(error)) from None
    except InputError as error:
        raise located.error(f"{name}: {error}") from None


def _field_lines(field: FieldReference) -> list[str]:
    return [
        f"checkpoint: {yaml_value(field.checkpoint)}",
        f"metres_per_unit: {yaml_value(field.metres_per_unit)}",
        "T_world_field:",
        *_indented(_pose_lines(field.T_world_field)),
    ]


def _object_lines(item: SceneObject) -> list[str]:
    lines = [
        f"label: {yaml_value(item.label)}",
        f"class_id: {item.class_id}",
        "T_world_object:",
        *_indented(_pose_lines(item.T_world_object)),
        f"extent: {yaml_value(item.extent)}",
    ]
    if any(item.box_centre):
        lines.append(f"box_centre: {yaml_value(item.box_centre)}")
    if not item.symmetry.trivial:
        lines += ["symmetry:", *_indented(_symmetry_lines(item.symmetry))]
    if item.mesh is not None:
        lines.append(f"mesh: {yaml_value(item.mesh)}")
    return lines


def _symmetry_lines(symmetry: Symmetry) -> Iterator[str]:
    if symmetry.axes:
        yield "axes:"
        yield from _items(
            [f"axis: {yaml_value(axis.axis)}", f"offset: {yaml_value(axis.offset)}"]
            for axis in symmetry.axes
        )
    if symmetry.discrete:
        yield "discrete:"
        yield from _items(_pose_lines(pose) for pose in symmetry.discrete)


def _pose_lines(pose: SE3) -> list[str]:
    stored = StoredPose.of(pose)
    return [
        f"translation: {yaml_value(tuple(stored.translation.tolist()))}",
        f"quaternion_xyzw: {yaml_value(stored.quaternion_xyzw)}",
    ]


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _items(entries: Iterable[Iterable[str]]) -> Iterator[str]:
    for entry in entries:
        first, *others = entry
        yield f"  - {first}"
        yield from _indented(_indented(others))
