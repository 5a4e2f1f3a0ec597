"""What is known of a place: its radiance field, its world frame and the objects in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fast_inerf_ros.config.value_rule import ValueRule
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.stored_pose import StoredPose
from fast_inerf_ros.geometry.symmetry import Symmetry

_TEXT = ValueRule(str)
_POSITION = ValueRule(float, container=tuple, length=3, unit="m")

FIELD_RULES = {"checkpoint": _TEXT, "metres_per_unit": ValueRule(float, minimum=1e-9)}
OBJECT_RULES = {
    "label": _TEXT,
    "class_id": ValueRule(int, minimum=1, maximum=65535),  # 0 is the background
    "extent": dataclasses.replace(_POSITION, minimum=1e-6),
    "box_centre": _POSITION,
    "mesh": ValueRule(str, optional=True),
}
SCENE_RULES = {
    "description": _TEXT,
    "frame_id": _TEXT,
    "metric": ValueRule(bool),
    "detector": ValueRule(str, optional=True),
    "landmarks": ValueRule(str, optional=True),
}


class SceneError(InputError):
    """A value of a scene that is wrong.

    key: where it stands, such as "objects[2]" or "label".
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key


@dataclass(frozen=True)
class FieldReference:
    """The radiance field of a scene: p_world = T_world_field · (metres_per_unit · p_field).

    checkpoint: path of the trained field, relative to the scene file or absolute.
    """

    checkpoint: str
    metres_per_unit: float = 1.0
    T_world_field: SE3 = dataclasses.field(default_factory=SE3.identity)

    def __post_init__(self) -> None:
        """Check every value."""
        _apply(self, FIELD_RULES)
        if not self.checkpoint:
            raise SceneError("checkpoint", "expected the path of a trained field, got nothing")
        object.__setattr__(self, "T_world_field", StoredPose.of(self.T_world_field))


@dataclass(frozen=True)
class SceneObject:
    """One object that stands still in the scene.

    label, class_id: name and number of its class in the detector; 0 is the background. Several
        objects of one class are several entries.
    T_world_object: its pose. extent: edge lengths (3) of its box in metres, along its own axes.
    box_centre: centre (3) of the box in the object's frame, in metres.
    mesh: path of a mesh in the object's frame in metres, relative to the scene file.
    """

    label: str
    class_id: int
    T_world_object: SE3
    extent: tuple[float, ...]
    box_centre: tuple[float, ...] = (0.0, 0.0, 0.0)
    symmetry: Symmetry = dataclasses.field(default_factory=Symmetry)
    mesh: str | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        _apply(self, OBJECT_RULES)
        if not self.label:
            raise SceneError("label", "expected the name of a class, got an empty string")
        object.__setattr__(self, "T_world_object", StoredPose.of(self.T_world_object))


@dataclass(frozen=True)
class Scene:
    """A place that can be localised in.

    frame_id: ROS name of the world frame, z up.
    metric: whether the scale is known; if not, "metres" are an unknown unit throughout.
    field: the trained radiance field; None before training.
    detector: path of PoseCNN weights. landmarks: path of a landmark map. Both relative to the
        scene file, or None.
    folder: where the scene file lies; not part of what makes two scenes equal.
    """

    frame_id: str
    metric: bool = True
    field: FieldReference | None = None
    objects: tuple[SceneObject, ...] = ()
    detector: str | None = None
    landmarks: str | None = None
    description: str = ""
    folder: Path | None = dataclasses.field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Check every value, and the objects against each other."""
        _apply(self, SCENE_RULES)
        if not self.frame_id or self.frame_id.startswith("/") or set(self.frame_id) & set(" \t\n"):
            raise SceneError(
                "frame_id",
                "expected the name of a frame without spaces or a leading slash, "
                f"got {self.frame_id!r}",
            )
        object.__setattr__(self, "objects", tuple(self.objects))
        _require_consistent_classes(self.objects)

    def objects_by_class(self) -> dict[int, tuple[SceneObject, ...]]:
        """Group the objects by class_id, in the order of the file."""
        class_ids = dict.fromkeys(item.class_id for item in self.objects)
        return {
            class_id: tuple(item for item in self.objects if item.class_id == class_id)
            for class_id in class_ids
        }

    def objects_labelled(self, label: str) -> tuple[SceneObject, ...]:
        """Return the objects of a class by its name; empty where there are none."""
        return tuple(item for item in self.objects if item.label == label)

    def resolve(self, written_path: str) -> Path:
        """Return a path of the scene file as a path of the file system.

        Raises InputError where the path is relative and the scene comes from no file.
        """
        path = Path(written_path)
        if path.is_absolute():
            return path
        if self.folder is None:
            raise InputError(
                f"{path} is relative to a scene file, but this scene has none: save it"
            )
        return self.folder / path


def referenced_files(scene: Scene) -> Iterable[tuple[str, str]]:
    """List the files that a scene points to, as pairs of key and written path."""
    if scene.field is not None:
        yield "field.checkpoint", scene.field.checkpoint
    for key in ("detector", "landmarks"):
        if getattr(scene, key) is not None:
            yield key, getattr(scene, key)
    for index, item in enumerate(scene.objects):
        if item.mesh is not None:
            yield f"objects[{index}].mesh", item.mesh


def _apply(instance: Any, rules: dict[str, ValueRule]) -> None:
    """Put checked values in the place of those a caller gave."""
    for name, rule in rules.items():
        try:
            object.__setattr__(instance, name, rule.checked(getattr(instance, name)))
        except InputError as error:
            raise SceneError(name, str(error)) from None


def _require_consistent_classes(objects: tuple[SceneObject, ...]) -> None:
    """Refuse two names of one class, two classes of one name and one object listed twice."""
    label_of: dict[int, str] = {}
    class_of: dict[str, int] = {}
    seen: set[tuple[int, SE3]] = set()
    for index, item in enumerate(objects):
        label = label_of.setdefault(item.class_id, item.label)
        class_id = class_of.setdefault(item.label, item.class_id)
        if label != item.label or class_id != item.class_id:
            raise SceneError(
                f"objects[{index}]",
                "expected one label for each class_id and one class_id for each label, got "
                f"{item.label!r} with {item.class_id} beside {label!r} with {class_id}",
            )
        if (item.class_id, item.T_world_object) in seen:
            raise SceneError(
                f"objects[{index}]",
                f"{item.label!r} is listed twice with the same pose: drop one of the two",
            )
        seen.add((item.class_id, item.T_world_object))
