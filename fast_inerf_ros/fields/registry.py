"""The kinds of fields by name; each is imported only when it is asked for."""

from __future__ import annotations

import difflib
import importlib
from typing import cast

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.field import Field

_CLASSES: dict[str, str] = {
    "vanilla": "fast_inerf_ros.fields.vanilla:VanillaField",
    "voxel": "fast_inerf_ros.fields.voxel:VoxelField",
}


def register(kind: str, target: str) -> None:
    """Make a field class known by name; ``target`` is ``package.module:Class``."""
    _CLASSES[kind] = target


def field_kinds() -> tuple[str, ...]:
    """Names of all known kinds of fields."""
    return tuple(sorted(_CLASSES))


def field_class(kind: str) -> type[Field]:
    """Class of a kind of field; raises InputError with the known names otherwise."""
    if kind not in _CLASSES:
        near = difflib.get_close_matches(kind, _CLASSES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "choose one of them"
        raise InputError(
            f"kind of field: expected one of {', '.join(field_kinds())}, got {kind!r}; {hint}"
        )
    module, _, name = _CLASSES[kind].partition(":")
    return cast("type[Field]", getattr(importlib.import_module(module), name))
