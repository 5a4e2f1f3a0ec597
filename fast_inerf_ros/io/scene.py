"""Scene files: the contract between training, detection and localisation (docs/scene.md)."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from fast_inerf_ros.config.yaml_text import Located, parse_yaml, read_yaml
from fast_inerf_ros.io.atomic import write_text
from fast_inerf_ros.io.scene_description import (
    FieldReference,
    Scene,
    SceneObject,
    referenced_files,
)
from fast_inerf_ros.io.scene_text import read_scene, write_scene

__all__ = ["FieldReference", "Scene", "SceneObject", "load_scene", "parse_scene", "save_scene"]

_REMEDIES = {
    "field.checkpoint": "train the field, correct the path, or leave 'field' out until then",
    "detector": "train the detector, correct the path, or leave 'detector' out",
    "landmarks": "make the landmark map, correct the path, or leave 'landmarks' out",
    "mesh": "correct the path, or leave 'mesh' out",
}


def load_scene(path: str | PathLike[str], check_files: bool = True) -> Scene:
    """Read a scene file.

    check_files: whether the files it points to must exist.

    Raises InputError with file and line for anything that is wrong in it.
    """
    path = Path(path)
    document = read_yaml(path)
    scene = read_scene(document, path.parent)
    if check_files:
        _require_files(scene, document)
    return scene


def parse_scene(text: str, source: str = "<text>") -> Scene:
    """Read a scene from text; its relative paths belong to no folder."""
    return read_scene(parse_yaml(text, source), None)


def save_scene(scene: Scene, path: str | PathLike[str]) -> None:
    """Write a scene file atomically; `load_scene` gives back an equal scene.

    Relative paths are written as they are. Comments of an older file are lost.
    """
    write_text(path, write_scene(scene))


def _require_files(scene: Scene, document: Located) -> None:
    for key, written in referenced_files(scene):
        path = scene.resolve(written)
        if not path.is_file():
            place = document.at(key)
            remedy = _REMEDIES[key.rpartition("].")[2]]
            raise place.error(f"{key}: expected a file at {path}, got none: {remedy}")
